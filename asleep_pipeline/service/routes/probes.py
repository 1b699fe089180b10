"""`GET /live`, `GET /ready`: what machines ask before they send anybody here."""

from __future__ import annotations

from typing import Any, Final

from litestar import MediaType, Request, get
from litestar.exceptions import ServiceUnavailableException

from asleep_pipeline.service.admission import CREDENTIALS, warehouse_of
from asleep_pipeline.service.openapi import NO_CREDENTIAL

OBSTACLES: Final = "obstacles"
"""Where the application keeps what else is asked whether it is ready: functions that say what is not."""

_TAGS = ["probes"]


@get("/live", media_type=MediaType.TEXT, sync_to_thread=False, tags=_TAGS, opt=NO_CREDENTIAL)
def live() -> str:
    """Whether the process lives: it does if it answers."""
    return "live"


@get("/ready", media_type=MediaType.TEXT, sync_to_thread=True, tags=_TAGS, opt=NO_CREDENTIAL)
def ready(request: Request[Any, Any, Any]) -> str:
    """Whether requests can be answered: credentials can be checked, and what is published can be read.

    Before anything is published it is ready all the same: users can be created.
    """
    request.app.state[CREDENTIALS].tokens.get(0)
    warehouse = warehouse_of(request)
    if warehouse.is_published:
        _ = warehouse.version
    for obstacle in request.app.state[OBSTACLES]:
        if said := obstacle():
            raise ServiceUnavailableException(said)
    return "ready"
