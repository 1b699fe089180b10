"""The same night in any published dialect makes the same row."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.asleep import decode_session_page
from asleep_pipeline.asleep._dialects import _ALIASES
from asleep_pipeline.asleep.models import LARGEST_FRACTION, SessionDetail, SessionItem, Stat
from asleep_pipeline_tests.normalise.test_rows import read, results, row_of
from asleep_pipeline_tests.vendor_answers import Json, envelope, list_item

MOMENTS: Final = {"start_time", "end_time", "unexpected_end_time", "sleep_time", "wake_time"}
NOT_SAID: Final = ("readings",)
Respell = Callable[[Json, Random], Json]


def other_offset(text: str, rng: Random) -> str:
    """The same instant with another offset, or with Z."""
    moment = datetime.fromisoformat(text)
    if rng.random() < 1 / 3:
        return moment.isoformat().replace("+00:00", "Z")
    offset = timezone(timedelta(minutes=15 * rng.randint(-14 * 4, 14 * 4)))
    return moment.astimezone(offset).isoformat()


def with_aliases(record: Json, aliases: dict[str, str], rng: Random) -> Json:
    """The record with some of its keys under a name of another source."""
    others = {name: alias for alias, name in sorted(aliases.items(), key=lambda _: rng.random())}
    return {
        others[key] if key in others and rng.random() < 1 / 2 else key: value
        for key, value in record.items()
    }


def respelt_value(key: str, value: Any, rng: Random) -> Any:
    """A value as another source writes it."""
    if key == "sleep_cycle_time" and value:
        return [other_offset(each, rng) for each in value]
    if key in MOMENTS and value:
        return other_offset(value, rng)
    is_fraction = key.endswith("_ratio") or key == "sleep_efficiency"
    if (
        is_fraction
        and value is not None
        and 100 * value > LARGEST_FRACTION
        and rng.random() < 1 / 2
    ):
        return round(100 * value, 8)
    if type(value) is int and rng.random() < 1 / 2:
        return float(value)
    return value


def respelt(record: Json, known: set[str], aliases: dict[str, str], rng: Random) -> Json:
    """A record in some dialect; keys that nobody documented stay."""
    values = {k: respelt_value(k, v, rng) if k in known else v for k, v in record.items()}
    return shuffled(with_aliases(values, aliases, rng), rng)


def shuffled(record: Json, rng: Random) -> Json:
    """The same keys in another order."""
    return dict(rng.sample(list(record.items()), len(record)))


def in_dialect(said: Json, rng: Random) -> Json:
    """A get-session result in some mixture of the published dialects."""
    session = respelt(
        said["session"], set(SessionDetail.__struct_fields__), dict(_ALIASES[SessionDetail]), rng
    )
    stat = said["stat"] and respelt(
        said["stat"], set(Stat.__struct_fields__), dict(_ALIASES[Stat]), rng
    )
    rest = respelt(said, {"missing_data_ratio"}, {}, rng)
    if rng.random() < 1 / 2:
        session["timezone"] = rest.pop("timezone")
    return shuffled(rest | {"session": session, "stat": stat}, rng)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(said=results(), seed=st.integers(0, 2**32), indent=st.sampled_from([None, 1]))
def test_a_night_in_any_dialect_makes_the_row_of_the_contract_s_words(
    said: Json, seed: int, indent: int | None
) -> None:
    """Names, offsets, percents, whole numbers with a point, order and white space say nothing."""
    foreign = {"detail": "OK", "result": in_dialect(said, Random(seed))}
    body = json.dumps(foreign, indent=indent, ensure_ascii=bool(seed % 2)).encode()
    assert without_notes(row_of(read(body))) == without_notes(row_of(read(envelope(said))))


def without_notes(row: Json) -> Json:
    """A row without the notes on how it was read; unknown keys in no order."""
    told = {name: value for name, value in row.items() if name not in NOT_SAID}
    return told | {"extra": told["extra"] and json.loads(told["extra"])}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "unexpected_end_time": st.just("2026-01-11T05:00:00+00:00"),
            "created_timezone": st.sampled_from([None, "Asia/Seoul", "Europe/Zürich"]),
            "last_received_seq_num": st.none() | st.integers(0, 10**6),
            "session_end_time": st.none(),
            "new": st.none() | st.text(st.characters(codec="utf-8")),
        },
    ),
    seed=st.integers(0, 2**32),
)
def test_a_list_row_in_any_dialect_is_the_same(changes: Json, seed: int) -> None:
    """With the names of the older version, in any order and offset, it equals and is no news."""
    said, rng = list_item(**changes), Random(seed)
    foreign = with_aliases(said, dict(_ALIASES[SessionItem]), rng)
    one, other = (
        decode_session_page(envelope({"sleep_session_list": [each]})).sleep_session_list[0]
        for each in (said, shuffled(foreign, rng))
    )
    assert one == other
