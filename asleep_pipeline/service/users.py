"""What the API takes and gives of a user."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar.exceptions import HTTPException
from msgspec import UNSET, Meta, UnsetType

from asleep_pipeline.access.app_users import AppUser
from asleep_pipeline.asleep import Metadata as Whole
from asleep_pipeline.service.roster import Row
from asleep_pipeline.zones.names import is_zone

_LEAP_YEAR: Final = 2000
_COLUMNS: Final = {
    "birth_year": "birth_year",
    "gender": "gender",
    "height": "height_cm",
    "weight": "weight_kg",
}
"""The roster's columns by Asleep's names; it has none for month and day of birth."""

_Gender: TypeAlias = Literal["male", "female", "non_binary", "other", "prefer_not_to_say"]
_Free: TypeAlias = Annotated[
    list[Annotated[int, Meta(ge=1, le=7)]],
    Meta(max_length=7, description="Days off as ISO weekdays, Monday is 1.", examples=[[6, 7]]),
]
_Need: TypeAlias = Annotated[
    int, Meta(ge=1, le=86_400, description="Sleep the user needs a night, in s.", examples=[28_800])
]
_Zone: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        description="Home zone (IANA), for sessions that name none.",
        examples=["Asia/Seoul"],
    ),
]
_AppUserId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[!-~]{1,256}$",
        description="The app's own id of the user: 1 to 256 visible ASCII characters.",
        examples=["user-4711"],
    ),
]


class Metadata(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is known of a user, within Asleep's limits; null is "not known".

    Attributes:
        height: In cm, one decimal at most.
        weight: In kg, one decimal at most.
    """

    birth_year: Annotated[int, Meta(ge=1900)] | UnsetType | None = UNSET
    birth_month: Annotated[int, Meta(ge=1, le=12)] | UnsetType | None = UNSET
    birth_day: Annotated[int, Meta(ge=1, le=31)] | UnsetType | None = UNSET
    gender: _Gender | UnsetType | None = UNSET
    height: Annotated[float, Meta(ge=0, le=300, description="cm")] | UnsetType | None = UNSET
    weight: Annotated[float, Meta(ge=0, le=1000, description="kg")] | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """Look at what no schema can say."""
        if (self.birth_year or 0) > datetime.now(UTC).year:
            raise ValueError("birth_year lies in the future")
        if (self.birth_day or 1) > _days(self.birth_year, self.birth_month):
            raise ValueError("birth_day is no day of that month")
        for name in ("height", "weight"):
            value = getattr(self, name) or 0
            if round(value, 1) != value:
                raise ValueError(f"{name} has more than one decimal")

    @property
    def given(self) -> dict[str, Any]:
        """What was said, by name; null is said as well."""
        return {
            name: v for name in self.__struct_fields__ if (v := getattr(self, name)) is not UNSET
        }

    @property
    def columns(self) -> dict[str, Any]:
        """What the roster keeps of it, by column."""
        return {_COLUMNS[name]: value for name, value in self.given.items() if name in _COLUMNS}

    def over(self, known: Whole | None) -> Whole:
        """All that is known when this is said: Asleep does not promise to merge.

        Raises:
            Contradiction: What is said does not go with what was known.
        """
        whole = msgspec.structs.replace(known or Whole(), **self.given)
        day, month = whole.birth_day or 1, whole.birth_month
        if day > _days(whole.birth_year, month):
            raise Contradiction("metadata: birth_day is no day of the month that is known.")
        return whole


class NewUser(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A user of an app who is to have an id at Asleep."""

    app_user_id: _AppUserId
    metadata: Metadata | None = None


class Change(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is to be different; what is left out stays, and null takes away."""

    metadata: Metadata | UnsetType = UNSET
    timezone: _Zone | UnsetType | None = UNSET
    free_days: _Free | UnsetType | None = UNSET
    sleep_need_s: _Need | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """Look at what no schema can say."""
        if isinstance(self.timezone, str) and not is_zone(self.timezone):
            raise ValueError("timezone is no IANA zone")

    @property
    def columns(self) -> dict[str, Any]:
        """The roster's columns that are to be different."""
        said = {name: getattr(self, name) for name in ("timezone", "free_days", "sleep_need_s")}
        columns = {name: value for name, value in said.items() if value is not UNSET}
        if columns.get("free_days") is not None:
            columns["free_days"] = sorted(set(columns["free_days"]))
        return columns | ({} if self.metadata is UNSET else self.metadata.columns)


class KnownMetadata(msgspec.Struct, kw_only=True):
    """What is kept here of a user's metadata; month and day of birth are at Asleep only."""

    birth_year: int | None
    gender: str | None
    height: Annotated[float | None, Meta(description="cm")]
    weight: Annotated[float | None, Meta(description="kg")]


class User(msgspec.Struct, kw_only=True):
    """A user of the organisation."""

    user_id: Annotated[str, Meta(description="Asleep's id.")]
    app_user_id: Annotated[str | None, Meta(description="The app's id; null: not created here.")]
    created_at: Annotated[datetime, Meta(description="When the user became known here, UTC.")]
    timezone: Annotated[str | None, Meta(description="Home zone (IANA); null: not known.")]
    free_days: Annotated[
        list[int] | None, Meta(description="Days off, Monday is 1; null: the organisation's.")
    ]
    sleep_need_s: Annotated[
        int | None, Meta(description="Sleep needed a night, in s; null: the organisation's.")
    ]
    metadata: KnownMetadata
    gone_at: Annotated[
        datetime | None,
        Meta(description="When Asleep first said that the user is gone, UTC; null while there."),
    ]
    lost_attempts: Annotated[
        int,
        Meta(
            description="Earlier attempts to create the user of which nobody knows the outcome: "
            "at most so many users without a session are left at Asleep."
        ),
    ]


class Deletion(msgspec.Struct, kw_only=True):
    """A deletion that is under way."""

    erasure_id: Annotated[str, Meta(description="Names the erasure, which ends with a receipt.")]
    requested_at: Annotated[datetime, Meta(description="When it was first asked for, UTC.")]


class Contradiction(HTTPException):
    """A change that does not go with what is known."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY


def told(row: Row | None, app_user: AppUser | None, user_id: str) -> User:
    """A user, by what the roster and the mapping say; one of them may say nothing yet."""
    row = row or {}
    created_at = app_user.created_at if app_user else row.get("first_seen_at")
    return User(
        user_id=user_id,
        app_user_id=app_user.app_user_id if app_user else None,
        created_at=created_at or datetime.now(UTC),
        timezone=row.get("timezone"),
        free_days=row.get("free_days"),
        sleep_need_s=row.get("sleep_need_s"),
        metadata=KnownMetadata(**{name: row.get(column) for name, column in _COLUMNS.items()}),
        gone_at=row.get("deleted_at"),
        lost_attempts=app_user.lost_attempts if app_user else 0,
    )


def _days(year: Any, month: Any) -> int:
    """How many days a month has, which may not be known: then the most that it could have."""
    return monthrange(year or _LEAP_YEAR, month)[1] if month else 31
