"""Words that stand for a secret in documentation, and must never be one."""

from __future__ import annotations

from base64 import b64decode
from typing import Final

SHORTEST: Final = 8
"""A shorter key could be guessed; those of the vendor are far longer."""

_WHOLE: Final = frozenset({"simulator", "password", "api-key", "apikey"})
_PARTS: Final = (
    "...",
    "…",
    "<",
    "change-me",
    "change_me",
    "changeme",
    "example",
    "placeholder",
    "replace-me",
    "replace_me",
    "replaceme",
    "your-key",
    "your_key",
    "yourkey",
    "your-api",
    "your_api",
    "your-secret",
    "your_secret",
    "your-old-key",
)
# From the documentation of Standard Webhooks and of its libraries.
_PUBLISHED: Final = frozenset(
    {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "C2FVsBQIhrscChlQIMV+b5sSYob7oNuj"}
)
_SIGNING: Final = "whsec_"


def is_example(secret: str) -> bool:
    """Whether a secret is too short, too simple or a word that documentation would use."""
    text = secret.strip().removeprefix(_SIGNING)
    return text in _PUBLISHED or _is_plain(text) or _is_plain(_decoded(secret))


def _is_plain(text: str) -> bool:
    folded = text.casefold()
    return (
        len(text) < SHORTEST
        or len(set(folded)) <= SHORTEST // 2
        or folded in _WHOLE
        or any(part in folded for part in _PARTS)
        or not folded.replace("secret", "").strip("-_ ")
    )


def _decoded(secret: str) -> str:
    """What the base64 of a signing secret says; the secret itself where there is none."""
    if not secret.startswith(_SIGNING):
        return secret
    try:
        return b64decode(secret.removeprefix(_SIGNING)).decode()
    except ValueError:
        return secret
