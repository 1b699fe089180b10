"""Answers become structs: recorded ones, canonical ones, broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asleep_pipeline.asleep import (
    AverageStats,
    Session,
    SessionPage,
    Stat,
    UnreadableAnswer,
    UpdatedUser,
    User,
    decode_average_stats,
    decode_created_user,
    decode_session,
    decode_session_page,
    decode_updated_user,
    decode_user,
)
from asleep_pipeline.asleep.decoding import _tolerant
from asleep_pipeline.asleep.models import ClockTime, Fraction, Instant, Record

Plain = dict[str, Any]

PAYLOADS = Path(__file__).resolve().parents[3] / "shared" / "payloads"
needs_payloads = pytest.mark.skipif(
    not PAYLOADS.is_dir(), reason="the recorded payloads beside the project are absent"
)


def recorded(name: str) -> Any:
    """A recorded payload."""
    return json.loads((PAYLOADS / name).read_bytes())


def enveloped(result: Any) -> bytes:
    """An answer with this result."""
    return json.dumps({"detail": "OK", "result": result}).encode()


@needs_payloads
def test_recorded_session() -> None:
    """The vendor's example of get-session is read whole, in the contract's own words."""
    decoded = decode_session((PAYLOADS / "get_session_v3.docs.partial.json").read_bytes())
    assert decoded.session.id == "20250115025029_fvivn"
    assert decoded.peculiarities == ["NO_BREATHING_STABILITY"]
    assert decoded.stat is not None
    assert decoded.stat.sleep_time == datetime(2025, 1, 15, 3, 5, 29, tzinfo=UTC)
    assert (decoded.stat.sleep_efficiency, decoded.stat.deep_latency) == (0.3, None)
    assert (decoded.readings, decoded.stat.extra) == ((), {})


@needs_payloads
def test_recorded_session_list() -> None:
    """The vendor's example of list-sessions is read whole."""
    page = decode_session_page((PAYLOADS / "list_sessions_v1.docs.json").read_bytes())
    assert [item.time_in_bed for item in page.sleep_session_list] == [16237, 19907]
    assert page.sleep_session_list[0].created_timezone == "Asia/Seoul"
    assert page.readings == ()


@needs_payloads
def test_recorded_averages() -> None:
    """The vendor's example of average-stats is read, although its lists were cut off."""
    decoded = decode_average_stats((PAYLOADS / "average_stats_v1.docs.partial.json").read_bytes())
    assert decoded.average_stats is not None
    assert decoded.average_stats.start_time == time(2, 54, 1)
    assert decoded.average_stats.time_in_no_snoring == 18270
    assert (decoded.slept_sessions, decoded.readings) == ([], ())


@needs_payloads
def test_recorded_user() -> None:
    """The vendor's example of get-user is read with its times as UTC."""
    user = decode_user((PAYLOADS / "get_user_v1.docs.json").read_bytes())
    assert user.last_session_info is not None
    assert user.last_session_info.end_time == datetime(2023, 7, 1, 5, 36, 12, tzinfo=UTC)
    assert (user.to_be_deleted, user.metadata) == (False, None)


@needs_payloads
def test_recorded_created_and_updated_user() -> None:
    """The examples of create-user and update-user are read; a misspelt key is kept."""
    created = decode_created_user((PAYLOADS / "create_user_v1.docs.json").read_bytes())
    updated = decode_updated_user((PAYLOADS / "update_user_v1.docs.json").read_bytes())
    assert created.user_id == updated.user_id
    assert updated.metadata is not None
    assert (updated.metadata.height, updated.metadata.extra) == (178.6, {"gendar": "male"})


@needs_payloads
def test_recorded_report_of_a_real_session() -> None:
    """A real report from before some statistics existed is read; these are None."""
    decoded = decode_session(enveloped(recorded("sdk_report_v3_20230914124256_8ramp.snake.json")))
    assert len(decoded.session.sleep_stages or ()) == 50
    assert decoded.session.start_time.utcoffset() == timedelta(hours=9)
    assert decoded.stat is not None
    assert (decoded.stat.time_in_sleep, decoded.stat.waso_count) == (1200, None)
    assert (decoded.session.created_timezone, decoded.readings) == (None, ())


