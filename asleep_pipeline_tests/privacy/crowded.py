"""A deployment in which a person has left something in every place there is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from asleep_pipeline.access.app_users import AppUsers, Reservation
from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.asleep.events import SESSION_COMPLETE
from asleep_pipeline.lake import TABLES
from asleep_pipeline.lake.cohorts import Cohort, put_cohort
from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.progress import unread_slices
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import QUARANTINE
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.normalise.sessions import STREAM
from asleep_pipeline.reports.bulk import write_users
from asleep_pipeline.reports.files import hashed
from asleep_pipeline.reports.period import week_of
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline.webhooks.live_sessions import LiveSession
from asleep_pipeline.webhooks.live_table import Shown, publish_live
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY, SmallWorld, encrypted, small_world
from asleep_pipeline_tests.webhooks.mail import arrival, post

Content = dict[str, pl.DataFrame]
SESSION = "20260501213000_live1"


@dataclass(frozen=True, slots=True)
class Crowded:
    """Six people of two organisations, of whom `person` is to be erased.

    Attributes:
        world: The simulator, and the deployment.
        people: Their ids in order: the first and the last stand in statistics of whole files.
    """

    world: SmallWorld
    people: tuple[str, ...]

    @property
    def settings(self) -> Settings:
        """Of the deployment."""
        return self.world.platform.settings

    @property
    def person(self) -> str:
        """Who is to be erased: the first, of `acme`."""
        return self.people[0]

    @property
    def inbox(self) -> Inbox:
        """Where webhooks wait."""
        return Inbox(self.settings.inbox_path)


@contextmanager
def crowded(folder: Path, *, is_encrypted: bool = False) -> Iterator[Crowded]:
    """Make it in a folder; takes some seconds."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DAGSTER_HOME", str(folder / "dagster"))
        made = stack.enter_context(small_world(folder, people=6, shards=2))
        if is_encrypted:
            made = stack.enter_context(encrypted(made))
        key = {"api_key": made.sim.api_key}
        world = made.with_settings(organisations={"acme": key, "duo": key})
        ids = tuple(sorted(person.user_id for person in world.sim.world.people))
        everybody = Crowded(world, ids)
        put_users(
            world.lake, pl.DataFrame({"user_id": ids, "org_id": ["acme", "duo"] * 3}), now=NOON
        )
        _pull(everybody)
        _log(everybody)
        _push(everybody)
        _name(everybody)
        publish(world.lake, everybody.settings.warehouse_path)
        _copy(everybody)
        yield everybody


def _pull(made: Crowded) -> None:
    for shard in range(2):
        made.world.load(FIRST, TODAY - timedelta(days=5), shard=shard)
        # Not read yet: an unfinished fold.
        made.world.pull(TODAY - timedelta(days=4), TODAY, shard=shard)
    made.world.pipeline().averages(TODAY.replace(month=4, day=1), TODAY.replace(month=4, day=1))
    aside = {
        "shard": 0, "partition_date": TODAY, "endpoint": "get_session", "user_id": made.person,
        "session_id": "20260430230000_odd01", "rule": "a rule", "value": "?", "quarantined_at": NOON,
    }  # fmt: skip
    with made.world.lake.write("quarantine") as con:
        insert(con, QUARANTINE, pl.DataFrame([aside], schema=QUARANTINE.schema))


def _log(made: Crowded) -> None:
    """What an earlier release may have told Dagster."""
    home = made.settings.dagster_home
    (home / "step.err").write_text(f"asked for {made.person} once", encoding="utf-8")
    with closing(sqlite3.connect(home / "history" / "runs.db")) as con, con:
        con.execute("UPDATE run_tags SET value = value || ?", [f" of {made.person}"])


