"""What the receiver says of itself in OpenAPI is what it does."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection

from asleep_pipeline.webhooks.answers import REFUSALS
from asleep_pipeline_tests.webhooks.senders import KEY, PATH, Sender, a_user

QUICK = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def described(sender: Sender) -> BaseSchema:
    """The description, as the receiver serves it."""
    return schemathesis.openapi.from_url(f"{sender.url}/schema")


# Its own fixtures do not run with this pytest (schemathesis 4.32 with pytest 9.2).
@QUICK
@given(data=st.data())
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", PATH), ("GET", "/live"), ("GET", "/ready"), ("GET", "/health"), ("GET", "/metrics")],
)
def test_every_answer_is_described(
    described: BaseSchema, data: st.DataObject, method: str, path: str
) -> None:
    """Whatever is asked with a key, the answer is a documented one, and none is a 5xx."""
    case: Case[Any] = data.draw(described[path][method].as_strategy())
    answer = case.call(headers={"x-api-key": KEY})
    assert answer.status_code < 500
    case.validate_response(answer)


@QUICK
@given(data=st.data())
def test_strangers_get_a_documented_answer_too(described: BaseSchema, data: st.DataObject) -> None:
    """Without a key everything is refused, in words of the description."""
    case: Case[Any] = data.draw(described[PATH]["POST"].as_strategy())
    answer = case.call(headers={"x-api-key": "wrong"})
    assert answer.status_code == 401
    case.validate_response(answer)


@QUICK
@given(data=st.data())
def test_nonsense_gets_a_documented_answer_too(described: BaseSchema, data: st.DataObject) -> None:
    """What contradicts the description is refused in words of the description, or taken as unknown."""
    operation = described[PATH]["POST"]
    case: Case[Any] = data.draw(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    answer = case.call(headers={"x-api-key": KEY})
    assert answer.status_code < 500
    case.validate_response(answer, excluded_checks=[negative_data_rejection])


def test_every_refusal_is_documented(sender: Sender) -> None:
    """Each status that can be the answer is described with its problem and its headers."""
    responses = take(sender)["responses"]
    for refusal in REFUSALS:
        said = responses[str(refusal.answer.status)]
        assert list(said["content"]) == ["application/problem+json"]
        assert refusal.detail in said["description"]
    assert "retry-after" in responses["429"]["headers"]
    assert "retry-after" in responses["503"]["headers"]


def test_every_example_is_an_event_that_is_taken(sender: Sender) -> None:
    """Who copies an example gets a 200."""
    content = take(sender)["requestBody"]["content"]["application/json"]
    assert len(content["examples"]) == 9
    for example in content["examples"].values():
        user_id = a_user()
        body = json.dumps(example["value"]).replace("U-EXAMPLE", user_id).encode()
        assert sender.post(body, user_id).status == 200


def take(sender: Sender) -> dict[str, Any]:
    """The description of the route that takes events."""
    said = sender.get("/schema").said
    assert said["openapi"].startswith("3.1")
    post: dict[str, Any] = said["paths"][PATH]["post"]
    return post
