"""Rewrites an answer in any published dialect into the contract's own words.

The sources contradict each other (contract section 7). Each variant that was seen has one rule
here; whatever no rule knows is left as it is, for the typed struct to accept or refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from types import UnionType
from typing import Any, Final, NamedTuple, TypeAlias, Union, get_args, get_origin

import msgspec

from asleep_pipeline.asleep.models import (
    LARGEST_FRACTION,
    ClockTime,
    Fraction,
    Instant,
    LastSession,
    NeverSleptSession,
    Record,
    Session,
    SessionDetail,
    SessionItem,
    SleptSession,
    Stat,
    Statistics,
)

Plain: TypeAlias = dict[str, Any]
Reader: TypeAlias = Callable[[Any, str, list[str]], Any]

_SESSION_KEYS: Final = {
    "session_id": "id",
    "session_start_time": "start_time",
    "session_end_time": "end_time",
}
_ALIASES: Final[Mapping[type[Record], Mapping[str, str]]] = {
    SessionItem: {canonical: alias for alias, canonical in _SESSION_KEYS.items()},
    SessionDetail: _SESSION_KEYS | {"stage_list": "sleep_stages", "osa_stages": "breath_stages"},
    LastSession: {
        "id": "session_id",
        "session_start_time": "start_time",
        "session_end_time": "end_time",
        "completed_time": "complete_time",
    },
    Stat: {"estimated_ahi": "breathing_index"},
    SleptSession: _SESSION_KEYS | {"estimated_ahi": "breathing_index"},
    NeverSleptSession: _SESSION_KEYS,
}
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


def canonical(kind: type[Record], raw: Any, path: str, readings: list[str]) -> Any:
    """Rewrite one JSON object into the keys and forms of `kind`, for `msgspec.convert`.

    Args:
        kind: The struct that describes the object.
        raw: The object as decoded; anything but a dict comes back as it is.
        path: Where the object stands in the answer, such as ``session``; empty for the whole.
        readings: Gets one sentence for each value written in another dialect.
    """
    if not isinstance(raw, dict):
        return raw
    renamed = _renamed(raw, _ALIASES.get(kind, {}), path, readings)
    plain, aside = _set_aside(kind, renamed, path, readings)
    fields = _fields(kind)
    known = {
        name: fields[name].read(value, _join(path, name), readings)
        for name, value in plain.items()
        if name in fields and not (value is None and fields[name].drop_null)
    }
    unknown = {name: value for name, value in plain.items() if name not in fields}
    return known | {"$extra": unknown | aside}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _renamed(raw: Plain, aliases: Mapping[str, str], path: str, readings: list[str]) -> Plain:
    """Give aliased keys their own name, unless that is there as well."""
    found = {key: name for key, name in aliases.items() if key in raw and name not in raw}
    readings.extend(f"{_join(path, key)}: read as {name}" for key, name in found.items())
    return {found.get(key, key): value for key, value in raw.items()}


def _set_aside(
    kind: type[Record], raw: Plain, path: str, readings: list[str]
) -> tuple[Plain, Plain]:
    """Split off values that have another meaning than their key says."""
    if kind is Session:
        return _lifted_zone(raw, readings), {}
    if not issubclass(kind, Statistics):
        return raw, {}
    aside = {name: raw[name] for name, is_odd in _ODD.items() if is_odd(raw.get(name))}
    readings.extend(f"{_join(path, name)}: {_ODD_MEANING[name]}" for name in aside)
    plain = {name: value for name, value in raw.items() if name not in aside}
    if "sleep_cycle" in aside and kind is Stat:
        plain.setdefault("sleep_cycle_time", _cycle_moments(aside["sleep_cycle"]))
    return plain, aside


def _lifted_zone(raw: Plain, readings: list[str]) -> Plain:
    """Take the zone from inside the session when it is only there."""
    session = raw.get("session")
    if "timezone" in raw or not isinstance(session, dict) or "timezone" not in session:
        return raw
    readings.append("session.timezone: read as timezone")
    inner = {name: value for name, value in session.items() if name != "timezone"}
    return raw | {"session": inner, "timezone": session["timezone"]}


def _is_clock(value: Any) -> bool:
    return isinstance(value, str) and _CLOCK.fullmatch(value) is not None


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_number(each) for each in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_ODD: Final[Mapping[str, Callable[[Any], bool]]] = {
    "sleep_time": _is_clock,
    "wake_time": _is_clock,
    "sleep_cycle": lambda value: isinstance(value, list),
    "sleep_cycle_time": _is_numbers,
}
_ODD_MEANING: Final = {
    "sleep_time": "a clock time without a date, not a moment",
    "wake_time": "a clock time without a date, not a moment",
    "sleep_cycle": "a list of cycles, read as sleep_cycle_time",
    "sleep_cycle_time": "numbers, not moments",
}


def _cycle_moments(cycles: list[Any]) -> list[Any] | None:
    """Start of the first cycle, then the end of each; None when they do not say."""
    try:
        return [cycles[0]["start_time"], *(cycle["end_time"] for cycle in cycles)]
    except (IndexError, KeyError, TypeError):
        return None


class _Field(NamedTuple):
    read: Reader
    drop_null: bool


@cache
def _fields(kind: type[Record]) -> dict[str, _Field]:
    return {
        field.name: _Field(*_reader(field.type, required=field.required))
        for field in msgspec.structs.fields(kind)
        if not field.encode_name.startswith("$")
    }


def _reader(annotation: Any, *, required: bool) -> tuple[Reader, bool]:
    """How to read a value of this type, and whether a null stands for its default."""
    union = get_origin(annotation) in (Union, UnionType)
    core = get_args(annotation)[0] if union else annotation
    return _reader_of(core), not union and not required


def _reader_of(core: Any) -> Reader:
    if get_origin(core) is list:
        return partial(_each, _reader_of(get_args(core)[0]))
    if isinstance(core, type) and issubclass(core, Record):
        return partial(canonical, core)
    simple = ((Instant, _instant), (ClockTime, _clock_time), (Fraction, _fraction), (int, _whole))
    return next((reader for kind, reader in simple if core == kind), _as_it_is)


def _each(read: Reader, value: Any, path: str, readings: list[str]) -> Any:
    if not isinstance(value, list):
        return value
    return [read(item, f"{path}[{index}]", readings) for index, item in enumerate(value)]


def _as_it_is(value: Any, _path: str, _readings: list[str]) -> Any:
    return value


def _instant(value: Any, path: str, readings: list[str]) -> Any:
    moment = _moment(value)
    if moment is None or moment.tzinfo:
        return moment or value
    readings.append(f"{path}: {value} has no offset, read as UTC")
    return moment.replace(tzinfo=UTC)


def _clock_time(value: Any, path: str, readings: list[str]) -> Any:
    moment = _moment(value)
    if moment is None:
        return value
    readings.append(f"{path}: {value} is a moment, read as its local time")
    return moment.time()


def _moment(value: Any) -> datetime | None:
    try:
        return msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None


def _fraction(value: Any, path: str, readings: list[str]) -> Any:
    if not _is_number(value) or value <= LARGEST_FRACTION:
        return value
    readings.append(f"{path}: {value} is a percent")
    # Ten decimals outlive any published precision and end the noise of the division.
    return round(value / 100, 10)


def _whole(value: Any, _path: str, _readings: list[str]) -> Any:
    """900.0 is the whole number 900, written by another JSON encoder."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
