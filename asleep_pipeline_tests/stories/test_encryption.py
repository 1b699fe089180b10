"""With encryption on, everything is as without it, and nothing that is stored tells of a night."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from asleep_pipeline.errors import ConfigurationError, LakeError, WarehouseError
from asleep_pipeline.lake import Lake, encrypting
from asleep_pipeline.lake.checks import CHECKS, offenders
from asleep_pipeline.lake.encrypting import encrypt
from asleep_pipeline.lake.maintenance import maintain
from asleep_pipeline.lake.progress import unread_batches
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import RAW, SESSIONS
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline.privacy.keys import forget, keys_of
from asleep_pipeline.privacy.master_keys import create_master_keys
from asleep_pipeline.settings import load_settings
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.warehouse.marts.tables import MARTS
from asleep_pipeline.warehouse.publish import PUBLISHED
from asleep_pipeline.warehouse.verify import differences
from asleep_pipeline.webhooks.live_table import publish_live
from asleep_pipeline_tests.small_world import FIRST, TODAY, SmallWorld, encrypted, small_world
from asleep_pipeline_tests.webhooks.mail import arrival, post
from asleep_pipeline_tests.webhooks.pushes import PushedWorld

DAY = timedelta(days=1)
WHEN_READ = ("listed_at", "fetched_at", "quarantined_at", "pushed_at", "refreshed_at")
TELLING = (b'"sleep_stages"', b'"time_in_bed"', b'"session_start_time"', b'"sleep_time"')
"""Words of the API that stand in every body; the names of columns have no quotation marks."""

Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Twin:
    """A small company after a history, and what it has published on the way."""

    world: SmallWorld
    published: list[Tables]
    broken: dict[str, int]

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return self.world.platform.settings.data_dir


def history(world: SmallWorld) -> Iterator[Tables]:
    """Pull, webhooks, averages, bad answers, no news, maintenance, rebuild; what each publishes."""
    ids = sorted(name for _, name in world.truth(FIRST, TODAY))
    world.sim.faults.corrupted = {ids[5]: "bad_stage", ids[9]: "percent"}
    world.load(FIRST, TODAY)
    yield published(world)
    world.sim.clock.advance(DAY)
    pushed = PushedWorld.of(world)
    keys = sorted(pushed.complete())
    pushed.push([*keys[-3:], keys[0]])
    post(pushed.inbox, arrival(user="stranger"))
    pushed.take(reread=True)
    world.load(FIRST, world.today)
    world.pipeline().averages(FIRST.replace(day=1), TODAY)
    yield published(world)
    snapshot = world.lake.snapshot_id()
    assert not world.load(FIRST, world.today).written
    news = "SELECT count(body) FROM lake.raw WHERE snapshot_id > $1"
    assert world.lake.frame(news, [snapshot]).item() == 0
    maintain(world.lake, now=world.sim.clock.now() + 400 * DAY)
    rebuild(world.lake, organisations={}, default_zone="UTC")
    yield published(world)


def published(world: SmallWorld) -> Tables:
    """Publish; every table that analysts get, without the instants at which things were read."""
    file = world.platform.settings.warehouse_path
    publish(world.lake, file)
    assert differences(world.lake, file) == {}
    with read_warehouse(file) as con:
        frames = {t.name: con.execute(f"FROM {t.name}").pl() for t in (*PUBLISHED, *MARTS)}
    return {name: frame.drop(WHEN_READ, strict=False) for name, frame in frames.items()}


def broken(world: SmallWorld) -> dict[str, int]:
    """How many rows break each check of the lake."""
    with world.lake.read() as con:
        return {
            check.name: len(offenders(con, check, shard=0, start=FIRST, end=world.today))
            for check in CHECKS
        }


def lived(world: SmallWorld) -> Twin:
    """A world after its history."""
    return Twin(world, list(history(world)), broken(world))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Without encryption."""
    with (
        home(tmp_path_factory.mktemp("plain")),
        small_world(tmp_path_factory.mktemp("plain") / "data") as world,
    ):
        yield lived(world)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """With encryption from the start."""
    folder = tmp_path_factory.mktemp("sealed")
    with home(folder), small_world(folder / "data") as world, encrypted(world) as made:
        yield lived(made)


@contextmanager
def home(folder: Path) -> Iterator[None]:
    """The pipeline sets DAGSTER_HOME for its children; it is taken back."""
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("DAGSTER_HOME", str(folder))
        yield


def assert_same(one: Tables, other: Tables) -> None:
    """Row for row, whatever their order."""
    assert one.keys() == other.keys()
    for name, frame in one.items():
        assert_frame_equal(frame, other[name], check_row_order=False)


