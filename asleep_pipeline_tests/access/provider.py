"""An identity provider on this machine: its keys, the JWTs it signs, and how it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "asleep-pipeline"
SIZES = {"RS256": 2048, "ES256": 256, "EdDSA": 255}
"""Bits of a key by algorithm."""


@cache
def private_key(algorithm: str, number: int = 0, *, bits: int = 2048) -> Any:
    """A key; the same one for the same arguments."""
    del number
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, bits)
    return (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else ed25519.Ed25519PrivateKey.generate()
    )


def public_jwk(key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    """A key as it is published."""
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        made = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        made = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        made = OKPAlgorithm.to_jwk(public, as_dict=True)
    return made | ({} if kid is None else {"kid": kid}) | more


def claims(subject: str = "ann", **changed: Any) -> dict[str, Any]:
    """What a JWT says that holds for an hour; None takes a claim away."""
    now = datetime.now(UTC)
    usual = {"sub": subject, "aud": AUDIENCE, "exp": now + timedelta(hours=1), "iat": now}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def signed(key: Any, algorithm: str, *, kid: str | None = None, **changed: Any) -> str:
    """A JWT with `claims`."""
    headers = {"kid": kid} if kid else None
    return jwt.encode(claims(**changed), key, algorithm, headers=headers)


@dataclass
class Provider:
    """One that answers; a test may change what.

    Attributes:
        url: Where its keys are.
        body: What it answers.
        status: The status of its answers.
        headers: Headers of its answers.
        asked: How often it was asked.
        may_answer: Cleared, it keeps everybody waiting.
    """

    url: str = ""
    body: bytes = b'{"keys": []}'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    may_answer: threading.Event = field(default_factory=threading.Event)

    def publish(self, *keys: dict[str, Any]) -> None:
        """Tell these keys from now on."""
        self.body = json.dumps({"keys": keys}).encode()


@contextmanager
def providing() -> Iterator[Provider]:
    """An identity provider on a free port of this machine."""
    made = Provider()
    made.may_answer.set()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked += 1
            made.may_answer.wait(30)
            self.send_response(made.status)
            for name, value in {"Content-Length": str(len(made.body)), **made.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(made.body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}/keys"
        try:
            yield made
        finally:
            made.may_answer.set()
            server.shutdown()
            thread.join()
