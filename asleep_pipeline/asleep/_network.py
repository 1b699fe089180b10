"""The network by aiohttp, kept to the client's promises.

Neither httpx's own connections (five times the CPU) nor httpx-aiohttp, which lets aiohttp write
`;` and `+` of a quoted id out again and send a failed request again by itself, and takes a lost
connection for one that was never made, so that a user might be created twice.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

from asleep_pipeline.asleep._seam import Content, Incoming
from asleep_pipeline.errors import ConfigurationError

# Waiting for a connection has no limit: the client hands out no more requests than connections.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=10.0, sock_read=30.0)
_KEPT_S: Final = 5.0
_UNSENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
)


class Network:
    """A pool of connections to one address, for one event loop; a `Connections`.

    No redirect is followed, no cookie kept, nothing sent twice; certificates are verified. A proxy
    is taken from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) once.

    Args:
        base_url: Where all requests go.
        max_connections: Size of the pool.

    Raises:
        ConfigurationError: The environment names a proxy that cannot be used.
    """

    def __init__(self, base_url: httpx.URL, max_connections: int) -> None:
        self._tls = _tls() if base_url.scheme == "https" else False
        self._proxy = _proxy(base_url)
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, address: str, headers: Mapping[str, str], content: Content
    ) -> Incoming:
        """See `Connections`."""
        self._session = self._session or self._opened()
        response = await self._session.request(
            method,
            # Quoted as it is; aiohttp would write out what is harmless in its eyes.
            URL(address, encoded=True),
            headers=headers,
            data=content,
            allow_redirects=False,
        )
        return _Incoming(response)

    async def close(self) -> None:
        """See `Connections`."""
        if self._session:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._max_connections, keepalive_timeout=_KEPT_S, ssl=self._tls
        )
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            skip_auto_headers=["content-type"],
            # A cookie set for one user must not travel with the request of another.
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[_sent_once],
            proxy=self._proxy,
            timeout=_TIMEOUT,
        )


class _Incoming:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    async def chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _meant(error)(type(error).__name__) from None

    async def close(self) -> None:
        self._response.release()


async def _sent_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Say what became of the request by an error that aiohttp does not know.

    Its own it would meet by sending the request again, past the budget and the counters.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientError, OSError) as error:
        raise _meant(error)(type(error).__name__) from None


def _meant(error: Exception) -> type[httpx.TransportError]:
    if isinstance(error, _UNSENT):
        return httpx.ConnectError
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout
    return httpx.ReadError if isinstance(error, OSError) else httpx.RemoteProtocolError


@cache
def _tls() -> ssl.SSLContext:
    """Loaded once a process: reading all certificates takes 20 ms."""
    return httpx.create_ssl_context()


def _proxy(base_url: httpx.URL) -> str | None:
    """The proxy's address, with its user and password."""
    try:
        return _named_proxy(base_url)
    except (ValueError, httpx.InvalidURL):
        pass
    # Raised here, where nothing holds its address: a password may be in it.
    raise ConfigurationError(
        "The environment names a proxy that is not an HTTP proxy.",
        fix="Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name the API's host in NO_PROXY.",
    )


def _named_proxy(base_url: httpx.URL) -> str | None:
    named = getproxies()
    address = named.get(base_url.scheme) or named.get("all")
    if not address or proxy_bypass(base_url.netloc.decode()):
        return None
    url = httpx.URL(address if "://" in address else f"http://{address}")
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError
    # What aiohttp cannot use must be met here, too.
    return str(URL(str(url)))