def telling(folder: Path) -> list[tuple[str, bytes]]:
    """Files below a folder in which a word of the API stands; Parquet is unpacked."""
    found = []
    for file in (path for path in folder.rglob("*") if path.is_file()):
        text = file.read_bytes()
        if file.suffix == ".parquet":
            text += repr(pl.read_parquet(file).to_dict(as_series=False)).encode()
        found += [(file.name, word) for word in TELLING if word in text]
    return found


def test_everything_published_is_as_without_encryption(plain: Twin, sealed: Twin) -> None:
    """After pulls, webhooks, syncs without news, maintenance and a rebuild, in every table."""
    for one, other in zip(plain.published, sealed.published, strict=True):
        assert_same(one, other)
    assert plain.published[-1]["quarantine"].height > 0
    assert plain.published[-1]["average_stats"].height > 0
    assert plain.broken == sealed.broken


def test_no_file_tells_of_a_night(plain: Twin, sealed: Twin) -> None:
    """Nor does the inbox, though the events of a stranger are in it as well."""
    assert telling(plain.data_dir), "the search finds what there is to find"
    assert telling(sealed.data_dir) == []
    rows = sealed.world.lake.frame("SELECT * FROM lake.sessions")
    clear = {name for name in rows.columns if rows[name].null_count() < rows.height}
    assert clear.isdisjoint({"sleep_stages", "time_in_sleep", "ended_at", "timezone", "extra"})


def test_the_published_file_opens_by_its_key_alone(sealed: Twin, tmp_path: Path) -> None:
    """By any DuckDB, without an extension; the working file beside it likewise."""
    copy = shutil.copy(sealed.data_dir / "asleep.duckdb", tmp_path)
    with pytest.raises(WarehouseError, match="Set encryption_key_file"), read_warehouse(Path(copy)):
        pass
    files = (sealed.data_dir / "asleep.duckdb", sealed.data_dir / "warehouse" / "working.duckdb")
    keys = keys_of(sealed.data_dir)
    assert keys is not None
    for file in files:
        with duckdb.connect() as con:
            with pytest.raises(duckdb.Error, match="without a key"):
                con.execute(f"ATTACH '{file}' AS asleep (READ_ONLY)")
            key = keys.file_keys()[0]
            con.execute(f"ATTACH '{file}' AS asleep (READ_ONLY, ENCRYPTION_KEY '{key}')")
            counted = con.execute("SELECT count(*) FROM asleep.sessions").fetchall()
        assert counted[0][0] == sealed.published[-1]["sessions"].height


def test_sessions_in_progress_are_encrypted(sealed: Twin) -> None:
    """Their file opens for who has the keys."""
    file = sealed.data_dir / "live.duckdb"
    publish_live(file, [])
    with pytest.raises(duckdb.Error, match="without a key"):
        duckdb.connect(str(file), read_only=True)
    with read_warehouse(file) as con:
        assert con.execute("FROM live_sessions").fetchall() == []


def test_an_encrypted_lake_does_not_open_without_its_keys(sealed: Twin) -> None:
    """One error says which setting it lacks; with other keys, that they are others."""
    world, root = sealed.world, sealed.world.lake.root
    world.with_settings(encryption_key_file=None)
    with pytest.raises(ConfigurationError, match="is encrypted"):
        Lake.open(root)
    other = create_master_keys_of_nobody(sealed.data_dir.parent)
    world.with_settings(encryption_key_file=other)
    with pytest.raises(ConfigurationError, match="lacks"):
        Lake.open(root)
    aside = sealed.data_dir / "access" / "keys.aside"
    (sealed.data_dir / "access" / "keys.sqlite").rename(aside)
    world.with_settings(encryption_key_file=sealed.data_dir.parent / "empty")
    with pytest.raises((ConfigurationError, LakeError)):
        Lake.open(root)
    aside.replace(sealed.data_dir / "access" / "keys.sqlite")
    world.with_settings(encryption_key_file=sealed.data_dir.parent / "master")
    assert Lake.open(root).snapshot_id() == world.lake.snapshot_id()


def create_master_keys_of_nobody(folder: Path) -> Path:
    """A file of master keys that wrap nothing."""
    create_master_keys(folder / "empty")
    return folder / "empty"


def test_rows_swapped_between_users_are_noticed(sealed: Twin, tmp_path: Path) -> None:
    """Whoever can write the lake still cannot give one user the night of another."""
    with copied(sealed, tmp_path) as (lake, _):
        with lake.write("swap") as con:
            con.execute(
                """
                UPDATE lake.sessions SET sealed = (
                    SELECT sealed FROM lake.sessions AS o WHERE o.user_id = sessions.user_id
                    AND o.session_id <> sessions.session_id LIMIT 1)
                """
            )
        with pytest.raises(LakeError, match="moved to another row"), lake.read() as con:
            con.execute(f"SELECT sum(time_in_sleep) FROM {opened(con, SESSIONS)}").fetchall()


