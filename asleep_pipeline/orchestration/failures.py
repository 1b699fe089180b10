"""Our errors as Dagster's: what happened, how far it got and what to do, on the run's page."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import dagster as dg

from asleep_pipeline.asleep import CircuitOpen
from asleep_pipeline.errors import AsleepPipelineError, LakeError

AGAIN: Final = "Then run it again: it goes on where it stopped."
_BY_ITSELF: Final = (
    "Dagster does not repeat this step. The next run of the schedule asks for what is missing: "
)
_MAY_PASS: Final = f"{_BY_ITSELF}it may well succeed without you."
_STAYS: Final = f"{_BY_ITSELF}it fails like this one until somebody has acted."

_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")

Metadata = Mapping[str, dg.MetadataValue]


@contextmanager
def explained(so_far: Callable[[], Metadata] = dict) -> Iterator[None]:
    """Turn an error into a `dagster.Failure`: one of this package says what to do.

    Any other may quote what was in the data. Events are kept and read by many, so they say where it
    happened, and its words without what they quote.

    Args:
        so_far: What else a person should know of the step, asked when it fails.

    Raises:
        Failure: With the error's own sentence and fix; its cause is the error, if it is of this package.
    """
    try:
        yield
    except AsleepPipelineError as error:
        raise dg.Failure(
            description=str(error),
            metadata={**_explanation(error), **so_far()},
            allow_retries=_may_pass(error),
        ) from error
    except (dg.DagsterError, dg.Failure):
        raise
    except Exception as error:  # noqa: BLE001 -- whatever it is, Dagster would keep its words
        raise dg.Failure(
            description=f"Unexpected {type(error).__name__}: {_without_quotes(error)}",
            metadata={"where": _where(error), **so_far()},
        ) from None


def _explanation(error: AsleepPipelineError) -> Metadata:
    text = dg.MetadataValue.text
    return {
        "what_happened": text(error.problem),
        "what_to_do": text(f"{error.fix} {AGAIN}".strip()),
        "will_it_be_tried_again": text(_MAY_PASS if _may_pass(error) else _STAYS),
    }


def _without_quotes(error: Exception) -> str:
    return _QUOTED.sub("'…'", str(error).partition("\n")[0])


def _where(error: Exception) -> dg.MetadataValue:
    """The lines of code, without the values in them."""
    lines = "".join(traceback.format_tb(error.__traceback__))
    return dg.MetadataValue.md(f"```\n{lines}```")


def _may_pass(error: AsleepPipelineError) -> bool:
    """Whether another attempt can help; with a key, a plan or a setting it would only fail again."""
    return isinstance(error, CircuitOpen | LakeError)
