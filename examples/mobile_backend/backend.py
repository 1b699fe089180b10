"""The backend of a mobile app: what its routes call when a person who is signed in taps.

The API token stays here. A phone never has it, and never says which Asleep user it is: the app's own id
of the signed-in person is enough.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

import httpx

_FIGURES: Final = ("nights", "tst_mean_s", "efficiency_mean_fraction", "score")


class Backend:
    """Asks the API for what the app shows.

    Args:
        base_url: Where `asleep-pipeline serve` answers, with `/v1`.
        token: From `asleep-pipeline tokens create`.

    Every method raises `httpx.HTTPError` when the API does not do it.
    """

    def __init__(self, base_url: str, token: str) -> None:
        self._api = httpx.Client(
            base_url=base_url,
            headers={"authorization": f"Bearer {token}"},
            transport=httpx.HTTPTransport(retries=5),
            timeout=30,
        )

    def sign_up(self, person: str, **metadata: Any) -> dict[str, Any]:
        """Have a user made for a person of the app; twice makes one."""
        return self._ask("POST", "/users", json={"app_user_id": person, "metadata": metadata})

    def home(self, person: str) -> dict[str, Any]:
        """The first screen: the last night, and the report of its week; None before there is one."""
        user = self._user(person)
        nights = self._ask("GET", f"{user}/sessions", params={"limit": 1, "state": "COMPLETE"})
        if not nights["items"]:
            return {"last_night": None, "week": None}
        (night,) = nights["items"]
        report = self._ask("GET", f"{user}/reports/weekly/{night['night_date']}")
        return {"last_night": night, "week": _shown(report)}

    def delete_account(self, person: str) -> dict[str, Any]:
        """Have everything about a person erased, at Asleep too."""
        return self._ask("DELETE", self._user(person))

    def _user(self, person: str) -> str:
        """The path of a person's user."""
        found = self._ask("GET", "/users", params={"app_user_id": person})
        (user,) = found["items"]
        return f"/users/{user['user_id']}"

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer = self._api.request(method, path, **request).raise_for_status()
        said: dict[str, Any] = answer.json()
        return said


def _shown(report: dict[str, Any]) -> dict[str, Any]:
    figures = report["figures"] or {}
    insights = [insight["text"] for insight in report["insights"]]
    return {name: figures.get(name) for name in _FIGURES} | {"insights": insights}


def main(action: str, person: str) -> None:
    """Do what one of the app's routes would do, and print what it would answer."""
    backend = Backend(os.environ["API_URL"], os.environ["API_TOKEN"])
    actions = {
        "sign-up": backend.sign_up,
        "home": backend.home,
        "delete-account": backend.delete_account,
    }
    print(json.dumps(actions[action](person), indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
