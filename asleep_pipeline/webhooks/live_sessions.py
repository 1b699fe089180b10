"""Sessions in progress as a pure fold of events: any order and any repetition give the same state.

An INFERENCE_COMPLETE brings a window of stages that ends at its chunk `last_epoch`. Windows may
overlap, be lost, come twice or out of order. For an epoch that several windows speak of, the one
that reaches furthest counts, as it was inferred from more of the recording; of two that reach as
far, the larger value. Both are maxima, so the order does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asleep_pipeline.asleep.events import EPOCH_S, Inference, started_by_id

Codes: TypeAlias = NDArray[np.int16]
"""A series, one code for each epoch: `GAP`, or by how many epochs the window reached further, and
the value; read it with `values_of`."""
Series: TypeAlias = tuple[Codes | None, Codes | None, Codes | None]
"""Sleep, breath and snoring stages."""
Key: TypeAlias = tuple[str, str, str]
"""key_name, user_id, session_id"""

GAP: Final = 0
MOST_EPOCHS: Final = 2 * 24 * 120
"""Two days; a recording ends after one. What claims more is no window."""
NO_CODES: Final[Codes] = np.zeros(0, np.int16)

_VALUES: Final = 5
_LOWEST: Final = -1


@dataclass(frozen=True, slots=True)
class Seen:
    """One event, as far as it says something of a session in progress.

    Attributes:
        id: Its number in the inbox.
        key: Whose session, and with whose key it came.
        received_at: When it came, UTC.
        inference: Its windows; None when it says that the session is complete.
    """

    id: int
    key: Key
    received_at: datetime
    inference: Inference | None


@dataclass(frozen=True, slots=True)
class LiveSession:
    """What the events of one session say together. Never changed: `after` makes another.

    Attributes:
        key: Whose session, and with whose key its events came.
        last_id: The newest event's number in the inbox.
        last_event_at: When the newest event came, UTC.
        completed_at: When it was first said to be complete, UTC; None while in progress.
        epochs: From the start to the end of the window that reaches furthest.
        latest_start_at: It cannot have started later, by the arrival of its windows; None without.
        series: Sleep, breath and snoring stages, each up to its own last window.
    """

    key: Key
    last_id: int
    last_event_at: datetime
    completed_at: datetime | None = None
    epochs: int = 0
    latest_start_at: datetime | None = None
    series: Series = (None, None, None)

    @property
    def session_start(self) -> tuple[datetime | None, str | None]:
        """When it started, UTC, and how that is known: from `session_id` or by `arrival`."""
        if stated := started_by_id(self.key[2]):
            return stated, "session_id"
        return self.latest_start_at, "arrival" if self.latest_start_at else None


def after(session: LiveSession | None, seen: Seen) -> LiveSession:
    """What is known of a session with one event more; None is a session without any yet."""
    before = session or LiveSession(seen.key, seen.id, seen.received_at)
    said = seen.inference
    epochs = said.last_epoch + 1 if said else 0
    started = seen.received_at - timedelta(seconds=EPOCH_S * epochs) if said else None
    return LiveSession(
        key=seen.key,
        last_id=max(before.last_id, seen.id),
        last_event_at=max(before.last_event_at, seen.received_at),
        completed_at=_earlier(before.completed_at, None if said else seen.received_at),
        epochs=max(before.epochs, epochs),
        latest_start_at=_earlier(before.latest_start_at, started),
        series=_with_windows(before.series, said) if said else before.series,
    )


def values_of(codes: Codes) -> list[int | None]:
    """The values of a series: None where no window came, -1 where the stage is unknown."""
    return [code % _VALUES + _LOWEST if code else None for code in codes.tolist()]


def arrays_of(codes: Codes) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """The same as an array, with -1 in the gaps too, and which these are."""
    return (codes % _VALUES).astype(np.int8) + np.int8(_LOWEST), codes == GAP


def padded(codes: Codes | None, epochs: int) -> Codes:
    """A series with gaps up to a number of epochs."""
    given = NO_CODES if codes is None else codes
    if given.size >= epochs:
        return given
    grown = np.zeros(epochs, np.int16)
    grown[: given.size] = given
    return grown


def gaps_of(codes: Codes) -> list[tuple[int, int]]:
    """Stretches without a value: the first epoch, and the first that has one again."""
    edges = np.flatnonzero(np.diff(codes == GAP, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def newest_known(codes: Codes) -> int | None:
    """The newest stage that is known; None without any."""
    values, _ = arrays_of(codes)
    known = np.flatnonzero(values >= 0)
    return int(values[known[-1]]) if known.size else None


def epochs_asleep(codes: Codes) -> int:
    """How many epochs are known to be sleep."""
    return int(np.count_nonzero(arrays_of(codes)[0] > 0))


def _with_windows(series: Series, said: Inference) -> Series:
    epochs = said.last_epoch + 1
    windows = (said.sleep_stages, said.breath_stages, said.snoring_stages)
    sleep, breath, snoring = (
        codes if window is None else _merged(codes, window, epochs)
        for codes, window in zip(series, windows, strict=True)
    )
    return sleep, breath, snoring


def _merged(codes: Codes | None, window: tuple[int, ...], epochs: int) -> Codes:
    """A series with one window more, which ends before epoch number `epochs`."""
    # What would lie before the start of the session is no part of it.
    newest = window[-epochs:]
    known = padded(codes, epochs)
    grown = known.copy() if known is codes else known
    part = grown[epochs - len(newest) : epochs]
    np.maximum(part, _reaches(len(newest)) + np.array(newest, np.int16), out=part)
    return grown


@lru_cache(maxsize=128)
def _reaches(length: int) -> Codes:
    """By how much a window reaches further than each of its epochs, as codes of the lowest value."""
    reaches: Codes = np.arange(length, 0, -1, dtype=np.int16) * np.int16(_VALUES)
    return reaches - np.int16(_LOWEST)


def _earlier(first: datetime | None, second: datetime | None) -> datetime | None:
    if first is None or second is None:
        return first or second
    return min(first, second)
