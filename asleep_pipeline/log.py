"""One way to log: events with values, on stderr, for a person at a terminal or as JSON lines."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

import stamina
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRET_KEYS = frozenset({"api_key", "authorization", "x-api-key", "x_api_key"})


def configure_logging(*, verbose: bool = False) -> None:
    """Send structlog's events to stderr: coloured lines on a terminal, else one JSON object a line.

    Args:
        verbose: Show debug events (every request) and tracebacks as well.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            drop_secrets,
            *_renderers(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Each request has its own line; stamina's would repeat the error's text, the vendor's words too.
    stamina.instrumentation.set_on_retry_hooks([])


def drop_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out every value that is filed under the name of a credential, at any depth."""
    return {key: _without_secrets(value) for key, value in event.items() if not _is_secret(key)}


def _without_secrets(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_secrets(item) for key, item in value.items() if not _is_secret(key)}
    return value


def _is_secret(key: object) -> bool:
    return str(key).lower() in _SECRET_KEYS


def _renderers() -> list[Processor]:
    # Neither renderer shows the locals of a traceback's frames: they may hold a key.
    if sys.stderr.isatty():
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
