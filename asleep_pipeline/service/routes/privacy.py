"""`/v1/erasures`, and a person's erasure and export."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Annotated, Any, Final

import msgspec
from litestar import Request, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from msgspec import Meta

from asleep_pipeline.access.roles import Permission
from asleep_pipeline.errors import UsageError
from asleep_pipeline.privacy.erasure import erasures, request_erasure
from asleep_pipeline.privacy.journal import Erasure
from asleep_pipeline.privacy.person import export_person
from asleep_pipeline.service.admission import NEEDS, SETTINGS, caller_of
from asleep_pipeline.service.paging import USUAL_LIMIT, Cursor, Limit, Page, listing_of
from asleep_pipeline.service.problems import NotFound
from asleep_pipeline.settings import Settings

MOST_BYTES: Final = 1024 * 1024 * 1024
"""Longest export that is sent; one that is longer is written by `asleep-pipeline export-user`."""

_PIECE: Final = 64 * 1024
_Request = Request[Any, Any, Any]


class ErasureRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be erased beside what is stored here."""

    upstream: Annotated[bool, Meta(description="Whether to delete the user at Asleep.")] = False


class ErasureState(msgspec.Struct):
    """How far an erasure has come; it says nothing of whom."""

    id: Annotated[str, Meta(description="Names the erasure.")]
    state: Annotated[str, Meta(description="`open` while it is under way, then `done`.")]
    upstream: Annotated[bool, Meta(description="Whether the user is deleted at Asleep as well.")]
    requested_at: datetime
    finished_at: datetime | None
    steps_done: list[str]
    hindered_at: Annotated[
        str | None, Meta(description="The step that did not succeed last; it is tried again.")
    ]
    receipt: Annotated[
        dict[str, Any] | None, Meta(description="The signed receipt, once it is done.")
    ]


class TooLong(HTTPException):
    """An export that is too long to be sent."""

    status_code = HTTPStatus.INSUFFICIENT_STORAGE

    def __init__(self) -> None:
        super().__init__("The export is too long to be sent; it has to be written on the server.")


@post(
    "/users/{user_id:str}/erasure",
    opt={NEEDS: Permission.MANAGE},
    status_code=HTTPStatus.ACCEPTED,
    raises=[NotFound],
    sync_to_thread=True,
)
def erase_user(
    request: _Request, user_id: FromPath[str], data: JSONBody[ErasureRequest]
) -> ErasureState:
    """Erase everything that is stored about a person, for good.

    Nobody sees the user from now on, and nothing brings them back. When all is gone, the erasure ends
    with a signed receipt.
    """
    caller = caller_of(request)
    asked = request_erasure(
        request.app.state[SETTINGS],
        org_id=caller.org_id,
        user_id=user_id,
        upstream=data.upstream,
        by=caller.subject,
        now=datetime.now(UTC),
    )
    return _told(asked)


@get("/erasures", opt={NEEDS: Permission.MANAGE}, sync_to_thread=True)
def list_erasures(
    request: _Request, limit: Limit = USUAL_LIMIT, cursor: Cursor = None
) -> Page[ErasureState]:
    """The organisation's erasures, the newest first."""
    listing = listing_of(request)
    place = listing.place(cursor)
    found = _own(request)
    after = [e for e in found if not place or _place(_told(e)) > tuple(place)]
    return listing.page([_told(e) for e in after[: limit + 1]], limit, _place)


@get(
    "/erasures/{erasure_id:str}",
    opt={NEEDS: Permission.MANAGE},
    raises=[NotFound],
    sync_to_thread=True,
)
def get_erasure(request: _Request, erasure_id: FromPath[str]) -> ErasureState:
    """How far an erasure has come; with its receipt once it is done."""
    for erasure in _own(request):
        if erasure.id == erasure_id:
            return _told(erasure)
    raise NotFound


@get(
    "/users/{user_id:str}/export",
    opt={NEEDS: Permission.OWN},
    media_type="application/zip",
    raises=[NotFound, TooLong],
    sync_to_thread=True,
)
def export_user(request: _Request, user_id: FromPath[str]) -> Stream:
    """Everything that is stored about a person: a zip of one JSON document, Parquet files and a README."""
    packed = TemporaryFile()  # noqa: SIM115 -- closed when it has been sent
    try:
        _pack(request.app.state[SETTINGS], user_id, packed)
    except BaseException:
        packed.close()
        raise
    disposition = 'attachment; filename="person.zip"'
    return Stream(
        _pieces(packed), media_type="application/zip", headers={"content-disposition": disposition}
    )


def _pack(settings: Settings, user_id: str, packed: IO[bytes]) -> None:
    """Beside the data folder, in files that nobody else can open and that go with the process."""
    with TemporaryDirectory() as folder, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        try:
            paths = export_person(settings, user_id, Path(folder), now=datetime.now(UTC))
        except UsageError:
            raise NotFound from None
        for path in paths:
            file.write(path, path.name)
    if packed.tell() > MOST_BYTES:
        raise TooLong


def _pieces(packed: IO[bytes]) -> Iterator[bytes]:
    with packed:
        packed.seek(0)
        yield from iter(partial(packed.read, _PIECE), b"")


def _own(request: _Request) -> list[Erasure]:
    return sorted(
        erasures(request.app.state[SETTINGS], caller_of(request).org_id),
        key=lambda erasure: _place(_told(erasure)),
    )


def _place(told: ErasureState) -> tuple[float, str]:
    """The newest first."""
    return -told.requested_at.timestamp(), told.id


def _told(erasure: Erasure) -> ErasureState:
    return ErasureState(
        erasure.id,
        erasure.state,
        erasure.is_upstream,
        erasure.requested_at,
        erasure.finished_at,
        [step.name for step in erasure.steps],
        erasure.problem.partition(":")[0] or None,
        msgspec.json.decode(erasure.receipt) if erasure.receipt else None,
    )


PRIVACY_ROUTES: Final = (erase_user, list_erasures, get_erasure, export_user)
