"""Reading raw: every answer once, in whole commits, in the order of commits."""

from __future__ import annotations

import pytest

from asleep_pipeline.lake import Lake, progress
from asleep_pipeline.lake.ducklake import insert
from asleep_pipeline.lake.progress import mark_read, unread_batches
from asleep_pipeline.lake.shards import shard_of
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline_tests.lake.conftest import SHARDS, raw_answers

USER = "u1"
SHARD = shard_of(USER, SHARDS)
STRANGER = next(f"v{n}" for n in range(99) if shard_of(f"v{n}", SHARDS) != SHARD)


def commit(lake: Lake, *bodies: str, user_id: str = USER, endpoint: str = "get_session") -> None:
    """One commit of answers."""
    with lake.write("answers") as con:
        insert(con, RAW, raw_answers(user_id, *bodies, endpoint=endpoint))


def unread(lake: Lake, stream: str = "sessions") -> list[list[str]]:
    """Bodies of the batches that are not read yet."""
    with lake.read() as con:
        batches = unread_batches(con, stream, SHARD, ["get_session"])
        return [[body.decode() for body in batch["body"]] for batch in batches]


def mark(lake: Lake, stream: str = "sessions") -> None:
    """Everything has been read."""
    with lake.write("read") as con:
        mark_read(con, stream, SHARD)


def test_an_empty_lake_has_nothing_to_read(lake: Lake) -> None:
    """And marking that is no error."""
    mark(lake)
    assert unread(lake) == []


def test_what_was_marked_is_not_read_again(lake: Lake) -> None:
    """Only what came after the mark is."""
    commit(lake, "a", "b")
    assert unread(lake) == [["a", "b"]]
    mark(lake)
    assert unread(lake) == []
    commit(lake, "c")
    assert unread(lake) == [["c"]]


def test_every_stream_has_its_own_mark(lake: Lake) -> None:
    """One reader's progress is not another's."""
    commit(lake, "a")
    mark(lake, "sessions")
    assert unread(lake, "average_stats") == [["a"]]


def test_other_shards_and_endpoints_are_left_out(lake: Lake) -> None:
    """A reader sees its own answers only, and its mark hides nothing of other shards."""
    commit(lake, "theirs", user_id=STRANGER)
    commit(lake, "a")
    commit(lake, "an average", endpoint="average_stats")
    assert unread(lake) == [["a"]]
    mark(lake)
    with lake.read() as con:
        other = unread_batches(con, "sessions", 1 - SHARD, ["get_session"])
        assert [batch["user_id"].to_list() for batch in other] == [[STRANGER]]


def test_a_commit_is_never_parted(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches end between commits, however large a commit is."""
    monkeypatch.setattr(progress, "BATCH_ANSWERS", 2)
    for bodies in ("abc", "d", "ef", "g"):
        commit(lake, *bodies)
    assert unread(lake) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_a_mark_within_a_failed_write_is_undone(lake: Lake) -> None:
    """What was read and what was written from it stand or fall together."""
    commit(lake, "a")
    with pytest.raises(ZeroDivisionError), lake.write("fails") as con:  # noqa: PT012 - the block is the test
        mark_read(con, "sessions", SHARD)
        raise ZeroDivisionError
    assert unread(lake) == [["a"]]


def test_marking_without_news_writes_nothing(lake: Lake) -> None:
    """No snapshot is made for nothing."""
    commit(lake, "a")
    mark(lake)
    before = lake.snapshot_id()
    mark(lake)
    assert lake.snapshot_id() == before


def test_merging_files_keeps_order_and_marks(lake: Lake) -> None:
    """Row ids and snapshots of rows survive compaction, so nothing is read twice or left out."""
    for body in "abc":
        commit(lake, body)
    mark(lake)
    for body in "def":
        commit(lake, body)
    with lake.write("merge files") as con:
        merged = con.execute("CALL ducklake_merge_adjacent_files('lake')").fetchall()
    assert ("main", "raw", 6, 1) in merged
    assert unread(lake) == [["d", "e", "f"]]
    commit(lake, "g")
    assert unread(lake) == [["d", "e", "f", "g"]]
