"""Settings: where they come from, what is refused, and that no secret shows."""

from __future__ import annotations

import base64
import os
import re
import tomllib
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.access.keys import key_for
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.settings import Settings, load_settings, settings_table

ROOT = Path(__file__).resolve().parents[1]
SECRET = "not-a-real-key-0123"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and an environment without our variables."""
    for name in [name for name in os.environ if name.startswith("ASLEEP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(**overrides: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**overrides)
    return caught.value


def test_defaults_need_no_source(folder: Path) -> None:
    """Without any source the settings are the documented defaults, with absolute paths."""
    settings = load_settings()
    assert settings.base_url == "https://api.asleep.ai"
    assert settings.data_dir == folder / "data"
    assert (settings.timezone, settings.shards, settings.lookback_days) == ("UTC", 4, 80)
    assert settings.requests_per_second is None
    assert settings.catalog_path == folder / "data" / "lake" / "catalog.sqlite"
    assert settings.warehouse_path == folder / "data" / "asleep.duckdb"


def test_precedence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument beats the environment, which beats .env, which beats the TOML file."""
    (folder / "asleep-pipeline.toml").write_text("shards=2\nmax_connections=2\nlookback_days=2\n")
    assert load_settings().shards == 2
    (folder / ".env").write_text(
        "ASLEEP_MAX_CONNECTIONS=3\nASLEEP_LOOKBACK_DAYS=3\nASLEEP_SHARDS=8\n"
    )
    monkeypatch.setenv("ASLEEP_LOOKBACK_DAYS", "4")
    monkeypatch.setenv("ASLEEP_SHARDS", "16")
    settings = load_settings(shards=32)
    assert (settings.max_connections, settings.lookback_days, settings.shards) == (3, 4, 32)


def test_config_variable_names_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASLEEP_CONFIG reads another TOML file instead of the one in the working directory."""
    (folder / "asleep-pipeline.toml").write_text("shards = 2\n")
    (folder / "other.toml").write_text("shards = 8\n")
    monkeypatch.setenv("ASLEEP_CONFIG", str(folder / "other.toml"))
    assert load_settings().shards == 8


def test_missing_config_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings file that was named but does not exist is an error, not silence."""
    monkeypatch.setenv("ASLEEP_CONFIG", "nowhere.toml")
    assert "'nowhere.toml'" in refused().problem


def test_broken_toml_is_refused_with_its_place(folder: Path) -> None:
    """A TOML file that cannot be parsed is named with the line."""
    (folder / "asleep-pipeline.toml").write_text("shards = 2\nshards = \n")
    assert re.search(r"asleep-pipeline\.toml.*line 2", refused().problem)


def test_file_in_another_encoding_is_refused(folder: Path) -> None:
    """A file that is not UTF-8 is one clear sentence."""
    (folder / ".env").write_bytes("ASLEEP_DATA_DIR=Größe".encode("latin-1"))
    assert "not UTF-8" in refused().problem


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, as in a copied example file, leaves the default."""
    monkeypatch.setenv("ASLEEP_API_KEY", "")
    assert load_settings().api_key is None


def test_other_variables_are_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of other programs, in .env or the environment, are no concern of ours."""
    (folder / ".env").write_text("DATABASE_URL=x\n")
    monkeypatch.setenv("SLEEPY", "x")
    assert load_settings().shards == 4


@pytest.mark.parametrize("source", ["toml", "dotenv", "environment"])
def test_unknown_name_points_to_the_nearest(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """A misspelt name fails in every source, and the right one is suggested."""
    if source == "toml":
        (folder / "asleep-pipeline.toml").write_text(f'timezon = "{SECRET}"\n')
    elif source == "dotenv":
        (folder / ".env").write_text(f"ASLEEP_TIMEZON={SECRET}\n")
    else:
        monkeypatch.setenv("ASLEEP_TIMEZON", SECRET)
    error = refused()
    assert "'timezon'" in error.problem
    assert "'timezone'" in error.fix
    assert SECRET not in str(error)


def test_unknown_name_in_an_organisation(folder: Path) -> None:
    """A misspelt name inside an organisation's table is found as well."""
    (folder / "asleep-pipeline.toml").write_text('[organisations.acme]\napi_kee = "x"\n')
    error = refused()
    assert "'organisations.acme.api_kee'" in error.problem
    assert "'api_key'" in error.fix


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shards", 3),
        ("shards", 0),
        ("shards", 512),
        ("shards", "many"),
        ("requests_per_second", 0),
        ("requests_per_second", float("inf")),
        ("max_connections", 0),
        ("lookback_days", 91),
        ("recompute_days", -1),
        ("timezone", "Asia/Soul"),
        ("base_url", "http://api.asleep.ai"),
        ("base_url", "ftp://api.asleep.ai"),
        ("base_url", "api.asleep.ai"),
        ("base_url", "https://api.asleep.ai#x"),
        ("base_url", "https://[half"),
        ("webhook_events_per_second", 0),
        ("webhook_tries", 0),
        ("webhook_keep_days", 1),
    ],
)
def test_bad_value_is_named_with_a_fix(name: str, value: object) -> None:
    """A value that cannot be used is shown with its setting and where to correct it."""
    error = refused(**{name: value})
    assert f"{name!r} = {value!r}" in error.problem
    assert f"ASLEEP_{name.upper()}" in error.fix


