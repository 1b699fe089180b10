"""`keys`: encryption of what is stored, by keys that are kept elsewhere."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asleep_pipeline.cli._noting import note_deed
from asleep_pipeline.cli._output import AsJson, note, show_facts

if TYPE_CHECKING:
    from asleep_pipeline.privacy.keys import Keys, KeysStatus
    from asleep_pipeline.settings import Settings

keys = typer.Typer(
    help="Encryption of what is stored, by master keys in a file outside the data folder.",
    no_args_is_help=True,
)


@keys.command()
def create(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="To make, outside the data folder.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a file with a master key; name it by `encryption_key_file` to switch encryption on."""
    from asleep_pipeline.privacy.master_keys import create_master_keys

    made = create_master_keys(file.absolute())
    show_facts({"file": file.absolute(), "newest": made.newest}, as_json=as_json)
    note("Keep a copy elsewhere: without it, nothing that is encrypted can be read again.")


@keys.command()
def status(*, as_json: AsJson = False) -> None:
    """Show how many users have a key, and by which master keys they are wrapped."""
    show_facts(_facts(_keys(_settings()).status()), as_json=as_json)


@keys.command()
def rotate(*, as_json: AsJson = False) -> None:
    """Wrap all keys by a new master key; no data is touched, and everything goes on meanwhile.

    With a newer master key in the file that does not wrap all keys yet, wrap them by that one.
    """
    show_facts(_facts(_keys(_settings()).rotate()), as_json=as_json)
    note(
        "Once every process has met the new key, the old line may go from the file and its copies."
    )


@keys.command()
def encrypt(*, as_json: AsJson = False) -> None:
    """Encrypt what was stored before encryption was switched on; can be run again after a crash."""
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.lake.encrypting import encrypt as encrypt_lake
    from asleep_pipeline.webhooks.inbox import Inbox

    settings = _settings()
    _keys(settings)
    done = encrypt_lake(Lake.open(settings.lake_dir)) if settings.catalog_path.exists() else {}
    events = Inbox(settings.inbox_path).encrypt() if settings.inbox_path.exists() else 0
    _publish(settings)
    show_facts(done | {"webhooks": events}, as_json=as_json)


@keys.command()
def forget(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Delete a user's key: what is stored of the user cannot be read any more, in no copy either."""
    from asleep_pipeline.privacy.keys import forget as forget_key

    settings = _settings()
    _keys(settings)
    note_deed(settings, "erase", "keys forget", user_id=user)
    was_there = forget_key(settings, user)
    if was_there:
        _publish(settings)
    show_facts({"forgotten": was_there}, as_json=as_json)


@keys.command()
def warehouse(
    *,
    show_key: Annotated[bool, typer.Option("--show-key", help="Write the key itself.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how analysts open the published file, which is encrypted as a whole."""
    settings = _settings()
    key = _keys(settings).file_keys()[0] if show_key else "<KEY>"
    if show_key:
        note_deed(settings, "read", "keys warehouse")
    file = str(settings.warehouse_path).replace("'", "''")
    show_facts(
        {
            "key": key,
            "sql": f"ATTACH '{file}' AS asleep (READ_ONLY, ENCRYPTION_KEY '{key}'); USE asleep",
        },
        as_json=as_json,
    )


def _settings() -> Settings:
    from asleep_pipeline.settings import load_settings

    return load_settings()


def _keys(settings: Settings) -> Keys:
    from asleep_pipeline.errors import ConfigurationError
    from asleep_pipeline.privacy.keys import keys_of

    found = keys_of(settings.data_dir)
    if found is None:
        raise ConfigurationError(
            "Encryption is off.",
            fix="Set encryption_key_file; `asleep-pipeline keys create FILE` makes such a file.",
        )
    return found


def _publish(settings: Settings) -> None:
    """Publish, which makes another file where the key is another one."""
    from asleep_pipeline.access.organisations import parameters
    from asleep_pipeline.lake import Lake
    from asleep_pipeline.warehouse import publish

    if settings.warehouse_path.exists():
        lake = Lake.open(settings.lake_dir)
        publish(lake, settings.warehouse_path, parameters=parameters(settings))


def _facts(status: KeysStatus) -> dict[str, Any]:
    return {
        "newest": status.newest,
        "users": status.users,
        "wrapped_by": dict(status.wrapped_by),
    }
