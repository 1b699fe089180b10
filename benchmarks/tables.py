"""What the benchmarks print: Markdown tables, the machine and the versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path


def print_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    print(f"\n| {' | '.join(names)} |\n|---|{'---:|' * (len(names) - 1)}")
    for row in rows:
        print(f"| {' | '.join(map(_shown, row))} |", flush=True)


def print_machine(packages: Iterable[str]) -> None:
    """Print what figures depend on: cores, memory, CPU, system, Python and these packages."""
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    known = [f"{len(os.sched_getaffinity(0))} cores", f"{memory_gib:.0f} GiB", _cpu()]
    known += [f"{platform.system()} {platform.release()}", f"Python {platform.python_version()}"]
    print(", ".join(known + [f"{name} {version(name)}" for name in packages]), flush=True)


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _shown(value: object) -> str:
    """A number with three digits that tell something, or the text."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
