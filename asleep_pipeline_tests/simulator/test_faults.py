"""Faults of transport, account and data, each off until it is asked for."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from asleep_pipeline.simulator import Faults, Person

APRIL = (date(2026, 4, 1), date(2026, 4, 30))


def first_session(api: Any, person: Person) -> str:
    """Return the id of the first April session that has statistics."""
    truths = api.sim.world.sessions(person.user_id, *APRIL)
    return str(next(truth["session"]["id"] for truth in truths if truth["stat"]))


def user(api: Any, person: Person) -> httpx.Response:
    """Ask for the user."""
    answer: httpx.Response = api.get(f"/ai/v1/users/{person.user_id}")
    return answer


@pytest.mark.parametrize(
    ("fault", "status", "detail"),
    [
        ("key_revoked", 401, "Unauthorized"),
        ("plan_expired", 403, "Plan is expired"),
    ],
)
def test_an_account_can_be_refused(
    api: Any, person: Person, fault: str, status: int, detail: str
) -> None:
    """And accepted again."""
    setattr(api.sim.faults, fault, True)
    answer = user(api, person)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    setattr(api.sim.faults, fault, False)
    assert user(api, person).status_code == 200


def test_the_rate_is_limited(api: Any, person: Person) -> None:
    """One request an hour: the first passes, the second is the retryable 403."""
    api.sim.faults.requests_per_second = 1 / 3600
    assert user(api, person).status_code == 200
    answer = user(api, person)
    assert (answer.status_code, answer.json()) == (403, {"detail": "Rate limit exceeded"})
    assert "retry-after" not in answer.headers


def test_the_rate_can_be_refused_by_429(api: Any, person: Person) -> None:
    """With the number of seconds to wait."""
    faults = api.sim.faults
    faults.requests_per_second, faults.rate_limit_status, faults.retry_after_s = 1 / 3600, 429, 7
    user(api, person)
    answer = user(api, person)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_the_quota_counts_sessions_not_requests(api: Any, person: Person) -> None:
    """The second session is refused, the first can be read again."""
    ids = [row["session_id"] for row in api.rows(person.user_id)[:2]]
    api.sim.faults.quota = 1
    statuses = [
        api.get(f"/data/v3/sessions/{session_id}", person.user_id).status_code
        for session_id in (ids[0], ids[1], ids[0])
    ]
    assert statuses == [200, 403, 200]


def test_server_errors_come_at_their_share(api: Any, person: Person) -> None:
    """Half of a hundred requests fail, give or take."""
    api.sim.faults.server_error_share = 0.5
    statuses = [user(api, person).status_code for _ in range(100)]
    assert set(statuses) == {200, 500, 502, 503}
    assert 30 < statuses.count(200) < 70


def test_a_connection_can_be_reset(api: Any, person: Person) -> None:
    """The client sees a broken connection and no answer."""
    api.sim.faults.reset_share = 1.0
    with pytest.raises(httpx.ReadError):
        user(api, person)
    assert api.sim.requests["get_user"] == 1


def test_a_body_can_be_cut_off(api: Any, person: Person) -> None:
    """The header promises more than comes."""
    api.sim.faults.truncated_share = 1.0
    with pytest.raises(httpx.RemoteProtocolError):
        user(api, person)


def test_slow_and_late_answers_are_whole(api: Any, person: Person) -> None:
    """They only take their time."""
    fast = user(api, person).json()
    faults = api.sim.faults
    faults.slow_share, faults.slow_s = 1.0, 0.02
    faults.latency_s, faults.latency_jitter_s = 0.01, 0.01
    assert user(api, person).json() == fast


def test_a_recomputed_session_changes_once(api: Any, person: Person) -> None:
    """From its instant on, list and state stay and series and statistics differ."""
    session_id = first_session(api, person)
    before = api.detail(person.user_id, session_id)
    later = api.sim.clock.now() + timedelta(hours=1)
    api.sim.faults.recomputed = {session_id: later}
    assert api.detail(person.user_id, session_id) == before
    api.sim.clock.set(later)
    after = api.detail(person.user_id, session_id)
    assert after["session"]["state"] == "COMPLETE"
    assert after["session"]["sleep_stages"] != before["session"]["sleep_stages"]
    assert after["stat"] != before["stat"]
    assert after == api.detail(person.user_id, session_id)


def test_a_share_of_sessions_is_recomputed(api: Any, person: Person) -> None:
    """Within a week of completion, by the simulator's clock."""
    before = api.sim.world.sessions(person.user_id, *APRIL)
    api.sim.faults.recomputed_share = 0.5
    api.sim.clock.advance(timedelta(days=7))
    after = api.sim.world.sessions(person.user_id, *APRIL)
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    assert len(before) / 5 < changed < len(before)


