"""`/v1/organisation`: the settings of the caller's organisation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Request, get, patch
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from asleep_pipeline.access.organisations import Organisations, decided, known, own_settings
from asleep_pipeline.access.roles import Permission
from asleep_pipeline.errors import UsageError
from asleep_pipeline.service.admission import NEEDS, SETTINGS, caller_of
from asleep_pipeline.service.granting import Conflict
from asleep_pipeline.service.problems import Unacceptable
from asleep_pipeline.settings import Settings

_Request = Request[Any, Any, Any]
_Zone: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        description="Zone (IANA) of nights whose own and whose user's zone are unknown.",
        examples=["Asia/Seoul"],
    ),
]
_FreeDays: TypeAlias = Annotated[
    list[Annotated[int, Meta(ge=1, le=7)]],
    Meta(
        max_length=7,
        description="Days off of users without their own, as ISO weekdays, Monday is 1.",
        examples=[[6, 7]],
    ),
]
_Size: TypeAlias = Annotated[
    int, Meta(ge=1, le=1_000_000, description="Smaller groups are suppressed.", examples=[5])
]
_Days: TypeAlias = Annotated[int, Meta(ge=1, le=36_500, examples=[365])]


class Retention(msgspec.Struct):
    """For how many days what is kept; null is for ever.

    Attributes:
        raw: Answers of Asleep, as they came.
        sessions: Nights, and everything that is made of them.
        inbox: Webhooks.
        audit: Who has done what.
    """

    raw: int | None
    sessions: int | None
    inbox: int | None
    audit: int | None


class Organisation(msgspec.Struct):
    """What holds for an organisation.

    Attributes:
        timezone: Zone (IANA) of nights whose own and whose user's zone are unknown.
        free_days: Days off of users without their own, as ISO weekdays, Monday is 1.
        min_group_size: Smaller groups are suppressed.
        decided_elsewhere: Names of those that only who runs the service can change.
    """

    org_id: str
    timezone: str
    free_days: list[int]
    min_group_size: int
    retention: Retention
    decided_elsewhere: list[str]


class RetentionChange(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Days; null keeps for ever, and what is left out stays."""

    raw: _Days | UnsetType | None = UNSET
    sessions: _Days | UnsetType | None = UNSET
    inbox: _Days | UnsetType | None = UNSET
    audit: _Days | UnsetType | None = UNSET


class OrganisationChange(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Settings to change; null takes back what the organisation has of its own, and what is left out stays."""

    timezone: _Zone | UnsetType | None = UNSET
    free_days: _FreeDays | UnsetType | None = UNSET
    min_group_size: _Size | UnsetType | None = UNSET
    retention: RetentionChange | UnsetType | None = UNSET


@get("/organisation", opt={NEEDS: Permission.PEOPLE}, sync_to_thread=True)
def get_organisation(request: _Request) -> Organisation:
    """The settings of the caller's organisation."""
    return _told(_settings(request), caller_of(request).org_id)


@patch("/organisation", opt={NEEDS: Permission.MANAGE}, raises=[Conflict], sync_to_thread=True)
def change_organisation(request: _Request, data: JSONBody[OrganisationChange]) -> Organisation:
    """Change settings. Figures follow with the next publication, nights that were read keep their zone."""
    settings, org_id = _settings(request), caller_of(request).org_id
    changes = _given(data)
    if fixed := sorted(decided(settings, org_id) & set(changes)):
        raise Conflict(f"Who runs the service has decided: {', '.join(fixed)}.")
    try:
        own_settings(changes)
    except UsageError as error:
        raise Unacceptable(error.problem) from None
    Organisations(settings.access_path).change(org_id, changes, now=datetime.now(UTC))
    return _told(settings, org_id)


ORGANISATION_ROUTES: Final = (get_organisation, change_organisation)


def _settings(request: _Request) -> Settings:
    settings: Settings = request.app.state[SETTINGS]
    return settings


def _given(data: OrganisationChange) -> dict[str, Any]:
    given: dict[str, Any] = msgspec.to_builtins(data)
    return given


def _told(settings: Settings, org_id: str) -> Organisation:
    own = known(settings, org_id)
    mine = set(OrganisationChange.__struct_fields__)
    return Organisation(
        org_id,
        own.timezone or settings.timezone,
        list(settings.free_days if own.free_days is None else own.free_days),
        own.min_group_size or settings.min_group_size,
        Retention(**own.retention.model_dump()),
        sorted(decided(settings, org_id) & mine),
    )
