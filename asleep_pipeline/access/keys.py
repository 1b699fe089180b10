"""The API key of an organisation, which stands in the settings or in a file that they name."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from asleep_pipeline.access.organisations import known, organisations
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.settings import (
    PREFIX,
    Organisation,
    Settings,
    check_key,
    config_path,
    refuse_example,
)


def key_for(settings: Settings, org_id: str) -> SecretStr:
    """The API key of one organisation: its own, else the default one.

    Raises:
        AccessError: The settings of organisations cannot be read.
        ConfigurationError: There is neither, or the organisation's key file cannot be used.
    """
    key = own_key(known(settings, org_id), org_id) or settings.api_key
    if key is None:
        raise ConfigurationError(
            f"There is no API key for organisation {org_id!r}.",
            fix=f"Set {PREFIX}API_KEY, or api_key in [organisations.{org_id}] of {config_path()}.",
        )
    refuse_example(settings, f"the key of {org_id}", key)
    return key


def has_any_key(settings: Settings) -> bool:
    """Whether somebody's API key is set, so that there is something to ask with.

    Raises:
        AccessError: The settings of organisations cannot be read.
    """
    found = organisations(settings).values()
    return settings.api_key is not None or any(o.api_key or o.api_key_file for o in found)


def own_key(organisation: Organisation, org_id: str) -> SecretStr | None:
    """The API key that an organisation has of its own.

    Raises:
        ConfigurationError: Its key file cannot be used.
    """
    if organisation.api_key_file:
        return _read(organisation.api_key_file, "api_key_file", org_id)
    return organisation.api_key


def previous_key(organisation: Organisation, org_id: str) -> SecretStr | None:
    """The API key that an organisation had of its own before.

    Raises:
        ConfigurationError: The file of that key cannot be used.
    """
    if organisation.previous_api_key_file:
        return _read(organisation.previous_api_key_file, "previous_api_key_file", org_id)
    return organisation.previous_api_key


def _read(path: Path, name: str, org_id: str) -> SecretStr:
    try:
        return check_key(SecretStr(path.read_text(encoding="utf-8")))
    except OSError as error:
        problem = f"The key file {str(path)!r} cannot be read: {error.strerror}."
    except ValueError:
        problem = f"The key file {str(path)!r} does not hold an API key."
    fix = f"Write the key alone into it, or correct {name} of the organisation {org_id!r}."
    raise ConfigurationError(problem, fix=fix)
