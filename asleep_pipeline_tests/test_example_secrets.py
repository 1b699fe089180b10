"""Secrets out of documentation: refused wherever somebody else could reach what they guard."""

from __future__ import annotations

import secrets
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from asleep_pipeline.access.keys import key_for
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.example_secrets import is_example
from asleep_pipeline.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
LOCAL = "http://127.0.0.1:8000"


def signing(words: bytes) -> str:
    """A signing secret that is base64 of some words."""
    return f"whsec_{b64encode(words).decode()}"


@pytest.mark.parametrize(
    "key",
    [
        "...",
        "a-key",
        "changeme-now",
        "Your-Key",
        "<your api key>".replace(" ", "-"),
        "my-example-key",
        "simulator",
        "secret-secret",
        "xxxxxxxxxxxxxxxx",
    ],
)
def test_example_keys_are_refused_outside_development(key: str) -> None:
    """Whoever has read the documentation would be let in; on this machine any key will do."""
    for given in ({"api_key": key}, {"previous_api_key": key}, {"organisations": _acme(key)}):
        settings: dict[str, Any] = given
        with pytest.raises(ConfigurationError, match="is an example") as caught:
            load_settings(**settings)
        assert repr(key) not in str(caught.value)
        load_settings(**settings, base_url=LOCAL)


@pytest.mark.parametrize(
    "secret",
    [
        signing(b"replace-me-replace-me-replace-me-"),
        signing(bytes(32)),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ],
)
def test_example_signing_secrets_are_refused(secret: str) -> None:
    """Anybody could sign events by them."""
    with pytest.raises(ConfigurationError, match="'webhook_signing_secret'"):
        load_settings(webhook_signing_secret=secret)
    load_settings(webhook_signing_secret=secret, base_url=LOCAL)


def test_an_example_in_a_key_file_is_refused(tmp_path: Path) -> None:
    """When it is read."""
    file = tmp_path / "acme.key"
    file.write_text("changeme\n")
    settings = load_settings(organisations={"acme": {"api_key_file": file}})
    with pytest.raises(ConfigurationError, match="the key of acme"):
        key_for(settings, "acme")


def test_every_secret_of_the_example_file_is_an_example() -> None:
    """Whoever copies the file and removes the `#` has to give their own."""
    lines = (ROOT / "asleep-pipeline.example.toml").read_text().splitlines()
    pairs = [line.removeprefix("# ").split(" = ", 1) for line in lines if " = " in line]
    told = {name: value.strip('"') for name, value in pairs if "key" in name or "secret" in name}
    shown = {name: value for name, value in told.items() if not name.endswith("_file")}
    assert len(shown) >= 3
    assert [name for name, value in shown.items() if not is_example(value)] == []


def test_random_keys_are_no_examples() -> None:
    """Nobody's own key is refused by chance."""
    made = [secrets.token_urlsafe(24) for _ in range(500)] + [secrets.token_hex(16)]
    assert not any(map(is_example, made))
    assert not is_example(signing(secrets.token_bytes(32)))


def _acme(key: str) -> dict[str, dict[str, str]]:
    return {"acme": {"api_key": key}}
