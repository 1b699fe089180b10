"""Each check is silent on sound data, and names what was planted."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from asleep_pipeline.lake import Lake
from asleep_pipeline.lake.checks import CHECKS, offenders
from asleep_pipeline.normalise.averages import normalise_averages
from asleep_pipeline.orchestration.runs import RunFailedError
from asleep_pipeline_tests.small_world import TODAY, SmallWorld
from asleep_pipeline_tests.vendor_answers import MONTH, USER, Mailbag, detail, list_item

NIGHT, OTHER = "20260110230000_aaaaa", "20260111230000_bbbbb"
ONE_NIGHT = f"WHERE session_id = '{NIGHT}'"
FAULTS = {
    "session_ids_are_unique": f"INSERT INTO sessions SELECT * FROM sessions {ONE_NIGHT}",
    "rows_keep_the_contract": f"UPDATE sessions SET sleep_efficiency = 87 {ONE_NIGHT}",
    "nothing_is_lost_after_raw": f"DELETE FROM sessions {ONE_NIGHT}",
    "complete_sessions_have_their_detail": f"UPDATE sessions SET has_detail = false {ONE_NIGHT}",
    "list_and_detail_agree": f"UPDATE sessions SET listed_time_in_bed_s = 9 {ONE_NIGHT}",
    "stages_cover_the_time_in_bed": f"UPDATE sessions SET time_in_bed = 50000 {ONE_NIGHT}",
    "id_names_the_start": f"UPDATE sessions SET started_at = started_at + INTERVAL 1 HOUR {ONE_NIGHT}",
    "averaged_sessions_are_here": f"DELETE FROM sessions {ONE_NIGHT}",
    "averages_reconcile": f"UPDATE sessions SET time_in_sleep = 60 {ONE_NIGHT}",
}


@pytest.fixture(scope="module")
def sound(shared_lake: Lake) -> Lake:
    """Two nights of one user, and the averages over them; only to be looked at."""
    bag = Mailbag(shared_lake)
    items = [list_item(name) for name in (NIGHT, OTHER)]
    said = [detail(item, stat={"time_in_bed": 25_200}) for item in items]
    bag.send(bag.listing(*items), *(bag.detail(i, d) for i, d in zip(items, said, strict=True)))
    bag.commit(
        bag.averages(
            {
                "period": {"start_date": "2026-01-01", "end_date": "2026-01-31"},
                "average_stats": {"time_in_sleep": 22_000, "sleep_efficiency": 0.87},
                "slept_sessions": [{"id": NIGHT}, {"id": OTHER}],
            }
        )
    )
    normalise_averages(shared_lake, shard=0)
    return shared_lake


def found(
    lake: Lake, start: date = MONTH[0], end: date = MONTH[1], *, fault: str = "SELECT 1"
) -> dict[str, list[Any]]:
    """The offenders of every check that has some; a fault is undone afterwards."""
    with lake.read() as con:
        con.execute(fault)
        each = {c.name: offenders(con, c, shard=0, start=start, end=end) for c in CHECKS}
    return {name: [row[0] for row in rows] for name, rows in each.items() if rows}


def test_sound_data_has_no_offender(sound: Lake) -> None:
    """Nothing cries wolf."""
    assert found(sound) == {}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_by_its_check(sound: Lake, name: str) -> None:
    """And by the check that is about it, in the partitions that it is in."""
    offender = USER if name == "averages_reconcile" else NIGHT
    assert found(sound, fault=FAULTS[name])[name] == [offender]


def test_quarantine_is_told(lake: Lake) -> None:
    """A session that was set aside is a warning of its date."""
    bag = Mailbag(lake)
    item = list_item(NIGHT)
    bag.send(bag.listing(item), bag.detail(item, detail(item, stat={"waso_count": -1})))
    assert found(lake) == {"nothing_is_in_quarantine": [NIGHT]}
    assert found(lake, end=date(2026, 1, 9)) == {}


def test_a_deletion_that_only_a_newer_listing_of_other_dates_saw_is_no_loss(lake: Lake) -> None:
    """The older listing of these dates is out of date for the dates of the newer one."""
    bag = Mailbag(lake)
    bag.send(bag.listing(list_item(NIGHT), list_item(OTHER)))
    bag.send(bag.listing(window=(date(2026, 1, 11), date(2026, 2, 28))))
    assert "nothing_is_lost_after_raw" not in found(lake, end=date(2026, 1, 10))
    assert "nothing_is_lost_after_raw" not in found(lake)


def test_every_check_has_a_test() -> None:
    """A new rule must show that it can fail."""
    assert FAULTS.keys() | {"nothing_is_in_quarantine"} == {check.name for check in CHECKS}


def test_a_blocking_check_fails_the_run_and_names_itself(world: SmallWorld) -> None:
    """Wrong data of dates outside the run's own is found as well, when the run has changed them."""
    world.load(TODAY - timedelta(days=6), TODAY)
    with world.lake.write("a planted fault") as con:
        con.execute("UPDATE sessions SET missing_data_ratio = 5")
    world.sim.faults.deleted_sessions.add(min(name for _, name in world.stored()))
    with pytest.raises(RunFailedError, match="rows_keep_the_contract"):
        world.pipeline().sync()
