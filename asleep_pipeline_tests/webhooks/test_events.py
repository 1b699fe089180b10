"""Webhook events are read in every published envelope, and whatever bytes come."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.asleep import UnreadableAnswer, decode_session, events
from asleep_pipeline.asleep.events import (
    INFERENCE_COMPLETE,
    SESSION_COMPLETE,
    Event,
    Inference,
    NotJsonError,
    read_event,
    read_inference,
    read_session,
)
from asleep_pipeline_tests.vendor_answers import detail, envelope, list_item

Json = dict[str, Any]

USER, SESSION = "ann", "20260110230000_aaaaa"
PAYLOADS = Path(__file__).resolve().parents[3] / "shared" / "payloads"
needs_payloads = pytest.mark.skipif(
    not PAYLOADS.is_dir(), reason="the recorded payloads beside the project are absent"
)
WHO: Json = {"user_id": USER, "session_id": SESSION}

Wrap = Callable[[str, Json], Json]
ENVELOPES: dict[str, Wrap] = {
    "V1": lambda name, data: {"callback_event": name, "callback_data": data},
    "V2": lambda name, data: {
        "callback_event": name,
        "callback_version": "V2",
        "callback_data": data,
    },
    "V3": lambda name, data: {"event": name, "version": "V3", "data": data},
    "flat": lambda name, data: {"event": name, "timestamp": "2026-01-11T06:00:00Z", **data},
}


def body(said: Any) -> bytes:
    """JSON as it is posted."""
    return json.dumps(said).encode()


def session_complete(version: str, result: Json) -> bytes:
    """A SESSION_COMPLETE about a result of get-session."""
    is_deep = version in {"V1", "V2"}
    data = WHO | {"sleep_data": result} if is_deep else {"user_id": USER} | result
    return body(ENVELOPES[version](SESSION_COMPLETE, data))


@pytest.mark.parametrize("version", ENVELOPES)
def test_who_and_what_is_found_in_every_envelope(version: str) -> None:
    """Name, version, user, session and block of an INFERENCE_COMPLETE are found."""
    data = WHO | {"seq_num": 39, "inference_seq_num": 3, "sleep_stages": [0]}
    said = ENVELOPES[version](INFERENCE_COMPLETE, data)
    assert read_event(body(said)) == Event(INFERENCE_COMPLETE, version, USER, SESSION, 3)


@pytest.mark.parametrize("version", ENVELOPES)
def test_the_session_of_a_session_complete_is_found(version: str) -> None:
    """The session id is found at the top of the data, or only inside its session."""
    found = read_event(session_complete(version, detail(list_item(SESSION))))
    assert found == Event(SESSION_COMPLETE, version, USER, SESSION, None)


@pytest.mark.parametrize("version", ENVELOPES)
@pytest.mark.parametrize(
    "stat", [{}, {"sleep_efficiency": 88.24}, {"sleep_time": "06:30:00"}, {"sleep_cycle": None}]
)
def test_a_session_is_what_get_session_would_tell(version: str, stat: Json) -> None:
    """Through every envelope, in every dialect, a session is the one that the API would answer."""
    result = detail(list_item(SESSION), stat=stat)
    assert read_session(session_complete(version, result)) == decode_session(envelope(result))


@given(
    stages=st.lists(st.integers(-1, 3), max_size=30),
    ratio=st.floats(0, 1),
    index=st.none() | st.integers(0, 100),
    version=st.sampled_from(list(ENVELOPES)),
)
def test_no_number_changes_on_its_way(
    stages: list[int], ratio: float, index: int | None, version: str
) -> None:
    """Any stages, fractions and nulls come out of an envelope as they went in."""
    numbers = {"sleep_efficiency": ratio, "sleep_index": index}
    result = detail(list_item(SESSION), session={"sleep_stages": stages}, stat=numbers)
    assert read_session(session_complete(version, result)) == decode_session(envelope(result))


@pytest.mark.parametrize("version", ENVELOPES)
@pytest.mark.parametrize(
    ("said", "windows"),
    [
        (
            {"sleep_stages": [0, 1], "breath_stages": [0], "snoring_stages": [1]},
            ((0, 1), (0,), (1,)),
        ),
        ({"stage_list": [3, -1], "osa_stage_list": [0, 1]}, ((3, -1), (0, 1), None)),
        ({"stage_list": [2], "breath_stages": [1]}, ((2,), (1,), None)),
        ({"sleep_stages": [], "breath_stages": None, "snoring_stages": None}, ((), None, None)),
        ({"sleep_stages": None, "stage_list": [1]}, ((1,), None, None)),
        ({}, (None, None, None)),
    ],
)
def test_windows_are_found_by_both_names(
    version: str, said: Json, windows: tuple[Any, ...]
) -> None:
    """The windows of every version are found, of any length, and null where the plan lacks one."""
    data = WHO | {"seq_num": 39} | said
    assert read_inference(body(ENVELOPES[version](INFERENCE_COMPLETE, data))) == Inference(
        39, *windows
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq_num": None},
        {"seq_num": -1},
        {"seq_num": True},
        {"seq_num": 10**30},
        {"seq_num": "39"},
        {"sleep_stages": [4]},
        {"sleep_stages": [0.5]},
        {"sleep_stages": "0000"},
        {"breath_stages": {"0": 1}},
    ],
)
def test_an_inference_that_says_nonsense_is_refused(wrong: Json) -> None:
    """A window without a place in the session, or with values that are no stages, is refused."""
    data = WHO | {"seq_num": 39, "sleep_stages": [0]} | wrong
    with pytest.raises(UnreadableAnswer, match=next(iter(wrong))):
        read_inference(body(ENVELOPES["V3"](INFERENCE_COMPLETE, data)))


_ANY_SERIES = st.none() | st.lists(st.integers(-2, 4) | st.booleans(), max_size=12)
_ANY_WINDOWS = st.fixed_dictionaries(
    {},
    optional={
        "seq_num": st.integers(-1, 900) | st.none() | st.floats(0, 9),
        "sleep_stages": _ANY_SERIES,
        "stage_list": _ANY_SERIES,
        "breath_stages": _ANY_SERIES,
        "osa_stage_list": _ANY_SERIES,
        "snoring_stages": _ANY_SERIES,
    },
)


@given(version=st.sampled_from(sorted(ENVELOPES)), data=_ANY_WINDOWS)
def test_the_quick_way_reads_what_the_careful_one_does(version: str, data: Json) -> None:
    """Windows are the same, or refused with the same words, whichever way they are read."""
    said = body(ENVELOPES[version](INFERENCE_COMPLETE, data))
    try:
        careful = events._read_closely(said)
    except UnreadableAnswer as error:
        with pytest.raises(UnreadableAnswer, match=re.escape(error.problem)):
            read_inference(said)
    else:
        assert read_inference(said) == careful


@pytest.mark.parametrize("name", ["", "a\x00b", "a\nb", "\u202ea", "n" * 257])
def test_what_can_be_no_id_is_none(name: str) -> None:
    """An id with control characters, or without end, is as good as none."""
    said = {"user_id": name, "session": {"id": name}}
    event = read_event(body(ENVELOPES["V3"](SESSION_COMPLETE, said)))
    assert (event.user_id, event.session_id) == (None, None)


@pytest.mark.parametrize(("seq_num", "block"), [(0, 0), (9, 0), (10, 1), (39, 3), (839, 83)])
def test_a_block_is_the_floor_of_a_tenth(seq_num: int, block: int) -> None:
    """Without `inference_seq_num` the block follows from `seq_num`."""
    said = ENVELOPES["V3"](INFERENCE_COMPLETE, WHO | {"seq_num": seq_num})
    assert read_event(body(said)).block == block


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Event("", "flat", None, None, None)),
        ({"event": "SOMETHING_NEW"}, Event("SOMETHING_NEW", "flat", None, None, None)),
        (
            {"event": 5, "version": ["V3"], "data": {"user_id": USER, "session_id": 7}},
            Event("", "flat", USER, None, None),
        ),
        ({"event": "E", "data": [1], "user_id": USER}, Event("E", "flat", USER, None, None)),
        (
            {"event": "E", "data": {"user_id": USER, "session": "none"}},
            Event("E", "flat", USER, None, None),
        ),
        (
            {"event": "E", "data": {"session_id": "", "session": {"id": SESSION}, "seq_num": -1}},
            Event("E", "flat", None, SESSION, None),
        ),
        (
            {"event": "E", "data": {"user_id": USER, "seq_num": 10**30}},
            Event("E", "flat", USER, None, None),
        ),
        ({"event": "E", "version": "V9"}, Event("E", "V9", None, None, None)),
    ],
)
def test_what_can_be_read_is_read(said: Json, expected: Event) -> None:
    """Members of an undocumented kind are left out; the others are read all the same."""
    assert read_event(body(said)) == expected


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{} {}",
        b'{"event": NaN}',
        b'{"event": "\xff"}',
        b'{"ignored": "\xff"}',
        b'{"event": "\\ud800"}',
        b'\xef\xbb\xbf{"event": "E"}',
        b'{"a":' * 100_000,
        b"[" * 1_000_000,
    ],
)
def test_what_is_no_json_object_is_refused(broken: bytes) -> None:
    """Broken JSON, broken UTF-8, half a surrogate and endless nesting are refused as what they are."""
    with pytest.raises(NotJsonError):
        read_event(broken)


names = st.sampled_from(
    [
        *("event", "version", "data", "callback_event", "callback_version", "callback_data"),
        *("user_id", "session_id", "seq_num", "inference_seq_num", "session", "id", "sleep_data"),
        *("sleep_stages", "stage_list", "breath_stages", "osa_stage_list", "snoring_stages"),
        *("stat", "timezone", "peculiarities", "start_time", "state", "sleep_cycle"),
    ]
)
jsons: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=12,
)
anything = st.binary(max_size=40) | st.dictionaries(names, jsons, max_size=8).map(body)


@given(anything)
def test_any_bytes_are_an_event_or_no_json(said: bytes) -> None:
    """Nothing that comes raises anything else, and every event found can be kept."""
    with suppress(NotJsonError):
        event = read_event(said)
        for text in (event.name, event.version, event.user_id or "", event.session_id or ""):
            assert text.encode().decode() == text
        assert event.block is None or 0 <= event.block < 2**63


@given(anything)
def test_any_bytes_are_read_or_unreadable(said: bytes) -> None:
    """What an event says is read or refused as unreadable; nothing else happens."""
    with suppress(UnreadableAnswer):
        read_inference(said)
    with suppress(UnreadableAnswer):
        read_session(said)


@needs_payloads
def test_recorded_inference() -> None:
    """The vendor's example of an INFERENCE_COMPLETE is read whole."""
    said = (PAYLOADS / "webhook_inference_complete_v3.docs.json").read_bytes()
    user, session = "G-20250115025029-vLErWBfQNtnfvgDccFOQ", "20250115025029_fvivn"
    assert read_event(said) == Event(INFERENCE_COMPLETE, "V3", user, session, 3)
    assert read_inference(said) == Inference(39, (0,), None, (0,))


