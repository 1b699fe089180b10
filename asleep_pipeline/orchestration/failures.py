"""Our errors as Dagster's: one sentence on the run's page, and no retry where none can help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from asleep_pipeline.asleep import CircuitOpen
from asleep_pipeline.errors import AsleepPipelineError, LakeError


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error of this package into a `dagster.Failure` that says what to do.

    Raises:
        Failure: With the error's own sentence and fix; its cause is the error.
    """
    try:
        yield
    except AsleepPipelineError as error:
        raise dg.Failure(
            description=str(error),
            metadata={"problem": error.problem, "fix": error.fix},
            # A key, a plan, a setting: another attempt would only fail again.
            allow_retries=isinstance(error, CircuitOpen | LakeError),
        ) from error
