"""Whatever is asked of the API as its description has it, the answer is as the description has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from asleep_pipeline.access.roles import Role
from asleep_pipeline.service.serving import running
from asleep_pipeline_tests.service.surface import (
    CONSTANT,
    QUERY,
    Callers,
    Operation,
    everybody,
    operations,
)

QUICK: Final = settings(
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
OF_A_FILE: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
]
AS_DESCRIBED: Final = [*OF_A_FILE, response_schema_conformance]


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    """Two organisations, and all who may ask."""
    with everybody(tmp_path_factory.mktemp("fuzzed") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def described(callers: Callers) -> Iterator[BaseSchema]:
    """The description, as a server of the same organisations tells it."""
    patient = callers.two.settings.model_copy(update={"api_requests_per_second": 100_000})
    with running(patient) as service:
        yield schemathesis.openapi.from_url(f"{service.base_url}/schema/openapi.json")


# Its own fixtures do not run with this pytest (schemathesis 4.32 with pytest 9.2).
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_described_and_of_the_own_organisation(
    callers: Callers, described: BaseSchema, mode: GenerationMode
) -> None:
    """Sound or not, whoever asks: no 5xx, nothing that is not described, nothing of anybody else."""

    @QUICK
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        case: Case[Any] = data.draw(fuzzed.as_strategy(generation_mode=mode))
        _point(data, case.path_parameters, _known(callers, operation))
        _point(data, case.query, {name: [value] for name, value in QUERY.items()})
        role = data.draw(st.sampled_from(list(Role)))
        answer = case.call(headers=callers.headers[role])
        is_file = answer.headers["content-type"] == ["application/zip"]
        case.validate_response(answer, checks=OF_A_FILE if is_file else AS_DESCRIBED)
        assert [secret for secret in secrets if secret in answer.content] == []

    secrets = [secret.encode() for secret in callers.secrets]
    asked = [each for each in operations(callers.client.app) if each.needs and each.described]
    assert len(asked) > 30
    for operation in asked:
        fuzzed = described[operation.path][operation.method]
        ask()


def _point(data: st.DataObject, values: dict[str, Any], known: Mapping[str, list[str]]) -> None:
    """Put what leads to something into the place of what leads nowhere, two times of three."""
    for name in values.keys() & known.keys():
        values[name] = data.draw(st.sampled_from([*known[name], *known[name], values[name]]))


def _known(callers: Callers, operation: Operation) -> dict[str, list[str]]:
    """Own and foreign ids, and other parts of the path; nothing own that would be gone for the others."""
    own = {} if operation.ends_something else callers.own
    ids = {
        name: [things[name] for things in (own, callers.foreign) if name in things]
        for name in operation.ids
    }
    return ids | {name: [value] for name, value in CONSTANT.items()}
