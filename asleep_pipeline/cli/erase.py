"""`erase`: people who are to be forgotten, and the receipts of it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, show_facts, show_rows
from asleep_pipeline.errors import ErasureError, UsageError

if TYPE_CHECKING:
    from asleep_pipeline.privacy.journal import Erasure
    from asleep_pipeline.settings import Settings

erase = typer.Typer(
    help="Erasure: every byte of a person, with a signed receipt.", no_args_is_help=True
)


@erase.command()
def user(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="As issued by Asleep.")],
    *,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Delete the user at Asleep as well.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person: rows, files, history, webhooks; they never come back. It cannot be undone."""
    from asleep_pipeline.privacy.erasure import erasure_of, organisation_of, request_erasure
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    earlier = erasure_of(settings, user_id)
    if earlier and earlier.state == "done":
        raise UsageError(
            f"The person was erased already, {earlier.finished_at:%Y-%m-%d}.",
            fix=f"The receipt is {settings.receipts_dir / earlier.id}.json.",
        )
    org_id = earlier.org_id if earlier else organisation_of(settings, user_id)
    if not yes:
        note("Earlier states of the lake cannot be read any more afterwards, by anybody.")
        typer.confirm(f"Erase this user of {org_id!r} for good?", abort=True, err=True)
    note_deed(settings, "erase", "erase user", org_id=org_id, user_id=user_id)
    asked = request_erasure(
        settings,
        org_id=org_id,
        user_id=user_id,
        upstream=upstream,
        by="command line",
        now=datetime.now(UTC),
    )
    _run(settings, as_json=as_json, erasure_id=asked.id)


@erase.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every erasure, the newest first: how far it has come, and what hinders it."""
    from asleep_pipeline.privacy.erasure import erasures
    from asleep_pipeline.settings import load_settings

    rows = [_facts(erasure) for erasure in erasures(load_settings())]
    show_rows(rows, as_json=as_json, title="Erasures")


@erase.command()
def resume(as_json: AsJson = False) -> None:
    """Go on with what was asked for over HTTP, interrupted or hindered; and with who has come back."""
    from asleep_pipeline.privacy.erasure import request_for_returned
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    if returned := request_for_returned(settings, datetime.now(UTC)):
        note(f"{returned} who were erased have come back, and are erased again.")
    _run(settings, as_json=as_json)


@erase.command()
def verify(
    receipt: Annotated[Path, typer.Argument(help="A receipt, as `erase user` has written it.")],
    *,
    key: Annotated[
        Path | None,
        typer.Option(help="Public key, PEM (default: the one of this deployment's receipts)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a receipt was signed here, and not changed since; show what it says."""
    from asleep_pipeline.privacy.receipts import PUBLIC_KEY
    from asleep_pipeline.privacy.receipts import verify as checked
    from asleep_pipeline.settings import load_settings

    said = checked(receipt, key or load_settings().receipts_dir / PUBLIC_KEY)
    steps = {step["name"]: step["counts"] for step in said.pop("steps")}
    show_facts(said | (steps if not as_json else {"steps": steps}), as_json=as_json)


def _run(settings: Settings, *, as_json: bool, erasure_id: str | None = None) -> None:
    from asleep_pipeline.privacy.erasure import run_erasures

    done = run_erasures(settings, datetime.now(UTC))
    rows = [_facts(erasure) for erasure in done]
    if erasure_id:
        show_facts(next(row for row in rows if row["id"] == erasure_id), as_json=as_json)
    else:
        show_rows(rows, as_json=as_json, title="Erasures")
    if hindered := [erasure for erasure in done if erasure.state == "open"]:
        raise ErasureError(
            "; ".join(erasure.problem for erasure in hindered),
            fix="Nobody sees the person any more; `asleep-pipeline erase resume` goes on.",
        )


def _facts(erasure: Erasure) -> dict[str, Any]:
    return {
        "id": erasure.id,
        "state": erasure.state,
        "organisation": erasure.org_id,
        "upstream": erasure.is_upstream,
        "requested_at": erasure.requested_at,
        "finished_at": erasure.finished_at,
        "steps_done": len(erasure.steps),
        "problem": erasure.problem,
    }
