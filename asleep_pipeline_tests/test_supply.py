"""What the project rests on: licences that are accepted, and advisories that were really read."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from supply.advisories import FOUND, NONE, UNKNOWN, verdict
from supply.licences import EXCEPTIONS, is_accepted, licences_of


def package(folder: Path, *lines: str, name: str = "made-up") -> Distribution:
    """An installed package with such metadata."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1", *lines, ""])
    (info / "METADATA").write_text(text)
    return Distribution.at(info)


def test_every_installed_package_has_a_licence_that_is_accepted() -> None:
    """Whoever adds a dependency with another one decides so in `supply/licences.py`."""
    packages = list(distributions())
    refused = {p.name: licences_of(p) for p in packages if not is_accepted(p)}
    assert refused == {}
    assert {"duckdb", "dagster", "litestar"} <= {p.name for p in packages}


@pytest.mark.parametrize(
    "line",
    [
        "License-Expression: AGPL-3.0-only",
        "License-Expression: MIT AND GPL-3.0-or-later",
        "License-Expression: (MIT OR Apache-2.0) AND SSPL-1.0",
        "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        "License: GPL",
        "License: Proprietary",
        "Summary: without any licence",
    ],
)
def test_a_forbidden_licence_is_refused(tmp_path: Path, line: str) -> None:
    """Also among others, and where none is named."""
    assert not is_accepted(package(tmp_path, line))


@pytest.mark.parametrize(
    "line",
    [
        "License-Expression: MIT",
        "License-Expression: Apache-2.0 WITH LLVM-exception AND (MIT OR BSD-2-Clause)",
        "Classifier: License :: OSI Approved :: BSD License",
        "License: MIT License",
    ],
)
def test_accepted_licences(tmp_path: Path, line: str) -> None:
    """In each of the three ways in which metadata names them."""
    assert is_accepted(package(tmp_path, line))


def test_exceptions_are_installed() -> None:
    """An exception for a package that is gone would wait for another one of that name."""
    assert EXCEPTIONS.keys() <= {p.name for p in distributions()}


@pytest.mark.parametrize(
    ("dependencies", "code"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], NONE),
        ([{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}], FOUND),
        ([{"name": "a", "skip_reason": "not found"}], UNKNOWN),
    ],
)
def test_advisories(dependencies: list[object], code: int) -> None:
    """What could not be looked up is not taken for sound."""
    assert verdict(json.dumps({"dependencies": dependencies}))[0] == code


def test_no_answer_is_no_success() -> None:
    """Where there is no network, it says that nothing was checked."""
    code, said = verdict("")
    assert code == UNKNOWN
    assert "nothing was checked" in said
