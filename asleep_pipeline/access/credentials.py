"""What whoever asks may show, and where it is looked up."""

from __future__ import annotations

from dataclasses import dataclass

from asleep_pipeline.access.jwts import Jwts
from asleep_pipeline.access.members import Members
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everything by which somebody can be known; made once for an application.

    Attributes:
        tokens: The API tokens.
        members: Whom an identity provider may speak of.
        jwts: How it does; None when it does not.
    """

    tokens: Tokens
    members: Members
    jwts: Jwts | None

    @classmethod
    def of(cls, settings: Settings) -> Credentials:
        """Those of a deployment."""
        path = settings.access_path
        return cls(Tokens(path), Members(path), Jwts.of(settings))
