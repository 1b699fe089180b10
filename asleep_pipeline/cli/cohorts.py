"""`cohort`: named groups of users, and how they compare."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, print_json, show_facts, show_rows
from asleep_pipeline.cli._values import read_day
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    from asleep_pipeline.lake.cohorts import Cohort
    from asleep_pipeline.settings import Settings
    from asleep_pipeline.warehouse.cohorts import Comparison

_THE_LIST = "`asleep-pipeline cohort list` shows those there are."

cohort = typer.Typer(help="Cohorts: named groups of users, to be compared.", no_args_is_help=True)


@cohort.command()
def define(
    name: Annotated[str, typer.Argument(help="Letters, digits, - and _.")],
    *,
    where: Annotated[
        str | None, typer.Option(help="A condition in SQL on the columns of dim_user.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--from", help="CSV or Parquet file with a column user_id.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Define a cohort, or define it anew, and publish the warehouse with it."""
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.lake.cohorts import Cohort, put_cohort
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.warehouse.cohorts import count_users

    _check_name(name)
    settings = load_settings()
    lake = Lake.open(settings.lake_dir)
    if where is not None and file is None:
        users, defined = count_users(settings.warehouse_path, where), Cohort(name, where)
    elif file is not None and where is None:
        defined = Cohort(name, user_ids=_listed_users(settings, file))
        users = len(defined.user_ids)
    else:
        raise UsageError("A cohort is a condition or a list.", fix="Give either --where or --from.")
    note_deed(settings, "change", "cohort define", rows=users)
    put_cohort(lake, defined, now=datetime.now(UTC))
    _publish(settings)
    show_facts({"cohort": name, "users": users}, as_json=as_json)


@cohort.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every cohort with its condition, and its users as of the last publication."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    users = _published_users(settings)
    rows = [
        {"cohort": c.name, "users": users.get(c.name, 0), "condition": c.condition}
        for c in _defined(settings)
    ]
    show_rows(rows, as_json=as_json, title="Cohorts")


@cohort.command()
def drop(
    name: Annotated[str, typer.Argument(help="Name of a cohort.")], as_json: AsJson = False
) -> None:
    """Forget a cohort, and publish the warehouse without it."""
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.lake.cohorts import drop_cohort
    from asleep_pipeline.settings import load_settings, nearest

    settings = load_settings()
    known = [c.name for c in _defined(settings)]
    if name not in known:
        raise UsageError(
            f"There is no cohort {name!r}. {nearest(name, known)}".rstrip(), fix=_THE_LIST
        )
    note_deed(settings, "change", "cohort drop")
    drop_cohort(Lake.open(settings.lake_dir), name)
    _publish(settings)
    show_facts({"dropped": name}, as_json=as_json)


@cohort.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Name of a cohort.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Name of another cohort.")],
    *,
    metric: Annotated[
        str, typer.Option(help="What to compare them by, such as tst, efficiency, sri or score.")
    ] = "tst",
    from_week: Annotated[
        date | None,
        typer.Option(
            parser=read_day,
            metavar="DATE",
            help="A date in the first week (default: the last one is the newest whole week).",
        ),
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, help="Number of weeks.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Compare the users of two cohorts, A minus B; nothing is shown of a small one."""
    from asleep_pipeline.settings import load_settings
    from asleep_pipeline.warehouse.cohorts import compare_cohorts
    from asleep_pipeline.warehouse.export import read_warehouse

    with read_warehouse(load_settings().warehouse_path) as con:
        found = compare_cohorts(con, first, second, metric=metric, weeks=weeks, from_week=from_week)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UsageError(
            f"A cohort cannot be named {name!r}.", fix="Use letters, digits, - and _ only."
        )


def _listed_users(settings: Settings, file: Path) -> tuple[str, ...]:
    from asleep_pipeline.cli.users import known_users

    listed = sorted(_read_user_ids(file))
    if not listed:
        raise UsageError(f"{str(file)!r} names no user.", fix="Give one line for each of them.")
    if unknown := len(set(listed) - known_users(settings)):
        raise UsageError(
            f"{unknown} of the {len(listed)} users of {str(file)!r} are not on the roster.",
            fix="`asleep-pipeline users import FILE` takes them over; or leave them out.",
        )
    return tuple(listed)


def _read_user_ids(file: Path) -> set[str]:
    import polars as pl

    try:
        if file.suffix.lower() == ".parquet":
            frame = pl.read_parquet(file, columns=["user_id"])
        else:
            frame = pl.read_csv(file, columns=["user_id"], infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(
            f"{str(file)!r} cannot be read: {str(error).partition(chr(10))[0]}",
            fix="A CSV or Parquet file with a column user_id is needed.",
        ) from error
    return set(frame["user_id"].drop_nulls().cast(pl.String))


def _defined(settings: Settings) -> list[Cohort]:
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.lake.cohorts import read_cohorts

    with Lake.open(settings.lake_dir).read() as con:
        return read_cohorts(con)


def _published_users(settings: Settings) -> dict[str, int]:
    from asleep_pipeline.warehouse.export import read_warehouse

    if not settings.warehouse_path.exists():
        return {}
    with read_warehouse(settings.warehouse_path) as con:
        rows = con.execute("SELECT cohort, count(*) FROM cohort_member GROUP BY cohort").fetchall()
    return dict(rows)


def _publish(settings: Settings) -> None:
    from asleep_pipeline.access.organisations import parameters
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.warehouse import publish

    publish(Lake.open(settings.lake_dir), settings.warehouse_path, parameters=parameters(settings))


def _show(found: Comparison) -> None:
    dates = f"{found.first_date} to {found.last_date}"
    asked = {"metric": f"{found.metric} ({found.unit})", "nights": dates}
    if found.is_suppressed:
        show_facts(asked | {"is_suppressed": True}, as_json=False)
        note("A cohort has fewer users with enough nights than the setting min_group_size.")
        return
    show_facts(asked | _of_effects(found), as_json=False)
    first, second = found.samples
    names = ("users", "mean", "sd", "median", "p10", "p90")
    rows = [(name, getattr(first, name), getattr(second, name)) for name in names]
    bars = [f"{low:g} to {high:g}" for low, high in pairwise(found.bin_edges)]
    rows += zip(bars, first.histogram, second.histogram, strict=True)
    shown = [{"": name, first.cohort: _figure(a), second.cohort: _figure(b)} for name, a, b in rows]
    show_rows(shown, as_json=False)


def _of_effects(found: Comparison) -> dict[str, Any]:
    size = found.effects
    assert size
    interval = f"{_figure(size.low)} to {_figure(size.high)}" if size.low is not None else ""
    return {
        "mean_difference": _figure(size.mean_difference),
        "confidence_95": interval,
        "hedges_g": _figure(size.hedges_g),
        "cliffs_delta": _figure(size.cliffs_delta),
        "users_in_both": found.users_in_both,
    }


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
