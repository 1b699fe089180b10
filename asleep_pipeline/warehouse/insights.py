"""Insights: the rules of `asleep_pipeline/sleep/insights.toml` as one view."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final

RULES: Final[list[dict[str, Any]]] = tomllib.loads(
    files("asleep_pipeline.sleep").joinpath("insights.toml").read_text(encoding="utf-8")
)["rule"]


def insight_select() -> str:
    """The view's SELECT: a row for every rule that holds on a date of a user."""
    return "\nUNION ALL\n".join(map(_select, RULES))


def _select(rule: dict[str, Any]) -> str:
    evidence = ", ".join(f"'{name}': {name}::DOUBLE" for name in rule["evidence"])
    return f"""
SELECT user_id, org_id, night_date, '{rule["name"]}' AS rule,
    format('{rule["text"]}', {", ".join(rule["values"])}) AS text,
    MAP {{{evidence}}} AS evidence
FROM fct_user_day
WHERE window_days = {rule["window_days"]} AND ({rule["condition"]})
""".strip()
