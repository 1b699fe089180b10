"""TLS as commands that serve are told of it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asleep_pipeline.cli._output import note
from asleep_pipeline.errors import UsageError

if TYPE_CHECKING:
    from asleep_pipeline.listener import Certificate


def certificate_of(cert: Path | None, key: Path | None) -> Certificate | None:
    """What was given for TLS; None when nothing was.

    Raises:
        UsageError: One was given without the other.
    """
    from asleep_pipeline.listener import Certificate

    if cert and key:
        return Certificate(cert, key)
    if cert or key:
        raise UsageError(
            "TLS needs a certificate and its key.", fix="Give both --cert and --key, or neither."
        )
    return None


def warn_if_readable(host: str, certificate: Certificate | None, what: str) -> None:
    """Say so when what is sent would cross the network readable.

    Args:
        host: Address to listen on.
        certificate: For TLS.
        what: Could be read, as a plural.
    """
    from asleep_pipeline.loopback import is_loopback

    if not certificate and not is_loopback(host):
        note(
            f"Warning: {host} can be reached from elsewhere, and {what} would cross the network "
            "readable. Give --cert and --key, unless a proxy before it speaks TLS."
        )
