"""A person is erased from everywhere, and nobody else loses anything."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from asleep_pipeline.access.app_users import AppUsers
from asleep_pipeline.access.organisations import parameters
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.errors import ErasureError
from asleep_pipeline.lake.cohorts import read_cohorts
from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.tables import USERS
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.normalise.rebuild import rebuild
from asleep_pipeline.privacy.erasure import (
    erasure_of,
    is_being_erased,
    request_erasure,
    request_for_returned,
    run_erasures,
)
from asleep_pipeline.privacy.journal import Erasure
from asleep_pipeline.privacy.receipts import PUBLIC_KEY, verify
from asleep_pipeline.privacy.scan import scan
from asleep_pipeline.privacy.traces import Traces
from asleep_pipeline.warehouse import publish
from asleep_pipeline.webhooks.drain import drain
from asleep_pipeline_tests.privacy.crowded import (
    SESSION,
    Content,
    Crowded,
    crowded,
    file_content,
    files_with,
    lake_content,
    unread,
)
from asleep_pipeline_tests.privacy.pulling import ROUND
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY
from asleep_pipeline_tests.webhooks.mail import arrival, post


@dataclass(frozen=True, slots=True)
class Erased:
    """What there was of the others before, and the deployment after the erasure.

    Attributes:
        own_sessions: Ids of the person's sessions.
    """

    crowd: Crowded
    lake: Content
    published: Content
    unread: Content
    places: list[str]
    own_sessions: tuple[str, ...]
    erasure: Erasure


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erased]:
    """The first of six people is erased, at Asleep as well."""
    with crowded(tmp_path_factory.mktemp("crowded") / "data") as made:
        who, settings = made.person, made.settings
        sessions = tuple(s for user, s in made.world.stored() if user == who)
        lake, published = lake_content(made, who), file_content(settings.warehouse_path, who)
        waiting, places = unread(made, who), files_with(settings.data_dir, who)
        request_erasure(settings, org_id="acme", user_id=who, upstream=True, by="a test", now=NOON)
        (done,) = run_erasures(settings, NOON)
        yield Erased(made, lake, published, waiting, places, sessions, done)


def assert_equal(found: Content, expected: Content) -> None:
    """Every table holds the same rows."""
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame, check_dtypes=False)


def test_everything_was_there_before(erased: Erased) -> None:
    """Each kind of file has held the person, or the tests below would say nothing."""
    kinds = {place.partition("/")[0] for place in erased.places}
    assert kinds >= {"access", "asleep.duckdb", "dagster", "exports", "lake", "live.duckdb", "reports", "warehouse", "webhooks"}  # fmt: skip
    assert "lake/catalog.sqlite" in erased.places
    assert len(erased.own_sessions) > 5


def test_not_a_byte_is_left(erased: Erased) -> None:
    """By the product's own search, and by a plain one that knows nothing of formats."""
    assert (erased.erasure.state, erased.erasure.problem) == ("done", "")
    names = (erased.crowd.person, *erased.own_sessions)
    folder = erased.crowd.settings.data_dir
    assert files_with(folder, *names) == []
    assert scan(folder, Traces(names[0], names[1:])) == []


def test_nobody_else_loses_anything(erased: Erased) -> None:
    """Every table of the lake holds the other rows as they were; row ids of raw too."""
    assert_equal(lake_content(erased.crowd), erased.lake)


def test_what_was_not_read_yet_is_read_once(erased: Erased) -> None:
    """In the commits that it came with, so that the same sessions come of it."""
    assert_equal(unread(erased.crowd), erased.unread)


def test_the_published_file_equals_one_from_scratch(erased: Erased, tmp_path: Path) -> None:
    """Figures of groups included, which now are those of the others."""
    settings, lake = erased.crowd.settings, erased.crowd.world.lake
    publish(lake, tmp_path / "anew.duckdb", parameters=parameters(settings))
    assert_equal(file_content(settings.warehouse_path), file_content(tmp_path / "anew.duckdb"))
    people = file_content(settings.warehouse_path)["fct_night"]
    assert_frame_equal(people, erased.published["fct_night"])


