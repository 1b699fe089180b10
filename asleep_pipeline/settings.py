"""Every setting, once: its name, default, unit, bounds and meaning.

Precedence: arguments (the command line) > environment > `.env` > `asleep-pipeline.toml`. Both files are
looked for in the working directory; `ASLEEP_CONFIG` names another TOML file.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.loopback import is_loopback
from asleep_pipeline.sleep.parameters import GroupSize, Parameters, Score, SleepOfADay
from asleep_pipeline.weekdays import Weekdays
from asleep_pipeline.zones.names import is_zone, known_zones

PREFIX = "ASLEEP_"
CONFIG_VARIABLE = "ASLEEP_CONFIG"
CONFIG_FILE = "asleep-pipeline.toml"
_SHORTEST_SECRET_BYTES = 24
_SECRETS = frozenset({"api_key", "previous_api_key", "webhook_signing_secret"})


def nearest(name: str, choices: Iterable[str]) -> str:
    """A question naming the choice that `name` was probably meant to be, or an empty string."""
    by_folded = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f"Did you mean {by_folded[close[0]]!r}?" if close else ""


def check_zone(name: str) -> str:
    """Return `name` if it is an IANA time zone; else raise `ValueError` naming the nearest one."""
    if not is_zone(name):
        hint = nearest(name, known_zones())
        raise ValueError(f"it is not an IANA time zone such as 'Asia/Seoul'. {hint}".strip())
    return name


def _check_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value().strip()
    # The key travels in an HTTP header.
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a key is one line of visible ASCII characters without spaces.")
    return SecretStr(text)


def _check_base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ValueError("it is not a URL.") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("it must hold no user name, password, query or fragment.")
    if not host or parts.scheme not in {"http", "https"}:
        raise ValueError("it must look like 'https://api.asleep.ai'.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(
            "it must start with https://, or the key would cross the network readable."
        )
    return url.rstrip("/")


def _check_signing_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    try:
        size = len(b64decode(text.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if size < _SHORTEST_SECRET_BYTES:
        raise ValueError("a signing secret is 'whsec_' and at least 24 bytes in base64.")
    return SecretStr(text)


def _check_shards(shards: int) -> int:
    if shards & (shards - 1):
        raise ValueError("it must be a power of two.")
    return shards


ZoneName = Annotated[str, AfterValidator(check_zone)]
ApiKey = Annotated[SecretStr, AfterValidator(_check_key)]
SigningSecret = Annotated[SecretStr, AfterValidator(_check_signing_secret)]
AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Organisation(BaseModel):
    """One organisation with a key or a zone of its own: the TOML table `[organisations.<org_id>]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api_key: ApiKey | None = None
    api_key_file: AbsolutePath | None = None
    previous_api_key: ApiKey | None = None
    previous_api_key_file: AbsolutePath | None = None
    timezone: ZoneName | None = None

    @model_validator(mode="after")
    def _has_one_key(self) -> Organisation:
        for name in ("api_key", "previous_api_key"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                raise ValueError(f"give {name} or {name}_file, not both.")
        return self


class _Environment(EnvSettingsSource):
    """The environment, with the variables that carry our prefix and mean nothing."""

    def __call__(self) -> dict[str, Any]:
        ours = {name for name in self.env_vars if name.startswith(PREFIX.lower())}
        ours.discard(CONFIG_VARIABLE.lower())
        return (
            dict.fromkeys(name.removeprefix(PREFIX.lower()) for name in ours) | super().__call__()
        )


class Settings(BaseSettings):
    """What a deployment may decide. Immutable; secrets are hidden in its repr and in every error."""

    model_config = SettingsConfigDict(
        dotenv_filtering="match_prefix",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    api_key: Annotated[
        ApiKey | None,
        Field(description="The Asleep API key of users without an organisation's own."),
    ] = None
    previous_api_key: Annotated[
        ApiKey | None,
        Field(description="The key before: webhooks may still come with it during a rotation."),
    ] = None
    base_url: Annotated[
        str, AfterValidator(_check_base_url), Field(description="Where the Asleep API answers.")
    ] = "https://api.asleep.ai"
    data_dir: Annotated[
        AbsolutePath,
        Field(description="Where everything is written; relative to the working directory."),
    ] = Path("data")
    timezone: Annotated[
        ZoneName,
        Field(description="IANA zone of nights whose own and whose user's zone are unknown."),
    ] = "UTC"
    shards: Annotated[
        int,
        AfterValidator(_check_shards),
        Field(
            ge=1, le=256, description="Parts the users are split into; fixed once a lake exists."
        ),
    ] = 4
    requests_per_second: Annotated[
        float | None,
        Field(
            ge=0.1,
            allow_inf_nan=False,
            description="Most requests a second and key; unset: learned.",
        ),
    ] = None
    max_connections: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="Connections to the API; a rate takes rate x latency x 1.5 (200/s at 0.2 s: 60).",
        ),
    ] = 8
    lookback_days: Annotated[
        int,
        Field(ge=1, le=90, description="Days that a sync lists again, to find what changed late."),
    ] = 80
    recompute_days: Annotated[
        int,
        Field(ge=0, le=90, description="Days in which a complete night is read again once a day."),
    ] = 7
    free_days: Annotated[
        Weekdays,
        NoDecode,
        Field(description="Days off of users whose roster names none, such as `sat,sun`."),
    ] = (6, 7)
    sleep_need_s: Annotated[
        SleepOfADay,
        Field(description="Sleep that users need whose roster says nothing of it, in s."),
    ] = 8 * 3600
    short_sleep_s: Annotated[
        SleepOfADay, Field(description="A night with less sleep in 24 h counts as short, in s.")
    ] = 7 * 3600
    min_group_size: Annotated[
        GroupSize, Field(description="Figures of groups with fewer users are suppressed.")
    ] = 5
    score: Annotated[
        Score,
        Field(description="Weights and bands of the sleep score, as TOML table `[score]`."),
    ] = Score()
    webhook_signing_secret: Annotated[
        SigningSecret | None,
        Field(description="Webhooks must bear a Standard Webhooks signature by it, `whsec_...`."),
    ] = None
    webhook_events_per_second: Annotated[
        int, Field(ge=1, description="Most webhooks a second and key; more are answered 429.")
    ] = 5_000
    webhook_reread: Annotated[
        bool,
        Field(description="Whether the API is asked for a session once its webhook has come."),
    ] = True
    webhook_tries: Annotated[
        int, Field(ge=1, le=100, description="Times a webhook is tried before it is laid aside.")
    ] = 5
    webhook_keep_days: Annotated[
        int, Field(ge=2, le=3650, description="Days that processed webhooks are kept in the inbox.")
    ] = 14
    organisations: Annotated[
        dict[str, Organisation],
        Field(
            description="Keys and zones by organisation, as TOML tables `[organisations.<org_id>]`."
        ),
    ] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- ours also reports unknown names
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- not one of our sources
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources by precedence, first wins."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_path())
        return init_settings, _Environment(settings_cls), dotenv_settings, toml

    @property
    def parameters(self) -> Parameters:
        """What the marts are made with."""
        return Parameters(**{name: getattr(self, name) for name in Parameters.model_fields})

    @property
    def lake_dir(self) -> Path:
        """Folder of the lake: its Parquet files and its catalog."""
        return self.data_dir / "lake"

    @property
    def catalog_path(self) -> Path:
        """The lake's SQLite catalog."""
        return self.lake_dir / "catalog.sqlite"

    @property
    def warehouse_path(self) -> Path:
        """The published DuckDB file."""
        return self.data_dir / "asleep.duckdb"

    @property
    def reports_dir(self) -> Path:
        """Folder of the weekly and monthly reports."""
        return self.data_dir / "reports"

    @property
    def inbox_path(self) -> Path:
        """The inbox of webhooks, a SQLite file."""
        return self.data_dir / "webhooks" / "inbox.sqlite"

    @property
    def live_path(self) -> Path:
        """The DuckDB file of sessions in progress."""
        return self.data_dir / "live.duckdb"

    @property
    def tokens_path(self) -> Path:
        """The API tokens' hashes, a SQLite file."""
        return self.data_dir / "access" / "tokens.sqlite"

    @property
    def secret_path(self) -> Path:
        """The deployment's own secret, from which keys are derived."""
        return self.data_dir / "access" / "secret"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder: runs, events, schedules."""
        return self.data_dir / "dagster"

    @property
    def budget_path(self) -> Path:
        """The request budget that all processes of this machine share."""
        return self.data_dir / "budget.sqlite"


_TABLES: dict[str, type[BaseModel]] = {"organisations": Organisation, "score": Score}


def config_path() -> Path:
    """The TOML file to read: `ASLEEP_CONFIG`, else `asleep-pipeline.toml` in the working directory."""
    return Path(os.environ.get(CONFIG_VARIABLE) or CONFIG_FILE)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from all sources; `overrides` win.

    Raises:
        ConfigurationError: naming every setting that is unknown or cannot be used; holds no secret.
    """
    path = config_path()
    if CONFIG_VARIABLE in os.environ and not path.is_file():
        raise ConfigurationError(
            f"There is no settings file {str(path)!r}.",
            fix=f"Name one that exists (--config or {CONFIG_VARIABLE}), or leave that out.",
        )
    # `from None` throughout: the causes hold the values that were given, secrets among them.
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise _explain(error) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"{str(path)!r} is not valid TOML: {error}.", fix="Correct that line."
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{str(path)!r} or '.env' is not UTF-8.", fix="Save it again as UTF-8."
        ) from None
    except SettingsError as error:
        name = str(error).split('"')[1].upper()
        raise ConfigurationError(
            f"{PREFIX}{name} is not a JSON object.",
            fix=f"Give it as a table in {path.name} instead.",
        ) from None


def key_for(settings: Settings, org_id: str) -> SecretStr:
    """The API key of one organisation: its own, else the default one.

    Raises:
        ConfigurationError: there is neither, or the organisation's key file cannot be used.
    """
    organisation = settings.organisations.get(org_id, Organisation())
    if organisation.api_key_file:
        return _read_key(organisation.api_key_file, org_id)
    key = organisation.api_key or settings.api_key
    if key is None:
        raise ConfigurationError(
            f"There is no API key for organisation {org_id!r}.",
            fix=f"Set {PREFIX}API_KEY, or api_key in [organisations.{org_id}] of {config_path()}.",
        )
    return key


def settings_table() -> str:
    """The settings as a Markdown table, for the documentation."""
    lines = ["| setting | variable | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = _shown_default(field.default)
        lines.append(f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


def _shown_default(value: Any) -> str:
    if value in (None, {}) or isinstance(value, BaseModel):
        return ""
    return f"`{','.join(map(str, value))}`" if isinstance(value, tuple) else f"`{value}`"


def _read_key(path: Path, org_id: str) -> SecretStr:
    try:
        return _check_key(SecretStr(path.read_text(encoding="utf-8")))
    except OSError as error:
        problem = f"The key file {str(path)!r} cannot be read: {error.strerror}."
    except ValueError:
        problem = f"The key file {str(path)!r} does not hold an API key."
    fix = f"Write the key alone into it, or correct api_key_file in [organisations.{org_id}]."
    raise ConfigurationError(problem, fix=fix)


def _explain(error: ValidationError) -> ConfigurationError:
    details = error.errors(include_url=False)
    problems = [_problem(detail["loc"], detail) for detail in details]
    fixes = [_fix(detail["loc"], unknown=detail["type"] == "extra_forbidden") for detail in details]
    return ConfigurationError("\n".join(problems), fix="\n".join(fixes))


def _problem(place: tuple[int | str, ...], detail: Any) -> str:
    name = ".".join(map(str, place))
    if detail["type"] == "extra_forbidden":
        return f"There is no setting {name!r}."
    said = detail.get("ctx", {}).get("error") or f"{detail['msg']}.".replace("Input", "it", 1)
    return f"The setting {name!r}{_shown(place, detail['input'])} cannot be used: {said}"


def _shown(place: tuple[int | str, ...], value: Any) -> str:
    """The value in a message, unless it is, or may hold, a secret."""
    # An organisation that is no table may be a key that was put in the wrong place.
    misplaced = place[0] == "organisations" and len(place) < len(
        ("organisations", "acme", "timezone")
    )
    if misplaced or place[-1] in _SECRETS or "@" in str(value) or "?" in str(value):
        return ""
    return f" = {value!r}"


def _fix(place: tuple[int | str, ...], *, unknown: bool) -> str:
    *table, name = map(str, place)
    fields = _TABLES[table[0]].model_fields if table else Settings.model_fields
    where = (
        f"[{'.'.join(table)}] of {CONFIG_FILE}" if table else f"{CONFIG_FILE}, or the environment"
    )
    if unknown:
        return nearest(name, fields) or f"The settings there are: {', '.join(fields)}."
    variable = "" if table else f" (there {PREFIX}{name.upper()})"
    return f"Correct {name} in {where}{variable}."
