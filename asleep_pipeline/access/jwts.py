"""Bearer JWTs of an identity provider: whom they speak of, when they hold.

A JWT says who somebody is, never what they may: that is looked up (`members`). Which algorithm holds is
decided by the key and not by the token, so that neither `none` nor a public key that is used as a
shared secret passes.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import jwt
import msgspec

from asleep_pipeline.access.key_server import KeyServer
from asleep_pipeline.settings import Settings

LONGEST: Final = 8_192
"""Characters of a JWT; a longer one is not even looked at."""

_LEEWAY_S: Final = 10
"""How far the clocks of the identity provider and of this machine may be apart."""
_REQUIRED: Final = ("exp", "aud", "sub")
_LONGEST_NAME: Final = 255


class Keys(Protocol):
    """By which JWTs are checked."""

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of that name, or the only key there is; None when there is none.

        Raises:
            AccessError: The keys cannot be had just now.
        """


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """The one key of who makes the JWTs and who checks them: HS256."""

    key: jwt.PyJWK

    @classmethod
    def of(cls, secret: str) -> SharedSecret:
        """The key that a secret is."""
        encoded = urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
        return cls(jwt.PyJWK({"kty": "oct", "alg": "HS256", "k": encoded}))

    def find(self, kid: str | None) -> jwt.PyJWK | None:  # noqa: ARG002 -- it has no name
        """See `Keys`."""
        return self.key


@dataclass(frozen=True, slots=True)
class Claims:
    """What a JWT says, which has been checked.

    Attributes:
        subject: How the identity provider names whom it speaks of.
        org_id: The organisation that they ask for; None when it names none.
        expires_at: Until when it holds, UTC.
    """

    subject: str
    org_id: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Jwts:
    """The JWTs that one deployment takes.

    Attributes:
        keys: By which they are signed.
        audience: For whom they must be made.
        issuer: By whom they must be made; anybody who has the key, when None.
    """

    keys: Keys
    audience: str
    issuer: str | None

    @classmethod
    def of(cls, settings: Settings) -> Jwts | None:
        """As the settings say; None when they say that there are none."""
        keys: Keys
        if settings.jwt_secret:
            keys = SharedSecret.of(settings.jwt_secret.get_secret_value())
        elif settings.jwt_jwks_url:
            keys = KeyServer(settings.jwt_jwks_url)
        else:
            return None
        assert settings.jwt_audience is not None, "the settings ask for it"
        return cls(keys, settings.jwt_audience, settings.jwt_issuer)

    def read(self, token: str) -> Claims | None:
        """What a JWT says; None when it does not hold, whatever the reason.

        Raises:
            AccessError: The keys cannot be had just now.
        """
        if len(token) > LONGEST:
            return None
        header = _header(token)
        key = None if header is None else self.keys.find(header.kid)
        if header is None or key is None or header.alg != key.algorithm_name:
            return None
        try:
            return _claims(self._checked(token, key))
        except (jwt.PyJWTError, ValueError, OverflowError, OSError):
            return None

    def _checked(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=self.audience,
            issuer=self.issuer,
            leeway=_LEEWAY_S,
            options={"require": list(_REQUIRED), "enforce_minimum_key_length": True},
        )


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None


def _header(token: str) -> _Header | None:
    """What a JWT says of itself, which nobody has checked."""
    head = token.partition(".")[0]
    try:
        given = urlsafe_b64decode(head + "=" * (-len(head) % 4))
        return msgspec.json.decode(given, type=_Header)
    # Deep nesting is a recursion.
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _claims(given: dict[str, Any]) -> Claims | None:
    subject, org_id = given["sub"], given.get("org_id")
    if not _is_name(subject) or not (org_id is None or _is_name(org_id)):
        return None
    return Claims(subject, org_id, datetime.fromtimestamp(int(given["exp"]), UTC))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME
