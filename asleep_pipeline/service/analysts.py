"""Where analysts ask: a process for each organisation, which holds its de-identified tables."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
from litestar.exceptions import HTTPException

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.privacy.secret import derived_key
from asleep_pipeline.service.analysts_worker import Ask, QueryResult, Tables, Told, receive, send
from asleep_pipeline.service.deidentified import TABLES, prepare
from asleep_pipeline.service.tenants import Warehouse

_LONGEST_S: Final = 10.0
_GRACE_S: Final = 3.0
"""A query that cannot be interrupted ends with its process so much later."""
_MOST_PROCESSES: Final = 4
"""Organisations whose tables are kept; the one that was asked for least recently goes first."""
_MOST_WAITING: Final = 3
"""Questions of one organisation that are there at once: one is answered, the others wait."""
_BATCH: Final = 50_000
_GIVEN: Final = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG", "LC_ALL")
"""What a process gets of the environment, in which there are secrets."""


class Unanswerable(HTTPException):
    """A query that is not run, or not to its end."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY


class Occupied(HTTPException):
    """As many questions of the organisation are there as may wait."""

    status_code = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self) -> None:
        super().__init__(
            "Other queries of your organisation are running; wait for them.",
            headers={"retry-after": "2"},
        )


class Desk:
    """Where analysts ask; for use by many threads.

    Args:
        warehouse: Where the rows come from.
        secret_path: Of the deployment, for the pseudonyms.
        longest_s: After so long a query is ended.
    """

    def __init__(
        self, warehouse: Warehouse, secret_path: Path, *, longest_s: float = _LONGEST_S
    ) -> None:
        self._warehouse = warehouse
        self._secret_path = secret_path
        self._longest_s = longest_s
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._waiting: Counter[str] = Counter()
        self._choosing = threading.Lock()

    def query(self, org_id: str, sql: str) -> QueryResult:
        """Run what an analyst says, if it is one SELECT over an organisation's de-identified tables.

        Raises:
            Unanswerable: It is not allowed, wrong, or needs too much time, memory or room.
            Occupied: Too many wait already.
            WarehouseError: There is no published file.
            AccessError: The deployment's secret cannot be read.
        """
        return self._ask(org_id, Ask(sql=sql, values=None, longest_s=self._longest_s))

    def select(
        self, org_id: str, sql: str, values: Mapping[str, str | int]
    ) -> list[dict[str, Any]]:
        """Run a query of the service itself, with parameters; rows by column name.

        Raises:
            Unanswerable: It needs too much.
            Occupied: Too many wait already.
            WarehouseError: There is no published file.
            AccessError: The deployment's secret cannot be read.
        """
        asked = Ask(sql=sql, values=dict(values), longest_s=self._longest_s)
        found = self._ask(org_id, asked)
        names = [column.name for column in found.columns]
        return [dict(zip(names, row, strict=True)) for row in found.rows]

    def close(self) -> None:
        """End all processes; what is asked then gets new ones."""
        with self._choosing:
            places, self._places = list(self._places.values()), OrderedDict()
        for place in places:
            place.close()

    def _ask(self, org_id: str, ask: Ask) -> QueryResult:
        with self._turn(org_id):
            told = self._place(org_id).ask(ask, self._warehouse)
        if told.result is None:
            raise Unanswerable(told.refused or "")
        return told.result

    @contextmanager
    def _turn(self, org_id: str) -> Iterator[None]:
        with self._choosing:
            if self._waiting[org_id] >= _MOST_WAITING:
                raise Occupied
            self._waiting[org_id] += 1
        try:
            yield
        finally:
            with self._choosing:
                self._waiting[org_id] -= 1

    def _place(self, org_id: str) -> _Place:
        with self._choosing:
            if org_id not in self._places:
                self._places[org_id] = _Place(org_id, self._secret_path)
            self._places.move_to_end(org_id)
            is_full = len(self._places) > _MOST_PROCESSES
            oldest = self._places.popitem(last=False)[1] if is_full else None
            place = self._places[org_id]
        if oldest:
            oldest.close()
        return place


class _Place:
    """One organisation's process, started with the first question to each edition of the file."""

    def __init__(self, org_id: str, secret_path: Path) -> None:
        self._org_id, self._secret_path = org_id, secret_path
        self._asking = threading.Lock()
        self._version = ""
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, ask: Ask, warehouse: Warehouse) -> Told:
        with self._asking:
            version = warehouse.version
            if self._process is None or self._version != version:
                self._end()
                self._start(warehouse)
                self._version = version
            told = self._told(ask)
            if told is None:
                self._end()
        return told or Told(refused="The query needs too much memory or time.")

    def close(self) -> None:
        with self._asking:
            self._end()

    def _start(self, warehouse: Warehouse) -> None:
        environment = {name: os.environ[name] for name in _GIVEN if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "asleep_pipeline.service.analysts_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            self._fill(warehouse)
        except BaseException:
            self._end()
            raise

    def _fill(self, warehouse: Warehouse) -> None:
        _, asked, said = self._running()
        key = derived_key(self._secret_path, f"analysts:{self._org_id}")
        try:
            with warehouse.of(self._org_id) as source:
                prepare(source, key)
                send(asked, Tables(names=list(TABLES)))
                for select_rows in TABLES.values():
                    rows = source.execute(select_rows).to_arrow_reader(_BATCH)
                    with pa.ipc.new_stream(asked, rows.schema) as stream:
                        for batch in rows:
                            stream.write_batch(batch)
            asked.flush()
            ready = receive(said)
        except BrokenPipeError:
            ready = None
        if ready is None:
            raise WarehouseError(
                "The process for the queries of analysts could not be started.",
                fix="Check the memory of the machine.",
            )

    def _told(self, ask: Ask) -> Told | None:
        """None when the process has ended, or must be."""
        process, asked, said = self._running()
        last_resort = threading.Timer(ask.longest_s + _GRACE_S, process.kill)
        last_resort.start()
        try:
            send(asked, ask)
            answer = receive(said)
        except BrokenPipeError:
            answer = None
        finally:
            last_resort.cancel()
        return msgspec.json.decode(answer, type=Told) if answer else None

    def _running(self) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
        process = self._process
        assert process
        assert process.stdin
        assert process.stdout
        return process, process.stdin, process.stdout

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with suppress(BrokenPipeError):
            process.communicate()
