"""Whose key an event came with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.settings import load_settings
from asleep_pipeline.webhooks import receiver
from asleep_pipeline.webhooks.keyring import Keyring
from asleep_pipeline.webhooks.serving import running
from asleep_pipeline_tests.webhooks.senders import Sender, a_deployment, a_user, event

ONE, TWO, THREE, FOUR = (f"key-number-{number}-0123456789" for number in range(4))


def ring(**settings: Any) -> Keyring:
    """The keys of some settings."""
    return Keyring(load_settings(**settings))


def test_a_key_is_found_with_its_organisation() -> None:
    """Each key leads to whose it is, the previous ones as well."""
    acme = {"api_key": THREE, "previous_api_key": FOUR}
    keys = ring(api_key=ONE, previous_api_key=TWO, organisations={"acme": acme})
    found = [keys.name_of(key.encode()) for key in (ONE, TWO, THREE, FOUR)]
    assert found == ["default", "default", "acme", "acme"]


@pytest.mark.parametrize("guess", ["", " ", ONE[:-1], ONE + "0", ONE.upper(), "\xff\x00"])
def test_anything_else_is_no_key(guess: str) -> None:
    """A part of a key, or a key and something more, opens nothing."""
    assert ring(api_key=ONE).name_of(guess.encode("latin-1")) is None


def test_no_key_is_kept_in_the_clear() -> None:
    """Who sees the table of keys cannot use it."""
    assert ONE not in repr(vars(ring(api_key=ONE)))


def test_two_organisations_with_one_key_are_refused() -> None:
    """A key that does not say whose event it is is no key; the message names both and not the key."""
    two = {"acme": {"api_key": ONE}, "duo": {"previous_api_key": ONE}}
    with pytest.raises(ConfigurationError, match="'acme' and 'duo' have the same") as caught:
        ring(organisations=two)
    assert ONE not in f"{caught.value.problem} {caught.value.fix}"


def test_a_key_may_be_an_organisations_present_and_previous_one() -> None:
    """Who writes the same key twice has said nothing wrong."""
    keys = ring(organisations={"acme": {"api_key": ONE, "previous_api_key": ONE}})
    assert keys.name_of(ONE.encode()) == "acme"


def test_an_organisation_named_default_cannot_have_a_key_beside_the_default_one() -> None:
    """Two keys of one name would open each other's doors."""
    with pytest.raises(ConfigurationError, match="'default' has a key of its own"):
        ring(api_key=ONE, organisations={"default": {"api_key": TWO}})


def test_without_any_key_there_is_no_receiver() -> None:
    """A receiver that could only refuse says so at its start."""
    with pytest.raises(ConfigurationError, match="no API key"):
        ring()


def test_a_key_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """A key is rotated without a restart."""
    path = tmp_path / "key"
    path.write_text(ONE)
    keys = ring(organisations={"acme": {"api_key_file": path}})
    path.write_text(f"{TWO}\n\n")
    with capture_logs() as logs:
        keys.refresh()
    assert [keys.name_of(key.encode()) for key in (ONE, TWO)] == [None, "acme"]
    assert [entry["event"] for entry in logs] == ["webhook_keys_changed"]


@pytest.mark.parametrize("content", [None, "two words", ""])
def test_a_key_file_that_cannot_be_used_changes_nothing(
    tmp_path: Path, content: str | None
) -> None:
    """A slip in a rotation shuts nobody out, and is told without the key."""
    path = tmp_path / "key"
    path.write_text(ONE)
    keys = ring(organisations={"acme": {"api_key_file": path}})
    path.unlink()
    if content is not None:
        path.write_text(content)
    with capture_logs() as logs:
        keys.refresh()
    assert keys.name_of(ONE.encode()) == "acme"
    assert [entry["event"] for entry in logs] == ["webhook_keys_not_changed"]
    assert "two words" not in str(logs)


def test_a_running_receiver_takes_the_new_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing the new key into its file is all that a rotation needs."""
    monkeypatch.setattr(receiver, "_KEYS_LOOKED_AT_S", 0.01)
    path = tmp_path / "key"
    path.write_text(ONE)
    settings = a_deployment(tmp_path, organisations={"acme": {"api_key_file": path}})
    with running(settings) as served:
        sender, user_id = Sender(served.base_url, settings), a_user()
        assert sender.post(event(user_id), user_id, key=ONE).status == 200
        path.write_text(TWO)
        tries = (sender.post(event(user_id), user_id, key=TWO).status for _ in range(100_000))
        assert next(status for status in tries if status != 401) == 200
        assert sender.post(event(user_id), user_id, key=ONE).status == 401
