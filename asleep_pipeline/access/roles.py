"""What members of an organisation may do, by role."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


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