def test_the_next_publication_takes_what_is_new(erased: Erased, tmp_path: Path) -> None:
    """It costs what has changed, and equals a build from scratch of what a rebuild makes."""
    crowd, path = erased.crowd, erased.crowd.settings.warehouse_path
    for shard in range(2):
        crowd.world.normalise(shard=shard)
    report = publish(crowd.world.lake, path, parameters=parameters(crowd.settings))
    assert not report.is_full
    publish(crowd.world.lake, tmp_path / "anew.duckdb", parameters=parameters(crowd.settings))
    assert_equal(file_content(path), file_content(tmp_path / "anew.duckdb"))
    stored = lake_content(crowd)
    rebuild(crowd.world.lake, organisations={}, default_zone="UTC")
    again = lake_content(crowd)
    assert_equal({"sessions": again["sessions"]}, {"sessions": stored["sessions"]})
    truth = crowd.world.truth(FIRST, TODAY)
    assert crowd.world.stored().keys() == {key for key in truth if key[0] != crowd.person}


def test_cohorts_go_on_without_the_person(erased: Erased) -> None:
    """A list is shorter; a condition holds for everybody else as before."""
    with erased.crowd.world.lake.read() as con:
        condition, listed = read_cohorts(con)
    assert listed.user_ids == erased.crowd.people[1:3]
    assert condition.condition is not None
    assert f"'{erased.crowd.people[2]}') OR org_id = 'duo'" in condition.condition
    assert "'erased-" in condition.condition


def test_webhooks_and_sessions_of_others_stay(erased: Erased) -> None:
    """In the inbox, and in the file of sessions in progress."""
    users = {event.user_id for event in erased.crowd.inbox.events()}
    assert users == {erased.crowd.people[3]}
    live = file_content(erased.crowd.settings.live_path)["live_sessions"]
    assert live["user_id"].to_list() == [erased.crowd.people[1]]


def test_reports_exports_and_access_lose_the_person_alone(erased: Erased) -> None:
    """Tables lose rows, and the page about the person goes."""
    data, others = erased.crowd.settings.data_dir, list(erased.crowd.people[1:])
    reports = erased.crowd.settings.reports_dir / "weekly" / "2026-04-20"
    assert pl.read_csv(data / "exports" / "users.csv")["user_id"].sort().to_list() == others
    assert pl.read_parquet(reports / "users.parquet")["user_id"].to_list() == others
    assert len(list((reports / "users").iterdir())) == 1
    access = erased.crowd.settings.access_path
    assert AppUsers(access).find("acme", erased.crowd.person) is None
    assert AppUsers(access).find("duo", others[0]) is not None
    assert [token.user_id for token in Tokens(access).all()] == [others[0]]


def test_the_user_is_deleted_at_asleep(erased: Erased) -> None:
    """As the flag asks for."""
    assert erased.crowd.world.sim.requests["delete_user"] == 1
    counts = {step.name: step.counts for step in erased.erasure.steps}
    assert counts["upstream"] == {"users": 1}


def test_runs_lose_the_ids_and_nothing_else(erased: Erased) -> None:
    """A log line and a tag of an earlier release stay, with another word in the id's place."""
    home = erased.crowd.settings.dagster_home
    assert (home / "step.err").read_text() == "asked for erased once"
    with closing(sqlite3.connect(home / "history" / "runs.db")) as con:
        tags = con.execute("SELECT value FROM run_tags").fetchall()
    assert tags
    assert all(value.endswith(" of erased") for (value,) in tags)


def test_history_is_gone(erased: Erased) -> None:
    """An earlier state of the lake would show the person."""
    with erased.crowd.world.lake.read() as con:
        said = con.execute("SELECT commit_message FROM ducklake_snapshots('lake')").fetchall()
    assert {message for (message,) in said} <= {
        "erasure: commits", "sessions, shard 0", "sessions, shard 1", "rebuild",
    }  # fmt: skip


def test_nobody_comes_back(erased: Erased) -> None:
    """Not by a roster, a pull that had begun, a webhook or one that waits: all is as before."""
    crowd, who = erased.crowd, erased.crowd.person
    assert is_being_erased(crowd.settings, who)
    before = lake_content(crowd)
    roster = pl.DataFrame({"user_id": [who], "org_id": ["acme"]})
    assert put_users(crowd.world.lake, roster, now=NOON) == (0, 0)
    event = arrival(7, user=who, session=SESSION, at=NOON, key_name="acme")
    assert post(crowd.inbox, event) == ["erased"]
    drain(crowd.world.lake, crowd.inbox, crowd.settings, now=NOON)
    assert_equal(lake_content(crowd), before)
    assert files_with(crowd.settings.data_dir, who) == []