def test_every_problem_is_told_at_once() -> None:
    """Three wrong settings give three sentences, not one per try."""
    error = refused(shards=3, lookback_days=0, timezone="Mars")
    assert len(error.problem.splitlines()) == 3


def test_a_signing_secret_is_standard_webhooks() -> None:
    """24 bytes in base64 behind the prefix are a signing secret, fewer are not."""
    good = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    secret = load_settings(webhook_signing_secret=good).webhook_signing_secret
    assert secret
    assert secret.get_secret_value() == good
    short = "whsec_" + base64.b64encode(bytes(23)).decode()
    assert "24 bytes" in refused(webhook_signing_secret=short).problem


def test_zone_suggestion_ignores_case() -> None:
    """A zone in the wrong case is answered with its proper name."""
    assert "Did you mean 'Asia/Seoul'?" in refused(timezone="asia/seoul").problem


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8642", "http://localhost:8642", "http://[::1]:8642/", "https://a.b/c"]
)
def test_loopback_may_be_plain(url: str) -> None:
    """Plain HTTP is fine on this machine only; a trailing slash is dropped."""
    assert load_settings(base_url=url).base_url == url.rstrip("/")


def refusals_with_a_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[ConfigurationError]:
    errors = [
        refused(api_key=f"{SECRET} {SECRET}"),
        refused(api_key=[SECRET]),
        refused(base_url=f"https://me:{SECRET}@api.asleep.ai"),
        refused(base_url=f"https://api.asleep.ai?key={SECRET}"),
        refused(organisations={"acme": SECRET}),
        refused(organisations=SECRET),
        refused(previous_api_key=f"{SECRET} {SECRET}"),
        refused(webhook_signing_secret=SECRET),
        refused(webhook_signing_secret=f"whsec_{SECRET}!"),
        refused(organisations={"acme": {"previous_api_key": f"{SECRET} {SECRET}"}}),
        refused(organisations={"acme": {"previous_api_key": SECRET, "previous_api_key_file": "x"}}),
        refused(organisations={"acme": {"api_key": SECRET, "api_key_file": "x"}}),
    ]
    (folder / "asleep-pipeline.toml").write_text(f'[organisations]\nacme = "{SECRET}"\n')
    errors.append(refused())
    monkeypatch.setenv("ASLEEP_ORGANISATIONS", f'{{"acme": "{SECRET}"')
    errors.append(refused())
    return errors


def test_no_refusal_shows_a_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the sentence nor the traceback of a refused setting holds a secret."""
    for error in refusals_with_a_secret(folder, monkeypatch):
        assert SECRET not in str(error) + repr(error)
        assert SECRET not in "".join(traceback.format_exception(error))


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12))
def test_repr_hides_every_key(key: str) -> None:
    """Whatever a key looks like, the settings print as they would with any other."""
    settings, others = (
        Settings(
            api_key=k,  # type: ignore[arg-type]
            previous_api_key=k,  # type: ignore[arg-type]
            organisations={"acme": {"api_key": k, "previous_api_key": k}},  # type: ignore[dict-item]
        )
        for k in (key, SECRET)
    )
    assert repr(settings) == repr(others)
    assert settings.model_dump_json() == others.model_dump_json()


def test_key_of_an_organisation(folder: Path) -> None:
    """An organisation's key, or key file, comes before the default key."""
    (folder / "globex.key").write_text("key-globex\n")
    settings = load_settings(
        api_key="key-default",
        organisations={
            "acme": {"api_key": "key-acme"},
            "globex": {"api_key_file": "globex.key"},
            "hooli": {"timezone": "Asia/Seoul"},
        },
    )
    orgs = ["acme", "globex", "hooli", "default"]
    keys = [key_for(settings, org).get_secret_value() for org in orgs]
    assert keys == ["key-acme", "key-globex", "key-default", "key-default"]


def test_organisation_without_any_key() -> None:
    """With neither an own nor a default key the organisation and the fix are named."""
    with pytest.raises(ConfigurationError, match=r"'acme'.*ASLEEP_API_KEY"):
        key_for(load_settings(), "acme")


@pytest.mark.parametrize("content", [None, "", "two words"])
def test_unusable_key_file(folder: Path, content: str | None) -> None:
    """A key file that is absent, empty or holds something else is named, its content is not."""
    if content is not None:
        (folder / "acme.key").write_text(content)
    settings = load_settings(organisations={"acme": {"api_key_file": "acme.key"}})
    with pytest.raises(ConfigurationError, match=r"acme\.key") as caught:
        key_for(settings, "acme")
    assert "two words" not in str(caught.value)


