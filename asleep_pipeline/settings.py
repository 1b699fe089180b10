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
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
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
from asleep_pipeline.example_secrets import is_example
from asleep_pipeline.loopback import is_loopback
from asleep_pipeline.privacy.key_files import use_key_file
from asleep_pipeline.sleep.parameters import GroupSize, Score, SleepOfADay
from asleep_pipeline.weekdays import Weekdays
from asleep_pipeline.zones.names import is_zone, known_zones

PREFIX = "ASLEEP_"
CONFIG_VARIABLE = "ASLEEP_CONFIG"
CONFIG_FILE = "asleep-pipeline.toml"
_SHORTEST_SECRET_BYTES = 24
_SHORTEST_JWT_SECRET_BYTES = 32
_SECRETS = frozenset({"api_key", "previous_api_key", "webhook_signing_secret", "jwt_secret"})


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


def check_key(key: SecretStr) -> SecretStr:
    """Return a key without the space around it, if it can be one; else raise `ValueError`."""
    text = key.get_secret_value().strip()
    # The key travels in an HTTP header.
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a key is one line of visible ASCII characters without spaces.")
    return SecretStr(text)


def _check_base_url(url: str) -> str:
    return _check_url(url, "the key would cross the network readable").rstrip("/")


def _check_jwks_url(url: str) -> str:
    return _check_url(url, "whoever is in between could put in keys of their own")


def _check_url(url: str, danger: str) -> str:
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
        raise ValueError(f"it must start with https://, or {danger}.")
    return url


def _check_jwt_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < _SHORTEST_JWT_SECRET_BYTES:
        raise ValueError(f"it must have at least {_SHORTEST_JWT_SECRET_BYTES} bytes.")
    return secret


