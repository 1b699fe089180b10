"""From a request's `Authorization` header to who asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from asleep_pipeline.access.tokens import Tokens

CHALLENGE: Final = 'Bearer realm="asleep-pipeline"'
"""What a refusal says of how to ask, in `WWW-Authenticate`."""

_BEARER: Final = re.compile(r"bearer +([\x21-\x7e]{1,512})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        org_id: The organisation whose users they may see.
        token_id: The token that they have shown.
    """

    org_id: str
    token_id: int


class NotAuthenticated(Exception):  # noqa: N818 -- it is an answer, and a normal one
    """Nobody who is known asks; a stranger learns nothing from the difference of cases."""


def authenticate(header: str | None, tokens: Tokens) -> Caller:
    """Say who asks.

    Args:
        header: The `Authorization` header, of which there is exactly one; None otherwise.
        tokens: The tokens that hold.

    Raises:
        NotAuthenticated: It bears no token, or none that holds.
        AccessError: The tokens cannot be read.
    """
    found = _BEARER.fullmatch(header or "")
    token = tokens.find(found[1]) if found else None
    if token is None:
        raise NotAuthenticated
    return Caller(token.org_id, token.id)


def is_still_known(caller: Caller, tokens: Tokens) -> bool:
    """Whether the token of a caller holds still, for what goes on after the request.

    Raises:
        AccessError: The tokens cannot be read.
    """
    return tokens.is_valid(caller.token_id)