def test_free_days_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names or numbers, in the environment as in a roster."""
    monkeypatch.setenv("ASLEEP_FREE_DAYS", "fri, sat")
    assert load_settings().free_days == (5, 6)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("efficiency_weight = 0.9", "add up to 1"),
        ("consistency_weigth = 0.3", "Did you mean 'consistency_weight'?"),
        ("consistency_limit_min = -1", r"'score.consistency_limit_min' = -1"),
        ("duration_bands = [{from_h = 7}]", "to_h"),
        ("duration_bands = [{from_h = 9, to_h = 7, points = 1}]", "must not exceed"),
    ],
)
def test_impossible_scores_are_named(folder: Path, table: str, said: str) -> None:
    """A score whose weights, names or bands are wrong is refused with the place."""
    (folder / "asleep-pipeline.toml").write_text(f"[score]\n{table}\n")
    with pytest.raises(ConfigurationError, match=said):
        load_settings()


def test_other_weights_are_another_version(folder: Path) -> None:
    """Scores that were made differently can be told apart."""
    usual = load_settings().score.version
    (folder / "asleep-pipeline.toml").write_text("[score]\nconsistency_limit_min = 90\n")
    assert load_settings().score.version != usual


def test_settings_cannot_change() -> None:
    """Nobody can turn a setting while a run is under way."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().shards = 8


def test_example_files_are_complete_and_load(folder: Path) -> None:
    """The example TOML, with its comments taken away, names every setting and is accepted."""
    example = (ROOT / "asleep-pipeline.example.toml").read_text()
    active = re.sub(r"^# (?=\[|\w+ = )", "", example, flags=re.MULTILINE)
    # Of two settings that exclude each other, one is in the environment.
    assert {*tomllib.loads(active), "jwt_secret"} == set(Settings.model_fields)
    assert "ASLEEP_JWT_SECRET" in example
    (folder / "asleep-pipeline.toml").write_text(active)
    (folder / ".env").write_text((ROOT / ".env.example").read_text())
    # Its keys are examples, which hold on this machine only.
    loaded = load_settings(base_url="http://127.0.0.1:8642")
    assert loaded.organisations["acme"].timezone == "Asia/Seoul"


def test_table_explains_every_setting() -> None:
    """The generated table has a row with a meaning for each field."""
    rows = settings_table().splitlines()[2:]
    assert len(rows) == len(Settings.model_fields)
    assert "None" not in settings_table()


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock",
        "requirements/audit.lock",
        "requirements/duckdb-1.4.lock",
        "requirements/duckdb-2.lock",
    ],
)
def test_lock_holds_hashes_and_no_address(name: str) -> None:
    """A lock pins every package by hash and names no registry."""
    lock = (ROOT / name).read_text()
    assert "://" not in lock
    assert not re.search(r"^--(index|extra-index|find-links)", lock, flags=re.MULTILINE)
    pins = re.findall(r"^\S+==.*\\\n +--hash=sha256:", lock, flags=re.MULTILINE)
    assert len(pins) == len(re.findall(r"^\S+==", lock, flags=re.MULTILINE)) > 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"jwt_secret": "s3cret" * 5, "jwt_audience": "us"}, "at least 32 bytes"),
        ({"jwt_secret": "s3cret" * 6}, "'jwt_audience'"),
        ({"jwt_secret": "s3cret" * 6, "jwt_audience": ""}, "'jwt_audience'"),
        ({"jwt_jwks_url": "https://id.example.com/keys"}, "'jwt_audience'"),
        ({"jwt_jwks_url": "http://id.example.com/keys"}, "must start with https://"),
        ({"jwt_jwks_url": "https://me:s3cret@id.example.com/keys"}, "no user name"),
        ({"jwt_jwks_url": "https://id.example.com/keys?s3cret"}, "query"),
        ({"jwt_jwks_url": "file:///etc/passwd"}, "must look like"),
        (
            {
                "jwt_secret": "s3cret" * 6,
                "jwt_jwks_url": "https://id.example.com/keys",
                "jwt_audience": "us",
            },
            "not both",
        ),
    ],
)
def test_jwt_settings_that_would_let_strangers_in(given: dict[str, str], said: str) -> None:
    """Each is refused, saying which, and without what is secret."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**given)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_jwt_settings_that_hold() -> None:
    """A secret is not seen in them; the address of keys stays as it was given."""
    shared = load_settings(jwt_secret="s3cret" * 6, jwt_audience="us")
    assert "s3cret" not in repr(shared)
    url = "http://127.0.0.1:1/keys/"
    assert load_settings(jwt_jwks_url=url, jwt_audience="us").jwt_jwks_url == url
