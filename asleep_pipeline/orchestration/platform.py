"""What every asset needs: the settings, the lake, the API clients, the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from asleep_pipeline.access.keys import key_for
from asleep_pipeline.access.organisations import zones
from asleep_pipeline.disk import make_private
from asleep_pipeline.extract.clients import Clients
from asleep_pipeline.lake import Lake
from asleep_pipeline.privacy.keeping import Policy
from asleep_pipeline.settings import Settings
from asleep_pipeline.zones.fallbacks import ZoneFallbacks, read_fallbacks
from asleep_pipeline.zones.table import keep_zone_rules

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Platform:
    """One deployment.

    Attributes:
        settings: Its settings.
        user_ids: The users to pull; everyone when empty.
        on_progress: Told a title, how many users are done and how many there are.
        clock: The present, UTC.
    """

    settings: Settings
    user_ids: tuple[str, ...] = ()
    on_progress: OnProgress = lambda _title, _done, _of: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def lake(self) -> Lake:
        """The lake, made when it is missing, with the zone rules of today.

        Raises:
            ConfigurationError: The lake was made with another number of shards.
            LakeError: It cannot be opened.
        """
        make_private(self.settings.data_dir)
        lake = Lake.create(self.settings.lake_dir, shards=self.settings.shards)
        keep_zone_rules(lake)
        return lake

    def clients(self, lake: Lake) -> Clients:
        """A client for every organisation that the roster names.

        Raises:
            ConfigurationError: An organisation has no key.
        """
        with lake.read() as con:
            rows = con.execute(
                "SELECT DISTINCT org_id FROM lake.users WHERE deleted_at IS NULL ORDER BY 1"
            ).fetchall()
        return Clients(
            keys={org_id: key_for(self.settings, org_id) for (org_id,) in rows},
            base_url=self.settings.base_url,
            max_connections=self.settings.max_connections,
            requests_per_second=self.settings.requests_per_second,
            budget_file=self.settings.budget_path,
        )

    def policy(self) -> Policy:
        """For how long organisations keep what, today."""
        return Policy.of(self.settings, now=self.clock())

    def fallbacks(self, lake: Lake) -> ZoneFallbacks:
        """The zones of users and sessions that name none."""
        with lake.read() as con:
            return read_fallbacks(con, self.organisation_zones, self.settings.timezone)

    @property
    def organisation_zones(self) -> dict[str, str]:
        """Zone by organisation, for those that have one.

        Raises:
            AccessError: The settings of organisations cannot be read.
        """
        return zones(self.settings)
