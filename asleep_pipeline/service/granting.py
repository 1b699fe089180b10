"""What the routes of members and tokens have in common: who is given what, and what stands against it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeAlias

from litestar import Request
from litestar.exceptions import HTTPException, PermissionDeniedException
from litestar.params import PathParameter
from msgspec import Meta

from asleep_pipeline.access.roles import Role, check_user
from asleep_pipeline.errors import ConflictError, UsageError
from asleep_pipeline.service.admission import admit_to_user, caller_of
from asleep_pipeline.service.problems import NotFound, Unacceptable

_LARGEST: Final = 2**53 - 1
"""The largest whole number that every reader of JSON has."""

Number: TypeAlias = Annotated[
    int, PathParameter(ge=1, le=_LARGEST, description="As the list tells it.")
]
Given: TypeAlias = Annotated[Role, Meta(description="What they may do.", examples=["analyst"])]
Name: TypeAlias = Annotated[
    str,
    Meta(
        # `$` alone would let a line's end follow.
        pattern=r"^[^\u0000-\u001f\u007f]{0,254}[^\u0000-\u0020\u007f]$(?!\n)",
        description="1 to 255 characters, and no control characters.",
        examples=["auth0|4711"],
    ),
]
UserId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[!-~]{1,256}$",
        description="The user that they are, of the role member; null of the others.",
        examples=["G-20260101000000-abcdefghijklmnopqrst"],
    ),
]


class Conflict(HTTPException):
    """What is there already stands against it."""

    status_code = HTTPStatus.CONFLICT


def check_grant(request: Request[Any, Any, Any], role: Role, user_id: str | None) -> None:
    """Say whether a caller may make somebody what a role says; reads files.

    Raises:
        PermissionDeniedException: It would be more than the caller is.
        Unacceptable: It is a member without user, somebody else with one, or none of the
            organisation's users.
    """
    caller = caller_of(request)
    if not caller.may_give(role):
        raise PermissionDeniedException
    try:
        check_user(role, user_id)
        if user_id is not None:
            admit_to_user(request, caller, user_id)
    except UsageError as error:
        raise Unacceptable(f"user_id: {error.problem}") from None
    except NotFound:
        raise Unacceptable("user_id: The organisation has no such user.") from None


@contextmanager
def answered() -> Iterator[None]:
    """Turn what the control database says into answers.

    Raises:
        Conflict: What is there already stands against it.
        NotFound: The organisation has no such thing.
    """
    try:
        yield
    except ConflictError as error:
        raise Conflict(error.problem) from None
    except UsageError:
        raise NotFound from None
