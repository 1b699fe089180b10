"""Which zones there are, and whose rules hold: those of the `tzdata` package, by pendulum."""

from __future__ import annotations

import os
import zoneinfo
from functools import cache
from importlib.metadata import version

import pendulum


def use_packaged_tzdata() -> None:
    """Make the `tzdata` package the only source of zone rules, here and in child processes.

    pendulum's zones are `zoneinfo` zones, and `zoneinfo` prefers the system's files over the
    package. Works at any time, also when zones were already used; may be called again and again.
    A zone object that somebody already holds keeps its old rules.
    """
    os.environ["PYTHONTZPATH"] = ""
    if zoneinfo.TZPATH:
        zoneinfo.reset_tzpath(to=())
        zoneinfo.ZoneInfo.clear_cache()
        pendulum.Timezone.clear_cache()
        pendulum.tz.timezones.cache_clear()


def tzdata_version() -> str:
    """Release of the zone rules as the package counts it: `2026.6` is IANA's `2026f`."""
    return version("tzdata")


@cache
def known_zones() -> frozenset[str]:
    """Every IANA zone name, aliases included, in IANA's own spelling."""
    use_packaged_tzdata()
    return frozenset(pendulum.timezones())


def is_zone(name: str) -> bool:
    """Whether `name` is an IANA zone, spelled as IANA spells it (upper and lower case count)."""
    return name in known_zones()
