"""What of the SDKs' requests is passed on to Asleep: which routes, which headers, whose.

The list is the contract's. Whatever is not on it is unknown here, and Asleep is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote

from litestar.connection import ASGIConnection
from litestar.types import HTTPScope, Method

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.service.problems import NotFound, Unacceptable

LONGEST_ID: Final = 256

_Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
_RANGE: Final = frozenset({"date_gte", "date_lte", "order_by", "offset", "limit"})
_PERIOD: Final = frozenset({"start_date", "end_date"})
_NOTHING: Final[frozenset[str]] = frozenset()
_MOST_PARAMETERS: Final = 20

_SENT: Final = (
    "accept",
    "accept-language",
    "content-encoding",
    "content-length",
    "content-type",
    "timezone",
    "user-agent",
)
"""Headers of a request that are passed on; `x-user-id` is written anew."""
_RETURNED: Final = ("content-encoding", "content-length", "content-type", "retry-after")
"""Headers of an answer that are passed on."""
_TRICKS: Final = re.compile(rb"(?i)%2f|%5c|%[01][0-9a-f]|%7f|\\|//|/(?:\.|%2e){1,2}(?:/|$)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A route of Asleep's that may be asked through here.

    Attributes:
        methods: Its methods.
        path: Its path, with `{user_id:str}` and the like for what varies.
        query: Names of parameters; None for any.
        names_user: Whether `x-user-id` must say whom it is about.
        needs: The permission that it asks for; whoever is asked about must be seen as well.
    """

    methods: tuple[Method, ...]
    path: str
    query: frozenset[str] | None = _NOTHING
    names_user: bool = False
    needs: Permission = Permission.OWN

    def segments(self, values: Mapping[str, Any]) -> list[str]:
        """The path with its values, segment by segment, not quoted."""
        parts = self.path.strip("/").split("/")
        return [str(values[part[1:-5]]) if part.startswith("{") else part for part in parts]


CREATE_USER: Final = Rule(("POST",), "/ai/v1/users", needs=Permission.PEOPLE)

RULES: Final = (
    CREATE_USER,
    Rule(("GET", "PUT", "DELETE"), "/ai/v1/users/{user_id:str}"),
    Rule(("GET",), "/data/v1/sessions", _RANGE, names_user=True),
    Rule(("GET",), "/data/v3/sessions/{session_id:str}", names_user=True),
    Rule(("GET",), "/data/v1/users/{user_id:str}/average-stats", _PERIOD),
    # What the recording SDK asks of sessions is not documented but for deleting and closing.
    Rule(("POST", "PUT", "DELETE"), "/ai/v1/sessions", None, names_user=True),
    Rule(
        ("GET", "POST", "PUT", "PATCH", "DELETE"),
        "/ai/v1/sessions/{session_id:str}",
        None,
        names_user=True,
    ),
    Rule(
        ("GET", "POST", "PUT", "PATCH"),
        "/ai/v1/sessions/{session_id:str}/{what:str}",
        None,
        names_user=True,
    ),
)


def check_path(scope: HTTPScope, values: Iterable[Any]) -> None:
    """Refuse a path that could be read in two ways.

    Raises:
        NotFound: It holds a quoted slash, a dot segment, a control character or no UTF-8, or a value that
            no id can be.
    """
    raw = scope.get("raw_path") or b""
    try:
        unquote(raw.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        raise NotFound from None
    if _TRICKS.search(raw.partition(b"?")[0]) or not all(is_id(str(value)) for value in values):
        raise NotFound


def is_id(text: str) -> bool:
    """Whether a text can be an id."""
    fits = 0 < len(text) <= LONGEST_ID and text == text.strip() and text.isprintable()
    return fits and text not in {".", ".."} and not set("/\\?#%") & set(text)


def user_named(connection: _Connection, rule: Rule) -> str | None:
    """Whom `x-user-id` names; None where the route needs none.

    Raises:
        NotFound: It names somebody else than the path, or nobody who can be.
        Unacceptable: It is missing, or there are several.
    """
    given = connection.headers.getall("x-user-id", [])
    in_path = connection.path_params.get("user_id")
    if not rule.names_user and (in_path is None or not given):
        return None
    if len(given) != 1:
        raise Unacceptable("The request must bear exactly one x-user-id.")
    if not is_id(given[0]) or not given[0].isascii() or in_path not in {None, given[0]}:
        raise NotFound
    return given[0]


def query_of(scope: HTTPScope, rule: Rule) -> list[tuple[str, str]]:
    """Names and values of the query, each name once.

    Raises:
        Unacceptable: It holds what the route does not take, or is no query.
    """
    text = scope["query_string"].decode("latin-1")
    try:
        found = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise Unacceptable("The query is not sound.") from None
    names = [name for name, _ in found]
    is_known = rule.query is None or set(names) <= rule.query
    if len(set(names)) != len(names) or not is_known:
        raise Unacceptable("The query holds what this route does not take, or something twice.")
    return found


def headers_to_send(connection: _Connection, user_id: str | None) -> dict[str, str]:
    """The headers that go to Asleep.

    Raises:
        Unacceptable: One of them comes more than once, or holds what no header of ours does.
    """
    found = {"accept-encoding": "identity"}
    for name in _SENT:
        given = connection.headers.getall(name, [])
        if len(given) > 1 or not all(value.isascii() and value.isprintable() for value in given):
            raise Unacceptable(f"The header {name} is not sound.")
        found |= dict.fromkeys([name] if given else [], "".join(given))
    return found | ({"x-user-id": user_id} if user_id else {})


def headers_to_return(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers that go back to who asked."""
    return [
        (name.encode(), headers[name].encode("latin-1", "replace"))
        for name in _RETURNED
        if name in headers
    ]
