"""What a stream says of a session in progress, as JSON."""

from __future__ import annotations

from datetime import datetime

import msgspec

from asleep_pipeline.asleep.events import EPOCH_S, Inference
from asleep_pipeline.webhooks.live_sessions import (
    Codes,
    LiveSession,
    epochs_asleep,
    gaps_of,
    newest_known,
    padded,
    values_of,
)
from asleep_pipeline.webhooks.live_table import STAGE_NAMES


class Update(msgspec.Struct):
    """A session in progress, with its series from `from_epoch` on.

    Attributes:
        user_id: Asleep's user id.
        session_id: Asleep's session id.
        started_at: Its start, UTC; None when nothing tells it.
        last_event_at: When its newest event came, UTC.
        epochs: Epochs of 30 s from the start to the newest one told.
        gaps: Stretches that no event has told: the first epoch, and the first told again.
        stage_now: Newest stage that is known.
        asleep_s: Sleep so far, in s.
        from_epoch: Epoch of the first value of each series.
        sleep_stages: None not told, -1 unknown, 0 wake, 1 light, 2 deep, 3 REM.
        breath_stages: 0 stable, 1 unstable; None where the plan lacks it.
        snoring_stages: 0 no, 1 snoring; None where the plan lacks it.
    """

    user_id: str
    session_id: str
    started_at: datetime | None
    last_event_at: datetime
    epochs: int
    gaps: list[tuple[int, int]]
    stage_now: str | None
    asleep_s: int
    from_epoch: int
    sleep_stages: list[int | None] | None
    breath_stages: list[int | None] | None
    snoring_stages: list[int | None] | None


class Completed(msgspec.Struct):
    """A session that is complete; `completed_at` is None when no webhook has said so."""

    user_id: str
    session_id: str
    completed_at: datetime | None


class Gone(msgspec.Struct):
    """A session that is not shown any more."""

    user_id: str
    session_id: str


def update(session: LiveSession, inference: Inference | None = None) -> bytes:
    """What is new with a window; everything without one."""
    sleep = padded(session.series[0], session.epochs)
    first, last = _stretch(session, inference)
    newest = newest_known(sleep)
    series = [_part(codes, first, last) for codes in session.series]
    return _encode(
        Update(
            user_id=session.key[1],
            session_id=session.key[2],
            started_at=session.session_start[0],
            last_event_at=session.last_event_at,
            epochs=session.epochs,
            gaps=gaps_of(sleep),
            stage_now=None if newest is None else STAGE_NAMES[newest],
            asleep_s=EPOCH_S * epochs_asleep(sleep),
            from_epoch=first,
            sleep_stages=series[0],
            breath_stages=series[1],
            snoring_stages=series[2],
        )
    )


def completed(session: LiveSession) -> bytes:
    """That it is complete."""
    return _encode(Completed(session.key[1], session.key[2], session.completed_at))


def gone(session: LiveSession) -> bytes:
    """That it is not shown any more."""
    return _encode(Gone(session.key[1], session.key[2]))


_encode = msgspec.json.Encoder().encode


def _stretch(session: LiveSession, inference: Inference | None) -> tuple[int, int]:
    if inference is None:
        return 0, session.epochs
    windows = (inference.sleep_stages, inference.breath_stages, inference.snoring_stages)
    longest = max(len(window or ()) for window in windows)
    end = inference.last_epoch + 1
    return max(0, end - longest), end


def _part(codes: Codes | None, first: int, last: int) -> list[int | None] | None:
    return None if codes is None else values_of(padded(codes, last)[first:last])
