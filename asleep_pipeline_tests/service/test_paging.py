"""Lists come page by page, each item once, by cursors that nobody can make."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from litestar import Request, get
from litestar.params import FromQuery

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.service import app
from asleep_pipeline.service.admission import NEEDS, warehouse_of
from asleep_pipeline.service.app import build_service
from asleep_pipeline.service.etags import stop_if_known
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of
from asleep_pipeline_tests.service.conftest import Client, Two, as_admin, serving


class Night(msgspec.Struct):
    """A row of the route below."""

    user_id: str
    session_id: str


@get("/test/nights", opt={NEEDS: Permission.PEOPLE}, sync_to_thread=True)
def nights(
    request: Request[Any, Any, Any],
    limit: Limit = USUAL_LIMIT,
    cursor: Cursor = None,
    since: FromQuery[str] = "",
) -> Page[Night]:
    """Nights of an organisation: what the module's docstring shows."""
    warehouse = warehouse_of(request)
    stop_if_known(request, warehouse.version)
    listing = listing_of(request)
    after = listing.place(cursor) or ["", ""]
    sql = (
        "SELECT user_id, session_id FROM sessions WHERE (user_id, session_id) > ($1, $2) "
        "AND session_id >= $3 ORDER BY ALL LIMIT $4"
    )
    with warehouse.of(listing.org_id) as con:
        rows = con.execute(sql, [*after, since, limit + 1]).fetchall()
    return listing.page(
        [Night(*row) for row in rows], limit, lambda night: [night.user_id, night.session_id]
    )


@pytest.fixture(scope="module")
def paged(two: Two) -> Iterator[Client]:
    """The API with a list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "ROUTES", (*app.ROUTES, nights))
        service = build_service(two.settings)
    with serving(service) as client:
        yield client


def test_pages_hold_every_item_once_in_order(paged: Client, two: Two) -> None:
    """Whatever the size of a page."""
    header = as_admin(two, "acme")
    whole = paged.get("/v1/test/nights?limit=100", headers=header).json()["items"]
    for limit in (1, 3, len(whole)):
        found, cursor = [], ""
        while cursor is not None:
            after = f"&cursor={cursor}" if cursor else ""
            page = paged.get(f"/v1/test/nights?limit={limit}{after}", headers=header).json()
            assert len(page["items"]) <= limit
            found += page["items"]
            cursor = page["next_cursor"]
        assert found == whole


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1e9", ""])
def test_a_limit_has_bounds(paged: Client, two: Two, limit: str) -> None:
    """1 to 100."""
    answer = paged.get(f"/v1/test/nights?limit={limit}", headers=as_admin(two, "acme"))
    assert answer.status_code == 422


def cursor_of(paged: Client, two: Two) -> str:
    """That of the second page of two nights."""
    answer = paged.get("/v1/test/nights?limit=2", headers=as_admin(two, "acme"))
    cursor: str = answer.json()["next_cursor"]
    return cursor


def test_a_cursor_is_good_for_its_list_alone(paged: Client, two: Two) -> None:
    """Neither another organisation nor another filter may use it; another size of page may."""
    cursor = cursor_of(paged, two)
    asked = f"/v1/test/nights?cursor={cursor}"
    assert paged.get(f"{asked}&limit=7", headers=as_admin(two, "acme")).status_code == 200
    assert paged.get(asked, headers=as_admin(two, "duo")).status_code == 422
    refused = paged.get(f"{asked}&since=2025", headers=as_admin(two, "acme"))
    assert refused.status_code == 422
    assert cursor not in refused.text


def test_a_cursor_tells_nothing(paged: Client, two: Two) -> None:
    """It stands in addresses, which are logged; so no id can be read from it."""
    cursor = cursor_of(paged, two)
    sealed = urlsafe_b64decode(cursor + "==")
    assert not any(user.encode() in sealed for user in two.acme)


@with_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=80), st.binary(max_size=60).map(lambda b: b.hex())))
def test_no_other_word_is_a_cursor(paged: Client, two: Two, word: str) -> None:
    """Whatever is sent, the answer is 422, and no failure."""
    answer = paged.get("/v1/test/nights", params={"cursor": word}, headers=as_admin(two, "acme"))
    assert answer.status_code == 422


def test_a_changed_cursor_is_none(paged: Client, two: Two) -> None:
    """Not one letter may differ."""
    cursor, header = cursor_of(paged, two), as_admin(two, "acme")
    for at in range(0, len(cursor), 7):
        other = "A" if cursor[at] != "A" else "B"
        changed = cursor[:at] + other + cursor[at + 1 :]
        answer = paged.get(f"/v1/test/nights?cursor={changed}", headers=header)
        assert answer.status_code == 422


def test_what_a_client_has_is_not_made_again(paged: Client, two: Two) -> None:
    """The version of the published file is enough; another query is another answer."""
    header = as_admin(two, "acme")
    tag = paged.get("/v1/test/nights?limit=2", headers=header).headers["etag"]
    again = paged.get("/v1/test/nights?limit=2", headers=header | {"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == "private, no-cache"
    other = paged.get("/v1/test/nights?limit=3", headers=header | {"if-none-match": tag})
    assert other.status_code == 200
    foreign = paged.get(
        "/v1/test/nights?limit=2", headers=as_admin(two, "duo") | {"if-none-match": tag}
    )
    assert foreign.status_code == 200
