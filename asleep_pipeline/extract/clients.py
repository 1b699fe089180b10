"""One API client for every organisation, opened together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from asleep_pipeline.asleep import AsleepClient, Counters

ClientOf = Callable[[str], AsleepClient]


@dataclass(slots=True, kw_only=True)
class Clients(Counters):
    """How to reach the API for each organisation; counts what the clients did once they are closed.

    Attributes:
        keys: The API key by organisation.
        base_url: Where the API answers.
        max_connections: Connections of one client.
        requests_per_second: Most requests a second and key; learned when None.
        budget_file: The request budget shared by all processes of the machine.
    """

    keys: dict[str, SecretStr]
    base_url: str
    max_connections: int
    requests_per_second: float | None
    budget_file: Path

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ClientOf]:
        """Open every client; yields a function from an organisation to its client."""
        async with AsyncExitStack() as stack:
            opened = {
                org_id: await stack.enter_async_context(self._client(org_id, key))
                for org_id, key in self.keys.items()
            }
            try:
                yield opened.__getitem__
            finally:
                for client in opened.values():
                    self.add(client.counters)

    def _client(self, org_id: str, key: SecretStr) -> AsleepClient:
        return AsleepClient(
            key,
            base_url=self.base_url,
            max_connections=self.max_connections,
            requests_per_second=self.requests_per_second,
            budget_file=self.budget_file,
            organisation=org_id,
        )