@needs_payloads
def test_recorded_report_of_the_older_version() -> None:
    """A real report of version 2 is read under today's names; its validity is kept."""
    decoded = decode_session(enveloped(recorded("sdk_report_v2_20231004040255_zsv1s.snake.json")))
    assert decoded.session.breath_stages == [0] * 40
    assert decoded.stat is not None
    assert decoded.stat.breathing_index == 0
    assert decoded.extra == {"validity": "VALID"}
    assert len(decoded.readings) == 2


@needs_payloads
def test_recorded_session_event() -> None:
    """The data of the webhook's session event is an answer of get-session with a user id."""
    decoded = decode_session(
        enveloped(recorded("webhook_session_complete_v3.docs.partial.json")["data"])
    )
    assert decoded.extra == {"user_id": "G-20250115025029-vLErWBfQNtnfvgDccFOQ"}


@needs_payloads
def test_recorded_inference_event_is_no_session() -> None:
    """The data of the webhook's inference event is refused, with the key it lacks."""
    data = recorded("webhook_inference_complete_v3.docs.json")["data"]
    with pytest.raises(UnreadableAnswer, match="session"):
        decode_session(enveloped(data))


def test_all_statistics_of_the_contract_are_there() -> None:
    """A session has 38 statistics (contract S2)."""
    assert len(Stat.__struct_fields__) - len(Record.__struct_fields__) == 38


# Other work on the machine must not decide the outcome.
steady = settings(deadline=None, derandomize=True)

# --- whatever the contract allows ----------------------------------------------------------------

