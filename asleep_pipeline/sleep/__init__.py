"""The science of sleep as macros of SQL: pure functions of what they are given.

The published file holds them, so that an analyst calls what the marts were built with:
`SELECT hypnogram(sleep_stages) FROM sessions`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

_SUBJECTS: Final = ("hypnogram", "clock", "regularity", "score", "text")

MACROS: Final = "\n".join(
    files(__name__).joinpath(f"{subject}.sql").read_text(encoding="utf-8") for subject in _SUBJECTS
)
"""All of them, to be executed as they stand."""
