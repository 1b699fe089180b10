"""`members`: who of those whom the identity provider knows may ask, and what for."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.access.roles import Role
from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, show_facts, show_rows
from asleep_pipeline.cli._values import read_words
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    from asleep_pipeline.access.members import Member, Members
    from asleep_pipeline.settings import Settings

members = typer.Typer(
    help="Members: what those whom the identity provider knows may do.", no_args_is_help=True
)

Subject = Annotated[
    str, typer.Argument(metavar="SUBJECT", help="How the identity provider names them: `sub`.")
]
Org = Annotated[str, typer.Option(metavar="ORG", help="The organisation.")]
Given = Annotated[Role, typer.Option("--role", help="What they are to be.")]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="USER_ID", help="The user that they are, of the role member."),
]


@members.command()
def add(
    subject: Subject, *, org: Org, role: Given, user: User = None, as_json: AsJson = False
) -> None:
    """Make somebody a member of an organisation."""
    from asleep_pipeline.cli.tokens import is_on_roster
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    org_id, named = read_words(org, "--org"), read_words(subject, "SUBJECT")
    note_deed(settings, "create", "members add", org_id=org_id, user_id=user)
    made = _members(settings).add(org_id, named, role, user_id=user, now=datetime.now(UTC))
    show_facts(_facts(made), as_json=as_json)
    if not is_on_roster(settings, org_id, user):
        who = "No user" if user is None else "No such user"
        note(f"{who} of {org_id!r} is on the roster yet, so there is nothing to see for them.")
    if not (settings.jwt_secret or settings.jwt_jwks_url):
        note("No JWT is taken as long as neither jwt_secret nor jwt_jwks_url is set.")


@members.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every member of every organisation."""
    from asleep_pipeline.settings import load_settings

    rows = [_facts(member) for member in _members(load_settings()).all()]
    show_rows(rows, as_json=as_json, title="Members")


@members.command()
def set_role(
    subject: Subject, *, org: Org, role: Given, user: User = None, as_json: AsJson = False
) -> None:
    """Make a member something else: within a second, also for what they do just now."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    here = _members(settings)
    number = _found(here, org, subject).id
    note_deed(settings, "change", "members set-role", org_id=org, user_id=user, number=number)
    show_facts(_facts(here.set_role(org, number, role, user_id=user)), as_json=as_json)


@members.command()
def remove(subject: Subject, *, org: Org, as_json: AsJson = False) -> None:
    """Let somebody be a member no more: within a second, also for what they do just now."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    here = _members(settings)
    number = _found(here, org, subject).id
    note_deed(settings, "delete", "members remove", org_id=org, number=number)
    show_facts(_facts(here.remove(org, number)), as_json=as_json)


def _members(settings: Settings) -> Members:
    from asleep_pipeline.access.members import Members

    return Members(settings.access_path)


def _found(here: Members, org_id: str, subject: str) -> Member:
    for member in here.known_as(subject):
        if member.org_id == org_id:
            return member
    raise UsageError(
        f"{org_id!r} has no member {subject!r}.", fix="`asleep-pipeline members list` shows them."
    )


def _facts(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "organisation": member.org_id,
        "subject": member.subject,
        "role": member.role,
        "user_id": member.user_id,
        "created_at": member.created_at,
    }
