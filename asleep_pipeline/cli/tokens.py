"""`tokens`: API tokens, by which programs of an organisation may ask."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._output import AsJson, note, show_facts, show_rows
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    from asleep_pipeline.access.tokens import Token, Tokens
    from asleep_pipeline.settings import Settings

tokens = typer.Typer(
    help="API tokens: by them, an organisation's programs may see its users.", no_args_is_help=True
)


@tokens.command()
def create(
    *,
    org: Annotated[str, typer.Option(metavar="ORG", help="The organisation whose users it sees.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What you call it, to tell it later.")],
    as_json: AsJson = False,
) -> None:
    """Make a token; it is shown once, and cannot be shown again."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    org_id, called = _words(org, "--org"), _words(name, "--name")
    made, secret = _tokens(settings).create(org_id, called, now=datetime.now(UTC))
    show_facts(_facts(made) | {"token": secret}, as_json=as_json)
    if org_id not in _organisations(settings):
        note(f"No user of {org_id!r} is on the roster yet, so there is nothing to see by it.")
    note("Keep the token now; only its hash is stored.")


@tokens.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every token's organisation and name, and when it was made and revoked."""
    from asleep_pipeline.settings import load_settings

    rows = [_facts(token) for token in _tokens(load_settings()).all()]
    show_rows(rows, as_json=as_json, title="API tokens")


@tokens.command()
def revoke(
    token_id: Annotated[int, typer.Argument(metavar="ID", help="As `tokens list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Let a token hold no more: within a second, also for what it is used for just now."""
    from asleep_pipeline.settings import load_settings

    revoked = _tokens(load_settings()).revoke(token_id, now=datetime.now(UTC))
    show_facts(_facts(revoked), as_json=as_json)


def _tokens(settings: Settings) -> Tokens:
    from asleep_pipeline.access.tokens import Tokens

    return Tokens(settings.tokens_path)


def _words(given: str, option: str) -> str:
    text = given.strip()
    if not text or not text.isprintable():
        raise UsageError(f"{option} says nothing.", fix="Give it some visible characters.")
    return text


def _organisations(settings: Settings) -> set[str]:
    """Those with users."""
    from asleep_pipeline.lake import Lake

    if not settings.catalog_path.exists():
        return set()
    frame = Lake.open(settings.lake_dir).frame("SELECT DISTINCT org_id FROM lake.users")
    return set(frame["org_id"])


def _facts(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "organisation": token.org_id,
        "name": token.name,
        "created_at": token.created_at,
        "revoked_at": token.revoked_at,
    }
