"""How long a function takes each time that somebody calls it by its module."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from unittest.mock import patch


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        began_cpu_s: CPU seconds of the process, all threads, when it began.
        cpu_s: CPU seconds that it took.
        wall_s: Seconds that it took.
    """

    began_cpu_s: float
    cpu_s: float
    wall_s: float


@contextmanager
def watched(module: str, function: str, calls: list[Call] | None = None) -> Iterator[list[Call]]:
    """Collect the calls of a module's function, in `calls` if there is one."""
    home, found = import_module(module), [] if calls is None else calls
    called = getattr(home, function)

    def timed(*args: Any, **kwargs: Any) -> Any:
        began_cpu_s, began_s = time.process_time(), time.perf_counter()
        try:
            return called(*args, **kwargs)
        finally:
            cpu_s, wall_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s
            found.append(Call(began_cpu_s, cpu_s, wall_s))

    with patch.object(home, function, timed):
        yield found
