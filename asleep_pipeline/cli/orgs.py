"""`orgs`: organisations, and what each has of its own instead of what the deployment has."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, show_facts, show_rows
from asleep_pipeline.cli._values import read_words
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    from asleep_pipeline.access.organisations import Organisations
    from asleep_pipeline.settings import Organisation, Settings

orgs = typer.Typer(
    help="Organisations, and the settings that they have of their own.", no_args_is_help=True
)

Org = Annotated[str, typer.Argument(metavar="ORG", help="As the roster names it.")]
Zone = Annotated[
    str | None, typer.Option("--timezone", help="Zone of its nights whose own is unknown.")
]
FreeDays = Annotated[
    str | None, typer.Option("--free-days", help="Days off of its users, such as sat,sun.")
]
Least = Annotated[
    int | None, typer.Option("--min-group-size", help="Its smaller groups are suppressed.")
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="WHAT=DAYS",
        help="For how long: raw, sessions, inbox or audit; `raw=ever` for ever. Again for each.",
    ),
]
KeyFile = Annotated[
    Path | None, typer.Option("--api-key-file", help="File that its own API key stands in.")
]
PreviousKeyFile = Annotated[
    Path | None,
    typer.Option("--previous-api-key-file", help="File of the key before, during a rotation."),
]
Unset = Annotated[
    list[str] | None,
    typer.Option("--unset", metavar="SETTING", help="Take one away. Again for each."),
]


@orgs.command()
def create(
    org: Org,
    *,
    timezone: Zone = None,
    free_days: FreeDays = None,
    min_group_size: Least = None,
    keep: Keep = None,
    api_key_file: KeyFile = None,
    previous_api_key_file: PreviousKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep an organisation, with settings of its own."""
    from asleep_pipeline.access.organisations import own_settings
    from asleep_pipeline.settings import load_settings

    settings, org_id = load_settings(), read_words(org, "ORG")
    given = {
        "timezone": timezone,
        "free_days": free_days,
        "min_group_size": min_group_size,
        "retention": _retention(keep),
        "api_key_file": api_key_file,
        "previous_api_key_file": previous_api_key_file,
    }
    note_deed(settings, "create", "orgs create", org_id=org_id)
    _kept(settings).create(org_id, own_settings(given), now=datetime.now(UTC))
    show_facts(_facts(settings, org_id), as_json=as_json)


@orgs.command("set")
def set_(
    org: Org,
    *,
    timezone: Zone = None,
    free_days: FreeDays = None,
    min_group_size: Least = None,
    keep: Keep = None,
    api_key_file: KeyFile = None,
    previous_api_key_file: PreviousKeyFile = None,
    unset: Unset = None,
    as_json: AsJson = False,
) -> None:
    """Change settings of an organisation; those that are not named stay."""
    from asleep_pipeline.access.organisations import decided
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    given = {
        "timezone": timezone,
        "free_days": free_days,
        "min_group_size": min_group_size,
        "retention": _retention(keep),
        "api_key_file": api_key_file,
        "previous_api_key_file": previous_api_key_file,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changes |= dict.fromkeys(_settings_named(unset or ()))
    note_deed(settings, "change", "orgs set", org_id=org)
    _kept(settings).change(org, changes, now=datetime.now(UTC))
    show_facts(_facts(settings, org), as_json=as_json)
    for name in sorted(decided(settings, org) & set(changes)):
        note(f"{name} stays as the table [organisations.{org}] of the settings file says.")
    if "timezone" in changes:
        note("Nights that were read before keep their zone until `asleep-pipeline rebuild`.")


@orgs.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show every organisation: of the roster, of the settings, and those that are kept."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    rows = [_facts(settings, org_id) for org_id in sorted(_names(settings))]
    show_rows(rows, as_json=as_json, title="Organisations")


@orgs.command()
def show(org: Org, as_json: AsJson = False) -> None:
    """Show what holds for an organisation."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    if org not in _names(settings):
        raise UsageError(
            f"There is no organisation {org!r}.", fix="`asleep-pipeline orgs list` shows them."
        )
    show_facts(_facts(settings, org), as_json=as_json)


@orgs.command()
def remove(org: Org, as_json: AsJson = False) -> None:
    """Forget an organisation's own settings and members, and revoke its tokens; its users stay."""
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    note_deed(settings, "delete", "orgs remove", org_id=org)
    members, tokens = _kept(settings).remove(org, now=datetime.now(UTC))
    facts = {"organisation": org, "members_removed": members, "tokens_revoked": tokens}
    show_facts(facts, as_json=as_json)
    note("Its users are on the roster still; `asleep-pipeline erase` is what removes them.")


def _kept(settings: Settings) -> Organisations:
    from asleep_pipeline.access.organisations import Organisations

    return Organisations(settings.access_path)


def _settings_named(names: Sequence[str]) -> Sequence[str]:
    from asleep_pipeline.settings import OrganisationSettings

    for name in names:
        if name not in OrganisationSettings.model_fields:
            raise UsageError(
                f"An organisation has no setting {name!r}.",
                fix=f"There are: {', '.join(OrganisationSettings.model_fields)}.",
            )
    return names


def _retention(keep: Sequence[str] | None) -> dict[str, Any] | None:
    """What `--keep` says; None when it says nothing."""
    if not keep:
        return None
    given = dict(each.partition("=")[::2] for each in keep)
    return {what: None if days == "ever" else days for what, days in given.items()}


def _names(settings: Settings) -> set[str]:
    from asleep_pipeline.access.organisations import organisations
    from asleep_pipeline.cli.tokens import organisations_of_roster

    return {*organisations(settings), *organisations_of_roster(settings)}


def _facts(settings: Settings, org_id: str) -> dict[str, Any]:
    from asleep_pipeline.access.organisations import known

    own = known(settings, org_id)
    free_days = settings.free_days if own.free_days is None else own.free_days
    return {
        "organisation": org_id,
        "timezone": own.timezone or settings.timezone,
        "free_days": list(free_days),
        "min_group_size": own.min_group_size or settings.min_group_size,
        "retention": {
            what: "ever" if days is None else days
            for what, days in own.retention.model_dump().items()
        },
        "api_key": _whose_key(settings, own),
        "api_key_file": own.api_key_file,
        "previous_api_key_file": own.previous_api_key_file,
    }


def _whose_key(settings: Settings, own: Organisation) -> str:
    if own.api_key or own.api_key_file:
        return "own"
    return "the deployment's" if settings.api_key else "none"