def _push(made: Crowded) -> None:
    inbox = Inbox.create(made.settings.inbox_path)
    for user in (made.person, made.people[3]):
        more = {
            "user": user,
            "session": SESSION,
            "at": NOON,
            "key_name": "acme",
            "padding": "x" * 9_000,
        }
        post(inbox, *(arrival(n, **more) for n in range(3)))  # type: ignore[arg-type]
        post(inbox, arrival(None, name=SESSION_COMPLETE, **more))  # type: ignore[arg-type]
    events = inbox.events(user_id=made.person)
    inbox.settle([events[0].id], "done", now=NOON)
    inbox.quarantine([(events[1].id, "a reason")], now=NOON)
    inbox.fail([(events[2].id, f"of {made.person}")], tries=1, now=NOON)
    shown = [
        Shown(org, LiveSession((org, user, SESSION), 1, NOON))
        for org, user in (("acme", made.person), ("duo", made.people[1]))
    ]
    publish_live(made.settings.live_path, shown)


def _name(made: Crowded) -> None:
    put_cohort(made.world.lake, Cohort("list", user_ids=made.people[:3]), now=NOON)
    condition = f"user_id IN ('{made.person}', '{made.people[2]}') OR org_id = 'duo'"
    put_cohort(made.world.lake, Cohort("condition", condition), now=NOON)
    for number, user in enumerate(made.people[:2]):
        access, org = made.settings.access_path, ("acme", "duo")[number]
        Tokens(access).create(org, "test", now=NOON, role=Role.MEMBER, user_id=user)
        held = AppUsers(access).reserve(org, "of the app", now=NOON)
        assert isinstance(held, Reservation)
        AppUsers(access).settle(held, user, now=NOON)


def _copy(made: Crowded) -> None:
    """Reports and exports of what is published."""
    reports = made.settings.reports_dir / "weekly" / "2026-04-20"
    (reports / "users").mkdir(parents=True)
    exports = made.settings.data_dir / "exports"
    exports.mkdir()
    with read_warehouse(made.settings.warehouse_path) as con:
        write_users(con, week_of(date(2026, 4, 20)), reports / "users.parquet")
        con.execute(f"COPY (SELECT user_id, org_id FROM users) TO '{exports / 'users.csv'}'")
        con.execute(f"COPY sessions TO '{exports / 'sessions.parquet'}'")
    for user in made.people[:2]:
        (reports / "users" / f"{hashed(user)}.html").write_text("a page", encoding="utf-8")


def lake_content(made: Crowded, without: str = "") -> Content:
    """Every table of the lake as it is, the row ids of raw included, but for one user's rows."""
    with made.world.lake.read() as con:
        # Statistics and bookkeeping are no content.
        return {
            name: _without(
                con.execute(f"FROM {opened(con, table)}").pl().drop(*_HOW, strict=False), without
            )
            for name, table in TABLES.items()
            if name not in {"raw_commits", "progress", "cohorts"}
        }


_HOW = ("sealed", "snapshot_id")


def file_content(path: Path, without: str = "") -> Content:
    """Every table of a DuckDB file, but for one user's rows and the moment of the publication."""
    with read_warehouse(path) as con:
        names = [n for (n,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        tables = {name: con.sql(f"FROM {name}").pl() for name in names if name != "load_info"}
    return {name: _without(frame, without) for name, frame in tables.items()}


def unread(made: Crowded, without: str = "") -> Content:
    """What the readers of raw have not read, with the commits that it came with."""
    found = {}
    with made.world.lake.read() as con:
        for shard in range(2):
            batches = unread_slices(con, STREAM, shard, ["list_sessions", "get_session"])
            frames = [rows for slices in batches for rows in slices]
            found[f"shard {shard}"] = _without(pl.concat(frames), without)
    return found


def _without(frame: pl.DataFrame, user_id: str) -> pl.DataFrame:
    kept = frame.filter(pl.col("user_id") != user_id) if "user_id" in frame.columns else frame
    # Means are of the same numbers in another order, so that they say nothing of the order.
    exact = kept.select(pl.exclude(pl.Float64)).hash_rows(seed=0)
    return kept.with_columns(order=exact).sort("order").drop("order")


def files_with(folder: Path, *names: str) -> list[str]:
    """Files that hold a text as plain bytes, as grep finds them."""
    wanted = [name.encode() for name in names]
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(name in path.read_bytes() for name in wanted)
    ]


def later(**spans: float) -> datetime:
    """Some time after the world's noon."""
    return datetime.now(UTC) + timedelta(**spans)
