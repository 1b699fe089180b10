"""Dagster's event log on SQLite, with the events of a range of partitions in one transaction.

Dagster writes each event by itself unless the storage takes batches, which only its servers do: a
range run over 90 days then spends most of its time on 360 events. A batch holds what one step or
one new run tells of its partitions; whoever reads the log finds the same rows as without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dagster import EventLogEntry
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

EVENTS_A_BATCH = 1_000
"""SQLite takes 32,766 values in a statement, and an event has seven."""


class BatchingEventLog(SqliteEventLogStorage):
    """The event log where Dagster keeps it by default, below `DAGSTER_HOME`."""

    @classmethod
    def config_type(cls) -> Any:
        """Nothing can be set."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Open the log of this process's `DAGSTER_HOME`."""
        folder = Path(os.environ["DAGSTER_HOME"], "history", "runs")
        return cls(str(folder), inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run."""
        of_assets = [e for e in events if e.dagster_event_type in ASSET_EVENTS]
        if of_assets:
            with self.run_connection(of_assets[0].run_id) as con:
                con.execute(self.prepare_insert_event_batch(of_assets))
            self._mirror(of_assets)
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)

    def _mirror(self, events: Sequence[EventLogEntry]) -> None:
        """Put them into the index over all runs as well; an asset remembers its newest event of a kind."""
        newest: dict[Any, tuple[EventLogEntry, int]] = {}
        with self.index_transaction() as con:
            ids = []
            for event in events:
                row = con.execute(self.prepare_insert_event(event)).inserted_primary_key
                assert row is not None, "an inserted event has a number"
                number = row[0]
                told = event.get_dagster_event()
                newest[told.asset_key, told.event_type] = (event, number)
                ids.append(number)
            self._store_asset_event_tags(con, events, ids)
            for event, number in newest.values():
                self._store_asset_event(con, event, number)
