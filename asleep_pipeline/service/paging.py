"""Long lists, a page at a time: each page says where the next one begins, by a cursor.

A cursor holds the last item's place in the order, sealed: nobody can read it, nor make one. It is good
for the list that it came with alone, which is the same path and query asked by the same organisation; with
another filter it is refused, since it would begin somewhere else. It is a place and no permission.

A handler takes `limit` and `cursor`, and asks for one row more than it shows:

    @get("/users", opt={NEEDS: Permission.PEOPLE}, sync_to_thread=True)
    def users(
        request: Request[Any, Any, Any], limit: Limit = USUAL_LIMIT, cursor: Cursor = None
    ) -> Page[User]:
        listing = listing_of(request)
        (after,) = listing.place(cursor) or ("",)
        sql = "SELECT user_id, created_at FROM users WHERE user_id > $1 ORDER BY user_id LIMIT $2"
        with warehouse_of(request).of(listing.org_id) as con:
            rows = con.execute(sql, [after, limit + 1]).fetchall()
        return listing.page([User(*row) for row in rows], limit, lambda user: [user.user_id])

Filters are further parameters, `FromQuery[...]` each; the query as a whole is what a cursor is bound to.
The order must be a total one: what a place is made of tells every item from all others.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from litestar import Request
from litestar.exceptions import HTTPException
from litestar.params import QueryParameter

from asleep_pipeline.service.admission import caller_of

T = TypeVar("T")
Place: TypeAlias = Sequence[str | int | float | None]
"""What an item is sorted by; instants and dates as ISO text."""

PAGING: Final = "paging"
"""Where the application keeps the key of its cursors."""
PURPOSE: Final = "paging"
"""What that key is derived for."""
USUAL_LIMIT: Final = 50
MOST: Final = 100
_LONGEST_CURSOR: Final = 1_024
_NONCE_BYTES: Final = 12
_OWN: Final = frozenset({"cursor", "limit"})

Limit: TypeAlias = Annotated[
    int, QueryParameter(ge=1, le=MOST, description="Most items of a page.", required=False)
]
Cursor: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        max_length=_LONGEST_CURSOR,
        description="`next_cursor` of the page before; with the same filters.",
        required=False,
    ),
]


class Page(msgspec.Struct, Generic[T]):
    """Some items of a list, in its order.

    Attributes:
        items: As many as were asked for, or fewer on the last page.
        next_cursor: Asks for the next page; null on the last one.
    """

    items: list[T]
    next_cursor: str | None


class BadCursor(HTTPException):
    """A cursor that was not given for this list."""

    status_code = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self) -> None:
        super().__init__("cursor: it does not belong to this list; begin without one.")


@dataclass(frozen=True, slots=True)
class Listing:
    """One list that an organisation asks for.

    Attributes:
        org_id: The organisation.
        path: The list's path, with its values.
        filters: All else that the query says, sorted.
    """

    org_id: str
    path: str
    filters: tuple[tuple[str, str], ...]
    _key: bytes = field(repr=False)

    def place(self, cursor: str | None) -> list[Any] | None:
        """Where a page begins: the place of the item before it; None at the beginning.

        Raises:
            BadCursor: It was given for another list, or by nobody.
        """
        if cursor is None:
            return None
        try:
            sealed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            found: list[Any] = msgspec.json.decode(self._cipher.decrypt(nonce, text, self._meaning))
        except (ValueError, InvalidTag):
            raise BadCursor from None
        return found

    def page(self, items: list[T], limit: int, place_of: Callable[[T], Place]) -> Page[T]:
        """The page of the first `limit` items; more of them mean that another page follows.

        Args:
            items: From where the page begins, at least one more than it holds if there are.
            limit: Most items of the page.
            place_of: What an item is sorted by.
        """
        shown = items[:limit]
        follows = len(items) > limit
        return Page(shown, self._cursor(place_of(shown[-1])) if follows else None)

    def _cursor(self, place: Place) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(list(place)), self._meaning)
        return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    @property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._key)

    @property
    def _meaning(self) -> bytes:
        return msgspec.json.encode([self.org_id, self.path, self.filters])


def listing_of(request: Request[Any, Any, Any]) -> Listing:
    """The list that a request asks for.

    Raises:
        NotAuthenticated: Nobody who is known asks.
    """
    given = request.query_params.multi_items()
    filters = sorted((name, str(value)) for name, value in given if name not in _OWN)
    key: bytes = request.app.state[PAGING]
    return Listing(caller_of(request).org_id, request.url.path, tuple(filters), key)
