"""What OpenAPI says of the route that takes events: litestar describes only its own kind of routes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)

from asleep_pipeline.asleep.events import INFERENCE_COMPLETE, LONGEST_ID, SESSION_COMPLETE
from asleep_pipeline.webhooks.answers import MOST_BYTES, PROBLEM_TYPE, REFUSALS, Refusal
from asleep_pipeline.webhooks.writer import DUPLICATE, ERASED, STORED

_KEY: Final = "key"
_USER: Final = "U-EXAMPLE"
_SESSION: Final = "20260501220000_example"
_PROBLEM: Final = Reference(ref="#/components/schemas/Problem")
_STRING: Final = Schema(type=OpenAPIType.STRING)
_OBJECT: Final = Schema(type=OpenAPIType.OBJECT)
_OF_EVERY_ANSWER: Final = frozenset({"content-type", "content-length"})

COMPONENTS: Final = Components(
    security_schemes={
        _KEY: SecurityScheme(
            type="apiKey",
            name="x-api-key",
            security_scheme_in="header",
            description="The organisation's present or previous key, exactly once.",
        )
    }
)


def events_path() -> PathItem:
    """The description of the route that takes events."""
    return PathItem(
        post=Operation(
            operation_id="take_event",
            summary="Take an event.",
            description="200 means that the event is on the disk. Of an event that came before, "
            "nothing changes. Names that nobody documented are stored as well.",
            parameters=_headers(),
            request_body=_body(),
            responses=_responses(),
            security=[{_KEY: []}],
        )
    )


def examples() -> dict[str, Any]:
    """Bodies in every published envelope, by what they show."""
    about = {"user_id": _USER, "session_id": _SESSION}
    window = about | {"seq_num": 39, "inference_seq_num": 3, "sleep_stages": [1] * 10}
    whole = {"timezone": "UTC", "session": _session(), "stat": None}
    found: dict[str, Any] = {}
    for event, newest, older in (
        (INFERENCE_COMPLETE, window, window),
        (SESSION_COMPLETE, {"user_id": _USER} | whole, about | {"sleep_data": whole}),
    ):
        found |= {
            f"{event} V3": {"event": event, "version": "V3", "data": newest},
            f"{event} V2": {
                "callback_event": event,
                "callback_version": "V2",
                "callback_data": older,
            },
            f"{event} V1": {"callback_event": event, "callback_data": older},
            f"{event} flat": {"event": event, "timestamp": "2026-05-01T22:20:00Z"} | newest,
        }
    return found | {"another event": {"event": "DEVICE_LOST", "data": {"user_id": _USER}}}


def _session() -> dict[str, Any]:
    return {
        "id": _SESSION,
        "state": "COMPLETE",
        "start_time": "2026-05-01T22:00:00+00:00",
        "end_time": "2026-05-01T22:20:00+00:00",
        "sleep_stages": [0, 0, 1, 1],
    }


def _headers() -> list[Parameter | Reference]:
    user = Schema(type=OpenAPIType.STRING, min_length=1, max_length=LONGEST_ID)
    signed = "By Standard Webhooks; wanted when the receiver has a signing secret."
    return [
        Parameter(
            name="x-user-id",
            param_in="header",
            required=True,
            schema=user,
            description="The user, exactly once; whom the body names must be the same.",
            example=_USER,
        ),
        *(
            Parameter(name=name, param_in="header", schema=_STRING, description=signed)
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ),
    ]


def _body() -> RequestBody:
    schema = Schema(
        type=OpenAPIType.OBJECT,
        description="V3 in event, version, data; V1 and V2 in callback_*; the flat form in none.",
        properties={
            "event": _STRING,
            "version": _STRING,
            "data": _OBJECT,
            "callback_event": _STRING,
            "callback_version": _STRING,
            "callback_data": _OBJECT,
        },
    )
    shown: dict[str, Example | Reference] = {
        name: Example(value=value) for name, value in examples().items()
    }
    return RequestBody(
        required=True,
        description=f"A JSON object in UTF-8 of at most {MOST_BYTES} bytes, not compressed.",
        content={"application/json": OpenAPIMediaType(schema=schema, examples=shown)},
    )


def _responses() -> dict[str, OpenAPIResponse | Reference]:
    by_status: dict[int, list[Refusal]] = defaultdict(list)
    for refusal in REFUSALS:
        by_status[refusal.answer.status].append(refusal)
    refused = {str(status): _refused(refusals) for status, refusals in sorted(by_status.items())}
    return {"200": _stored(), **refused}


def _stored() -> OpenAPIResponse:
    status = Schema(type=OpenAPIType.STRING, enum=[STORED, DUPLICATE, ERASED])
    schema = Schema(type=OpenAPIType.OBJECT, properties={"status": status}, required=["status"])
    return OpenAPIResponse(
        description="It is on the disk.",
        content={"application/json": OpenAPIMediaType(schema=schema)},
    )


def _refused(refusals: list[Refusal]) -> OpenAPIResponse:
    details = dict.fromkeys(refusal.detail for refusal in refusals)
    names = {name.decode() for name, _ in refusals[0].answer.headers} - _OF_EVERY_ANSWER
    return OpenAPIResponse(
        description=" ".join(details),
        headers={name: OpenAPIHeader(schema=_STRING, required=True) for name in sorted(names)},
        content={PROBLEM_TYPE: OpenAPIMediaType(schema=_PROBLEM)},
    )
