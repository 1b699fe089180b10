"""The macros by themselves, and what `fct_session` makes of series of stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest

from asleep_pipeline.sleep import MACROS
from asleep_pipeline_tests.sleep.night_facts import NightFacts

Evaluate = Callable[..., Any]


@pytest.fixture(scope="session")
def evaluate() -> Iterator[Evaluate]:
    """The value of an expression of macros, with its parameters."""
    with duckdb.connect() as con:
        con.execute(MACROS)

        def value(expression: str, *values: object) -> Any:
            return con.execute(f"SELECT {expression}", list(values)).fetchall()[0][0]

        yield value


@pytest.fixture(scope="session")
def facts() -> Iterator[NightFacts]:
    """Answers with `fct_session` of series of stages."""
    with duckdb.connect() as con:
        yield NightFacts(con)