moments = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(  # noqa: DTZ001 - zoned below
    lambda moment: moment.replace(microsecond=0)
)
offsets = st.integers(-14 * 4, 14 * 4).map(lambda each: timezone(timedelta(minutes=15 * each)))
instants = st.builds(lambda moment, zone: moment.replace(tzinfo=zone).isoformat(), moments, offsets)
clocks = st.times().map(lambda clock: clock.replace(microsecond=0).isoformat())
simple: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text(max_size=8)),
    (int, st.integers(-1, 10**6)),
    (float, st.floats(0, 1e6)),
    (bool, st.booleans()),
    (date, st.dates().map(date.isoformat)),
    (Instant, instants),
    (ClockTime, clocks),
    (Fraction, st.floats(0, 1)),
]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def plain_values(annotation: Any) -> st.SearchStrategy[Any]:
    """JSON values that the contract allows for a type."""
    if get_origin(annotation) in (Union, UnionType):
        return st.none() | plain_values(get_args(annotation)[0])
    if get_origin(annotation) is list:
        return st.lists(plain_values(get_args(annotation)[0]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return canonical_records(annotation)
    return next(values for kind, values in simple if kind == annotation)


def canonical_records(kind: type[Record]) -> st.SearchStrategy[Plain]:
    """JSON objects in the contract's own words, with any of their optional keys missing."""
    fields = [
        field for field in msgspec.structs.fields(kind) if not field.encode_name.startswith("$")
    ]
    return st.fixed_dictionaries(
        {field.name: plain_values(field.type) for field in fields if field.required},
        optional={field.name: plain_values(field.type) for field in fields if not field.required},
    )


DECODERS: list[tuple[type[Record], Callable[[bytes], Any]]] = [
    (Session, decode_session),
    (SessionPage, decode_session_page),
    (AverageStats, decode_average_stats),
    (User, decode_user),
    (UpdatedUser, decode_updated_user),
]
decoders = st.sampled_from(DECODERS)


@st.composite
def answers(draw: st.DrawFn) -> tuple[type[Record], Callable[[bytes], Any], Plain]:
    """A decoder with a result that it must understand."""
    kind, decode = draw(decoders)
    return kind, decode, draw(canonical_records(kind))


def without_marks(plain: Any) -> Any:
    """A struct's plain form without what decoding added, and without nulls."""
    if isinstance(plain, list):
        return [without_marks(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    return {
        name: without_marks(value)
        for name, value in plain.items()
        if not name.startswith("$") and value is not None
    }


def same_instants(plain: Any) -> Any:
    """Instants as one spelling, so that answers compare as values."""
    if isinstance(plain, list):
        return [same_instants(each) for each in plain]
    if isinstance(plain, dict):
        return {name: same_instants(value) for name, value in plain.items()}
    try:
        return msgspec.convert(plain, Instant)
    except msgspec.ValidationError:
        return plain


@steady
@given(answers())
def test_canonical_answer_survives_a_round_trip(
    answer: tuple[type[Record], Callable[[bytes], Any], Plain],
) -> None:
    """Encoding what was decoded gives the answer again: no value is lost or changed."""
    _, decode, plain = answer
    decoded = msgspec.to_builtins(decode(enveloped(plain)))
    expected = same_instants(without_marks(plain))
    read = same_instants(without_marks(decoded))
    assert read == {
        **{name: value for name, value in read.items() if value in ([], False)},
        **expected,
    }


@steady
@given(answers())
def test_both_ways_of_decoding_agree(
    answer: tuple[type[Record], Callable[[bytes], Any], Plain],
) -> None:
    """The fast way and the tolerant way read a canonical answer alike, without a note."""
    kind, decode, plain = answer
    decoded = decode(enveloped(plain))
    assert decoded == _tolerant(enveloped(plain), kind, "any")
    assert getattr(decoded, "readings", ()) == ()


@steady
@given(answers(), st.dictionaries(st.text(), json_values, min_size=1, max_size=3))
def test_unknown_keys_are_kept(
    answer: tuple[type[Record], Callable[[bytes], Any], Plain], unknown: Plain
) -> None:
    """Keys that nobody documented stay where they were found, the rest is read as ever."""
    _, decode, plain = answer
    novel = {f"new_{name}": value for name, value in unknown.items()}
    decoded = decode(enveloped(plain | novel))
    assert decoded.extra == novel
    assert msgspec.structs.replace(decoded, extra={}) == decode(enveloped(plain))


def test_unknown_keys_named_like_our_own_fields_are_kept(session: Plain) -> None:
    """A key called extra or readings is the API's, not ours."""
    decoded = decode_session(enveloped(session | {"extra": {"a": 1}, "readings": [2]}))
    assert decoded.extra == {"extra": {"a": 1}, "readings": [2]}
    assert decoded.readings == ()


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Callable[[bytes], Any], bytes]:
    """A decoder with an answer in which one value was replaced, or a piece cut out."""
    _, decode, plain = draw(answers())
    here: Any = plain
    while isinstance(here, dict | list) and here:
        key = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if draw(st.booleans()):
            here[key] = draw(json_values | st.floats())
            break
        here = here[key]
    body = enveloped(plain)
    start = draw(st.integers(0, len(body)))
    stop = draw(st.just(start) | st.integers(start, len(body)))
    return decode, body[:start] + draw(st.just(b"") | st.binary(max_size=4)) + body[stop:]


@steady
@given(mutated())
def test_broken_answer_is_read_or_refused(case: tuple[Callable[[bytes], Any], bytes]) -> None:
    """Whatever arrives, decoding gives a struct or an UnreadableAnswer."""
    decode, body = case
    try:
        decode(body)
    except UnreadableAnswer as error:
        assert error.problem  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"null",
        b'{"detail": "OK"}',
        b'{"result": null}',
        b'{"result": {"session": "\xff"}}',
        b'{"result":' * 50_000,
    ],
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """Anything but an envelope with a result is an UnreadableAnswer of its endpoint."""
    with pytest.raises(UnreadableAnswer) as caught:
        decode_session(body)
    assert caught.value.endpoint == "get_session"


def test_refusal_names_the_path_and_the_value(session: Plain) -> None:
    """The reader learns where the answer is wrong and what stands there, shortened."""
    session["session"]["sleep_stages"] = [0, "x" * 500]
    with pytest.raises(UnreadableAnswer) as caught:
        decode_session(enveloped(session))
    assert caught.value.path == "session.sleep_stages[1]"
    assert "'xxxx" in caught.value.problem
    assert len(str(caught.value)) < 300
