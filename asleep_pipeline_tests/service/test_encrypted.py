"""With encryption on, the API answers as without it, and stores nothing that tells of a night."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from asleep_pipeline.access.roles import Role
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import RAW
from asleep_pipeline.service.app import build_service
from asleep_pipeline.sleep.parameters import Parameters
from asleep_pipeline.warehouse import publish
from asleep_pipeline_tests.service.conftest import (
    Client,
    Two,
    as_admin,
    as_role,
    serving,
    two_organisations,
)
from asleep_pipeline_tests.service.test_readthrough import sessions, truth, wait_for
from asleep_pipeline_tests.service.test_statistics import COUNTED, said_by_api
from asleep_pipeline_tests.small_world import FIRST, TODAY


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two organisations, ten days after what they have was published."""
    for two in two_organisations(tmp_path_factory.mktemp("sealed") / "data", is_encrypted=True):
        # Three people are a group here, so that an analyst sees rows.
        publish(
            two.world.lake, two.settings.warehouse_path, parameters=Parameters(min_group_size=3)
        )
        two.world.sim.clock.set(two.world.sim.clock.now() + timedelta(days=10, hours=11))
        yield two


@pytest.fixture
def api(sealed: Two) -> Iterator[Client]:
    """The API, which remembers nothing of other tests."""
    with serving(build_service(sealed.settings)) as made:
        yield made


def get(api: Client, two: Two, path: str, **query: str) -> Any:
    """An answer to an admin of `acme`."""
    answer = api.get(f"/v1{path}", params=query, headers=as_admin(two, "acme"))
    assert answer.status_code == 200, answer.text
    return answer.json()


def kept(two: Two, session_id: str) -> list[Any]:
    """The bodies that `raw` holds of a session."""
    with two.world.lake.read() as con:
        rows = opened(con, RAW, "lake.raw WHERE session_id = $1 AND body IS NOT NULL")
        return con.execute(f"SELECT body FROM {rows}", [session_id]).fetchall()


def test_what_is_published_is_told(api: Client, sealed: Two) -> None:
    """List, detail, averages, a weekly report and an analyst's query, of a file that needs its key."""
    with pytest.raises(duckdb.Error, match="without a key"):
        duckdb.connect(str(sealed.settings.warehouse_path), read_only=True)
    user, days = sealed.acme[0], {"from": str(FIRST), "to": str(TODAY)}
    items = get(api, sealed, f"/users/{user}/sessions", **days)["items"]
    assert len(items) > 5
    for item in items:
        said = get(api, sealed, f"/users/{user}/sessions/{item['session_id']}")
        expected = truth(sealed, user, item["session_id"])["session"]["sleep_stages"]
        assert (said["source"], said["stages"]["sleep"]) == ("warehouse", expected)
    last = TODAY - timedelta(days=3)
    asked = {"from": str(FIRST), "to": str(last), "timezone": "UTC"}
    ours = get(api, sealed, f"/users/{user}/averages", **asked)
    theirs = said_by_api(sealed, user, FIRST, last, "UTC")
    assert ours == theirs | {f"{name}_count": len(theirs.pop(f"{name}s")) for name in COUNTED}
    report = get(api, sealed, f"/users/{user}/reports/weekly/{items[5]['night_date']}")
    assert report["nights_observed"] > 0
    analyst = as_role(sealed, "acme", Role.ANALYST)
    query = {"sql": "SELECT count(*) FROM nights"}
    assert api.post("/v1/query", json=query, headers=analyst).json()["rows"][0][0] > 5


def test_what_is_not_published_is_read_and_kept_once(api: Client, sealed: Two) -> None:
    """Sealed, and known again by another process; then published."""
    user = sealed.acme[0]
    session = sessions(sealed, user)[0]
    path = f"/users/{user}/sessions/{session}"
    assert get(api, sealed, path)["source"] == "asleep"
    wait_for(lambda: bool(kept(sealed, session)))
    stored = sealed.world.lake.frame("SELECT body FROM lake.raw WHERE session_id = $1", [session])
    assert b"sleep_stages" not in stored["body"][0]
    with serving(build_service(sealed.settings)) as another:
        assert get(another, sealed, path)["source"] == "asleep"
    assert len(kept(sealed, session)) == 1
    sealed.world.normalise()
    publish(sealed.world.lake, sealed.settings.warehouse_path)
    assert get(api, sealed, path)["source"] == "warehouse"


def test_a_deleted_session_is_gone_and_the_rest_is_exported(api: Client, sealed: Two) -> None:
    """As the person gets it: readable."""
    user, admin = sealed.acme[1], as_admin(sealed, "acme")
    days = {"from": str(FIRST), "to": str(TODAY)}
    first, *others = get(api, sealed, f"/users/{user}/sessions", **days)["items"]
    path = f"/v1/users/{user}/sessions/{first['session_id']}"
    assert api.delete(path, headers=admin).status_code == 204
    assert get(api, sealed, f"/users/{user}/sessions", **days)["items"] == others
    sealed.world.normalise()
    answer = api.get(f"/v1/users/{user}/export", headers=admin)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as files:
        said = json.loads(files.read("person.json"))["tables"]
    assert {row["session_id"] for row in said["sessions"]} == {o["session_id"] for o in others}
    assert all(isinstance(row["body"], dict) for row in said["raw"] if row["body"])
