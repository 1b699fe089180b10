"""Master keys wrap the users' keys; neither is ever lost, mixed up or shown."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.errors import ConfigurationError, LakeError, UsageError
from asleep_pipeline.privacy.key_files import use_key_file
from asleep_pipeline.privacy.keys import Keys, forget, keys_of
from asleep_pipeline.privacy.master_keys import create_master_keys, read_master_keys
from asleep_pipeline.privacy.sealed import UserKey, seal, seal_hash, unseal, unseal_hash
from asleep_pipeline.settings import load_settings

ANN, BOB = UserKey(b"a" * 32), UserKey(b"b" * 32)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Of an empty data folder."""
    create_master_keys(tmp_path / "master")
    return Keys(tmp_path / "data" / "access" / "keys.sqlite", tmp_path / "master")


def another_process(keys: Keys) -> Keys:
    """What another process would see."""
    return Keys(keys.path, keys._master_file)


@given(content=st.binary(max_size=2_000), about=st.binary(max_size=50), squeeze=st.booleans())
def test_what_was_sealed_opens(content: bytes, about: bytes, squeeze: bool) -> None:
    """Any bytes come back by their key and place, and by no other key."""
    sealed = seal(ANN, content, about, squeeze=squeeze)
    assert unseal(ANN, sealed, about) == content
    assert unseal(BOB, sealed, about) is None
    assert unseal(None, sealed, about) is None


