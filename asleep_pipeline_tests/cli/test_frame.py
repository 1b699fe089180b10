"""The frame of the command line: exit codes, messages, output and help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from asleep_pipeline.cli import app
from asleep_pipeline.cli._output import AsJson, note, show_facts, show_rows
from asleep_pipeline.cli._run import ExitCode, new_app, run
from asleep_pipeline.cli._values import read_day, read_instant
from asleep_pipeline.errors import AsleepPipelineError, ConfigurationError, LakeError, UsageError

SECRET = "not-a-real-key-0123"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Global options change the environment: give it back as it was."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def toy() -> typer.Typer:
    """An application of our frame whose commands do one thing each."""
    toy = new_app()

    @toy.command()
    def rows(as_json: AsJson = False) -> None:
        show_rows([{"night": date(2026, 5, 31), "score": None}], as_json=as_json, title="Nights")

    @toy.command()
    def facts(as_json: AsJson = False) -> None:
        note("Just so you know.")
        show_facts({"zone": "[UTC]", "at": datetime(2026, 5, 31, tzinfo=UTC)}, as_json=as_json)

    @toy.command()
    def stop(code: int) -> None:
        raise typer.Exit(code)

    @toy.command()
    def crash(as_json: AsJson = False) -> None:
        api_key = SECRET
        raise ValueError(f"key of {len(api_key)} letters")

    @toy.command()
    def days(start: Annotated[date, typer.Option(parser=read_day)]) -> None:
        typer.echo(start)

    @toy.command()
    def environ(name: str) -> None:
        typer.echo(os.environ.get(name))

    return toy


def failing(error: BaseException) -> typer.Typer:
    app = new_app()

    @app.command()
    def fail(as_json: AsJson = False) -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("kind", "code"), [(LakeError, 1), (UsageError, 2), (ConfigurationError, 3)]
)
def test_error_becomes_a_sentence_its_fix_and_a_code(
    capsys: pytest.CaptureFixture[str], kind: type[AsleepPipelineError], code: int
) -> None:
    """An error of ours is told on stderr as problem and fix; its class decides the exit code."""
    assert run(failing(kind("The lamp is off.", fix="Switch it on.")), ["fail"]) == code
    assert capsys.readouterr() == ("", "Error: The lamp is off.\nSwitch it on.\n")


def test_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json an error is a JSON object on stderr, and stdout stays empty."""
    run(failing(ConfigurationError("The lamp is off.", fix="Switch it on.")), ["fail", "--json"])
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {
        "error": {"problem": "The lamp is off.", "fix": "Switch it on.", "exit_code": 3}
    }


