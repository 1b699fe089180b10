"""Retention: what is over goes everywhere, stays away, and leaves the rest as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from asleep_pipeline.lake.users import put_users
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline.orchestration.assets.retention import retention
from asleep_pipeline.privacy.audit import Action, Asked, AuditLog, Deed
from asleep_pipeline.privacy.keeping import Policy
from asleep_pipeline.privacy.retention import expire, expired
from asleep_pipeline.reports.folder import write_reports
from asleep_pipeline.reports.period import week_of
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY, SmallWorld, small_world
from asleep_pipeline_tests.webhooks.mail import arrival, post

KEPT_DAYS = 8
CUT = TODAY - timedelta(days=KEPT_DAYS)
"""The first night of `acme` that is kept; `duo` keeps all."""
WEEK = week_of(FIRST)


def two_orgs(folder: Path, **kept: int) -> Iterator[SmallWorld]:
    """`acme` and `duo`, two people each, every night loaded and published; `acme` keeps some days."""
    with small_world(folder, people=4) as made:
        key = {"api_key": made.sim.api_key}
        world = made.with_settings(organisations={"acme": key | {"retention": kept}, "duo": key})
        ids = [person.user_id for person in world.sim.world.people]
        put_users(
            world.lake, pl.DataFrame({"user_id": ids, "org_id": ["acme", "duo"] * 2}), now=NOON
        )
        world.load(FIRST, TODAY)
        publish(world.lake, world.platform.settings.warehouse_path)
        yield world


@dataclass(frozen=True, slots=True)
class Applied:
    """What was there before, and what retention said of it."""

    world: SmallWorld
    before: pl.DataFrame
    dry: dict[str, int]
    counts: dict[str, int]

    @property
    def kept(self) -> pl.DataFrame:
        """The nights that are to stay."""
        return self.before.filter((pl.col("org_id") == "duo") | (pl.col("start_date") >= CUT))


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Dagster's home, which the pipeline sets for its children, is set back afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    """`acme` keeps the nights of eight days: the others, and the reports of them, were deleted."""
    for world in two_orgs(tmp_path_factory.mktemp("nights") / "data", sessions=KEPT_DAYS):
        settings, before = world.platform.settings, world.content()
        with read_warehouse(settings.warehouse_path) as con:
            write_reports(con, WEEK, folder_of(world))
        assert told(world) == {"acme", "duo"}
        dry = asdict(expired(settings, world.lake, now=world.platform.clock()))
        assert world.content().equals(before)
        yield Applied(world, before, dry, apply(world))


def first_dates(world: SmallWorld, table: str, day: str) -> dict[str, date]:
    """The earliest date of each organisation in a table of the lake."""
    rows = world.lake.frame(
        f"SELECT u.org_id, min(t.{day}) AS first FROM lake.{table} AS t "
        "JOIN lake.users AS u USING (user_id) GROUP BY u.org_id"
    )
    return dict(rows.iter_rows())


def apply(world: SmallWorld) -> dict[str, int]:
    """Delete what is over."""
    return asdict(expire(world.platform.settings, world.lake, now=world.platform.clock()))


def folder_of(world: SmallWorld) -> Path:
    """The reports of a week of which `acme` keeps nothing."""
    return world.platform.settings.reports_dir / "weekly" / WEEK.key


def told(world: SmallWorld) -> set[str]:
    """The organisations of whose people these reports tell nights."""
    rows = pl.read_parquet(folder_of(world) / "users.parquet")
    return set(rows.filter(pl.col("status") != "no_nights")["org_id"])


def published(world: SmallWorld, table: str) -> pl.DataFrame:
    """A published table."""
    with read_warehouse(world.platform.settings.warehouse_path) as con:
        return con.execute(f"SELECT * FROM {table} ORDER BY ALL").pl()


def test_old_nights_are_gone_and_the_rest_is_as_it_was(applied: Applied) -> None:
    """In the lake and in what is published, marts included, which equal those made from scratch."""
    world = applied.world
    assert applied.counts == applied.dry
    assert applied.counts["sessions"] == applied.before.height - applied.kept.height > 0
    assert world.content().equals(applied.kept)
    assert first_dates(world, "sessions", "start_date") == {"acme": CUT, "duo": FIRST}
    marts = {name: published(world, name) for name in ("sessions", "fct_night", "mart_user_week")}
    publish(world.lake, world.platform.settings.warehouse_path, from_scratch=True)
    for name, rows in marts.items():
        assert published(world, name).equals(rows)


def test_what_is_over_does_not_come_back(applied: Applied) -> None:
    """A sync looks back further than `acme` keeps nights; the API has them, and is not asked."""
    world = applied.world
    world.pipeline().sync()
    assert world.content().equals(applied.kept)
    world.sim.requests.reset()
    world.pipeline().sync()
    assert world.sim.requests["get_session"] == 0
    assert world.content().equals(applied.kept)
    assert set(apply(world).values()) == {0}


def test_a_rebuild_brings_nothing_back(applied: Applied) -> None:
    """Listings that are kept name nights that are not."""
    policy = Policy.of(applied.world.platform.settings, now=NOON)
    rebuild(applied.world.lake, organisations={}, default_zone="UTC", policy=policy)
    assert applied.world.content().equals(applied.kept)


def test_no_byte_of_an_old_night_is_published(applied: Applied) -> None:
    """The file is built anew: deleted rows would stay in its bytes."""
    old = set(applied.before["session_id"]) - set(applied.kept["session_id"])
    content = applied.world.platform.settings.warehouse_path.read_bytes()
    assert not any(session_id.encode() in content for session_id in old)


def test_reports_of_old_nights_are_written_anew(applied: Applied) -> None:
    """Without the organisation whose nights are over."""
    assert applied.counts["reports"] == 1
    assert told(applied.world) == {"duo"}


def test_the_asset_tells_what_it_deleted(applied: Applied) -> None:
    """And notes the audit's anchor where the pipeline's history is kept."""
    result = dg.materialize([retention], resources={"platform": applied.world.platform})
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata.keys() == {*applied.counts, "audit_anchor"}
    assert str(metadata["audit_anchor"].value).count(":") == 1


def test_answers_may_go_before_nights(tmp_path: Path) -> None:
    """Nights stay as they were when their answers are gone, also when everything is made anew."""
    for world in two_orgs(tmp_path / "data", raw=KEPT_DAYS):
        before = world.content()
        counts = apply(world)
        assert counts["raw"] > 0 == counts["sessions"]
        assert first_dates(world, "raw", "partition_date")["acme"] >= CUT - timedelta(days=2)
        assert world.content().equals(before)
        world.pipeline().sync()
        policy = Policy.of(world.platform.settings, now=NOON)
        rebuild(world.lake, organisations={}, default_zone="UTC", policy=policy)
        assert world.content().equals(before)


def test_webhooks_and_the_audit_have_their_own_days(tmp_path: Path) -> None:
    """Of the organisation that wants it; the chain of the audit holds."""
    for world in two_orgs(tmp_path / "data", inbox=3, audit=3):
        settings = world.platform.settings
        users = [person.user_id for person in world.sim.world.people]
        inbox = Inbox.create(settings.inbox_path)
        came = [
            arrival(i, user=user, at=NOON - timedelta(days=days))
            for i, (user, days) in enumerate([(users[0], 4), (users[0], 2), (users[1], 4)])
        ]
        post(inbox, *came)
        log = AuditLog(settings.audit_path, settings.secret_path)
        for org_id, days in (("acme", 4), ("acme", 2), ("duo", 4)):
            log.append(Deed("cli:ada", Action.READ, org_id), now=NOON - timedelta(days=days))
        counts = apply(world)
        assert (counts["webhooks"], counts["audit"], counts["sessions"]) == (1, 1, 0)
        assert [event.id for event in inbox.events()] == [2, 3]
        assert [(e.org_id, e.number) for e in log.entries(Asked())][1:] == [("duo", 3), ("acme", 2)]
        assert log.verify().problem is None
