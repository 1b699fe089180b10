"""Settings of organisations: those that are kept, and which of two hold."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asleep_pipeline.access.database import changing
from asleep_pipeline.access.keys import has_any_key, key_for
from asleep_pipeline.access.members import Members
from asleep_pipeline.access.organisations import (
    Organisations,
    decided,
    known,
    organisations,
    own_settings,
    parameters,
    zones,
)
from asleep_pipeline.access.roles import Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.errors import AccessError, ConfigurationError, ConflictError, UsageError
from asleep_pipeline.settings import OrganisationSettings, Retention, Settings, load_settings
from asleep_pipeline.sleep.parameters import OwnParameters
from asleep_pipeline.webhooks.keyring import Keyring

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment that has settings for acme."""
    own = {"acme": {"timezone": "Asia/Seoul", "min_group_size": 7}}
    return load_settings(data_dir=tmp_path, api_key="default-key", organisations=own)


@pytest.fixture
def kept(settings: Settings) -> Organisations:
    """Where organisations are kept; there is none."""
    return Organisations(settings.access_path)


def test_an_organisation_is_kept(kept: Organisations) -> None:
    """With what it has of its own, and nothing else; once."""
    own = own_settings({"timezone": "Europe/Berlin", "free_days": "sun", "retention": {"raw": 30}})
    kept.create("duo", own, now=NOW)
    assert kept.all() == {"duo": own}
    assert own == OrganisationSettings(
        timezone="Europe/Berlin", free_days=(7,), retention=Retention(raw=30)
    )
    with pytest.raises(ConflictError, match="already"):
        kept.create("duo", own, now=NOW)


def test_changes_leave_the_rest(kept: Organisations) -> None:
    """What is named changes, None takes away, of the retention too; whoever is not kept is from then on."""
    kept.change("duo", {"timezone": "Asia/Seoul", "retention": {"raw": 3, "inbox": 4}}, now=NOW)
    kept.change("duo", {"free_days": []}, now=NOW)
    changed = kept.change("duo", {"retention": {"raw": None, "audit": 9}}, now=NOW)
    assert changed == kept.all()["duo"]
    assert (changed.timezone, changed.free_days) == ("Asia/Seoul", ())
    assert changed.retention == Retention(inbox=4, audit=9)
    cleared = kept.change("duo", {"timezone": None, "retention": None}, now=NOW)
    assert cleared == OrganisationSettings(free_days=())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timezone": "Mars"}, "IANA"),
        ({"free_days": "someday"}, "weekdays"),
        ({"min_group_size": 0}, "min_group_size"),
        ({"retention": {"raw": 0}}, "retention.raw"),
        ({"retention": {"nights": 1}}, "retention.nights"),
        ({"api_key": "a-key"}, "api_key"),
    ],
)
def test_settings_that_cannot_be_used(
    kept: Organisations, given: dict[str, Any], said: str
) -> None:
    """Each is named, its value is not, and nothing is kept; a key itself never is."""
    with pytest.raises(UsageError, match=said) as caught:
        kept.change("duo", given, now=NOW)
    assert "a-key" not in str(caught.value)
    assert kept.all() == {}


def test_the_settings_file_wins_over_what_is_kept(settings: Settings, kept: Organisations) -> None:
    """Setting by setting, so that the others hold."""
    kept.change("acme", {"timezone": "UTC", "free_days": "fri", "min_group_size": 1}, now=NOW)
    kept.change("duo", {"timezone": "Europe/Berlin"}, now=NOW)
    acme = known(settings, "acme")
    assert (acme.timezone, acme.min_group_size, acme.free_days) == ("Asia/Seoul", 7, (5,))
    assert zones(settings) == {"acme": "Asia/Seoul", "duo": "Europe/Berlin"}
    assert list(organisations(settings)) == ["acme", "duo"]
    assert parameters(settings).own == {
        "acme": OwnParameters(free_days=(5,), min_group_size=7),
        "duo": OwnParameters(),
    }
    assert decided(settings, "acme") >= {"timezone", "min_group_size"}
    assert decided(settings, "duo") == frozenset()
    assert known(settings, "nobody").timezone is None


def test_a_key_file_is_a_reference(settings: Settings, kept: Organisations, tmp_path: Path) -> None:
    """The key is read where it stands when it is needed, and is nowhere else."""
    file = tmp_path / "duo.key"
    file.write_text("key-of-duo\n")
    kept.change("duo", {"api_key_file": file}, now=NOW)
    assert key_for(settings, "duo").get_secret_value() == "key-of-duo"
    assert key_for(settings, "acme").get_secret_value() == "default-key"
    assert b"key-of-duo" not in kept.path.read_bytes()
    file.unlink()
    with pytest.raises(ConfigurationError, match=r"duo\.key"):
        key_for(settings, "duo")
    given = settings.model_copy(
        update={
            "organisations": load_settings(
                organisations={"duo": {"api_key": "given-key"}}
            ).organisations
        }
    )
    assert key_for(given, "duo").get_secret_value() == "given-key"


def test_whether_there_is_any_key(settings: Settings, kept: Organisations) -> None:
    """An organisation without a key of its own is nothing to ask with."""
    without = settings.model_copy(update={"api_key": None})
    assert has_any_key(settings)
    assert not has_any_key(without)
    kept.change("duo", {"api_key_file": "/run/secrets/duo"}, now=NOW)
    assert has_any_key(without)


def test_webhooks_know_a_key_as_soon_as_it_is_kept(
    settings: Settings, kept: Organisations, tmp_path: Path
) -> None:
    """A receiver that runs need not be started again; what cannot be read leaves the keys as they were."""
    keyring = Keyring(settings)
    assert keyring.name_of(b"key-of-duo") is None
    file = tmp_path / "duo.key"
    file.write_text("key-of-duo")
    kept.change("duo", {"api_key_file": file}, now=NOW)
    keyring.refresh()
    assert keyring.name_of(b"key-of-duo") == "duo"
    kept.path.write_bytes(b"no database" * 1000)
    keyring.refresh()
    assert keyring.name_of(b"key-of-duo") == "duo"
    assert keyring.name_of(b"default-key") == "default"


def test_removing_an_organisation(kept: Organisations) -> None:
    """Nobody of it may ask any more, and others may."""
    kept.create("duo", OrganisationSettings(), now=NOW)
    tokens, members = Tokens(kept.path), Members(kept.path)
    for org_id in ("duo", "acme"):
        members.add(org_id, "ann", Role.OWNER, now=NOW)
        tokens.create(org_id, "x", now=NOW)
    assert kept.remove("duo", now=NOW) == (1, 1)
    assert kept.all() == {}
    assert [(t.org_id, t.revoked_at) for t in tokens.all()] == [("duo", NOW), ("acme", None)]
    assert [m.org_id for m in members.all()] == ["acme"]
    with pytest.raises(UsageError, match="no organisation 'duo'"):
        kept.remove("duo", now=NOW)


def test_settings_that_somebody_has_broken(settings: Settings, kept: Organisations) -> None:
    """They are not taken for something else."""
    kept.create("duo", OrganisationSettings(), now=NOW)
    with changing(kept.path) as con:
        con.execute("""UPDATE organisation SET settings = '{"min_group_size": -1}'""")
    with pytest.raises(AccessError, match="min_group_size"):
        organisations(settings)
