"""The keys of an identity provider: which hold, for how long, and how often they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from asleep_pipeline.access import key_server
from asleep_pipeline.access.key_server import FAILED_S, FRESH_S, STALE_S, UNKNOWN_S, KeyServer
from asleep_pipeline.errors import AccessError
from asleep_pipeline_tests.access.provider import Provider, private_key, providing, public_jwk

FIRST, SECOND = private_key("ES256"), private_key("ES256", 1)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """The present."""
        return self.now


@pytest.fixture
def provider() -> Iterator[Provider]:
    """It tells one key, `a`."""
    with providing() as made:
        made.publish(public_jwk(FIRST, "a"))
        yield made


@pytest.fixture
def clock() -> Clock:
    """As the keys see the time."""
    return Clock()


@pytest.fixture
def keys(provider: Provider, clock: Clock) -> KeyServer:
    """Its keys, of which none is known yet."""
    return KeyServer(provider.url, clock)


def test_keys_are_fetched_when_they_are_needed_and_kept(
    keys: KeyServer, provider: Provider, clock: Clock
) -> None:
    """Once for as long as they are fresh, and then again."""
    assert provider.asked == 0
    for _ in range(3):
        assert keys.find("a") is not None
    assert provider.asked == 1
    clock.now += FRESH_S + 1
    assert keys.find("a") is not None
    assert provider.asked == 2


def test_a_new_key_is_found_and_a_withdrawn_one_holds_no_more(
    keys: KeyServer, provider: Provider, clock: Clock
) -> None:
    """An unknown name is a reason to ask again."""
    assert keys.find("a")
    provider.publish(public_jwk(SECOND, "b"))
    clock.now += UNKNOWN_S + 1
    assert keys.find("b") is not None
    assert keys.find("a") is None


def test_strangers_cannot_make_it_ask_all_the_time(
    keys: KeyServer, provider: Provider, clock: Clock
) -> None:
    """Unknown names are a reason once a minute, whichever they are."""
    keys.find("a")
    clock.now += UNKNOWN_S + 1
    assert all(keys.find(f"unknown {number}") is None for number in range(50))
    assert provider.asked == 2


def test_without_a_name_it_is_the_only_key(keys: KeyServer, provider: Provider) -> None:
    """Of several, nobody guesses which one is meant."""
    assert keys.find(None) == keys.find("a")
    provider.publish(public_jwk(FIRST, "a"), public_jwk(SECOND, "b"))
    assert KeyServer(provider.url).find(None) is None


def test_known_keys_outlive_an_outage_for_a_while(
    keys: KeyServer, provider: Provider, clock: Clock
) -> None:
    """Callers are let in while the identity provider is down, and it is not asked for each of them."""
    keys.find("a")
    provider.status = 500
    clock.now += FRESH_S + 1
    for _ in range(5):
        assert keys.find("a") is not None
    assert provider.asked == 2
    clock.now += STALE_S
    with pytest.raises(AccessError, match="jwt_jwks_url"):
        keys.find("a")
    provider.status = 200
    clock.now += FAILED_S + 1
    assert keys.find("a") is not None


def test_without_any_key_it_is_asked_again_soon(
    keys: KeyServer, provider: Provider, clock: Clock
) -> None:
    """Every few seconds, however many callers there are."""
    provider.status = 503
    for _ in range(3):
        with pytest.raises(AccessError):
            keys.find("a")
    assert provider.asked == 1
    provider.status = 200
    clock.now += FAILED_S + 1
    assert keys.find("a") is not None


def test_many_who_come_first_ask_once(keys: KeyServer, provider: Provider) -> None:
    """They wait for the one who asks, and all of them have its keys."""
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(keys.find, ["a"] * 8))
    assert provider.asked == 1


def test_whoever_has_a_key_waits_for_nobody(
    keys: KeyServer, provider: Provider, clock: Clock
) -> None:
    """While one thread is kept waiting by the identity provider, the others go on by what is known."""
    keys.find("a")
    clock.now += FRESH_S + 1
    provider.may_answer.clear()
    waiting = threading.Thread(target=keys.find, args=["a"])
    waiting.start()
    while provider.asked < 2:
        waiting.join(0.01)
    assert keys.find("a") is not None
    assert keys.find("unknown") is None
    assert waiting.is_alive()
    provider.may_answer.set()
    waiting.join()


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 302, "headers": {"Location": "/keys"}},
        {"body": b"x" * 300_000},
        {"body": b'{"keys":' + b"[" * 100_000},
        {"body": b'{"keys": {}}'},
        {"body": b"\xff"},
        {"body": b""},
        {"headers": {"Content-Length": "1000000"}},
    ],
)
def test_answers_that_are_no_keys(
    keys: KeyServer, provider: Provider, answer: dict[str, Any]
) -> None:
    """No redirect is followed, nothing is read without end, and nothing is guessed."""
    for name, value in answer.items():
        setattr(provider, name, value)
    with pytest.raises(AccessError):
        keys.find("a")
    assert provider.asked == 1


def test_whoever_does_not_answer_is_not_waited_for(
    keys: KeyServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a limit for the whole of an answer."""
    monkeypatch.setattr(key_server, "_TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    provider.may_answer.clear()
    with pytest.raises(AccessError):
        keys.find("a")


def test_an_address_where_nobody_listens(clock: Clock) -> None:
    """It is as if it did not answer."""
    with pytest.raises(AccessError):
        KeyServer("http://127.0.0.1:1/keys", clock).find("a")


def test_only_public_keys_for_signatures_are_taken(keys: KeyServer, provider: Provider) -> None:
    """A secret, a private key, one for encryption, of another algorithm or broken is as if not there."""
    good, private = public_jwk(FIRST, "a"), {"d": "AAAA"}
    provider.publish(
        {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "secret"},
        public_jwk(SECOND, "private") | private,
        public_jwk(SECOND, "for encryption", use="enc"),
        public_jwk(private_key("RS256"), "other", alg="RS512"),
        public_jwk(private_key("RS256"), "wrong", alg="HS256"),
        public_jwk(SECOND, "broken") | {"x": "!"},
        {"kty": 5},
        {},
        good,
    )
    assert keys.find(None) == keys.find("a") is not None