@needs_payloads
def test_recorded_session() -> None:
    """The vendor's example of a SESSION_COMPLETE is the session of its example of get-session."""
    said = (PAYLOADS / "webhook_session_complete_v3.docs.partial.json").read_bytes()
    user, session = "G-20250115025029-vLErWBfQNtnfvgDccFOQ", "20250115025029_fvivn"
    assert read_event(said) == Event(SESSION_COMPLETE, "V3", user, session, None)
    asked = decode_session((PAYLOADS / "get_session_v3.docs.partial.json").read_bytes())
    pushed = read_session(said)
    assert (pushed.session, pushed.peculiarities) == (asked.session, asked.peculiarities)
    assert pushed.stat is not None
    assert pushed.stat.sleep_latency == 900


@needs_payloads
@pytest.mark.parametrize("version", ENVELOPES)
@pytest.mark.parametrize("name", ["v3_20230914124256_8ramp", "v2_20231004040255_zsv1s"])
def test_recorded_reports_in_every_envelope(version: str, name: str) -> None:
    """Recorded nights, of the v2 data API too, come out as get-session would tell them."""
    result = json.loads((PAYLOADS / f"sdk_report_{name}.snake.json").read_bytes())
    assert read_session(session_complete(version, result)) == decode_session(envelope(result))
