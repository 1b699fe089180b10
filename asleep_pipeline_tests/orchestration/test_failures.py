"""What a run's page says of an error that nobody expected."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from asleep_pipeline.orchestration.failures import explained
from asleep_pipeline.orchestration.instance import dagster_instance
from asleep_pipeline_tests.privacy.canaries import found_in

WHO = "canary-user-4711"


@dg.asset
def careless() -> None:
    """An asset that meets a value that it cannot read."""
    with explained():
        duckdb.sql(f"SELECT '{WHO}'::INTEGER").fetchall()


def test_an_unexpected_error_quotes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of error, its words without values, and the lines of code are there; no file knows whom."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dagster_instance(tmp_path) as instance:
        result = dg.materialize([careless], instance=instance, raise_on_error=False)
        (event,) = result.get_step_failure_events()
        data = event.step_failure_data.user_failure_data
        assert data
        assert data.description
        assert (
            "ConversionException: Conversion Error: Could not convert string '…'"
            in data.description
        )
        assert "duckdb.sql" in str(data.metadata["where"].value)
    assert found_in(tmp_path, [WHO.encode()]) == set()
    assert found_in(tmp_path, [b"careless"])
