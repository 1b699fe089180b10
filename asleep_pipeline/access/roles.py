"""What members of an organisation may do, by role."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from asleep_pipeline.errors import UsageError


class Role(StrEnum):
    """What a member is in an organisation."""

    OWNER = "owner"
    ADMIN = "admin"
    ANALYST = "analyst"
    MEMBER = "member"


class Permission(StrEnum):
    """What a route asks for.

    Attributes:
        OWN: To be somebody who is known: own rows are seen, and those of others where `PEOPLE` says so.
        FIGURES: To see figures of groups, and rows that tell of nobody in particular.
        PEOPLE: To see the rows of every user of the organisation, and to change them.
        MANAGE: To change the organisation: its settings, members, tokens, and to erase.
    """

    OWN = "own"
    FIGURES = "figures"
    PEOPLE = "people"
    MANAGE = "manage"


PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMIN: frozenset({Permission.OWN, Permission.FIGURES, Permission.PEOPLE}),
    Role.ANALYST: frozenset({Permission.OWN, Permission.FIGURES}),
    Role.MEMBER: frozenset({Permission.OWN}),
}
"""What each role may do."""


def check_user(role: Role, user_id: str | None) -> None:
    """Say whether a role and a user belong together.

    Raises:
        UsageError: A member without the user that they are, or somebody else with one.
    """
    if role is Role.MEMBER and not user_id:
        raise UsageError("A member is one of the users.", fix="Name that user (--user).")
    if role is not Role.MEMBER and user_id is not None:
        raise UsageError(
            f"Only a member is one of the users, and the role is {role.value!r}.",
            fix="Leave the user out, or choose the role 'member'.",
        )