@pytest.mark.parametrize(
    "arguments", [["rowz"], ["rows", "--jason"], ["stop"], ["stop", "x"], ["--data-dir"]]
)
def test_wrong_usage(
    toy: typer.Typer, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A command line that cannot be understood gives code 2 and points to the help."""
    assert run(toy, arguments) == ExitCode.USAGE
    assert "--help" in capsys.readouterr().err


def test_wrong_usage_as_json(toy: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is told in JSON as well."""
    run(toy, ["rows", "--json", "--jason"])
    assert json.loads(capsys.readouterr().err)["error"]["exit_code"] == 2


def test_no_command_shows_the_help(toy: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    """The bare program lists its commands and is content."""
    assert run(toy, []) == ExitCode.OK
    assert "Commands:" in capsys.readouterr().out


def test_partial_success_has_its_own_code(toy: typer.Typer) -> None:
    """A command chooses its exit code by raising typer.Exit."""
    assert run(toy, ["stop", "4"]) == ExitCode.PARTIAL


def test_interrupt_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a command with the shell's code for it and without a traceback."""
    assert run(failing(KeyboardInterrupt()), ["fail"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_unexpected_error_is_short(toy: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    """A bug of ours is one sentence that says how to see more."""
    assert run(toy, ["crash"]) == ExitCode.FAILED
    err = capsys.readouterr().err
    assert "Unexpected ValueError: key of 19 letters" in err
    assert "--verbose" in err
    assert "Traceback" not in err


def test_verbose_shows_the_traceback_without_values(
    toy: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    """--verbose adds the traceback, never the values of its variables."""
    assert run(toy, ["--verbose", "crash"]) == ExitCode.FAILED
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert SECRET not in err


def test_rows_as_table_and_as_json(toy: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows are a table for people and an array of objects for programs; null stays null."""
    assert run(toy, ["rows"]) == ExitCode.OK
    assert "2026-05-31" in capsys.readouterr().out
    assert run(toy, ["rows", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == [{"night": "2026-05-31", "score": None}]


def test_data_and_messages_are_apart(toy: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer goes to stdout, what is said about it to stderr; brackets are no markup."""
    run(toy, ["facts"])
    out, err = capsys.readouterr()
    assert "[UTC]" in out
    assert err == "Just so you know.\n"


def test_facts_as_json(toy: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    """Facts are one JSON object; instants are ISO 8601 in UTC."""
    run(toy, ["facts", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"zone": "[UTC]", "at": "2026-05-31T00:00:00Z"}


def test_wide_rows_stay_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Outside a terminal a long value is neither cut nor wrapped."""
    show_rows([{"id": "x" * 500}], as_json=False)
    assert "x" * 500 in capsys.readouterr().out


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty answer says so, and is an empty array in JSON."""
    show_rows([], as_json=False, title="Gaps")
    assert capsys.readouterr().out == "Gaps: no rows\n"
    show_rows([], as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_bad_date_names_option_and_value(
    toy: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A date that is not one is refused with its option, its value and an example."""
    assert run(toy, ["days", "--start", "2026-02-30"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert "--start" in err
    assert "'2026-02-30' is not a date such as 2026-05-31" in err


def test_instants_are_read_as_utc() -> None:
    """An offset is honoured, and its absence means UTC."""
    assert read_instant("2026-05-31T09:00+09:00") == datetime(2026, 5, 31, tzinfo=UTC)
    assert read_instant("2026-05-31T00:00").utcoffset() == UTC.utcoffset(None)
    with pytest.raises(typer.BadParameter, match="'noon'"):
        read_instant("noon")


@pytest.mark.parametrize(
    ("option", "name"), [("--data-dir", "ASLEEP_DATA_DIR"), ("--config", "ASLEEP_CONFIG")]
)
def test_global_options_reach_child_processes(
    toy: typer.Typer, capsys: pytest.CaptureFixture[str], option: str, name: str
) -> None:
    """A global option becomes the setting's variable, as an absolute path."""
    run(toy, [option, "elsewhere", "environ", name])
    assert capsys.readouterr().out == f"{Path.cwd() / 'elsewhere'}\n"


def commands(group: Any = None) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    whole: Any = typer.main.get_command(app)
    for name, command in (group or whole).commands.items():
        found += commands(command) if hasattr(command, "commands") else [(name, command)]
    return found


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_and_option_explains_itself(name: str, command: Any) -> None:
    """Each command has help and --json, and each of its options and arguments has help."""
    assert command.help, name
    assert "--json" in {option for param in command.params for option in param.opts}
    assert [param.name for param in command.params if not getattr(param, "help", None)] == []


def test_help_imports_nothing_heavy() -> None:
    """--help answers without loading what only commands need."""
    script = (
        "import sys; from asleep_pipeline.cli import app; from asleep_pipeline.cli._run import run;"
        "run(app, ['--help']); heavy = {'dagster', 'polars', 'duckdb', 'pyarrow', 'httpx', 'litestar',"
        "'pydantic', 'structlog', 'pendulum'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: asleep-pipeline" in done.stdout


def test_reader_that_has_seen_enough_is_no_error() -> None:
    """A closed pipe (`| head`) ends a command without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from asleep_pipeline.cli import main; main()", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (ExitCode.FAILED, b"")