@given(st.data())
def test_a_value_that_was_changed_or_moved_is_detected(data: st.DataObject) -> None:
    """A flipped bit, and a value that lies in another row, raise; nothing wrong is ever returned."""
    sealed = seal(ANN, b'{"sleep_stages": [0, 1]}', b"session 1")
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    flipped = bytearray(sealed)
    flipped[place // 8] ^= 1 << place % 8
    changed = bytes(flipped)
    # Another name of the key means a key that is gone.
    if changed[1:9] == sealed[1:9]:
        with pytest.raises(LakeError, match="was changed"):
            unseal(ANN, changed, b"session 1")
    with pytest.raises(LakeError, match="was changed"):
        unseal(ANN, sealed, b"session 2")


@given(st.binary(min_size=32, max_size=32))
def test_equal_hashes_stay_equal_within_a_user(digest: bytes) -> None:
    """So that news can be told from no news; two users' hashes of one thing differ."""
    name = digest.hex()
    assert unseal_hash(ANN, seal_hash(ANN, name)) == name
    assert seal_hash(ANN, name) == seal_hash(ANN, name) != seal_hash(BOB, name)
    assert unseal_hash(BOB, seal_hash(ANN, name)) is None
    assert unseal_hash(ANN, name) == name


def test_a_user_keeps_one_key_in_every_process(keys: Keys) -> None:
    """Threads and processes that make the key of a new user at once get the same one."""
    processes = [another_process(keys) for _ in range(4)]
    made: list[UserKey | None] = []
    threads = [
        threading.Thread(target=lambda p=p: made.append(p.of(["ann"], make=True)["ann"]))
        for p in processes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(processes)
    assert len({key.key for key in made if key}) == 1


def test_the_file_of_keys_names_nobody_and_is_its_owners(keys: Keys) -> None:
    """Neither a user's id nor a key stands in it, and nobody else may read it or the master keys."""
    made = keys.of(["someone@example.org"], make=True)["someone@example.org"]
    stored = keys.path.read_bytes()
    assert made is not None
    assert b"someone" not in stored
    assert made.key not in stored
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert keys._master_file.stat().st_mode & 0o777 == 0o600
    assert made.key.hex() not in repr(made)


def test_a_forgotten_key_is_gone_at_once_for_every_process(keys: Keys) -> None:
    """A process that has it in memory drops it before it opens the next value."""
    other = another_process(keys)
    assert other.of(["ann", "bob"], make=True)["ann"] is not None
    wrapped = keys.path.read_bytes()
    assert keys.forget("ann")
    assert not keys.forget("ann")
    assert other.of(["ann", "bob"])["ann"] is None
    assert other.of(["bob"])["bob"] is not None
    assert keys.path.read_bytes() != wrapped


def test_rotation_changes_wrappings_and_nothing_else(keys: Keys) -> None:
    """Processes that run know their keys after it, also once the old master key is gone."""
    other = another_process(keys)
    before, file_keys = other.of(["ann"], make=True), other.file_keys()
    old, rotated = keys.status().newest, keys.rotate()
    assert rotated.newest != old
    assert dict(rotated.wrapped_by) == {rotated.newest: 3}
    lines = keys._master_file.read_text().splitlines()
    keys._master_file.write_text("\n".join(line for line in lines if not line.startswith(old)))
    other._cached.clear()
    assert other.of(["ann"]) == before
    assert other.file_keys() == file_keys
    assert another_process(keys).of(["ann"]) == before


def test_rotation_goes_on_where_it_was_stopped(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two parts everything can be read; the next call makes no third master key."""
    monkeypatch.setattr("asleep_pipeline.privacy.keys._ROWS", 2)
    users = [f"u{number}" for number in range(5)]
    before = keys.of(users, make=True)
    with monkeypatch.context() as broken:
        broken.setattr(Keys, "status", _a_crash)
        broken.setattr(Keys, "_rewrap", _after_one_part(Keys._rewrap))
        with pytest.raises(ZeroDivisionError):
            keys.rotate()
    middle = another_process(keys)
    assert len(middle.status().wrapped_by) == 2
    assert middle.of(users) == before
    assert len(middle.rotate().wrapped_by) == 1
    assert len(read_master_keys(keys._master_file).by_id) == 2
    assert another_process(keys).of(users) == before


def test_readers_and_writers_go_on_while_keys_rotate(keys: Keys) -> None:
    """New users get keys and old ones are found, whatever is being wrapped meanwhile."""
    users = [f"u{number}" for number in range(50)]
    before, rotated = keys.of(users, make=True), threading.Event()
    seen: list[bool] = []
    other = another_process(keys)

    def work() -> None:
        while not rotated.is_set() or len(seen) < 3:
            other._cached.clear()
            seen.append(other.of(users) == before)
            other.of([f"new {len(seen)}"], make=True)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(3):
        keys.rotate()
    rotated.set()
    thread.join()
    assert all(seen)
    fresh = another_process(keys)
    assert all(fresh.of([f"new {number}" for number in range(1, len(seen) + 1)]).values())


def test_another_master_key_is_told_apart_from_a_damaged_file(keys: Keys, tmp_path: Path) -> None:
    """The error names the key that is needed, or says that the two files do not belong together."""
    keys.of(["ann"], make=True)
    create_master_keys(tmp_path / "other")
    with pytest.raises(ConfigurationError, match=r"encrypted by the master key \w{8}, which"):
        Keys(keys.path, tmp_path / "other").of(["ann"])
    name = read_master_keys(keys._master_file).newest
    _, encoded = (tmp_path / "other").read_text().splitlines()[1].split()
    (tmp_path / "other").write_text(f"{name} {encoded}\n")
    with pytest.raises(ConfigurationError, match="is not the one of"):
        Keys(keys.path, tmp_path / "other").of(["ann"])


@pytest.mark.parametrize("text", ["", "secret-word", "12345678 c2hvcnQ=", "qqqq 12\n"])
def test_a_file_without_master_keys_is_refused_without_quoting_it(
    tmp_path: Path, text: str
) -> None:
    """It may be another secret, put into the wrong place."""
    (tmp_path / "master").write_text(text)
    with pytest.raises(ConfigurationError) as told:
        read_master_keys(tmp_path / "master")
    assert not text.strip() or text.split(maxsplit=1)[0] not in str(told.value).replace(
        str(tmp_path), ""
    )


def test_master_keys_are_never_overwritten(tmp_path: Path) -> None:
    """What was encrypted by them would be lost."""
    create_master_keys(tmp_path / "master")
    with pytest.raises(UsageError, match="exists"):
        create_master_keys(tmp_path / "master")


def test_keys_may_not_lie_in_the_data_folder(tmp_path: Path) -> None:
    """A copy of the folder would hold them."""
    with pytest.raises(ConfigurationError, match="outside"):
        load_settings(data_dir=tmp_path, encryption_key_file=tmp_path / "access" / "master")


def test_forgetting_without_encryption_does_nothing(tmp_path: Path) -> None:
    """Erasure calls it in every deployment."""
    assert keys_of(tmp_path) is None
    assert not forget(load_settings(data_dir=tmp_path), "ann")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose encryption is on."""
    create_master_keys(tmp_path / "master")
    use_key_file(tmp_path / "data", tmp_path / "master")
    yield tmp_path / "data"
    use_key_file(tmp_path / "data", None)


def test_a_copy_of_the_folder_with_its_keys_is_what_forgetting_cannot_reach(folder: Path) -> None:
    """Which is why backups of `access/keys.sqlite` are to be short-lived and apart."""
    keys = keys_of(folder)
    assert keys is not None
    before = keys.of(["ann"], make=True)
    shutil.copytree(folder, folder.parent / "copy")
    assert keys.forget("ann")
    copied = Keys(folder.parent / "copy" / "access" / "keys.sqlite", keys._master_file)
    assert copied.of(["ann"]) == before
    assert json.dumps(keys.status().users) == "0"


def _a_crash(*_: object) -> None:
    raise ZeroDivisionError


def _after_one_part(rewrap: object) -> object:
    parts = iter([rewrap])

    def once(*given: object) -> None:
        next(parts, _a_crash)(*given)  # type: ignore[operator]  # it is a method

    return once
