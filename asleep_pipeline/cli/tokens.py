"""`tokens`: API tokens, by which programs of an organisation may ask."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.access.roles import Role
from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, show_facts, show_rows
from asleep_pipeline.cli._values import read_words

if TYPE_CHECKING:
    from asleep_pipeline.access.tokens import Token, Tokens
    from asleep_pipeline.settings import Settings

tokens = typer.Typer(
    help="API tokens: by them, an organisation's programs may ask over HTTP.", no_args_is_help=True
)


@tokens.command()
def create(
    *,
    org: Annotated[str, typer.Option(metavar="ORG", help="The organisation that it is of.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What you call it, to tell it later.")],
    role: Annotated[Role, typer.Option(help="What it allows.")] = Role.ADMIN,
    user: Annotated[
        str | None, typer.Option(metavar="USER_ID", help="Whose own it is, of the role member.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token; it is shown once, and cannot be shown again."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    org_id, called = read_words(org, "--org"), read_words(name, "--name")
    note_deed(settings, "create", "tokens create", org_id=org_id, user_id=user)
    made, secret = _tokens(settings).create(
        org_id, called, now=datetime.now(UTC), role=role, user_id=user
    )
    show_facts(_facts(made) | {"token": secret}, as_json=as_json)
    if not is_on_roster(settings, org_id, user):
        who = "No user" if user is None else "No such user"
        note(f"{who} of {org_id!r} is on the roster yet, so there is nothing to see by it.")
    note("Keep the token now; only its hash is stored.")


@tokens.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every token's organisation, name and role, and when it was made and revoked."""
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

    settings = load_settings()
    note_deed(settings, "delete", "tokens revoke", number=token_id)
    revoked = _tokens(settings).revoke(token_id, now=datetime.now(UTC))
    show_facts(_facts(revoked), as_json=as_json)


def _tokens(settings: Settings) -> Tokens:
    from asleep_pipeline.access.tokens import Tokens

    return Tokens(settings.access_path)


def organisations_of_roster(settings: Settings) -> set[str]:
    """Those with users."""
    from asleep_pipeline.lake import Lake

    if not settings.catalog_path.exists():
        return set()
    frame = Lake.open(settings.lake_dir).frame("SELECT DISTINCT org_id FROM lake.users")
    return set(frame["org_id"])


def is_on_roster(settings: Settings, org_id: str, user_id: str | None) -> bool:
    """Whether an organisation has that user; any user, when None."""
    from asleep_pipeline.lake import Lake

    if not settings.catalog_path.exists():
        return False
    with Lake.open(settings.lake_dir).read() as con:
        found = con.execute(
            "SELECT 1 FROM lake.users WHERE org_id = $1 AND user_id = coalesce($2, user_id) LIMIT 1",
            [org_id, user_id],
        ).fetchone()
    return found is not None


def _facts(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "organisation": token.org_id,
        "name": token.name,
        "role": token.role,
        "user_id": token.user_id,
        "created_at": token.created_at,
        "revoked_at": token.revoked_at,
    }
