"""Whatever happens to users and sessions at the vendor, the next sync says what the vendor says."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from asleep_pipeline_tests.faults.company import Company, Process

pytestmark = pytest.mark.faults

DAY = timedelta(days=1)


def test_recomputed_late_and_deleted_sessions(going: tuple[Company, Process], seed: int) -> None:
    """New results replace the old ones, late nights appear, deleted ones leave; day by day."""
    made, process = going
    draws, faults = Random(seed), made.sim.faults
    young = sorted(made.world.truth(made.world.today - 4 * DAY, made.world.today - DAY))
    recomputed, late, deleted = (session_id for _, session_id in draws.sample(young, 3))
    faults.recomputed[recomputed] = made.now + DAY
    faults.late_uploads[late] = made.now + 2 * DAY
    faults.deleted_sessions.add(deleted)
    for _ in range(3):
        made.sim.clock.advance(DAY)
        assert not process.do("pull", made.now)["told"]["is_partial"]
        made.assert_true()


def test_a_deleted_user_ends_no_sync(going: tuple[Company, Process]) -> None:
    """The others go on; of the one who is gone stays what was pulled."""
    made, process = going
    gone = made.sim.world.people[-1].user_id
    before = {key: row for key, row in made.world.stored().items() if key[0] == gone}
    made.sim.clock.advance(DAY)
    made.sim.faults.deleted_users.add(gone)
    assert not process.do("sync", made.now)["told"]["is_partial"]
    made.assert_recovered(gone={gone})
    assert {key: row for key, row in made.world.stored().items() if key[0] == gone} == before
