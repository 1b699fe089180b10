"""Everything that is stored about one person, as files that a person and a program can read.

```
README.txt     what the files are
person.json    all of it, one document
users.parquet  sessions.parquet  fct_night.parquet  ...
```
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import polars as pl

from asleep_pipeline.access.records import records
from asleep_pipeline.errors import UsageError
from asleep_pipeline.lake import TABLES, Table
from asleep_pipeline.lake.sealing import SEALED, opened
from asleep_pipeline.privacy.steps import lake_of
from asleep_pipeline.settings import Settings
from asleep_pipeline.warehouse.export import read_warehouse
from asleep_pipeline.warehouse.marts.tables import MARTS
from asleep_pipeline.webhooks.inbox import Inbox

_OF_THE_LAKE: Final = tuple(t for t in TABLES.values() if "user_id" in t.column_names)
_MARTS: Final = tuple(t for t in MARTS if "user_id" in t.column_names)
_OTHERS: Final = {
    "webhooks": "Events that Asleep sent, as far as the inbox still holds them.",
    "sessions_in_progress": "What the events of a night that is not over tell.",
}
_MOST_EVENTS: Final = 100_000

Tables = dict[str, pl.DataFrame]


def export_person(settings: Settings, user_id: str, folder: Path, *, now: datetime) -> list[Path]:
    """Write everything about a person into a folder.

    Args:
        settings: Of the deployment.
        user_id: Of the person.
        folder: An empty one.
        now: The present, UTC.

    Returns:
        The files.

    Raises:
        UsageError: Nothing is stored of such a user.
        LakeError: The lake cannot be read.
        WarehouseError: The published file cannot be read.
        OSError: A file cannot be written.
    """
    tables = {name: frame for name, frame in _tables(settings, user_id).items() if frame.height}
    known = records(settings.secret_path.parent, user_id)
    if not tables and not known:
        raise UsageError(
            "Nothing is stored of such a user.", fix="Give the id as Asleep has issued it."
        )
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    said = {
        "user_id": user_id,
        "exported_at": now,
        "tables": {name: _readable(frame) for name, frame in tables.items()},
        "access": known,
    }
    document = msgspec.json.format(msgspec.json.encode(said))
    (folder / "person.json").write_bytes(document)
    (folder / "README.txt").write_text(_readme(tables), encoding="utf-8")
    return sorted(folder.iterdir())


def _tables(settings: Settings, user_id: str) -> Tables:
    found: Tables = {}
    if lake := lake_of(settings):
        with lake.read() as con:
            found |= {t.name: _of_lake(con, t, user_id) for t in _OF_THE_LAKE}
    if settings.warehouse_path.exists():
        found |= _of_file(settings.warehouse_path, [t.name for t in _MARTS], user_id)
    if settings.live_path.exists():
        live = _of_file(settings.live_path, ["live_sessions"], user_id)
        found["sessions_in_progress"] = live["live_sessions"]
    if settings.inbox_path.exists():
        found["webhooks"] = _events(Inbox(settings.inbox_path), user_id)
    return found


def _of_lake(con: duckdb.DuckDBPyConnection, table: Table, user_id: str) -> pl.DataFrame:
    rows = opened(con, table, f"lake.{table.name} WHERE user_id = $1")
    columns = ", ".join(name for name in table.column_names if name != SEALED)
    return con.execute(f"SELECT {columns} FROM {rows}", [user_id]).pl()


def _of_file(path: Path, names: list[str], user_id: str) -> Tables:
    with read_warehouse(path) as con:
        con.execute("SET TimeZone = 'UTC'")
        return {
            name: con.execute(f"SELECT * FROM {name} WHERE user_id = $1", [user_id]).pl()
            for name in names
        }


def _events(inbox: Inbox, user_id: str) -> pl.DataFrame:
    events = inbox.events(user_id=user_id, limit=_MOST_EVENTS)
    return pl.DataFrame([msgspec.to_builtins(e, builtin_types=(bytes, datetime)) for e in events])


def _readable(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows whose bodies are JSON where they can be read, and base64 where not."""
    return [{name: _value(value) for name, value in row.items()} for row in frame.to_dicts()]


def _value(value: object) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return b64encode(value).decode()


def _readme(tables: Mapping[str, pl.DataFrame]) -> str:
    described = {t.name: t for t in (*_OF_THE_LAKE, *_MARTS)}
    lines = [
        "Everything that is stored about one person.",
        "",
        "person.json holds all of it; each table is a Parquet file as well. Instants are in UTC.",
    ]
    for name, frame in tables.items():
        table = described.get(name)
        about = table.description if table else _OTHERS[name]
        lines += ["", f"{name}: {frame.height} rows. {about}"]
        comments = {c.name: c.comment for c in table.columns} if table else {}
        lines += [
            f"  {column}: {comments[column]}" for column in frame.columns if column in comments
        ]
    return "\n".join([*lines, ""])
