"""`export-user`: everything about one person."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, show_facts
from asleep_pipeline.errors import UsageError


def export_user(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="As issued by Asleep.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that is not there yet.")],
    as_json: AsJson = False,
) -> None:
    """Write everything that is stored about one person: JSON, Parquet and a README."""
    from asleep_pipeline.privacy.person import export_person
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    note_deed(settings, "export", "export-user", user_id=user_id)
    try:
        out.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise UsageError(
            f"{str(out)!r} cannot be made: {error.strerror}.",
            fix="Name a folder that is not there.",
        ) from error
    try:
        files = export_person(settings, user_id, out, now=datetime.now(UTC))
    except UsageError:
        out.rmdir()
        raise
    show_facts({"files": len(files), "folder": str(out)}, as_json=as_json)