def test_a_forgotten_user_is_unreadable_in_an_older_copy_too(sealed: Twin, tmp_path: Path) -> None:
    """The rest is as it was, whichever copy of the folder the keys that are left are used with."""
    with copied(sealed, tmp_path) as (lake, data_dir):
        backup = Path(shutil.copytree(data_dir, tmp_path / "backup"))
        person = sealed.published[-1]["users"]["user_id"][0]
        assert forget(
            load_settings(data_dir=data_dir, encryption_key_file=master_of(sealed)), person
        )
        shutil.copy(data_dir / "access" / "keys.sqlite", backup / "access" / "keys.sqlite")
        with at_home(sealed, backup) as (older, _):
            for each in (lake, older):
                with each.read() as con:
                    for table in (SESSIONS, RAW):
                        left = con.execute(f"SELECT DISTINCT user_id FROM {opened(con, table)}")
                        assert person not in {user for (user,) in left.fetchall()}
                rebuild(each, organisations={}, default_zone="UTC")
            publish(older, backup / "asleep.duckdb")
            assert differences(older, backup / "asleep.duckdb") == {}
            with read_warehouse(backup / "asleep.duckdb") as con:
                rest = con.execute("FROM sessions").pl().drop(WHEN_READ, strict=False)
        before = sealed.published[-1]["sessions"].filter(pl.col("user_id") != person)
        assert_frame_equal(rest, before, check_row_order=False)
        keys = keys_of(data_dir)
        assert keys is not None
        # As the publication does that follows.
        keys.drop_file_keys_before(keys.file_keys()[0])
        with (
            pytest.raises(WarehouseError, match="cannot be opened"),
            read_warehouse(data_dir / "asleep.duckdb"),
        ):
            pass


@contextmanager
def copied(sealed: Twin, folder: Path) -> Iterator[tuple[Lake, Path]]:
    """A copy of the data folder, of which a test may change anything, with the same master keys."""
    data_dir = Path(shutil.copytree(sealed.data_dir, folder / "data"))
    with at_home(sealed, data_dir) as made:
        yield made


def master_of(sealed: Twin) -> Path:
    """The file of its master keys."""
    return sealed.data_dir.parent / "master"


@contextmanager
def at_home(sealed: Twin, data_dir: Path) -> Iterator[tuple[Lake, Path]]:
    """A data folder that is read by the twin's master keys."""
    sealed.world.with_settings(data_dir=data_dir, encryption_key_file=master_of(sealed))
    yield Lake.open(data_dir / "lake"), data_dir
    sealed.world.with_settings(data_dir=data_dir, encryption_key_file=None)


def test_what_was_there_before_is_encrypted_whatever_stops_it(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, in the middle and afterwards the same is read; in the end no file tells of a night."""
    pushed = PushedWorld.of(world)
    world.load(FIRST, TODAY)
    pushed.push(sorted(pushed.complete())[:2])
    world.sim.clock.advance(DAY)
    world.load(FIRST, world.today)
    events, before = pushed.inbox.events(), rows(world.lake)
    with encrypted(world) as made:
        assert rows(made.lake).equals(before)
        monkeypatch.setattr(encrypting, "_ROWS_A_PART", 1)
        with monkeypatch.context() as crashing:
            crashing.setattr(encrypting, "_seal", _stops_after(1, encrypting._seal))
            with pytest.raises(ZeroDivisionError):
                encrypt(made.lake)
        assert rows(made.lake).equals(before)
        # Files then hold both what is sealed and what is not.
        maintain(made.lake, now=world.sim.clock.now())
        places = answers(made.lake)
        done = encrypt(made.lake)
        assert answers(made.lake).equals(places)
        assert done["raw"] > 0 < done["sessions"]
        assert pushed.inbox.encrypt() == len(events)
        assert pushed.inbox.events() == events
        assert rows(made.lake).equals(before)
        assert telling(made.platform.settings.data_dir) == []
        assert sum(encrypt(made.lake).values()) == pushed.inbox.encrypt() == 0
        rebuild(made.lake, organisations={}, default_zone="UTC")
        assert rows(made.lake).equals(before)


def rows(lake: Lake) -> pl.DataFrame:
    """The sessions as they are without encryption, but for what the time of reading changes."""
    with lake.read() as con:
        frame = con.execute(f"FROM {opened(con, SESSIONS)}").pl()
    return frame.drop("sealed", *WHEN_READ, strict=False).sort(SESSIONS.key)


def answers(lake: Lake) -> pl.DataFrame:
    """Every answer with its row id and the commit that it came with, as a new reader gets them."""
    with lake.read() as con:
        batches = unread_batches(con, "nobody", 0, ["list_sessions", "get_session"])
        return pl.concat(batches).sort("rowid")


def _stops_after(parts: int, seal: object) -> object:
    left = iter(range(parts))

    def one(*given: object) -> int:
        if next(left, None) is None:
            raise ZeroDivisionError
        done: int = seal(*given)  # type: ignore[operator]  # it is a function
        return done

    return one
