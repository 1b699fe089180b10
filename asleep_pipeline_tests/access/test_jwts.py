"""JWTs: which hold, and that all others are answered alike."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from jwt.warnings import InsecureKeyLengthWarning

from asleep_pipeline.access.callers import Caller, NotAuthenticated, authenticate, is_still_known
from asleep_pipeline.access.credentials import Credentials
from asleep_pipeline.access.jwts import LONGEST, Claims, Jwts, SharedSecret
from asleep_pipeline.access.key_server import KeyServer
from asleep_pipeline.access.members import Members
from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.settings import load_settings
from asleep_pipeline_tests.access.provider import (
    AUDIENCE,
    SIZES,
    Provider,
    private_key,
    providing,
    public_jwk,
    signed,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECRET = "a secret of the tests, of 32 bytes and more"
SHARED = Jwts(SharedSecret.of(SECRET), AUDIENCE, None)
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """It tells a key of each algorithm, and one that is too short."""
    with providing() as made:
        keys = [public_jwk(private_key(algorithm), algorithm) for algorithm in SIZES]
        short = public_jwk(private_key("RS256", bits=1024), "short")
        made.publish(*keys, short)
        yield made


@pytest.fixture(scope="module")
def public(provider: Provider) -> Jwts:
    """JWTs by those keys."""
    return Jwts(KeyServer(provider.url), AUDIENCE, None)


@pytest.fixture
def known(tmp_path: Path) -> Credentials:
    """JWTs by a shared secret, and an organisation with an admin `ann`."""
    path = tmp_path / "access" / "access.sqlite"
    Members(path).add("acme", "ann", Role.ADMIN, now=NOW)
    return Credentials(Tokens(path), Members(path), SHARED)


def by_secret(**changed: Any) -> str:
    """A JWT of the shared secret."""
    return signed(SECRET, "HS256", **changed)


def encoded(value: object) -> str:
    """A part of a JWT."""
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def ask(credentials: Credentials, word: str) -> Caller:
    """Ask by a JWT."""
    return authenticate(f"Bearer {word}", credentials)


def test_settings_say_which_hold() -> None:
    """Those of a secret, those of keys, or none."""
    assert Jwts.of(load_settings()) is None
    made = Jwts.of(load_settings(jwt_secret=SECRET, jwt_audience=AUDIENCE, jwt_issuer="https://id"))
    assert made is not None
    assert made.read(by_secret(iss="https://id")) is not None
    assert made.read(by_secret()) is made.read(by_secret(iss="https://other")) is None
    assert SECRET not in repr(made)
    url = "https://id.example.com/keys"
    by_keys = Jwts.of(load_settings(jwt_jwks_url=url, jwt_audience=AUDIENCE))
    assert by_keys is not None
    assert isinstance(by_keys.keys, KeyServer)


def test_what_a_jwt_says() -> None:
    """Whom it speaks of, where they ask, and until when; nothing of what they may."""
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    given = by_secret(sub="auth0|7", org_id="acme", exp=expires_at, role="owner")
    assert SHARED.read(given) == Claims("auth0|7", "acme", expires_at)
    assert SHARED.read(by_secret(aud=["others", AUDIENCE])) is not None


@pytest.mark.parametrize("algorithm", SIZES)
def test_public_keys(public: Jwts, algorithm: str) -> None:
    """Each of the algorithms holds by its own key."""
    given = signed(private_key(algorithm), algorithm, kid=algorithm)
    assert public.read(given) is not None
    other = private_key(algorithm, 1)
    assert public.read(signed(other, algorithm, kid=algorithm)) is None


def test_a_moment_of_difference_between_clocks_is_allowed() -> None:
    """And no more than that."""
    now = datetime.now(UTC)
    assert SHARED.read(by_secret(exp=now - timedelta(seconds=2))) is not None
    assert SHARED.read(by_secret(exp=now - timedelta(seconds=60))) is None
    assert SHARED.read(by_secret(nbf=now + timedelta(seconds=2))) is not None
    assert SHARED.read(by_secret(nbf=now + timedelta(seconds=60))) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": PAST},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 10**30},
        {"aud": "others"},
        {"aud": [AUDIENCE + "x"]},
        {"aud": []},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"org_id": 5},
        {"org_id": ""},
        {"org_id": ["acme"]},
        {"iat": datetime.now(UTC) + timedelta(hours=2)},
    ],
)
def test_claims_that_do_not_hold(changed: dict[str, Any]) -> None:
    """What has expired, is for others, or does not say all that it must."""
    assert SHARED.read(by_secret(**changed)) is None


def test_a_subject_that_is_no_text() -> None:
    """A number is nobody's name."""
    body = {"sub": 5, "aud": AUDIENCE, "exp": 2**40}
    assert SHARED.read(jwt.api_jws.encode(json.dumps(body).encode(), SECRET, "HS256")) is None


