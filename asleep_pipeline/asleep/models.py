"""What the API answers with, as typed structs.

Field names are the API's own. Instants are aware datetimes with the offset that was given (UTC
where none was); durations and latencies are whole seconds; ratios are fractions 0-1; one stage
value covers 30 s. A key that an answer lacks reads as None. Keys that nobody documented are kept
in ``extra`` of the struct they were found in, and so is a value that cannot be read as its type
but does not spoil the rest. ``readings`` names each value that was written in another dialect
than the contract's, one sentence each.

Read stored answers with the functions of `asleep_pipeline.asleep.decoding`.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct, field

# A value beyond this cannot be a fraction that was rounded, so it is a percent.
LARGEST_FRACTION = 1.005

Instant = Annotated[datetime, Meta(tz=True)]
ClockTime = Annotated[time, Meta(tz=False)]
Fraction = Annotated[float, Meta(le=LARGEST_FRACTION)]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One JSON object of an answer."""

    # The encoded name is one that no API key has, so an undocumented key "extra" is not mistaken.
    extra: dict[str, Any] = field(default_factory=dict, name="$extra")


class Metadata(Record, frozen=True, kw_only=True):
    """What a customer may say about a user; ``height`` in cm, ``weight`` in kg."""

    birth_year: int | None = None
    birth_month: int | None = None
    birth_day: int | None = None
    gender: str | None = None
    height: float | None = None
    weight: float | None = None


class CreatedUser(Record, frozen=True, kw_only=True):
    """The id that Asleep issued."""

    user_id: str


class UpdatedUser(Record, frozen=True, kw_only=True):
    """A user's metadata after an update."""

    user_id: str
    metadata: Metadata | None = None


class LastSession(Record, frozen=True, kw_only=True):
    """A user's latest session as get-user tells it; ``complete_time`` only when COMPLETE."""

    session_id: str
    inference_type: str | None = None
    service: str | None = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    state: str | None = None
    complete_time: Instant | None = None


class User(Record, frozen=True, kw_only=True):
    """A user; one with ``to_be_deleted`` is to be treated as gone."""

    user_id: str
    to_be_deleted: bool = False
    last_session_info: LastSession | None = None
    metadata: Metadata | None = None


class SessionItem(Record, frozen=True, kw_only=True):
    """A row of the session list.

    ``unexpected_end_time`` marks a session closed later, because the app died;
    ``last_received_seq_num`` is the zero-based number of the last 30 s chunk.
    """

    session_id: str
    state: str
    session_start_time: Instant
    session_end_time: Instant | None = None
    created_timezone: str | None = None
    unexpected_end_time: Instant | None = None
    last_received_seq_num: int | None = None
    time_in_bed: int | None = None


class SessionPage(Record, frozen=True, kw_only=True):
    """Up to 100 rows of the session list, times in ``timezone``."""

    sleep_session_list: list[SessionItem]
    timezone: str | None = None
    readings: tuple[str, ...] = field(default=(), name="$readings")


class Statistics(Record, frozen=True, kw_only=True):
    """The statistics that a session and a row of the averages share (37 of the 38).

    ``sleep_time`` is sleep onset and ``wake_time`` the final awakening. ``sleep_latency`` runs
    from the start to onset, ``wakeup_latency`` from the final awakening to the end, the others
    from onset to the first such stage. ``time_in_sleep_period`` runs from onset to the final
    awakening, and all ratios but ``sleep_efficiency`` are of that period. ``sleep_index`` is a
    score 0-100, ``sleep_cycle`` the mean length of a cycle.
    """

    sleep_time: Instant | None = None
    wake_time: Instant | None = None
    sleep_index: int | None = None
    sleep_latency: int | None = None
    wakeup_latency: int | None = None
    light_latency: int | None = None
    deep_latency: int | None = None
    rem_latency: int | None = None
    time_in_bed: int | None = None
    time_in_sleep_period: int | None = None
    time_in_sleep: int | None = None
    time_in_wake: int | None = None
    time_in_light: int | None = None
    time_in_deep: int | None = None
    time_in_rem: int | None = None
    time_in_stable_breath: int | None = None
    time_in_unstable_breath: int | None = None
    time_in_snoring: int | None = None
    time_in_no_snoring: int | None = None
    sleep_efficiency: Fraction | None = None
    sleep_ratio: Fraction | None = None
    wake_ratio: Fraction | None = None
    light_ratio: Fraction | None = None
    deep_ratio: Fraction | None = None
    rem_ratio: Fraction | None = None
    stable_breath_ratio: Fraction | None = None
    unstable_breath_ratio: Fraction | None = None
    snoring_ratio: Fraction | None = None
    no_snoring_ratio: Fraction | None = None
    breathing_index: float | None = None
    breathing_pattern: str | None = None
    waso_count: int | None = None
    longest_waso: int | None = None
    sleep_cycle: int | None = None
    sleep_cycle_count: int | None = None
    unstable_breath_count: int | None = None
    snoring_count: int | None = None


