"""What a child process costs: CPU, time, memory over the run, bytes on the disk."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLED_EVERY_S = 0.1
_SILENT = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one child took, with the processes that it started.

    Attributes:
        cpu_s: User and system time.
        wall_s: From start to end.
        memory: Seconds since the start, and resident MiB of all its processes then.
        peak_mib: Most resident MiB, of all its processes together.
        disk_bytes: Of the files that it left.
    """

    cpu_s: float
    wall_s: float
    memory: tuple[tuple[float, float], ...]
    peak_mib: float
    disk_bytes: int


def measure(command: Sequence[str], out: Path, env: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end; what it prints is dropped, but not its errors.

    Args:
        command: A program by its path, and its arguments.
        out: File or folder that it writes.
        env: Variables beside those of this process.

    Raises:
        RuntimeError: It failed.
    """
    began = time.perf_counter()
    child = os.posix_spawn(
        command[0], list(command), os.environ | (env or {}), file_actions=[_SILENT]
    )
    ended, memory = threading.Event(), list[tuple[float, float]]()
    sampler = threading.Thread(target=_sample, args=(child, began, ended, memory))
    sampler.start()
    _, status, usage = os.wait4(child, 0)
    wall_s = time.perf_counter() - began
    ended.set()
    sampler.join()
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with status {status}")
    # The kernel knows the highest of one process, samples the sum of all.
    peak_mib = max(usage.ru_maxrss / 1024, *(mib for _, mib in memory), 0.0)
    cpu_s = usage.ru_utime + usage.ru_stime
    return Cost(cpu_s, wall_s, tuple(memory), peak_mib, disk_bytes(out))


def disk_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _sample(
    pid: int, began: float, ended: threading.Event, memory: list[tuple[float, float]]
) -> None:
    while not ended.wait(SAMPLED_EVERY_S):
        memory.append((time.perf_counter() - began, _resident_mib(pid)))


def _resident_mib(pid: int) -> float:
    """Of a process and its descendants; 0 for those that have ended."""
    folder = Path(f"/proc/{pid}")
    try:
        pages = int((folder / "statm").read_text().split()[1])
        tasks = [file.read_text().split() for file in folder.glob("task/*/children")]
    except OSError:
        return 0.0
    children = (int(child) for task in tasks for child in task)
    return pages * _PAGE_BYTES / 2**20 + sum(map(_resident_mib, children))
