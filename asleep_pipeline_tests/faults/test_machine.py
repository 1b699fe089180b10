"""Killed, short of room, or with a clock that jumps: the next sync makes everything whole."""

from __future__ import annotations

import resource
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from asleep_pipeline_tests.durability.test_kill import reader
from asleep_pipeline_tests.faults import weather
from asleep_pipeline_tests.faults.company import Company, company

pytestmark = pytest.mark.faults

DAY = timedelta(days=1)
STEPS_S = (86_400, -86_400, 3_600, -30 * 86_400, 0)


def test_signals_at_any_point_leave_nothing_half_done(own: Company, seed: int) -> None:
    """SIGTERM and SIGKILL during syncs and maintenance, with somebody reading all the time."""
    draws = Random(seed)
    with reader(own.data_dir.parent) as seen:
        for number in range(4):
            weather.put(own.sim.faults, latency_s=0.02)
            with own.process() as process:
                process.order("maintain" if number % 3 == 2 else "sync", own.now)
                ends_after_s = draws.uniform(0.05, 1.2)
                try:
                    process.popen.wait(ends_after_s)
                except subprocess.TimeoutExpired:
                    process.end(draws.choice([signal.SIGTERM, signal.SIGKILL]))
            own.sim.clock.advance(DAY / 2)
        weather.put(own.sim.faults)
        with own.process() as process:
            assert not process.do("sync", own.now)["told"]["is_partial"]
            own.assert_recovered()
    with own.process() as process:
        assert "error" not in process.do("maintain later", own.now)
    assert own.strays() == []
    assert seen["problems"] == []


def test_two_processes_at_once_share_the_work_or_repeat_it(own: Company) -> None:
    """The same shards and dates in two processes: both end well, and each session is there once."""
    weather.put(own.sim.faults, latency_s=0.01)
    with own.process() as one, own.process() as other:
        for _ in range(2):
            for process in (one, other):
                process.order("sync", own.now)
            answers = [process.answer() for process in (one, other)]
            assert [answer.get("error") for answer in answers] == [None, None]
            own.assert_recovered()
            own.sim.clock.advance(DAY)


@contextmanager
def short_of_room(pid: int, most_bytes: int) -> Iterator[None]:
    """No file of a process may be longer."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def test_a_full_disk_is_named_and_forgotten_once_there_is_room(own: Company) -> None:
    """Wherever the room ends: an error of ours, never a crash; then the same process goes on."""
    with own.process() as process:
        assert "error" not in process.do("sync", own.now)
        for most_bytes in (512, 20_000, 300_000, 1_000_000):
            own.sim.clock.advance(DAY)
            with short_of_room(process.pid, most_bytes):
                answer = process.do("sync", own.now)
            assert answer.get("error") in {None, "LakeError", "WarehouseError"}, answer
            assert "error" not in process.do("sync", own.now)
            own.assert_recovered()
        assert "error" not in process.do("maintain later", own.now)
    assert own.strays() == []


@pytest.fixture(scope="session")
def stepped_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that steps a process's clock."""
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return library


def test_a_clock_that_jumps_holds_nobody_up(
    own: Company, stepped_clock: Path, tmp_path: Path
) -> None:
    """A day ahead, a day back, while the budget waits: no hang, no lost answer."""
    step = tmp_path / "step"
    step.write_bytes(struct.pack("l", 0))
    weather.put(own.sim.faults, requests_per_second=40.0, retry_after_s=1, rate_limit_status=429)
    environment = {"LD_PRELOAD": str(stepped_clock), "STEPPED_CLOCK": str(step)}
    with own.process(environment) as process:
        own.sim.requests.reset()
        process.order("sync", own.now)
        for number, step_s in enumerate(STEPS_S, start=1):
            own.wait_for_requests(8 * number)
            with step.open("r+b") as file:
                file.write(struct.pack("l", step_s))
        answer = process.answer()
        weather.put(own.sim.faults)
        assert answer["told"]["refusals"] > 0
        if answer["told"]["is_partial"]:
            process.do("sync", own.now)
        own.assert_recovered()


def test_random_mixes(tmp_path: Path, seed: int, rounds: int) -> None:
    """Several faults at once, days on end, with processes killed in between: the truth in the end."""
    for number in range(rounds):
        draws = Random(seed * 1_000 + number)
        with company(tmp_path / str(number), seed=draws.randrange(1_000), shards=2) as made:
            made.sim.faults.recomputed_share = 0.2
            story = [bad_day(made, draws) for _ in range(3)]
            weather.put(made.sim.faults)
            with made.process() as process:
                assert "error" not in process.do("sync", made.now), story
                made.assert_recovered()
                assert "error" not in process.do("maintain later", made.now), story
            assert made.strays() == [], story


def bad_day(made: Company, draws: Random) -> list[str]:
    """One day of faults; their names."""
    names, values = weather.mixed(draws)
    weather.put(made.sim.faults, **values)
    made.sim.world.forget_changes()
    past = made.world.truth(made.world.today - 3 * DAY, made.world.today)
    made.sim.faults.deleted_sessions.add(draws.choice(sorted(past))[1])
    with made.process() as process:
        process.order("sync", made.now)
        if draws.random() < 0.5:
            names.append("killed")
            with_luck_s = draws.uniform(0.1, 1.5)
            try:
                process.popen.wait(with_luck_s)
            except subprocess.TimeoutExpired:
                process.end(draws.choice([signal.SIGTERM, signal.SIGKILL]))
        else:
            names.append(process.answer().get("error", "ended well"))
    made.sim.clock.advance(DAY)
    return names
