"""The zone of sessions and users that name none, or none that exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from asleep_pipeline.zones.names import is_zone


@dataclass(frozen=True, slots=True)
class ZoneFallbacks:
    """Which zone a session is in when its own is missing or unknown.

    Attributes:
        users: Home zone by user.
        organisations: Zone by organisation.
        default: The zone of everyone else.
    """

    users: Mapping[str, str]
    organisations: Mapping[str, str]
    default: str

    def zone_of(self, created: str | None, user_id: str, org_id: str) -> tuple[str, str]:
        """The zone, and where it comes from: session, roster, organisation or default."""
        candidates = (
            (created, "session"),
            (self.users.get(user_id), "roster"),
            (self.organisations.get(org_id), "organisation"),
        )
        for zone, source in candidates:
            if zone is not None and is_zone(zone):
                return zone, source
        return self.default, "default"


def read_fallbacks(
    con: duckdb.DuckDBPyConnection, organisations: Mapping[str, str], default: str
) -> ZoneFallbacks:
    """The fallbacks, with the home zones that the roster names."""
    homes = con.execute("SELECT user_id, timezone FROM lake.users WHERE timezone IS NOT NULL")
    return ZoneFallbacks(dict(homes.fetchall()), organisations, default)