class Stat(Statistics, frozen=True, kw_only=True):
    """All 38 statistics of a session.

    ``sleep_cycle_time`` holds the start of the first cycle, then the end of each.
    """

    sleep_cycle_time: list[Instant] | None = None


class SessionFacts(Record, frozen=True, kw_only=True):
    """The session itself, without its stages."""

    id: str
    state: str
    start_time: Instant
    end_time: Instant | None = None
    unexpected_end_time: Instant | None = None
    created_timezone: str | None = None


class SessionDetail(SessionFacts, frozen=True, kw_only=True):
    """The session itself, with its stages (one value per 30 s from ``start_time``).

    ``sleep_stages``: -1 unknown, 0 wake, 1 light (or asleep, on a 2-stage plan), 2 deep, 3 REM;
    ``breath_stages``: 0 stable, 1 unstable; ``snoring_stages``: 0 no, 1 snoring.
    """

    sleep_stages: list[int] | None = None
    breath_stages: list[int] | None = None
    snoring_stages: list[int] | None = None


class LeanDetail(SessionFacts, frozen=True, kw_only=True):
    """The session itself, its stages still JSON: empty where they are absent."""

    sleep_stages: Raw = field(default_factory=Raw)
    breath_stages: Raw = field(default_factory=Raw)
    snoring_stages: Raw = field(default_factory=Raw)


class SessionResult(Record, frozen=True, kw_only=True):
    """What is said around a session, and its statistics.

    ``stat`` is None while the session is not COMPLETE, and for reasons that ``peculiarities``
    names. ``missing_data_ratio`` is the fraction of the recording that was lost.
    """

    timezone: str | None = None
    peculiarities: list[str] = field(default_factory=list)
    missing_data_ratio: Fraction | None = None
    stat: Stat | None = None
    readings: tuple[str, ...] = field(default=(), name="$readings")


class Session(SessionResult, frozen=True, kw_only=True):
    """A session with its statistics, whole."""

    session: SessionDetail


class LeanSession(SessionResult, frozen=True, kw_only=True):
    """A session with its statistics, for who reads thousands: see `LeanDetail`."""

    session: LeanDetail


class Period(Record, frozen=True, kw_only=True):
    """The dates that were averaged over, both inclusive, in ``timezone``."""

    start_date: date
    end_date: date
    timezone: str | None = None


class Averages(Record, frozen=True, kw_only=True):
    """Means over the sessions with sleep.

    The first four are clock times in the period's zone and may wrap midnight. Each metric is
    averaged on its own over the sessions that have it, so totals need not add up; means of
    seconds and of counts may be fractional.
    """

    start_time: ClockTime | None = None
    end_time: ClockTime | None = None
    sleep_time: ClockTime | None = None
    wake_time: ClockTime | None = None
    sleep_index: float | None = None
    sleep_latency: float | None = None
    wakeup_latency: float | None = None
    light_latency: float | None = None
    deep_latency: float | None = None
    rem_latency: float | None = None
    time_in_bed: float | None = None
    time_in_sleep_period: float | None = None
    time_in_sleep: float | None = None
    time_in_wake: float | None = None
    time_in_light: float | None = None
    time_in_deep: float | None = None
    time_in_rem: float | None = None
    time_in_stable_breath: float | None = None
    time_in_unstable_breath: float | None = None
    time_in_snoring: float | None = None
    time_in_no_snoring: float | None = None
    sleep_efficiency: Fraction | None = None
    sleep_ratio: Fraction | None = None
    wake_ratio: Fraction | None = None
    light_ratio: Fraction | None = None
    deep_ratio: Fraction | None = None
    rem_ratio: Fraction | None = None
    stable_breath_ratio: Fraction | None = None
    unstable_breath_ratio: Fraction | None = None
    snoring_ratio: Fraction | None = None
    no_snoring_ratio: Fraction | None = None
    breathing_index: float | None = None
    waso_count: float | None = None
    longest_waso: float | None = None
    sleep_cycle: float | None = None
    sleep_cycle_count: float | None = None
    unstable_breath_count: float | None = None
    snoring_count: float | None = None


class SleptSession(Statistics, frozen=True, kw_only=True):
    """A session with sleep in the averages, its statistics beside its times."""

    id: str
    created_timezone: str | None = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    completed_time: Instant | None = None


class NeverSleptSession(Record, frozen=True, kw_only=True):
    """A session without sleep in the averages."""

    id: str
    start_time: Instant | None = None
    end_time: Instant | None = None
    completed_time: Instant | None = None


class AverageStats(Record, frozen=True, kw_only=True):
    """Averages of a user over a period; ``average_stats`` is None without sessions.

    The order of the sessions is not promised.
    """

    period: Period
    peculiarities: list[str] = field(default_factory=list)
    average_stats: Averages | None = None
    slept_sessions: list[SleptSession] = field(default_factory=list)
    never_slept_sessions: list[NeverSleptSession] = field(default_factory=list)
    readings: tuple[str, ...] = field(default=(), name="$readings")
