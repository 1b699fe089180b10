"""The rows of reports: everything flat that a period says, one row a user or an organisation.

The SELECTs are the .sql files beside this module. A report of one and the Parquet file of all rest
on the same SELECT, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Final, Literal

from asleep_pipeline.lake.columns import Table
from asleep_pipeline.reports.model import OrganisationFigures, UserFigures
from asleep_pipeline.reports.period import Period
from asleep_pipeline.warehouse.insights import RULES
from asleep_pipeline.warehouse.marts.tables import ORG_MONTH, ORG_WEEK, USER_MONTH, USER_WEEK

Subjects = Literal["users", "organisations"]

USER_MARTS: Final = {"week": USER_WEEK, "month": USER_MONTH}
ORGANISATION_MARTS: Final = {"week": ORG_WEEK, "month": ORG_MONTH}
USER_FIGURES: Final = UserFigures.__struct_fields__
ORGANISATION_FIGURES: Final = OrganisationFigures.__struct_fields__

_FOLDER: Final = files("asleep_pipeline.reports")
_CLOCK: Final = "min from local midnight"
_QUALITY: Final = """
    count(session_id) AS sessions,
    count(*) FILTER (WHERE quality = 'good') AS good_sessions,
    count(*) FILTER (WHERE quality = 'fair') AS fair_sessions,
    count(*) FILTER (WHERE quality = 'poor') AS poor_sessions,
    count(session_id) FILTER (WHERE quality IS NULL) AS unjudged_sessions,
    count(*) FILTER (WHERE quality = 'good') / nullif(count(quality), 0) AS good_fraction,
    count(*) FILTER (WHERE quality = 'fair') / nullif(count(quality), 0) AS fair_fraction,
    count(*) FILTER (WHERE quality = 'poor') / nullif(count(quality), 0) AS poor_fraction,
    avg(unknown_fraction) AS unknown_mean_fraction
"""


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT and its parameters."""

    sql: str
    params: Mapping[str, Any]


def user_rows(period: Period, user_id: str | None = None) -> Query:
    """The rows of everyone in `dim_user`, or that of one user."""
    sql = _text("users", USER_MARTS[period.kind], USER_FIGURES, only=_only("user_id", user_id))
    return Query(sql, _params(period, user_id=user_id))


def organisation_rows(period: Period, org_id: str | None = None) -> Query:
    """The rows of all organisations, or that of one."""
    mart, of_users = ORGANISATION_MARTS[period.kind], USER_MARTS[period.kind]
    sql = _text("organisations", mart, ORGANISATION_FIGURES, only=_only("org_id", org_id))
    return Query(sql.replace("{of_users}", of_users.name), _params(period, org_id=org_id))


def changed_figures(mart: Table, figures: tuple[str, ...]) -> dict[str, str]:
    """The difference of each figure that is a number, as SQL over `present` and `earlier`."""
    columns = {column.name: column for column in mart.columns}
    return {
        name: f"clock_difference(present.{name}, earlier.{name})"
        if columns[name].unit.startswith(_CLOCK)
        else f"present.{name} - earlier.{name}"
        for name in figures
        if columns[name].type != "VARCHAR"
    }


def _text(name: Subjects, mart: Table, figures: tuple[str, ...], *, only: str) -> str:
    changes = changed_figures(mart, figures).items()
    parts = {
        "mart": mart.name,
        "period": mart.key[1],
        "only": only,
        "figures": ", ".join(f"present.{figure}" for figure in figures),
        "changes": ", ".join(f"{sql} AS change_{figure}" for figure, sql in changes),
        "quality": _QUALITY,
    }
    text = _FOLDER.joinpath(f"{name}.sql").read_text(encoding="utf-8")
    for part, said in parts.items():
        text = text.replace(f"{{{part}}}", said)
    return text


def _only(key: str, value: str | None) -> str:
    return "true" if value is None else f"{key} = ${key}"


def _params(period: Period, **subject: str | None) -> dict[str, Any]:
    dates: dict[str, date] = {
        "start": period.start_date,
        "end": period.end_date,
        "start_before": period.before().start_date,
    }
    given = {name: value for name, value in subject.items() if value is not None}
    rules = [rule["name"] for rule in RULES]
    named = {"kind": period.kind, "key": period.key, "days": period.days, "rules": rules}
    return named | dates | given
