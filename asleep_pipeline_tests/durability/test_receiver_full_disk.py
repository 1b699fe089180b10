"""A full disk costs a 503 and no acknowledged event; with room again, all goes on by itself."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from itertools import count
from pathlib import Path

import pytest

from asleep_pipeline_tests.durability.receivers import bodies_in, receivers
from asleep_pipeline_tests.durability.senders import body_of, post

MOST_EVENTS = 20_000
"""Any disk of these tests is full before."""
Fill = Callable[[Path, int], AbstractContextManager[None]]


@contextmanager
def limited(data_dir: Path, pid: int) -> Iterator[None]:
    """No file of the process may grow much longer than the inbox's log is: writing fails halfway."""
    size = (data_dir / "webhooks" / "inbox.sqlite-wal").stat().st_size
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 50_000, most))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def filled(data_dir: Path, _pid: int) -> Iterator[None]:
    """Another file takes all the room of the file system."""
    hog = data_dir / "hog"
    with hog.open("wb", buffering=0) as file:
        for size in (65_536, 512):
            while has_written(file.fileno(), bytes(size)):
                pass
    try:
        yield
    finally:
        hog.unlink()


def has_written(fd: int, data: bytes) -> bool:
    """Whether all of it had room."""
    try:
        return os.write(fd, data) == len(data)
    except OSError:
        return False


@contextmanager
def small_file_system(folder: Path) -> Iterator[None]:
    """A file system of its own, of a few MB."""
    options = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    try:
        subprocess.run(options, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting takes rights that this user lacks; the limit of a process does not")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_limited_file_costs_no_acknowledged_event(tmp_path: Path) -> None:
    """When the process may write no further: 503, nothing lost, and 200 again as soon as it may."""
    check_recovery(tmp_path / "data", limited)


def test_a_full_file_system_costs_no_acknowledged_event(tmp_path: Path) -> None:
    """When the file system is full: 503, nothing lost, and 200 again as soon as there is room."""
    (tmp_path / "small").mkdir()
    with small_file_system(tmp_path / "small"):
        check_recovery(tmp_path / "small" / "data", filled)


def check_recovery(data_dir: Path, fill: Fill) -> None:
    """Send before, during and after the disk is full, to one process that goes on all the time."""
    numbers = count()
    with receivers(data_dir) as made:
        pid, url = made.start()
        kept = [next(numbers) for _ in range(20)]
        assert {post(url, number) for number in kept} == {HTTPStatus.OK}
        with fill(data_dir, pid):
            answers = until_refused(url, numbers)
            refused, status = answers.popitem()
            assert status == HTTPStatus.SERVICE_UNAVAILABLE
            assert set(answers.values()) <= {HTTPStatus.OK}
            kept += answers
            assert sent_among(data_dir, kept) == set(kept)
        kept += [refused, next(numbers)]
        assert {post(url, number) for number in kept[-2:]} == {HTTPStatus.OK}
    assert sorted(bodies_in(inbox_of(data_dir))) == sorted(body_of(number) for number in kept)


def until_refused(url: str, numbers: Iterator[int]) -> dict[int, int | None]:
    """The answers to events up to the first one that is not taken."""
    answers: dict[int, int | None] = {}
    for number in numbers:
        answers[number] = post(url, number)
        if answers[number] != HTTPStatus.OK:
            return answers
        assert number < MOST_EVENTS
    raise AssertionError("numbers have no end")


def inbox_of(data_dir: Path) -> Path:
    """Where the inbox of a data folder is."""
    return data_dir / "webhooks" / "inbox.sqlite"


def sent_among(data_dir: Path, numbers: list[int]) -> set[int]:
    """Those of the events that the inbox holds."""
    bodies = set(bodies_in(inbox_of(data_dir)))
    return {number for number in numbers if body_of(number) in bodies}
