"""Ends what serves until it is stopped: SIGTERM as Ctrl-C, quietly."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Stopped(BaseException):
    """A signal asked us to end."""


@contextmanager
def until_stopped() -> Iterator[None]:
    """Leave the block, without an error, when SIGTERM or SIGINT arrives."""

    def stop(_sign: int, _frame: FrameType | None) -> None:
        # A second signal must not interrupt what the first one has begun to put away.
        for sign in before:
            signal.signal(sign, signal.SIG_IGN)
        raise _Stopped

    before = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGINT)}
    for sign in before:
        signal.signal(sign, stop)
    try:
        yield
    except _Stopped:
        return
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