def test_algorithms_that_the_key_is_not_for(public: Jwts) -> None:
    """The token does not choose: neither none, nor a public key as a secret, nor another size."""
    key = private_key("RS256")
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = by_secret().split(".")[1]
    head = encoded({"alg": "HS256", "kid": "RS256"})
    signature = jwt.get_algorithm_by_name("HS256").sign(f"{head}.{body}".encode(), pem)
    confused = f"{head}.{body}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    with pytest.warns(InsecureKeyLengthWarning):
        short = signed(private_key("RS256", bits=1024), "RS256", kid="short")
    for word in (
        confused,
        signed(key, "RS512", kid="RS256"),
        signed(key, "PS256", kid="RS256"),
        short,
        signed(private_key("ES256"), "ES256", kid="RS256"),
        signed(key, "RS256"),
        signed(key, "RS256", kid="unknown"),
    ):
        assert public.read(word) is None
    for alg in ("none", "None", "NONE", "", None, 5, ["HS256"], "HS512", "RS256"):
        for last in ("", "x", by_secret().split(".")[2]):
            assert SHARED.read(f"{encoded({'alg': alg})}.{body}.{last}") is None


def test_headers_that_would_lead_elsewhere_lead_nowhere() -> None:
    """A JWT cannot bring its own key, nor say where one is; and what must be understood is not."""
    words = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/", "jwk": {}}
    assert SHARED.read(jwt.encode({}, SECRET + "x", "HS256", headers=words)) is None
    claims = jwt.decode(by_secret(), options={"verify_signature": False})
    critical = jwt.encode(claims, SECRET, "HS256", headers={"crit": ["exp"], "exp": 1})
    assert SHARED.read(critical) is None


def test_hostile_sizes_are_refused() -> None:
    """Long ones unseen, and deep ones without an end of the stack."""
    assert SHARED.read(by_secret(sub="ann", more="x" * LONGEST)) is None
    for deep in ("[" * 4_000, '{"a":' * 1_000):
        part = urlsafe_b64encode(deep.encode()).rstrip(b"=").decode()
        assert SHARED.read(f"{part}.{part}.x") is None
        signed_one = jwt.api_jws.encode(deep.encode(), SECRET, "HS256")
        assert SHARED.read(signed_one) is None


parts = st.one_of(
    st.text("abcXYZ019_-", max_size=40),
    st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "typ"]), st.integers()).map(
        encoded
    ),
    st.builds(lambda alg: encoded({"alg": alg}), st.sampled_from(["HS256", "none", "RS256", 7])),
    st.recursive(st.none() | st.text(), st.lists, max_leaves=5).map(encoded),
)


@given(st.lists(parts, max_size=5).map(".".join))
def test_nothing_unsigned_is_read(word: str) -> None:
    """Whatever stands there, it is refused, and nothing breaks."""
    assert SHARED.read(word) is None


@given(st.data())
def test_no_change_of_a_jwt_goes_unseen(data: st.DataObject) -> None:
    """One letter that is another, anywhere, and it holds no more."""
    word = by_secret(exp=2**33, iat=1)
    place = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("aZ0_-."))
    changed = word[:place] + letter + word[place + 1 :]
    assert (SHARED.read(changed) is None) == (changed != word)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")))
def test_no_header_lets_a_stranger_in(header: str) -> None:
    """Whatever stands there, in whatever form."""
    nobody = Credentials(Tokens(Path("/nowhere")), Members(Path("/nowhere")), SHARED)
    for given_header in (header, f"Bearer {header}", f"Bearer asl_{header}"):
        with pytest.raises(NotAuthenticated):
            authenticate(given_header, nobody)


def test_a_member_is_known(known: Credentials) -> None:
    """By a JWT, as what the members say, whatever the JWT says of it."""
    caller = ask(known, by_secret(role="owner", org_id="acme"))
    assert (caller.org_id, caller.role, caller.subject) == ("acme", Role.ADMIN, "member:1")
    assert is_still_known(caller, known)


def test_a_subject_without_membership_is_nobody(known: Credentials) -> None:
    """Whom the identity provider knows is not yet somebody here; nor elsewhere than where they are."""
    for word in (by_secret(sub="bob"), by_secret(org_id="duo")):
        with pytest.raises(NotAuthenticated):
            ask(known, word)


def test_a_member_of_several_says_where(known: Credentials) -> None:
    """Nobody guesses; the claim org_id says it."""
    known.members.add("duo", "ann", Role.MEMBER, user_id="u1", now=NOW)
    with pytest.raises(NotAuthenticated):
        ask(known, by_secret())
    assert ask(known, by_secret(org_id="acme")).role is Role.ADMIN
    assert ask(known, by_secret(org_id="duo")).user_id == "u1"


def test_changes_hold_at_once(known: Credentials) -> None:
    """A role that changed, for the next question and for what goes on; and who was removed is nobody."""
    caller = ask(known, by_secret())
    known.members.set_role("acme", 1, Role.ANALYST)
    assert not is_still_known(caller, known)
    assert ask(known, by_secret()).role is Role.ANALYST
    known.members.remove("acme", 1)
    with pytest.raises(NotAuthenticated):
        ask(known, by_secret())


def test_what_goes_on_ends_with_its_jwt(known: Credentials) -> None:
    """A stream is not longer open than its caller may ask."""
    caller = ask(known, by_secret(exp=datetime.now(UTC) - timedelta(seconds=3)))
    assert not is_still_known(caller, known)


def test_without_jwt_settings_there_are_none(known: Credentials) -> None:
    """A JWT is as good as any other word."""
    with pytest.raises(NotAuthenticated):
        ask(Credentials(known.tokens, known.members, None), by_secret())
