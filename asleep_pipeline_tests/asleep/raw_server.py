"""A server that answers with raw bytes."""

from __future__ import annotations

import asyncio
import json

BODY = json.dumps({"detail": "OK", "result": {"user_id": "u"}}).encode()


def head(*lines: str, status: str = "200 OK") -> bytes:
    """The head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


WHOLE = head(f"content-length: {len(BODY)}") + BODY


class Server:
    """Gives each connection the next of some raw answers, then the last one again."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.heads: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while asked := await self._head(reader):
            self.heads.append(asked)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            writer.write(answer)
            await writer.drain()
            if answer != WHOLE:
                return

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
