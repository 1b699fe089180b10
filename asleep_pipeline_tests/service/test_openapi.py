"""The description of the API is whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from asleep_pipeline_tests.service.conftest import Client

Json = dict[str, Any]
BINARY = {"application/zip"}
"""Of these an example would be no help."""


@pytest.fixture(scope="module")
def document(client: Client) -> Json:
    """The description, as everybody gets it."""
    found: Json = client.get("/schema/openapi.json").json()
    return found


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Each with the name by which a failure is found."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_it_is_openapi_3_1(document: Json) -> None:
    """By the specification's own schema."""
    assert document["openapi"].startswith("3.1")
    jsonschema_rs.validator_for(OPENAPI_31).validate(document)


def test_every_operation_says_what_it_does(document: Json) -> None:
    """In a sentence, under a name of its own and a tag."""
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for name, operation in operations(document):
        assert operation["summary"].endswith("."), name
        assert operation["tags"], name


def test_every_operation_says_who_may_ask(document: Json) -> None:
    """With a bearer, but for what machines ask."""
    for name, operation in operations(document):
        expected: list[Json] = [] if operation["tags"] == ["probes"] else [{"bearer": []}]
        assert operation["security"] == expected, name
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_operation_says_how_it_refuses(document: Json) -> None:
    """By problems, and by which."""
    for name, operation in operations(document):
        wanted = {"500", "503"}
        if operation["security"]:
            wanted |= {"400", "401", "403", "422", "429"}
            wanted |= {"404"} if "{" in name else set()
            wanted |= {"413", "415"} if "requestBody" in operation else set()
        assert wanted <= operation["responses"].keys(), name
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (name, status)


def test_examples_are_as_the_schema_says(document: Json) -> None:
    """Those of every request and every answer."""
    for name, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for kind, media in body.get("content", {}).items():
                if kind in BINARY:
                    continue
                schema = media["schema"] | {"components": document["components"]}
                assert jsonschema_rs.validator_for(schema).is_valid(media["example"]), name
