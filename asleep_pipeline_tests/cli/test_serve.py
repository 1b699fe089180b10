"""`asleep-pipeline serve` as a process: how it begins, what it shows, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.settings import load_settings
from asleep_pipeline_tests.certificates import make_certificate
from asleep_pipeline_tests.service.wire import ask, connected
from asleep_pipeline_tests.webhooks.senders import KEY, Sender

_PATIENCE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Served:
    """An API in a process of its own.

    Attributes:
        url: Where it answers, without a final slash.
        folder: Where it runs.
    """

    process: subprocess.Popen[str]
    url: str
    folder: Path

    def end(self) -> tuple[int, str]:
        """Ask it to end; its exit code, and what it wrote to stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=_PATIENCE_S)
        return self.process.returncode, err

    def token(self) -> str:
        """A credential of an organisation."""
        path = load_settings(data_dir=self.folder / "data").access_path
        return Tokens(path).create("acme", "test", now=datetime.now(UTC))[1]


def command(folder: Path, *options: str) -> subprocess.Popen[str]:
    """`serve` as its own process in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "asleep_pipeline.cli", "serve", "--json", "--port", "0", *options],
        cwd=folder,
        env={**os.environ, "ASLEEP_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Served]:
    """An API that answers."""
    process = command(folder, *options)
    try:
        assert process.stdout
        said = ""
        while not said.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()
            said += line
        yield Served(process, json.loads(said)["url"].removesuffix("/v1"), folder)
    finally:
        process.kill()
        process.communicate()


def a_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def test_one_process_serves_the_api_and_the_webhooks(tmp_path: Path) -> None:
    """What counts requests is shown on a port of this machine alone."""
    port = a_port()
    with served(tmp_path, "--webhooks", "--metrics-port", str(port)) as api:
        assert [ask(api.url, "GET", path).status for path in ("/live", "/ready")] == [200, 200]
        assert ask(api.url, "GET", "/metrics").status == 404
        header = {"authorization": f"Bearer {api.token()}"}
        assert ask(api.url, "GET", "/v1/me", header).said["org_id"] == "acme"
        settings = load_settings(data_dir=tmp_path / "data", api_key=KEY)
        assert Sender(api.url, settings).accepts()
        assert ask(api.url, "GET", "/health").said["waiting"] == 1
        assert ask(api.url, "GET", "/live/sessions").status == 401
        told = ask(f"http://127.0.0.1:{port}", "GET", "/metrics").body.decode()
        assert 'asleep_api_requests_total{method="GET",route="/v1/me",status="200"} 1.0' in told
        assert 'asleep_webhooks_accepted_total{event="INFERENCE_COMPLETE"} 1.0' in told
        code, err = api.end()
    assert code == 0
    assert "readable" not in err
    assert header["authorization"].removeprefix("Bearer ") not in err


def test_a_request_that_has_begun_is_finished(tmp_path: Path) -> None:
    """SIGTERM lets nobody in any more, and answers those who are in."""
    with served(tmp_path, "--host", "0.0.0.0") as api:
        url = api.url.replace("0.0.0.0", "127.0.0.1")
        lines = [
            "POST /v1/users HTTP/1.1",
            "host: api",
            f"authorization: Bearer {api.token()}",
            "content-type: application/json",
            "content-length: 2",
        ]
        with connected(url) as sock:
            sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n{")
            assert ask(url, "GET", "/live").status == 200
            api.process.terminate()
            _until_refused(url)
            sock.sendall(b"}")
            assert sock.recv(65_536).startswith(b"HTTP/1.1 422 ")
        _, err = api.process.communicate(timeout=_PATIENCE_S)
    assert api.process.returncode == 0
    assert "credentials and nights would cross the network readable" in err


def _until_refused(url: str) -> None:
    with suppress(ConnectionError):
        while True:
            with connected(url):
                pass


def test_it_speaks_tls(tmp_path: Path) -> None:
    """And tells browsers to speak nothing else from then on."""
    made = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(made.chain))
    with (
        served(tmp_path, "--cert", str(made.chain), "--key", str(made.key)) as api,
        connected(api.url) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
    ):
        assert api.url.startswith("https://")
        sock.sendall(b"GET /live HTTP/1.1\r\nhost: api\r\n\r\n")
        answer = sock.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"strict-transport-security: max-age=" in answer


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cert", "cert.pem"], "TLS needs a certificate and its key"),
        (["--host", "192.0.2.1"], "of 192.0.2.1 cannot be used"),
    ],
)
def test_what_cannot_be_served_is_a_usage_error(
    tmp_path: Path, options: list[str], words: str
) -> None:
    """A slip on the command line is told in a sentence, with exit code 2."""
    process = command(tmp_path, *options)
    _, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 2
    assert words in err