def _check_signing_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    try:
        size = len(b64decode(text.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if size < _SHORTEST_SECRET_BYTES:
        raise ValueError("a signing secret is 'whsec_' and at least 24 bytes in base64.")
    return SecretStr(text)


def _check_key_file(file: Path | None, info: ValidationInfo) -> Path | None:
    data_dir = info.data.get("data_dir")
    if file and data_dir and file.resolve().is_relative_to(data_dir.resolve()):
        raise ValueError("a copy of data_dir would hold the keys: put them outside.")
    return file


def _check_shards(shards: int) -> int:
    if shards & (shards - 1):
        raise ValueError("it must be a power of two.")
    return shards


def _listed(value: Any) -> Any:
    """A list that may be written with commas, as variables of the environment are."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _check_origin(origin: str) -> str:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if (
        not is_safe
        or "*" in origin
        or origin != f"{parts.scheme}://{parts.netloc}"
        or "@" in origin
    ):
        raise ValueError("it must be one origin such as 'https://app.example.com', and no pattern.")
    return origin


Days = Annotated[int, Field(ge=1, le=36_500)]
ZoneName = Annotated[str, AfterValidator(check_zone)]
ApiKey = Annotated[SecretStr, AfterValidator(check_key)]
JwtSecret = Annotated[SecretStr, AfterValidator(_check_jwt_secret)]
SigningSecret = Annotated[SecretStr, AfterValidator(_check_signing_secret)]
Origin = Annotated[str, AfterValidator(_check_origin)]
AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Retention(BaseModel):
    """For how many days what is kept of an organisation; None is for ever.

    Attributes:
        raw: Answers of the API, as they came.
        sessions: Nights, and everything that is made of them.
        inbox: Webhooks.
        audit: Who has done what.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    raw: Days | None = None
    sessions: Days | None = None
    inbox: Days | None = None
    audit: Days | None = None


class OrganisationSettings(BaseModel):
    """What an organisation may have of its own, instead of what the deployment has, and no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api_key_file: AbsolutePath | None = None
    previous_api_key_file: AbsolutePath | None = None
    timezone: ZoneName | None = None
    free_days: Weekdays | None = None
    min_group_size: GroupSize | None = None
    retention: Retention = Retention()


class Organisation(OrganisationSettings):
    """One organisation with settings of its own: the TOML table `[organisations.<org_id>]`."""

    api_key: ApiKey | None = None
    previous_api_key: ApiKey | None = None

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
    encryption_key_file: Annotated[
        AbsolutePath | None,
        AfterValidator(_check_key_file),
        Field(
            description="File of master keys outside data_dir; set: what is stored is encrypted."
        ),
    ] = None
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
    api_requests_per_second: Annotated[
        int,
        Field(
            ge=1, description="Most requests a second of one organisation; more are answered 429."
        ),
    ] = 200
    cors_origins: Annotated[
        tuple[Origin, ...],
        NoDecode,
        BeforeValidator(_listed),
        Field(
            description="Origins whose pages may call the API, such as `https://app.example.com`."
        ),
    ] = ()
    proxy_upload_bytes: Annotated[
        int, Field(ge=1, description="Longest body that is passed on to Asleep, in bytes.")
    ] = 10 * 1024 * 1024
    jwt_secret: Annotated[
        JwtSecret | None,
        Field(description="Whom the identity provider knows may ask by JWTs that it signs: HS256."),
    ] = None
    jwt_jwks_url: Annotated[
        Annotated[str, AfterValidator(_check_jwks_url)] | None,
        Field(description="Instead of `jwt_secret`: where it tells its public keys (JWKS)."),
    ] = None
    jwt_audience: Annotated[
        str | None,
        Field(
            min_length=1,
            validate_default=True,
            description="The `aud` of JWTs; needed with either of them.",
        ),
    ] = None
    jwt_issuer: Annotated[
        str | None, Field(min_length=1, description="The `iss` of JWTs; unset: not looked at.")
    ] = None
    organisations: Annotated[
        dict[str, Organisation],
        Field(description="Settings by organisation, as TOML tables `[organisations.<org_id>]`."),
    ] = {}

    @field_validator("jwt_jwks_url")
    @classmethod
    def _is_not_beside_a_secret(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url and info.data.get("jwt_secret"):
            raise ValueError("give it or jwt_secret, not both.")
        return url

    @field_validator("jwt_audience")
    @classmethod
    def _is_there_with_a_key(cls, audience: str | None, info: ValidationInfo) -> str | None:
        if audience is None and (info.data.get("jwt_secret") or info.data.get("jwt_jwks_url")):
            raise ValueError("say for whom JWTs must be made: those for others would hold here.")
        return audience

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
    def access_path(self) -> Path:
        """The control database: organisations, members and hashes of tokens; a SQLite file."""
        return self.data_dir / "access" / "access.sqlite"

    @property
    def secret_path(self) -> Path:
        """The deployment's own secret, from which keys are derived."""
        return self.data_dir / "access" / "secret"

    @property
    def audit_path(self) -> Path:
        """The audit log, a SQLite file."""
        return self.data_dir / "access" / "audit.sqlite"

    @property
    def erasures_path(self) -> Path:
        """Who was erased, as keyed hashes, and which erasures are under way: a SQLite file."""
        return self.data_dir / "access" / "erasures.sqlite"

    @property
    def receipts_dir(self) -> Path:
        """Folder of the signed receipts of erasures."""
        return self.data_dir / "erasures"

    @property
    def keys_path(self) -> Path:
        """The users' data keys, wrapped by the master keys: a SQLite file."""
        return self.data_dir / "access" / "keys.sqlite"

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
        settings = Settings(**overrides)
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
    _refuse_examples(settings)
    use_key_file(settings.data_dir, settings.encryption_key_file)
    return settings


def _refuse_examples(settings: Settings) -> None:
    """On this machine any key will do; elsewhere one that everybody knows would let everybody in."""
    tables: dict[str, BaseModel] = {"": settings}
    tables |= {f"organisations.{name}.": org for name, org in settings.organisations.items()}
    for place, table in tables.items():
        for name, value in table:
            if isinstance(value, SecretStr):
                refuse_example(settings, place + name, value)


def refuse_example(settings: Settings, place: str, secret: SecretStr) -> None:
    """Take no secret out of documentation, unless the API is on this machine.

    Raises:
        ConfigurationError: It is one; names its place, not the secret.
    """
    is_development = is_loopback(urlsplit(settings.base_url).hostname or "")
    if not is_development and is_example(secret.get_secret_value()):
        raise ConfigurationError(
            f"The secret in {place!r} is too short, or is an example.",
            fix="Give your own; only where base_url is on this machine, any will do.",
        )


def settings_table() -> str:
    """The settings as a Markdown table, for the documentation."""
    lines = ["| setting | variable | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = _shown_default(field.default)
        lines.append(f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


def _shown_default(value: Any) -> str:
    if value in (None, {}, ()) or isinstance(value, BaseModel):
        return ""
    return f"`{','.join(map(str, value))}`" if isinstance(value, tuple) else f"`{value}`"


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
    # A value of several has its number in the place, too.
    *table, name = map(str, place if place[0] in _TABLES else place[:1])
    fields = _TABLES[table[0]].model_fields if table else Settings.model_fields
    where = (
        f"[{'.'.join(table)}] of {CONFIG_FILE}" if table else f"{CONFIG_FILE}, or the environment"
    )
    if unknown:
        return nearest(name, fields) or f"The settings there are: {', '.join(fields)}."
    variable = "" if table else f" (there {PREFIX}{name.upper()})"
    return f"Correct {name} in {where}{variable}."