def test_a_late_upload_appears_at_its_instant(api: Any, person: Person) -> None:
    """Unknown, then closed, then complete."""
    session_id = first_session(api, person)
    arrives = api.sim.clock.now() + timedelta(hours=1)
    api.sim.faults.late_uploads = {session_id: arrives}
    path = f"/data/v3/sessions/{session_id}"
    assert api.get(path, person.user_id).status_code == 404
    api.sim.clock.set(arrives)
    assert api.detail(person.user_id, session_id)["session"]["state"] == "CLOSED"
    api.sim.clock.advance(timedelta(minutes=5))
    assert api.detail(person.user_id, session_id)["session"]["state"] == "COMPLETE"


def test_sessions_appear_while_paging(api: Any, person: Person) -> None:
    """After the first page more sessions are there than before."""
    api.sim.faults.appearing_share = 0.3
    first = api.rows(person.user_id, order_by="ASC", date_gte="2026-04-01")
    second = api.rows(person.user_id, order_by="ASC", date_gte="2026-04-01")
    truth = api.sim.world.sessions(person.user_id, date(2026, 4, 1), date(2026, 5, 1))
    assert len(first) < len(second) == len(truth)


def test_sessions_vanish_while_paging(api: Any, person: Person) -> None:
    """After the first page some are gone, from list, detail and truth."""
    api.sim.faults.vanishing_share = 0.3
    first = {row["session_id"] for row in api.rows(person.user_id, date_gte="2026-04-01")}
    second = {row["session_id"] for row in api.rows(person.user_id, date_gte="2026-04-01")}
    assert second < first
    gone = min(first - second)
    assert api.get(f"/data/v3/sessions/{gone}", person.user_id).status_code == 404


def test_sessions_change_while_paging(api: Any, person: Person) -> None:
    """Some are closed on the first page and complete afterwards."""
    api.sim.faults.changing_share = 0.5
    first = [row["state"] for row in api.rows(person.user_id, date_lte="2026-04-29")]
    second = [row["state"] for row in api.rows(person.user_id, date_lte="2026-04-29")]
    assert set(first) == {"CLOSED", "COMPLETE"}
    assert set(second) == {"COMPLETE"}


def test_users_and_sessions_can_be_gone(api: Any, person: Person) -> None:
    """A deleted user is a 404 and has no truth, a pending one says so."""
    other = api.sim.world.people[1]
    session_id = first_session(api, other)
    api.sim.faults.deleted_users = {person.user_id}
    api.sim.faults.pending_users = {other.user_id}
    api.sim.faults.deleted_sessions = {session_id}
    assert user(api, person).status_code == 404
    assert api.sim.world.sessions(person.user_id, *APRIL) == []
    assert user(api, other).json()["result"]["to_be_deleted"] is True
    assert api.get(f"/data/v3/sessions/{session_id}", other.user_id).status_code == 404


@pytest.mark.parametrize(
    "kind", ["percent", "bad_stage", "negative", "end_before_start", "text_number", "no_session"]
)
def test_a_chosen_answer_breaks_the_contract(api: Any, person: Person, kind: Any) -> None:
    """Only that session, and not the truth."""
    session_id = first_session(api, person)
    right = api.detail(person.user_id, session_id)
    truth = api.sim.world.sessions(person.user_id, *APRIL)
    api.sim.faults.corrupted = {session_id: kind}
    assert api.detail(person.user_id, session_id) != right
    assert api.sim.world.sessions(person.user_id, *APRIL) == truth


def test_a_chosen_answer_is_no_json(api: Any, person: Person) -> None:
    """The body has the right length and no sense."""
    session_id = first_session(api, person)
    api.sim.faults.corrupted = {session_id: "not_json"}
    body = api.get(f"/data/v3/sessions/{session_id}", person.user_id).content
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)


def test_all_faults_are_off_by_default(api: Any, person: Person) -> None:
    """A fresh simulator serves the plain truth."""
    assert api.sim.faults == Faults(seed=api.sim.faults.seed)
    assert len(api.sim.world.visible(person, UTC, *APRIL)) == len(
        api.rows(person.user_id, date_gte="2026-04-01", date_lte="2026-04-30")
    )
