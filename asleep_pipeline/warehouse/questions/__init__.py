"""Named questions about the published file: each is a .sql file beside this module, one SELECT.

A file begins with comment lines: the question in one sentence, then what its answer rests on.
Dates are relative to the newest night of the file, so that an answer depends on nothing else. The
parameters are `$user` and `$organisation`; NULL asks about all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from asleep_pipeline.errors import UsageError

_FOLDER = files("asleep_pipeline.warehouse.questions")


@dataclass(frozen=True, slots=True)
class Question:
    """One question that has a name.

    Attributes:
        name: Its name, in words joined by hyphens.
        text: The question, one sentence.
        rests_on: What the answer rests on, some sentences.
        sql: The SELECT that answers it.
        parameters: Names of the parameters that the SELECT takes.
    """

    name: str
    text: str
    rests_on: str
    sql: str
    parameters: tuple[str, ...]

    def values(
        self, *, user: str | None = None, organisation: str | None = None
    ) -> dict[str, object]:
        """A value for every parameter that the SELECT takes; None asks about all of them.

        Raises:
            UsageError: A value is given that the question has no parameter for.
        """
        given = {"user": user, "organisation": organisation}
        for name, value in given.items():
            if value is not None and name not in self.parameters:
                raise UsageError(
                    f"The question {self.name!r} takes no {name}.",
                    fix=f"Ask it without --{name}.",
                )
        return {name: given[name] for name in self.parameters}


@cache
def questions() -> Mapping[str, Question]:
    """Every question by its name, in the order of the names."""
    found = (file for file in _FOLDER.iterdir() if file.name.endswith(".sql"))
    read = [_read(f.name.removesuffix(".sql"), f.read_text(encoding="utf-8")) for f in found]
    return {question.name: question for question in sorted(read, key=lambda q: q.name)}


def _read(name: str, text: str) -> Question:
    head, _, sql = text.partition("\n\n")
    first, *others = [line.removeprefix("-- ") for line in head.splitlines()]
    parameters = sorted(set(re.findall(r"\$([a-z]+)", sql)))
    return Question(name, first, " ".join(others), sql.strip(), tuple(parameters))
