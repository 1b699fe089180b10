"""An erasure that is killed again and again goes on where it stopped, and ends as any other."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from asleep_pipeline.privacy.erasure import request_erasure
from asleep_pipeline.privacy.journal import Journal
from asleep_pipeline.privacy.steps import STEPS
from asleep_pipeline_tests.privacy.crowded import (
    crowded,
    file_content,
    files_with,
    lake_content,
    unread,
)
from asleep_pipeline_tests.privacy.erasing import STARTED
from asleep_pipeline_tests.privacy.test_erasure import assert_equal
from asleep_pipeline_tests.small_world import NOON

LONGEST_S = 120


def test_a_killed_erasure_is_resumed(tmp_path: Path) -> None:
    """SIGKILL soon after every second step, and at once after the start: nothing is left, nothing is lost."""
    with crowded(tmp_path / "data") as made:
        settings, who = made.settings, made.person
        before, waiting = lake_content(made, who), unread(made, who)
        asked = request_erasure(
            settings, org_id="acme", user_id=who, upstream=False, by="a test", now=NOON
        )
        draws = random.Random(5)
        for steps in (0, *range(2, len(STEPS) + 1, 2)):
            killed_after(settings.data_dir, asked.id, steps, draws.random() / 2)
        killed_after(settings.data_dir, asked.id, None, 0)
        done = Journal(settings.erasures_path).one(asked.id)
        assert done
        assert (done.state, done.problem) == ("done", "")
        assert files_with(settings.data_dir, who) == []
        assert_equal(lake_content(made), before)
        assert_equal(unread(made), waiting)
        assert who not in set(file_content(settings.warehouse_path)["users"]["user_id"])


def killed_after(data_dir: Path, erasure_id: str, steps: int | None, delay_s: float) -> None:
    """Carry it out until so many steps are done, and then a moment more; to the end when None."""
    journal = Journal(data_dir / "access" / "erasures.sqlite")
    command = [sys.executable, "-m", "asleep_pipeline_tests.privacy.erasing", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"{STARTED}\n"
        until = time.monotonic() + LONGEST_S
        while process.poll() is None and time.monotonic() < until:
            erasure = journal.one(erasure_id)
            assert erasure
            if steps is not None and len(erasure.steps) >= steps:
                time.sleep(delay_s)
                process.kill()
                return
            time.sleep(0.01)
        assert process.poll() is not None, "the erasure hangs"
