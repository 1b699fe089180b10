"""uvicorn's HTTP protocol, with the connection itself within reach of the application."""

from __future__ import annotations

from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "asleep_simulator.transport"


class OpenProtocol(HttpToolsProtocol):
    """Puts the transport of each request into its ASGI scope, so that faults can break it."""

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[TRANSPORT] = self.transport
