"""What other libraries said of nights, in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from asleep_pipeline_tests.hand_made import stages

_HERE = Path(__file__).parent
_SLEEP_DATA = Path(__file__).resolve().parents[3] / "shared" / "sleep-data"

needs_recordings = pytest.mark.skipif(
    not _SLEEP_DATA.is_dir(), reason="../shared/sleep-data is not here"
)


def made_up(subject: str) -> dict[str, Any]:
    """The cases that lie beside this module."""
    text = (_HERE / f"{subject}_cases.json").read_text(encoding="utf-8")
    said: dict[str, Any] = json.loads(text)
    return said


def made_up_nights() -> dict[str, dict[str, Any]]:
    """Made-up nights by name: `stages`, and what each library says."""
    cases = made_up("hypnogram")["cases"]
    return {name: case | {"stages": stages(case["stages"])} for name, case in cases.items()}


def recorded(subject: str) -> dict[str, Any]:
    """The same and more, in the recordings' own files."""
    text = (_SLEEP_DATA / "oracles" / f"{subject}_oracles.json").read_text(encoding="utf-8")
    said: dict[str, Any] = json.loads(text)
    return said


def recordings() -> pl.DataFrame:
    """The recordings themselves."""
    return pl.read_parquet(_SLEEP_DATA / "hypnograms.parquet")


def night_statistics() -> list[dict[str, Any]]:
    """Statistics of every recording by pysleep and yasa."""
    return pl.read_csv(_SLEEP_DATA / "oracles" / "night_statistics.csv").to_dicts()
