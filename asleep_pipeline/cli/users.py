"""`users`: the roster, since Asleep has no call that lists users."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, show_facts, show_rows

if TYPE_CHECKING:
    from asleep_pipeline.roster import RosterEntry
    from asleep_pipeline.settings import Settings

users = typer.Typer(help="The roster: whom to pull.", no_args_is_help=True)


@users.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file; only user_id is required.")],
    as_json: AsJson = False,
) -> None:
    """Take over a roster file, whole or not at all; users it does not name stay as they are."""
    from asleep_pipeline.cli._world import refuse_demo
    from asleep_pipeline.roster import read_roster
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    entries = read_roster(file)
    refuse_demo(settings)
    note_deed(settings, "change", "users import", rows=len(entries))
    show_facts(put(settings, entries), as_json=as_json)


@users.command()
def add(
    user_id: Annotated[str, typer.Argument(help="As issued by Asleep.")],
    *,
    org: Annotated[str, typer.Option(help="Organisation, which decides the key.")] = "default",
    timezone: Annotated[str | None, typer.Option(help="Home zone, such as Asia/Seoul.")] = None,
    free_days: Annotated[str | None, typer.Option(help="Days off, such as sat,sun.")] = None,
    sleep_need_s: Annotated[int | None, typer.Option(help="Seconds of sleep needed.")] = None,
    birth_year: Annotated[int | None, typer.Option(help="Year of birth.")] = None,
    gender: Annotated[str | None, typer.Option(help="As the API words it.")] = None,
    height_cm: Annotated[float | None, typer.Option(help="Height in cm.")] = None,
    weight_kg: Annotated[float | None, typer.Option(help="Weight in kg.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add one user to the roster."""
    from asleep_pipeline.cli._world import refuse_demo
    from asleep_pipeline.errors import UsageError
    from asleep_pipeline.privacy.erasure import is_being_erased
    from asleep_pipeline.roster import read_entry
    from asleep_pipeline.settings import load_settings

    given = {
        "user_id": user_id,
        "org_id": org,
        "timezone": timezone,
        "free_days": free_days,
        "sleep_need_s": sleep_need_s,
        "birth_year": birth_year,
        "gender": gender,
        "height_cm": height_cm,
        "weight_kg": weight_kg,
    }
    settings, entry = load_settings(), read_entry(given)
    refuse_demo(settings)
    if is_being_erased(settings, entry.user_id):
        raise UsageError(
            "This user was erased, and stays away.",
            fix="Somebody who comes again gets a new user from Asleep: add that one.",
        )
    if user_id in known_users(settings):
        raise UsageError(
            f"The user {user_id!r} is on the roster already.",
            fix="Import a file that names the user to change what is known.",
        )
    note_deed(settings, "create", "users add", org_id=org, user_id=user_id)
    show_facts(put(settings, [entry]), as_json=as_json)


@users.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show everyone on the roster; who is gone has a deleted_at."""
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.settings import load_settings

    settings = load_settings()
    rows = Lake.open(settings.lake_dir).frame(
        "SELECT * EXCLUDE (shard) FROM lake.users ORDER BY org_id, user_id"
    )
    note_deed(settings, "read", "users list", rows=rows.height)
    show_rows(rows.to_dicts(), as_json=as_json, title="Users")


def put(settings: Settings, entries: Sequence[RosterEntry]) -> dict[str, Any]:
    """Bring entries into the lake's roster, which is made when it is missing.

    Returns:
        How many are new, how many were known, and the organisations that have no key yet.
    """
    from asleep_pipeline.lake.users import DEFAULT_ORGANISATION, put_users
    from asleep_pipeline.orchestration.platform import Platform
    from asleep_pipeline.roster import roster_frame

    lake = Platform(settings).lake()
    new, known = put_users(lake, roster_frame(entries), now=datetime.now(UTC))
    if erased := len(entries) - new - known:
        note(f"Left out: {erased} who were erased; they stay away.")
    return {
        "added": new,
        "updated": known,
        "without_key": _without_key(
            settings, {entry.org_id or DEFAULT_ORGANISATION for entry in entries}
        ),
    }


def known_users(settings: Settings) -> set[str]:
    """The ids on the roster; none when there is no lake yet."""
    from asleep_pipeline.lake import Lake

    if not settings.catalog_path.exists():
        return set()
    return set(Lake.open(settings.lake_dir).frame("SELECT user_id FROM lake.users")["user_id"])


def _without_key(settings: Settings, organisations: set[str]) -> list[str]:
    """The organisations that have no key; says of each how to give it one."""
    from asleep_pipeline.access.keys import key_for
    from asleep_pipeline.errors import ConfigurationError

    missing = []
    for org_id in sorted(organisations):
        try:
            key_for(settings, org_id)
        except ConfigurationError as error:
            note(f"{error.problem} {error.fix}")
            missing.append(org_id)
    return missing
