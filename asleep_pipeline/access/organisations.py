"""Organisations and their settings: those that are kept here, and those that hold.

Who runs a deployment may write settings of organisations into the TOML file, which win. What the
organisations themselves change, over HTTP or by `orgs`, is kept in the control database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from asleep_pipeline.access.database import changing, rows
from asleep_pipeline.errors import AccessError, ConflictError, UsageError
from asleep_pipeline.settings import Organisation, OrganisationSettings, Settings
from asleep_pipeline.sleep.parameters import OwnParameters, Parameters


@dataclass(frozen=True, slots=True)
class Organisations:
    """The organisations in the control database; holds no connection.

    Every method raises `AccessError` when the file cannot be used. Without a file there is none.
    """

    path: Path

    def create(self, org_id: str, settings: OrganisationSettings, *, now: datetime) -> None:
        """Keep an organisation.

        Raises:
            ConflictError: It is kept already.
        """
        with changing(self.path) as con:
            made = con.execute(
                "INSERT INTO organisation (org_id, settings, created_at) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                [org_id, _text(settings), now.astimezone(UTC).isoformat()],
            )
        if not made.rowcount:
            raise ConflictError(
                f"There is an organisation {org_id!r} already.",
                fix="`asleep-pipeline orgs set` changes it.",
            )

    def all(self) -> dict[str, OrganisationSettings]:
        """Every organisation, with the settings that it has of its own."""
        found = rows(self.path, "SELECT * FROM organisation ORDER BY org_id")
        return {row["org_id"]: _settings(row) for row in found}

    def change(
        self, org_id: str, changes: Mapping[str, Any], *, now: datetime
    ) -> OrganisationSettings:
        """Change settings of an organisation, which is kept from then on; the others stay.

        Args:
            org_id: The organisation.
            changes: Settings by name; None takes one away, so that the deployment's holds. Of the
                retention, those that are not named stay.
            now: The present, UTC.

        Returns:
            All that it has of its own then.

        Raises:
            UsageError: A setting cannot be used; says which.
        """
        with changing(self.path) as con:
            row = con.execute("SELECT * FROM organisation WHERE org_id = ?", [org_id]).fetchone()
            before = _settings(row).model_dump(exclude_unset=True) if row else {}
            changed = own_settings({**before, **changes, **_kept_days(before, changes)})
            con.execute(
                "INSERT INTO organisation (org_id, settings, created_at) VALUES (?, ?, ?) "
                "ON CONFLICT (org_id) DO UPDATE SET settings = excluded.settings",
                [org_id, _text(changed), now.astimezone(UTC).isoformat()],
            )
        return changed

    def remove(self, org_id: str, *, now: datetime) -> tuple[int, int]:
        """Forget an organisation and its members, and revoke its tokens; its users stay.

        Returns:
            How many members it had, and how many tokens that held.

        Raises:
            UsageError: Neither it nor a member or a token of it is kept.
        """
        with changing(self.path) as con:
            kept = con.execute("DELETE FROM organisation WHERE org_id = ?", [org_id]).rowcount
            members = con.execute("DELETE FROM member WHERE org_id = ?", [org_id]).rowcount
            tokens = con.execute(
                "UPDATE token SET revoked_at = ? WHERE org_id = ? AND revoked_at IS NULL",
                [now.astimezone(UTC).isoformat(), org_id],
            ).rowcount
        if not (kept or members or tokens):
            raise UsageError(
                f"There is no organisation {org_id!r} in the control database.",
                fix="`asleep-pipeline orgs list` shows those that there are.",
            )
        return members, tokens


def own_settings(given: Mapping[str, Any]) -> OrganisationSettings:
    """Settings of an organisation, of their names and values; None is as if not given.

    Raises:
        UsageError: A setting cannot be used; says which.
    """
    try:
        return OrganisationSettings(**{name: v for name, v in given.items() if v is not None})
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False)
        name = ".".join(map(str, first["loc"]))
        said = first.get("ctx", {}).get("error") or f"{first['msg']}."
        raise UsageError(
            f"The setting {name!r} of an organisation cannot be used: {said}",
            fix=f"Correct {name}.",
        ) from None


def organisations(settings: Settings) -> dict[str, Organisation]:
    """The settings of organisations that hold: those of the settings, then those that are kept.

    Raises:
        AccessError: Those that are kept cannot be read.
    """
    kept = Organisations(settings.access_path).all()
    given = settings.organisations
    return {
        org_id: _both(given.get(org_id), kept.get(org_id)) for org_id in sorted({*kept, *given})
    }


def known(settings: Settings, org_id: str) -> Organisation:
    """The settings of one organisation that hold; none of its own when nothing is known of it.

    Raises:
        AccessError: Those that are kept cannot be read.
    """
    return organisations(settings).get(org_id, Organisation())


def decided(settings: Settings, org_id: str) -> frozenset[str]:
    """The names of those settings of an organisation that it cannot change, as the deployment has them."""
    given = settings.organisations.get(org_id, Organisation()).model_fields_set
    return frozenset(given | {f"{name}_file" for name in given})


def parameters(settings: Settings) -> Parameters:
    """What the marts are made with.

    Raises:
        AccessError: The settings of organisations cannot be read.
    """
    own = {
        org_id: OwnParameters(free_days=org.free_days, min_group_size=org.min_group_size)
        for org_id, org in organisations(settings).items()
    }
    common = {name: getattr(settings, name) for name in Parameters.model_fields if name != "own"}
    return Parameters(**common, own=own)


def zones(settings: Settings) -> dict[str, str]:
    """Zone by organisation, for those that have one of their own.

    Raises:
        AccessError: The settings of organisations cannot be read.
    """
    found = organisations(settings).items()
    return {org_id: org.timezone for org_id, org in found if org.timezone}


def _both(given: Organisation | None, kept: OrganisationSettings | None) -> Organisation:
    wins, rest = _own(given), _own(kept)
    # A key that is given wins over the file of one that is kept.
    hidden = {f"{name}_file" for name in wins}
    rest = {name: value for name, value in rest.items() if name not in hidden}
    return Organisation.model_construct(**(rest | wins))


def _kept_days(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    days = changes.get("retention")
    return {} if days is None else {"retention": before.get("retention", {}) | days}


def _own(settings: OrganisationSettings | None) -> dict[str, Any]:
    return {} if settings is None else {n: getattr(settings, n) for n in settings.model_fields_set}


def _text(settings: OrganisationSettings) -> str:
    return settings.model_dump_json(exclude_unset=True)


def _settings(row: sqlite3.Row) -> OrganisationSettings:
    try:
        return OrganisationSettings.model_validate_json(row["settings"])
    except ValidationError as error:
        name = error.errors()[0]["loc"]
        raise AccessError(
            f"The settings of {row['org_id']!r} in the control database cannot be used: {name}.",
            fix="Set them anew: `asleep-pipeline orgs set`.",
        ) from None
