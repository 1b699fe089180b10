"""Everything that can be asked of the API, from the application's own table of routes.

A route of which this does not know how to ask it fails the tests: whoever adds one says here which ids it
takes, or gives its body an example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from httpx import Response
from litestar import Litestar
from litestar.routes import HTTPRoute

from asleep_pipeline.access.members import Members
from asleep_pipeline.access.roles import PERMISSIONS, Permission, Role
from asleep_pipeline.access.tokens import Tokens
from asleep_pipeline.lake.cohorts import Cohort, put_cohort
from asleep_pipeline.service.admission import DOOR, NEEDS
from asleep_pipeline.service.app import build_service
from asleep_pipeline.service.limits import Buckets
from asleep_pipeline.warehouse import publish
from asleep_pipeline_tests.service.conftest import (
    Client,
    Two,
    as_role,
    serving,
    two_organisations,
)
from asleep_pipeline_tests.small_world import FIRST, NOON, TODAY

Kind = str
"""`own`, `foreign` or `unknown`."""
Json = dict[str, Any]
Ids = dict[str, str]

NOBODY: Final = "nobody"
"""Who asks without a credential."""
STRANGER: Final = "owner of duo"
"""Who may do everything, in another organisation."""

_PASSED_ON: Final = ("/ai/", "/data/")
_ENDS_SOMETHING: Final = frozenset({("POST", "/v1/users/{user_id}/erasure")})
_UNKNOWN: Final = {
    "user_id": "G-20260101000000-abcdefghijklmnopqrst",
    "session_id": "20260101000000_abcde",
    "cohort": "unheard-of",
    "member_id": "9999",
    "token_id": "9999",
    "erasure_id": "0123456789abcdef",
}
CONSTANT: Final = {"day": str(TODAY), "month": f"{TODAY:%Y-%m}", "what": "upload"}
"""Parts of paths that are nobody's."""
QUERY: Final = {"from": str(FIRST), "to": str(TODAY)}
"""Parameters that lead to something."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked.

    Attributes:
        method: Of HTTP.
        path: As OpenAPI has it, with `{names}`.
        needs: The permission that it asks for; None when everybody may ask.
        described: What OpenAPI says of it; None when it is passed on to Asleep.
    """

    method: str
    path: str
    needs: Permission | None
    described: Json | None = field(repr=False, hash=False)

    def __str__(self) -> str:
        """As it stands in a failure."""
        return f"{self.method} {self.path}"

    @property
    def is_passed_on(self) -> bool:
        """Whether Asleep answers it."""
        return self.path.startswith(_PASSED_ON)

    @property
    def names_user(self) -> bool:
        """Whether a header tells whom it is about."""
        return self.is_passed_on and "/users" not in self.path

    @property
    def ids(self) -> list[str]:
        """Names of what tells whose it is."""
        named = ["user_id"] if self.names_user else []
        parts = [part[1:-1] for part in self.path.split("/") if part.startswith("{")]
        return [name for name in [*named, *parts] if name not in CONSTANT]

    @property
    def query(self) -> dict[str, str]:
        """Parameters that must be there."""
        said = (self.described or {}).get("parameters", [])
        needed = [each["name"] for each in said if each["in"] == "query" and each.get("required")]
        return {name: QUERY[name] for name in needed}

    @property
    def example(self) -> Json | None:
        """The body that OpenAPI shows."""
        body = (self.described or {}).get("requestBody")
        shown: Json | None = body and body["content"]["application/json"]["example"]
        return shown

    @property
    def ends_something(self) -> bool:
        """Whether what it is about is gone afterwards."""
        return self.method == "DELETE" or (self.method, self.path) in _ENDS_SOMETHING


def operations(app: Litestar) -> list[Operation]:
    """All of them; those that end something come last."""
    paths = app.openapi_schema.to_schema()["paths"]
    found = [
        Operation(method, _named(route.path_format), _needs(handler.opt), said)
        for route in app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/schema")
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
        for said in [paths.get(route.path_format, {}).get(method.lower())]
    ]
    return sorted(found, key=lambda each: (each.ends_something, str(each)))


def _named(path: str) -> str:
    return path.replace(":str}", "}").replace(":int}", "}").replace(":date}", "}")


def _needs(options: Mapping[str, Any]) -> Permission | None:
    return Permission(options[NEEDS]) if NEEDS in options else None


@contextmanager
def everybody(folder: Path) -> Iterator[Callers]:
    """Two organisations with a cohort each, and all who may ask, in a new data folder."""
    for two in two_organisations(folder):
        for org_id, users in (("acme", two.acme), ("duo", two.duo)):
            cohort = Cohort(f"{org_id}-cohort", user_ids=users)
            put_cohort(two.world.lake, cohort, now=NOON)
        publish(two.world.lake, two.settings.warehouse_path)
        with serving(build_service(two.settings)) as client:
            yield Callers(two, client)


