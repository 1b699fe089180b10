"""The deployment's secret."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stat import S_IMODE

import pytest

from asleep_pipeline.errors import AccessError
from asleep_pipeline.privacy.secret import derived_key, pseudonym


def test_a_purpose_has_one_key(tmp_path: Path) -> None:
    """It is the same tomorrow, another for each purpose and deployment, and not the secret."""
    file = tmp_path / "access" / "secret"
    key = derived_key(file, "tombstones")
    assert key == derived_key(file, "tombstones")
    assert key not in {derived_key(file, "audit"), derived_key(tmp_path / "other", "tombstones")}
    assert file.read_bytes() not in {key, derived_key(file, "audit")}


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """Nor may others look into its folder."""
    file = tmp_path / "access" / "secret"
    derived_key(file, "tombstones")
    assert (S_IMODE(file.stat().st_mode), S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    assert [each.name for each in file.parent.iterdir()] == ["secret"]


def test_processes_that_make_it_at_once_agree(tmp_path: Path) -> None:
    """Nobody goes on with a secret that another one has replaced."""
    file = tmp_path / "secret"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: derived_key(file, "audit"), range(32)))
    assert len(keys) == 1


def test_a_broken_secret_is_told(tmp_path: Path) -> None:
    """A short one must not pass for a good one."""
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(AccessError, match="5 bytes instead of 32"):
        derived_key(tmp_path / "secret", "audit")


def test_pseudonyms_depend_on_the_key() -> None:
    """The same user has one name by one key, and another by another."""
    names = {pseudonym(key, user) for key in (b"a" * 32, b"b" * 32) for user in ("u-1", "u-2")}
    assert len(names) == 4
    assert pseudonym(b"a" * 32, "u-1") in names
