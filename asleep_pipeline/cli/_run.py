"""Runs one command and turns whatever happens into one sentence, its fix and an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from asleep_pipeline.errors import AsleepPipelineError

PROGRAM = "asleep-pipeline"


class ExitCode(IntEnum):
    """What the exit code of a command says. Ctrl-C gives 130, as in every shell."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    PARTIAL = 4


def new_app() -> typer.Typer:
    """An application with the global options and no command yet."""
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,  # they show locals, which may hold a key
        rich_markup_mode=None,  # help speaks of [organisations], which markup would swallow
    )
    app.callback()(_global_options)
    return app


def run(app: typer.Typer, arguments: list[str]) -> int:
    """Run the command that `arguments` name; errors become messages on stderr.

    Returns:
        The exit code, one of `ExitCode`, or 130 after Ctrl-C.
    """
    try:
        code = app(arguments or ["--help"], prog_name=PROGRAM, standalone_mode=False) or ExitCode.OK
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 -- the outermost frame: a person reads what is left
        if "--verbose" in arguments:
            traceback.print_exc()
        problem, fix, code = _explain(error)
        _complain(problem, fix, code, as_json="--json" in arguments)
    return int(code)


def _explain(error: Exception) -> tuple[str, str, int]:
    if isinstance(error, AsleepPipelineError):
        return error.problem, error.fix, error.exit_code
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else PROGRAM
        return error.format_message(), f"See {command} --help.", error.exit_code
    if isinstance(error, typer.Abort):
        return "Stopped.", "", ExitCode.FAILED
    what = f"{type(error).__name__}: {error}".partition("\n")[0]
    fix = f"This should not happen; {PROGRAM} --verbose COMMAND shows where it did."
    return f"Unexpected {what}", fix, ExitCode.FAILED


def _complain(problem: str, fix: str, code: int, *, as_json: bool) -> None:
    if as_json:
        error = {"problem": problem, "fix": fix, "exit_code": int(code)}
        typer.echo(json.dumps({"error": error}, ensure_ascii=False), err=True)
    else:
        typer.echo("\n".join(filter(None, [f"Error: {problem}", fix])), err=True)


def _global_options(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the lake and the warehouse (default: data).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (default: asleep-pipeline.toml).")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Log every request, and show tracebacks.")
    ] = False,
) -> None:
    """Bring every night of every Asleep user into Parquet and DuckDB."""
    from asleep_pipeline.log import configure_logging  # noqa: PLC0415 -- keeps --help quick

    configure_logging(verbose=verbose)
    # In the environment, Dagster's own processes find them as well.
    if data_dir:
        os.environ["ASLEEP_DATA_DIR"] = str(data_dir.absolute())
    if config:
        os.environ["ASLEEP_CONFIG"] = str(config.absolute())
