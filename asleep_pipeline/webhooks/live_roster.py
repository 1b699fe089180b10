"""Who may be shown: users on the roster whose events came with their organisation's key."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from asleep_pipeline.access.organisations import organisations
from asleep_pipeline.lake import Lake
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.webhooks.live_sessions import Key
from asleep_pipeline.webhooks.triage import key_names_of


class LiveRoster:
    """Organisations of users, by the lake; asked again when the lake has changed.

    Before there is a lake, nobody is on the roster.
    """

    def __init__(self, settings: Settings) -> None:
        """Look into the lake of a deployment."""
        self._settings = settings
        self._lake: Lake | None = None
        self._snapshot = -1
        self._organisations: dict[str, str | None] = {}
        self._names: dict[str, set[str]] = {}

    def org_of(self, key: Key) -> str | None:
        """The organisation of a session; None when it must not be shown."""
        key_name, user_id, _ = key
        org_id = self._organisations.get(user_id)
        return org_id if org_id and key_name in self._key_names(org_id) else None

    def look_up(self, user_ids: Iterable[str]) -> None:
        """Ask the lake about users who were not asked about yet.

        Raises:
            LakeError: The lake cannot be read; nothing is known of them then.
        """
        new = [user_id for user_id in user_ids if user_id not in self._organisations]
        if new:
            self._organisations |= self._read(new)

    def refresh(self, user_ids: Collection[str]) -> bool:
        """Ask about users anew, and forget the others, if the lake has changed.

        Raises:
            LakeError: The lake cannot be read; all stays as it was.

        Returns:
            Whether it has.
        """
        # A key of its own may have been given to an organisation, or taken away.
        self._names = {}
        lake = self._open()
        snapshot = lake.snapshot_id() if lake else -1
        if snapshot == self._snapshot:
            return False
        self._organisations, self._snapshot = self._read(list(user_ids)), snapshot
        return True

    def _key_names(self, org_id: str) -> set[str]:
        if org_id not in self._names:
            self._names[org_id] = key_names_of(organisations(self._settings), org_id)
        return self._names[org_id]

    def _open(self) -> Lake | None:
        if self._lake is None and self._settings.catalog_path.exists():
            self._lake = Lake.open(self._settings.lake_dir)
        return self._lake

    def _read(self, user_ids: list[str]) -> dict[str, str | None]:
        nobody: dict[str, str | None] = dict.fromkeys(user_ids)
        lake = self._open()
        if lake is None or not user_ids:
            return nobody
        with lake.read() as con:
            rows = con.execute(
                "SELECT user_id, org_id FROM lake.users "
                "WHERE deleted_at IS NULL AND user_id IN (SELECT unnest($1))",
                [user_ids],
            ).fetchall()
        return nobody | dict(rows)


class Finished:
    """Which sessions the published file has as complete."""

    def __init__(self, warehouse: Path) -> None:
        """Look into a published file; without one, nothing is complete."""
        self._warehouse = warehouse
        self._seen: tuple[int, int] | None = None

    def is_new(self) -> bool:
        """Whether another file has been published since `among` has looked last."""
        return self._file() != self._seen

    def among(self, keys: Collection[Key]) -> set[tuple[str, str]]:
        """Those of the sessions that are complete, as user_id and session_id.

        Raises:
            WarehouseError: The file cannot be opened.
            duckdb.Error: It has no such sessions.
        """
        file = self._file()
        finished = self._read(keys) if file and keys else set()
        self._seen = file
        return finished

    def _read(self, keys: Collection[Key]) -> set[tuple[str, str]]:
        _, users, sessions = zip(*keys, strict=True)
        with read_warehouse(self._warehouse) as con:
            rows = con.execute(
                """
                SELECT user_id, session_id FROM sessions
                SEMI JOIN (SELECT unnest($1) AS user_id, unnest($2) AS session_id)
                    USING (user_id, session_id)
                WHERE state = 'COMPLETE'
                """,
                [list(users), list(sessions)],
            ).fetchall()
        return set(rows)

    def _file(self) -> tuple[int, int] | None:
        try:
            found = self._warehouse.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns
