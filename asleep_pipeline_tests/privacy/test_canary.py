"""Canaries: after everything was done at debug level, and went wrong, secrets are nowhere and people in tables only."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import httpx
import pytest
from jwt import encode
from standardwebhooks import Webhook

from asleep_pipeline.simulator import Faults, SimulatorOptions, running
from asleep_pipeline_tests.privacy.canaries import (
    API_KEY,
    JWT_SECRET,
    SIGNING_SECRET,
    Stage,
    found_in,
)

AUDIENCE = "canary-audience"
START, END, MONTH = "2025-05-20", "2025-05-25", "2025-05"
_WORLD = SimulatorOptions(
    people=3,
    seed=7,
    now=datetime(2025, 6, 1, 12, tzinfo=UTC),
    first_date=date(2025, 5, 20),
    api_key=API_KEY,
)
MAY_KNOW = (
    "data/lake/",
    "data/warehouse/",
    "data/asleep.duckdb",
    "data/live.duckdb",
    "data/reports/",
    "data/export/",
    "data/webhooks/inbox.sqlite",
    "terminal/",
)
"""Where people may be: data tables, what was made of them, and answers to whoever asked for people."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Everything was done once."""
    folder = tmp_path_factory.mktemp("canary")
    with running(_WORLD) as sim:
        made = Stage(
            folder,
            sim,
            {
                "ASLEEP_API_KEY": API_KEY,
                "ASLEEP_WEBHOOK_SIGNING_SECRET": SIGNING_SECRET,
                "ASLEEP_BASE_URL": sim.base_url,
                "ASLEEP_JWT_SECRET": JWT_SECRET,
                "ASLEEP_JWT_AUDIENCE": AUDIENCE,
                "ASLEEP_DATA_DIR": str(folder / "data"),
                "ASLEEP_SHARDS": "1",
                "DAGSTER_HOME": str(folder / "data" / "dagster"),
            },
            [
                API_KEY.encode(),
                JWT_SECRET.encode(),
                SIGNING_SECRET.encode(),
                SIGNING_SECRET.removeprefix("whsec_").encode(),
            ],
        )
        for part in (pulls, pushes, reports, api, failures):
            part(made)
        yield made


def pulls(stage: Stage) -> None:
    """Pull in bad weather, one user, averages; and by Dagster's own command, which captures output."""
    stage.sim.world.write_roster(stage.folder / "roster.csv")
    stage.run("users", "import", "roster.csv")
    corrupted = next(s["session"]["id"] for s in nights(stage))
    stage.sim.faults.become(
        Faults(server_error_share=0.2, truncated_share=0.1, corrupted={corrupted: "text_number"})
    )
    stage.run("backfill", "--start", START, "--end", END, may_fail=True)
    stage.sim.faults.become(Faults())
    somebody = stage.users[0].decode()
    stage.run(
        "backfill", "--user", somebody, "--start", START, "--end", END, "--refetch", may_fail=True
    )
    stage.run("averages", "--start-month", MONTH, "--end-month", MONTH, may_fail=True)
    dagster(stage, "pull", f"{START}|0", f"{END}|0")


def pushes(stage: Stage) -> None:
    """Webhooks that are taken, refused, of nobody, and of no sense; then the drain."""
    somebody = stage.users[0].decode()
    night = json.dumps({"event": "SESSION_COMPLETE", "version": "V3", "data": nights(stage)[-1]})
    with served(stage, "webhooks", "serve") as url:
        for body, key, is_signed in (
            (night, API_KEY, True),
            (night, f"{API_KEY}-of-eve", True),
            (night, API_KEY, False),
            (night.replace(somebody, "a-stranger"), API_KEY, True),
            (night[:-9], API_KEY, True),
            ('{"event": 7}', API_KEY, True),
        ):
            answer = httpx.post(url, content=body, headers=signed(body, key, somebody, is_signed))
            stage.answer(answer.content)
        for page in ("/metrics", "/health", "/nothing"):
            stage.answer(httpx.get(url.replace("/webhooks/asleep", page)).content)
    stage.run("webhooks", "drain", may_fail=True)


def reports(stage: Stage) -> None:
    """Reports with a page of everybody, and what a person asks for at a terminal."""
    script = (
        "from asleep_pipeline.definitions import defs\n"
        "from asleep_pipeline.orchestration.instance import dagster_instance\n"
        "from asleep_pipeline.settings import load_settings\n"
        "job = defs.resolve_job_def('report_weeks')\n"
        "job.execute_in_process(instance=dagster_instance(load_settings().dagster_home),\n"
        "    partition_key='2025-05-19',\n"
        "    run_config={'ops': {'weekly_reports': {'config': {'user_pages': True}}}})\n"
    )
    stage.python("-c", script)
    somebody = stage.users[0].decode()
    stage.run("report", "user", somebody, "--month", MONTH)
    stage.run("query", "last-night", "--user", somebody)
    stage.run("export", str(stage.data / "export"))
    stage.run("status")


def api(stage: Stage) -> None:
    """Good and bad credentials, ids, bodies and methods, and requests passed on while Asleep fails."""
    made = json.loads(
        stage.run("tokens", "create", "--org", "another", "--name", "canary", "--json")
    )
    stage.run("members", "add", "ada", "--org", "another", "--role", "owner")
    jwt = encode(
        {"sub": "ada", "aud": AUDIENCE, "exp": time.time() + 600}, JWT_SECRET, algorithm="HS256"
    )
    stage.secrets.extend([made["token"].encode(), jwt.encode()])
    somebody = stage.users[0].decode()
    words = (made["token"], jwt, f"{jwt}x", f"{made['token']}x", API_KEY, "nothing")
    paths = (
        "/v1/me",
        f"/v1/users/{somebody}",
        "/v1/users",
        "/v1/audit",
        "/ai/v1/sessions",
        "/schema/openapi.json",
    )
    with served(stage, "serve") as url, httpx.Client(base_url=url.removesuffix("/v1")) as client:
        for fault in (Faults(), Faults(server_error_share=1), Faults(key_revoked=True)):
            stage.sim.faults.become(fault)
            for word, path in product(words, paths):
                headers = {"authorization": f"Bearer {word}", "x-user-id": somebody}
                stage.answer(client.get(path, headers=headers).content)
                stage.answer(client.post(path, content=b"{", headers=headers).content)
    stage.sim.faults.become(Faults())


def failures(stage: Stage) -> None:
    """Failures that the vendor, the disk and the unexpected make, with their tracebacks."""
    stage.sim.faults.become(Faults(key_revoked=True))
    stage.run("sync", may_fail=True)
    stage.sim.faults.become(Faults())
    # An answer to whoever is at the terminal, who asked about people.
    stage.ask("users", "add", stage.users[0].decode())
    stage.ask("query", "SELECT user_id::INTEGER FROM sessions")
    (stage.data / "asleep.duckdb").rename(stage.data / "asleep.duckdb.aside")
    (stage.data / "asleep.duckdb").mkdir()
    stage.run("sync", may_fail=True)
    stage.run("report", "user", stage.users[0].decode(), may_fail=True)
    (stage.data / "asleep.duckdb").rmdir()
    (stage.data / "asleep.duckdb.aside").rename(stage.data / "asleep.duckdb")
    for file in (stage.data / "lake" / "data").rglob("*.parquet"):
        file.write_bytes(b"PAR1" + b"no parquet" * 9)
    stage.run("rebuild", may_fail=True)
    dagster(stage, "pull", f"{START}|0", f"{END}|0")


def nights(stage: Stage) -> list[dict[str, Any]]:
    """The truth of the first person."""
    somebody = stage.sim.world.people[0].user_id
    return list(stage.sim.world.sessions(somebody, date(2025, 5, 20), date(2025, 5, 30)))


def dagster(stage: Stage, job: str, first: str, last: str) -> None:
    """Run a job as Dagster itself does; what it prints is captured in its home."""
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    words = ["-m", "dagster", "job", "execute", "-m", "asleep_pipeline.definitions", "-j", job]
    stage.python(*words, "--tags", json.dumps(tags), may_fail=True)


def signed(body: str, key: str, user_id: str, is_signed: bool) -> dict[str, str]:
    """The headers of a webhook."""
    at = datetime.now(UTC)
    return {
        "x-api-key": key,
        "x-user-id": user_id,
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SIGNING_SECRET).sign("msg_1", at, body)
        if is_signed
        else "v1,x",
    }


@contextmanager
def served(stage: Stage, *command: str) -> Iterator[str]:
    """A server in a process of its own, at debug level; its address."""
    words = ["--verbose", *command, "--json", "--port", "0"]
    with (
        stage.log_file().open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "asleep_pipeline.cli", *words],
            cwd=stage.folder,
            env=stage.surroundings,
            stdout=subprocess.PIPE,
            stderr=log,
            umask=0o022,
        ) as process,
    ):
        try:
            assert process.stdout
            said = b""
            while not said.endswith(b"}\n"):
                line = process.stdout.readline()
                assert line
                said += line
            yield json.loads(said)["url"]
        finally:
            process.terminate()


def test_secrets_are_nowhere(stage: Stage) -> None:
    """Not in a log, a page, an answer, a table or a file's name."""
    assert len(list(stage.logs.iterdir())) > 10
    assert found_in(stage.folder, stage.secrets) == set()


def test_people_are_in_the_tables_only(stage: Stage) -> None:
    """Dagster's runs, events, tags and captured output, metrics, the audit and all logs know nobody."""
    elsewhere = found_in(stage.folder, stage.users) - {"roster.csv"}
    assert {name for name in elsewhere if not name.startswith(MAY_KNOW)} == set()


def test_the_canary_would_be_found(stage: Stage) -> None:
    """The search sees what is there: people in the lake, and runs in Dagster's home."""
    assert any(name.startswith("data/lake/") for name in found_in(stage.folder, stage.users))
    assert found_in(stage.data / "dagster", [b"raw_sessions"])
    assert found_in(stage.logs, [b"Traceback"])


def test_everything_is_its_owners_alone(stage: Stage) -> None:
    """Files 0600, folders 0700, whatever the surroundings would grant."""
    shared = {
        str(path.relative_to(stage.data)): oct(path.stat().st_mode & 0o777)
        for path in [stage.data, *stage.data.rglob("*")]
        if path.stat().st_mode & 0o077
    }
    assert shared == {}
