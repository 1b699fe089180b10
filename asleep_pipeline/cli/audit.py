"""`audit show|verify|anchor`: who saw and who changed what is personal."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from asleep_pipeline.cli._output import AsJson, show_facts, show_rows
from asleep_pipeline.cli._values import read_instant

if TYPE_CHECKING:
    from asleep_pipeline.privacy.audit import AuditLog
    from asleep_pipeline.privacy.chain import Anchor

audit = typer.Typer(
    help="The audit log: who saw and who changed what is personal.", no_args_is_help=True
)

_DIGITS = 64


def _read_anchor(text: str) -> Anchor:
    from asleep_pipeline.privacy.chain import Anchor

    number, _, digest = text.partition(":")
    is_hash = len(digest) == _DIGITS and not set(digest) - set("0123456789abcdef")
    if not number.isdecimal() or not (is_hash or text == "0:"):
        raise typer.BadParameter("it is not an anchor as `audit anchor` shows it, NUMBER:HASH.")
    return Anchor(int(number), digest)


@audit.command()
def show(
    *,
    org: Annotated[str | None, typer.Option(help="Only of this organisation.")] = None,
    user: Annotated[str | None, typer.Option(help="Only about this user.")] = None,
    since: Annotated[
        datetime | None, typer.Option(parser=read_instant, metavar="TIME", help="Only since then.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="So many at most, the newest first.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Show entries; a user stands in them as a keyed hash, which --user finds."""
    from asleep_pipeline.privacy.audit import Asked

    entries = _log().entries(Asked(org_id=org, user_id=user, since=since, limit=limit))
    show_rows([asdict(entry) for entry in entries], as_json=as_json, title="Audit")


@audit.command()
def verify(
    *,
    anchor: Annotated[
        str | None,
        typer.Option(metavar="N:HASH", help="What `audit anchor` showed at some time."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry against the one before it; names the first that is not as it was written."""
    from asleep_pipeline.errors import AuditError

    verdict = _log().verify(_read_anchor(anchor) if anchor else None)
    if verdict.problem:
        raise AuditError(
            f"The audit log cannot be trusted. {verdict.problem}",
            fix=f"Up to entry {verdict.last} it is as it was written; compare it with a backup.",
        )
    show_facts({"entries": verdict.entries, "last": verdict.last, "intact": True}, as_json=as_json)


@audit.command("anchor")
def anchor_(as_json: AsJson = False) -> None:
    """Show the newest entry's number and hash; noted elsewhere, it tells later what was cut off."""
    show_facts({"anchor": str(_log().anchor())}, as_json=as_json)


def _log() -> AuditLog:
    from asleep_pipeline.cli._noting import audit_log
    from asleep_pipeline.settings import load_settings

    return audit_log(load_settings())
