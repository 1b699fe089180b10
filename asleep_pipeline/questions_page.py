"""`docs/questions.md`: every named question with its SQL, and its answer on made-up people.

`python -m asleep_pipeline.questions_page docs/questions.md` writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from asleep_pipeline.extract.sessions import Window, pull_sessions
from asleep_pipeline.lake.users import put_users
from asleep_pipeline.log import configure_logging
from asleep_pipeline.normalise.sessions import normalise_sessions
from asleep_pipeline.orchestration.platform import Platform
from asleep_pipeline.roster import read_roster, roster_frame
from asleep_pipeline.settings import load_settings
from asleep_pipeline.simulator import RunningSimulator, SimulatorOptions, running
from asleep_pipeline.warehouse import publish
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.warehouse.questions import Question, questions

# Shortly after the clocks change in Europe and America.
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_NIGHTS = 60
_ROWS_SHOWN = 6

_HEAD = """# Questions

<!-- Written by `make docs`. -->

Each question has a name: `asleep-pipeline query NAME` answers it, `--user ID` and
`--organisation ID` narrow it down, and `asleep-pipeline query --list` shows them all. Dates are
relative to the newest night of the published file. In SQL of your own, put a value or NULL (all of
them) for `$user` and `$organisation`.

The answers shown are those of 24 made-up people with 60 nights up to 20 November 2026.
"""


def made_up_warehouse(folder: Path) -> Path:
    """Publish the nights of the simulator's people into a folder; the same on every machine.

    Returns:
        The published file.
    """
    with running(SimulatorOptions(now=_NOW)) as simulator:
        settings = load_settings(
            data_dir=folder, api_key=simulator.api_key, base_url=simulator.base_url, shards=1
        )
        _load(Platform(settings, clock=simulator.clock.now), simulator, folder / "roster.csv")
    return settings.warehouse_path


def questions_page(warehouse: Path) -> str:
    """The page, with answers from a published file."""
    index = [f"| [{q.name}](#{q.name}) | {q.text} |" for q in questions().values()]
    with read_warehouse(warehouse) as con:
        sections = [_section(con, question) for question in questions().values()]
    return "\n".join([_HEAD, "| name | question |", "|---|---|", *index, "", *sections])


def _load(platform: Platform, simulator: RunningSimulator, roster: Path) -> None:
    lake, settings = platform.lake(), platform.settings
    simulator.world.write_roster(roster)
    put_users(lake, roster_frame(read_roster(roster)), now=_NOW)
    pull_sessions(
        lake,
        platform.clients(lake),
        Window(_NOW.date() - timedelta(days=_NIGHTS - 1), _NOW.date()),
        shard=0,
        now=_NOW,
        recompute_days=settings.recompute_days,
    )
    normalise_sessions(lake, shard=0, organisations={}, default_zone="UTC")
    publish(lake, settings.warehouse_path)


def _section(con: duckdb.DuckDBPyConnection, question: Question) -> str:
    result = con.execute(question.sql, question.values())
    columns = [column[0] for column in result.description or []]
    rows = result.fetchall()
    table = [_row(columns), _row(["---"] * len(columns)), *map(_row, rows[:_ROWS_SHOWN])]
    takes = " and ".join(f"`--{name}`" for name in question.parameters)
    paragraphs = [
        f"## {question.name}",
        question.text,
        f"{question.rests_on} Takes {takes}.",
        f"```sql\n{question.sql}\n```",
        "\n".join(table),
    ]
    if len(rows) > _ROWS_SHOWN:
        paragraphs.append(f"These are {_ROWS_SHOWN} of {len(rows)} rows.")
    return "\n\n".join(paragraphs) + "\n"


def _row(values: Sequence[Any]) -> str:
    return f"| {' | '.join('' if value is None else str(value) for value in values)} |"


if __name__ == "__main__":
    configure_logging(verbose=False)
    with TemporaryDirectory() as folder:
        text = questions_page(made_up_warehouse(Path(folder)))
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
