"""What the README shows works: its queries, its commands, its client, its generated parts."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from asleep_pipeline.cli import app
from asleep_pipeline.reference import with_reference
from asleep_pipeline.simulator import RunningSimulator, SimulatorOptions, running

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = [
    line
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in map(str.strip, block.splitlines())
    if line
]
QUERIES = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    # The README's dates lie in the autumn of 2026, so the clock stands there.
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    with running(SimulatorOptions(people=3, seed=7, now=now)) as server:
        yield server


@pytest.fixture(scope="module")
def workplace(simulator: RunningSimulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of the README was run, in its order."""
    folder = tmp_path_factory.mktemp("readme")
    simulator.world.write_roster(folder / "roster.csv")
    environment = os.environ | {
        "ASLEEP_API_KEY": simulator.api_key,
        "ASLEEP_BASE_URL": simulator.base_url,
        "ASLEEP_SHARDS": "1",
    }
    for line in CONSOLE:
        program, *arguments = shlex.split(line)
        assert program == "asleep-pipeline"
        command = [sys.executable, "-m", "asleep_pipeline.cli", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return folder


@pytest.mark.parametrize("sql", QUERIES, ids=range(len(QUERIES)))
def test_queries_answer_on_a_published_file(workplace: Path, sql: str) -> None:
    """Every query of the README runs on a file that its own commands made."""
    with duckdb.connect(str(workplace / "data" / "asleep.duckdb"), read_only=True) as con:
        answer = con.execute(sql)
        assert answer.description
        assert answer.fetchall() or "HAVING" in sql


def test_shown_columns_are_those_of_the_query(workplace: Path) -> None:
    """The output printed below a query has the columns that the query has today."""
    shown = re.findall(r"```sql\n(.*?)```\n\n```text\n.*?\n│(.*?)│\n├", README, re.DOTALL)
    assert len(shown) == len(QUERIES)
    with duckdb.connect(str(workplace / "data" / "asleep.duckdb"), read_only=True) as con:
        for sql, heads in shown:
            columns = [column[0] for column in con.execute(sql).description]
            assert [head.strip() for head in heads.split("│")] == columns


def test_every_command_is_in_the_readme() -> None:
    """The table of commands names every command there is."""
    names = {
        command.name or command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
        if command.callback
    }
    names |= {group.name for group in app.registered_groups if group.name}
    documented = set(re.findall(r"^\| `([\w-]+)", README, re.MULTILINE))
    assert names <= documented


@pytest.mark.parametrize("page", ["README.md", "docs/tables.md"])
def test_generated_parts_are_up_to_date(page: str) -> None:
    """Settings and tables in the documentation are those of the code: `make docs` writes them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "begin -->" in text
    assert with_reference(text) == text


def test_python_example_is_typed_and_runs(simulator: RunningSimulator) -> None:
    """The client's example reads real nights, with the simulator's address put in."""
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    address = f'AsleepClient(key, base_url="{simulator.base_url}")'
    user_id = simulator.world.people[0].user_id
    call = f"import asyncio\nprint(asyncio.run(hours_of_sleep({simulator.api_key!r}, {user_id!r})))"
    script = example.replace("AsleepClient(key)", address) + call
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") > 5
