"""After a power cut, with only synced writes left, the inbox holds every event that was acknowledged."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from asleep_pipeline.errors import InboxError
from asleep_pipeline.webhooks.inbox import Inbox
from asleep_pipeline_tests.durability.powercut import (
    Disk,
    Record,
    Survival,
    contents,
    read_log,
    recorded_in,
)
from asleep_pipeline_tests.durability.receivers import bodies_in
from asleep_pipeline_tests.durability.senders import body_of

EVENTS = 1_500
"""Enough for the write-ahead log to begin anew."""
CUTS_AFTER_NOTES, CUTS_ANYWHERE = 40, 40


@dataclass(frozen=True, slots=True)
class Recording:
    """What a receiver did to the folder `root`, and what its clients were told meanwhile."""

    root: Path
    records: list[Record]

    @property
    def notes(self) -> list[int]:
        """Right after which records an event was acknowledged."""
        return [n for n, record in enumerate(self.records) if record.op == "N"]


def record(recorder: Path, folder: Path, *options: str) -> Recording:
    """Run a receiver and its clients below the recorder."""
    root, log = folder / "root", folder / "log"
    root.mkdir()
    module = "asleep_pipeline_tests.durability.receiving_recorded"
    command = [sys.executable, "-m", module, str(root / "data"), str(EVENTS), *options]
    subprocess.run(command, check=True, env=recorded_in(recorder, root, log))
    return Recording(root, read_log(log))


@pytest.fixture(scope="module")
def recording(recorder: Path, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A receiver from its first start to its end."""
    return record(recorder, tmp_path_factory.mktemp("receiver"))


def test_the_recorder_misses_no_change_of_a_receiver(recording: Recording, tmp_path: Path) -> None:
    """A replay without any loss makes the folder as it is, so no system call went unseen."""
    disk = Disk(recording.root)
    for change in recording.records:
        disk.replay(change)
    disk.cut(tmp_path / "replayed", Survival.ALL)
    assert contents(tmp_path / "replayed") == contents(recording.root)


def test_the_recording_holds_what_is_to_be_tested(recording: Recording) -> None:
    """All events were acknowledged, and their log was copied into the file at least once."""
    inbox = recording.root / "data" / "webhooks" / "inbox.sqlite"
    assert {body_of(int(recording.records[n].text)) for n in recording.notes} == set(
        bodies_in(inbox)
    )
    assert len(recording.notes) >= EVENTS
    restarts = [r for r in recording.records if r.op == "W" and r.offset == 0 and len(r.data) == 32]
    assert len(restarts) > 1


@pytest.mark.parametrize("survival", [Survival.STRICT, Survival.TORN, Survival.NAMES])
def test_what_was_acknowledged_survives_a_power_cut(
    recording: Recording, survival: Survival, tmp_path: Path
) -> None:
    """At every cut the inbox opens and holds every acknowledged event, whole."""
    cuts = cut_points(recording, survival)
    assert list(losses(recording, cuts, survival, tmp_path)) == []
    print(f"{survival.name}: {len(cuts)} cuts in {len(recording.records)} changes")  # noqa: T201 - figures to read


def test_with_less_syncing_a_power_cut_loses_events(recorder: Path, tmp_path: Path) -> None:
    """The counter-proof: the same replay finds the losses of `synchronous=NORMAL`."""
    careless = record(recorder, tmp_path, "careless")
    cuts = careless.notes[:: EVENTS // 10]
    assert list(losses(careless, cuts, Survival.STRICT, tmp_path))


def cut_points(recording: Recording, survival: Survival) -> list[int]:
    """Right after some acknowledgements, and at random changes between."""
    draws = random.Random(survival.name)
    anywhere = draws.sample(range(len(recording.records)), CUTS_ANYWHERE)
    return sorted({*draws.sample(recording.notes, CUTS_AFTER_NOTES), *anywhere})


def losses(
    recording: Recording, cuts: Sequence[int], survival: Survival, folder: Path
) -> Iterator[str]:
    """What is missing or unreadable after each cut."""
    disk = Disk(recording.root)
    done = 0
    for cut in cuts:
        for change in recording.records[done : cut + 1]:
            disk.replay(change)
        done = cut + 1
        left = folder / f"cut-{cut}"
        disk.cut(left, survival)
        for loss in losses_in(left / "data" / "webhooks" / "inbox.sqlite", disk.notes):
            yield f"cut {cut}: {loss}"
        shutil.rmtree(left)


def losses_in(path: Path, notes: Sequence[str]) -> Iterator[str]:
    """What one inbox lacks of what was acknowledged."""
    try:
        # As the receiver does when it starts again.
        kept = bodies_in(Inbox.create(path).path)
    except InboxError as error:
        yield error.problem
        return
    missing = {body_of(int(note)) for note in notes} - set(kept)
    if missing or len(set(kept)) != len(kept):
        yield f"{len(missing)} of {len(notes)} events are gone, {len(kept)} are kept"
