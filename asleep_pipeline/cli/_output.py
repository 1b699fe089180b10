"""How commands answer: rows and facts as a table for people or as JSON for programs, on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Answer, and fail, in JSON.")]


def show_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str = "") -> None:
    """Print rows that share their keys: a table, or a JSON array of objects."""
    if as_json:
        print_json(rows)
        return
    from rich.table import Table  # noqa: PLC0415 -- keeps --help quick

    table = Table(*(rows[0] if rows else ()), title=title or None)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    _console().print(table if rows else f"{title or 'Result'}: no rows")


def show_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print named values: one line each, or a JSON object."""
    if as_json:
        print_json(facts)
        return
    from rich.table import Table  # noqa: PLC0415 -- keeps --help quick

    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(name, _cell(_in_words(value)))
    _console().print(table)


def note(message: str) -> None:
    """Tell a person something that is not the answer: on stderr."""
    typer.echo(message, err=True)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show progress on stderr while the block runs, if that is a terminal.

    Yields:
        A function that takes a title, how much is done, and of how much.
    """
    if not sys.stderr.isatty():
        yield lambda _title, _done, _of: None
        return
    from rich.console import Console  # noqa: PLC0415 -- keeps --help quick
    from rich.progress import Progress  # noqa: PLC0415 -- keeps --help quick

    with Progress(console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def tell(title: str, done: int, of: int) -> None:
            if title not in tasks:
                tasks[title] = bars.add_task(title)
            bars.update(tasks[title], completed=done, total=of)

        yield tell


def print_json(value: Any) -> None:
    """Print any value as JSON; what JSON does not know becomes text."""
    import msgspec  # noqa: PLC0415 -- keeps --help quick

    typer.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).decode())


def _cell(value: Any) -> Any:
    from rich.text import Text  # noqa: PLC0415 -- keeps --help quick

    # Values are shown as they are: one in brackets is no markup.
    return Text("" if value is None else str(value))


def _in_words(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {number}" for name, number in value.items()) or "none"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else value


def _console() -> Any:
    from rich.console import Console  # noqa: PLC0415 -- keeps --help quick

    # Into a file or a pipe, long rows stay on one line.
    return Console(width=None if sys.stdout.isatty() else 10_000)
