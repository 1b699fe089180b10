"""The push path: a durable inbox for webhook events, and what serves it."""

from __future__ import annotations

from typing import Final

DEFAULT_PORT: Final = 8710
"""Where the receiver listens unless told otherwise."""