class Callers:
    """Everybody who can ask, and the things of two organisations that they ask about.

    Args:
        two: The organisations; those who ask are of `acme`.
        client: The API over them.

    Attributes:
        headers: By which each of them asks.
        own: Ids of things of `acme`.
        foreign: Ids of things of `duo`.
    """

    def __init__(self, two: Two, client: Client) -> None:
        self.two, self.client = two, client
        # How often they ask is not what is tested.
        client.app.state[DOOR].failures = Buckets(1_000_000)
        client.app.state[DOOR].requests = Buckets(1_000_000)
        self.me = two.acme[0]
        self._numbers = count()
        self.headers: dict[str, dict[str, str]] = {
            NOBODY: {},
            STRANGER: as_role(two, "duo", Role.OWNER),
            **{role: as_role(two, "acme", role) for role in Role if role is not Role.MEMBER},
            Role.MEMBER: as_role(two, "acme", Role.MEMBER, self.me),
        }
        self._sessions = {user: _sessions(two, user) for user in (*two.acme, *two.duo)}
        self.own = self._things("acme", self.me, Role.OWNER)
        self.foreign = self._things("duo", two.duo[0], STRANGER)

    @property
    def secrets(self) -> list[str]:
        """What nobody of `acme` may be told."""
        sessions = [session for user in self.two.duo for session in self._sessions[user]]
        names = ['"duo"', "duo-token", "duo-subject", "duo-cohort", self.foreign["erasure_id"]]
        return [*self.two.duo, *sessions, *names]

    def may(self, caller: str, needs: Permission) -> bool:
        """Whether the role of somebody of `acme` has a permission."""
        return needs in PERMISSIONS[Role(caller)]

    def may_see_me(self, caller: str) -> bool:
        """Whether somebody of `acme` may see the user who is asked about."""
        return self.may(caller, Permission.PEOPLE) or caller == Role.MEMBER

    def ask(
        self, caller: str, operation: Operation, kinds: Mapping[str, Kind] | None = None
    ) -> Response:
        """Ask, soundly; about own things but for ids of which something else is said."""
        return self.client.request(**self.request(caller, operation, kinds))

    def ask_about(self, caller: str, operation: Operation, user_id: str) -> Response:
        """Ask about a certain user; other ids are own ones."""
        values = {name: self.own[name] for name in operation.ids} | {"user_id": user_id}
        return self.client.request(**self._request(self.headers[caller], operation, values))

    def request(
        self, caller: str, operation: Operation, kinds: Mapping[str, Kind] | None = None
    ) -> Json:
        """What `ask` asks, to be changed before it is sent."""
        of = dict.fromkeys(operation.ids, "own") | dict(kinds or {})
        sources = {"own": self.own, "foreign": self.foreign, "unknown": _UNKNOWN}
        values = {name: sources[kind][name] for name, kind in of.items()}
        if operation.ends_something and caller in set(Role) and not kinds:
            self._spend(values)
        return self._request(self._headers_of(caller, values, of), operation, values)

    def _request(self, headers: Mapping[str, str], operation: Operation, values: Ids) -> Json:
        named = {"x-user-id": values["user_id"]} if operation.names_user else {}
        quoted = {name: quote(value, safe="") for name, value in (values | CONSTANT).items()}
        return {
            "method": operation.method,
            "url": operation.path.format(**quoted),
            "params": operation.query,
            "json": self._body(operation),
            "headers": {**headers, **named},
        }

    def _spend(self, values: Ids) -> None:
        """Put what nobody else asks about in the place of what will be gone."""
        if "session_id" in values:
            values["session_id"] = self._sessions[self.me].pop(0)
        elif "user_id" in values:
            values["user_id"] = self._new_user(Role.OWNER)
        else:
            granted = self._grants("acme")
            values.update((name, granted[name]) for name in values.keys() & granted.keys())

    def _headers_of(self, caller: str, values: Ids, of: Mapping[str, Kind]) -> dict[str, str]:
        user_id = values.get("user_id")
        if caller == Role.MEMBER and user_id and of["user_id"] == "own":
            return as_role(self.two, "acme", Role.MEMBER, user_id)
        return self.headers[caller]

    def _new_user(self, caller: str) -> str:
        body = {"app_user_id": f"somebody-{next(self._numbers)}"}
        made = self.client.post("/v1/users", json=body, headers=self.headers[caller])
        return str(made.json()["user_id"])

    def _things(self, org_id: str, user_id: str, owner: str) -> Ids:
        erased = self.client.delete(
            f"/v1/users/{self._new_user(owner)}", headers=self.headers[owner]
        )
        return {
            "user_id": user_id,
            "session_id": self._sessions[user_id][-1],
            "cohort": f"{org_id}-cohort",
            "erasure_id": erased.json()["erasure_id"],
            **self._grants(org_id),
        }

    def _grants(self, org_id: str) -> Ids:
        """A token and a member of an organisation, made for this."""
        path, number = self.two.settings.access_path, next(self._numbers)
        token, _ = Tokens(path).create(org_id, f"{org_id}-token", now=NOON)
        subject = f"{org_id}-subject-{number}"
        member = Members(path).add(org_id, subject, Role.ANALYST, now=NOON)
        return {"token_id": str(token.id), "member_id": str(member.id)}

    def _body(self, operation: Operation) -> Json | None:
        body, number = operation.example, next(self._numbers)
        own: dict[str, Json] = {
            "POST /v1/users": {"app_user_id": f"user-{number}"},
            "POST /v1/members": {
                "subject": f"subject-{number}",
                "role": "analyst",
                "user_id": None,
            },
            "PATCH /v1/members/{member_id}": {"role": "admin", "user_id": None},
            "POST /v1/tokens": {"role": "analyst", "user_id": None},
            "POST /v1/query": {"sql": "SELECT count(*) AS nights FROM nights"},
        }
        return body if body is None else body | own.get(str(operation), {})


def _sessions(two: Two, user_id: str) -> list[str]:
    first, last = two.days
    return [said["session"]["id"] for said in two.world.sim.world.sessions(user_id, first, last)]