def test_a_receipt_tells_what_was_done(erased: Erased) -> None:
    """Signed, and without a word of whom."""
    settings, done = erased.crowd.settings, erased.erasure
    file = settings.receipts_dir / f"{done.id}.json"
    said = verify(file, settings.receipts_dir / PUBLIC_KEY)
    assert (said["org_id"], said["person"]) == ("acme", done.person)
    counts = {step["name"]: step["counts"] for step in said["steps"]}
    assert counts["lake_rows"]["users"] == 1
    assert counts["inbox"] == {"events": 4}
    assert counts["scan"] == {"findings": 0}
    assert erasure_of(settings, erased.crowd.person) == done


def test_a_changed_receipt_does_not_hold(erased: Erased, tmp_path: Path) -> None:
    """Whatever was changed, and though it is laid out differently."""
    settings = erased.crowd.settings
    said = json.loads((settings.receipts_dir / f"{erased.erasure.id}.json").read_bytes())
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(said), encoding="utf-8")
    assert verify(forged, settings.receipts_dir / PUBLIC_KEY)["org_id"] == "acme"
    for name in ("person", "org_id", "finished_at", "lake_snapshot"):
        forged.write_text(json.dumps(said | {name: "else"}), encoding="utf-8")
        with pytest.raises(ErasureError, match="not signed"):
            verify(forged, settings.receipts_dir / PUBLIC_KEY)


def test_secrets_are_for_their_owner_alone(erased: Erased) -> None:
    """The journal, the key of receipts, and the receipts."""
    access = erased.crowd.settings.secret_path.parent
    for file in (access / "erasures.sqlite", access / "receipts.pem", *erased.crowd.settings.receipts_dir.glob("*.json")):  # fmt: skip
        assert file.stat().st_mode & 0o077 == 0
    assert erased.crowd.settings.receipts_dir.stat().st_mode & 0o077 == 0


def test_whom_a_backup_brings_back_is_erased_again(erased: Erased) -> None:
    """Recognised by the tombstone; everybody else stays."""
    crowd, settings = erased.crowd, erased.crowd.settings
    assert request_for_returned(settings, NOON) == 0
    row = crowd.world.lake.frame("SELECT * FROM lake.users LIMIT 1")
    with crowd.world.lake.write("as a restored backup would") as con:
        insert(con, USERS, row.with_columns(user_id=pl.lit(crowd.person)))
    assert request_for_returned(settings, NOON) == 1
    (done,) = run_erasures(settings, NOON)
    assert (done.state, done.asked_by) == ("done", "a restored backup")
    assert files_with(settings.data_dir, crowd.person) == []


def test_a_pull_that_goes_on_meanwhile_brings_nobody_back(erased: Erased) -> None:
    """Another process asks for the last of them all the time, before, during and after."""
    crowd, settings = erased.crowd, erased.crowd.settings
    who = crowd.people[-1]
    with pulling(crowd) as next_round:
        next_round()
        request_erasure(settings, org_id="duo", user_id=who, upstream=False, by="a test", now=NOON)
        (done,) = run_erasures(settings, NOON)
        next_round()
        next_round()
    assert (done.state, done.problem) == ("done", "")
    assert files_with(settings.data_dir, who) == []
    assert {user for user, _ in crowd.world.stored()} == set(crowd.people[1:-1])


@contextmanager
def pulling(crowd: Crowded) -> Iterator[Callable[[], None]]:
    """Another process pulls; what is yielded waits until it has come round once more."""
    asked = {
        "data_dir": str(crowd.settings.data_dir),
        "base_url": crowd.world.sim.base_url,
        "api_key": crowd.world.sim.api_key,
        "first": FIRST.isoformat(),
        "last": TODAY.isoformat(),
    }
    command = [sys.executable, "-m", "asleep_pipeline_tests.privacy.pulling", json.dumps(asked)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout

        def next_round() -> None:
            assert process.stdout
            assert process.stdout.readline() == f"{ROUND}\n"

        yield next_round
        process.communicate()
    assert process.returncode == 0
