"""Whom the pipeline calls by itself: addresses out of its settings, and never where an answer points."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import asleep_pipeline
from asleep_pipeline.cli._checks import check_api
from asleep_pipeline.errors import ConfigurationError, UsageError
from asleep_pipeline.settings import load_settings
from asleep_pipeline.simulator.posting import Poster

PACKAGE = Path(asleep_pipeline.__file__).parent
_CLIENTS = re.compile(
    r"^\s*(?:import|from) (?:httpx|aiohttp|requests|urllib3|urllib\.request|http\.client)\b",
    re.MULTILINE,
)
CALLERS = {
    # The API, at `base_url`.
    "asleep/_http.py",
    "asleep/_network.py",
    "asleep/_seam.py",
    "asleep/client.py",
    "asleep/passing.py",
    # `doctor`: the API, without a key.
    "cli/_checks.py",
    # `ui`: Dagster's server on 127.0.0.1, which it has started.
    "cli/ui.py",
    # `webhooks send --url` and the simulator's target.
    "simulator/posting.py",
    # JWKS, at `jwt_jwks_url`.
    "access/key_server.py",
    # The proxy for apps, to `base_url` only.
    "service/proxy.py",
}
"""Every module that can open a connection, and to where."""


@contextmanager
def pointing_elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that redirects everybody to another path of it; its address, and the paths it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_HEAD  # noqa: N815 -- as the library wants it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_no_other_module_calls_anybody() -> None:
    """Whoever adds one decides here where it may connect to."""
    found = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if _CLIENTS.search(file.read_text(encoding="utf-8"))
    }
    assert found <= CALLERS


@pytest.mark.parametrize(
    "url",
    [
        "http://api.asleep.ai",
        "http://10.0.0.5",
        "http://169.254.169.254/latest",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://0177.0.0.1",
        "https://me@api.asleep.ai",
        "https://me:word@api.asleep.ai",
        "https://api.asleep.ai?to=elsewhere",
        "https://api.asleep.ai#part",
        "file:///etc/passwd",
        "ftp://api.asleep.ai",
        "gopher://127.0.0.1:25",
        "//api.asleep.ai",
        "https://",
        "https://[::1",
    ],
)
def test_addresses_that_no_key_is_sent_to(url: str) -> None:
    """Plain HTTP leaves this machine for nobody, and no address holds more than a place."""
    with pytest.raises(ConfigurationError, match="base_url"):
        load_settings(base_url=url)


def test_doctor_follows_no_redirect() -> None:
    """The API, or whoever answers in its place, cannot make it ask elsewhere."""
    with pointing_elsewhere() as (url, asked):
        first = next(iter(check_api(load_settings(base_url=url))))
    assert first.status == "ok"
    assert asked == ["/"]


def test_a_sender_of_webhooks_follows_no_redirect() -> None:
    """The key that goes along stays with the receiver that was named."""
    with pointing_elsewhere() as (url, asked):
        poster = Poster(f"{url}/hook", patience_s=0)
        assert poster.post(b"{}", {"x-api-key": "a-key"}).status == 302
        poster.close()
    assert asked == ["/hook"]


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/hook", "file:///hook", "http://me:word@127.0.0.1/hook", "http:///hook"]
)
def test_receivers_that_are_none(url: str) -> None:
    """Only HTTP, and no user name in an address."""
    with pytest.raises(UsageError):
        Poster(url, patience_s=0)
