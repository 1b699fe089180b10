"""A complete listing out of pages that may shift while they are read.

The API pages by offset and has no cursor (contract S1). Each page therefore begins with the last
item of the page before. When it does not, sessions arrived or vanished in between and the
listing starts again. If that happens time and again, the listing goes on carefully instead: it
steps back until a page begins with an item already seen, so that no gap can stay between pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from asleep_pipeline.asleep.answer import Answer
from asleep_pipeline.asleep.errors import UnreadableAnswer
from asleep_pipeline.asleep.models import SessionPage

Page: TypeAlias = Answer[SessionPage]
Fetch: TypeAlias = Callable[[int], Awaitable[Page]]

PAGE_SIZE: Final = 100
_PASSES: Final = 3
_STEP_BACK: Final = 50
_PATIENCE: Final = 20


async def whole_listing(fetch: Fetch) -> list[Page]:
    """Fetch all pages of one listing; neighbours share an item.

    Args:
        fetch: Gets the page that begins at an offset.

    Raises:
        UnreadableAnswer: If the pages bring nothing new although they never end.
    """
    for _ in range(_PASSES):
        if pages := await _in_one_go(fetch):
            return pages
    return await _carefully(fetch)


async def _in_one_go(fetch: Fetch) -> list[Page]:
    """All pages, or none when a boundary moved."""
    pages = [await fetch(0)]
    seen = set(ids := _ids(pages[0]))
    while len(ids) >= PAGE_SIZE:
        last = ids[-1]
        page = await fetch(len(pages) * (PAGE_SIZE - 1))
        ids = _ids(page)
        is_stuck = len(ids) >= PAGE_SIZE and seen.issuperset(ids)
        if not ids or ids[0] != last or is_stuck:
            return []
        pages.append(page)
        seen.update(ids)
    return pages


async def _carefully(fetch: Fetch) -> list[Page]:
    pages: list[Page] = []
    seen: set[str] = set()
    offset = idle = 0
    while idle < _PATIENCE:
        page = await fetch(offset)
        ids = _ids(page)
        idle = idle + 1 if seen.issuperset(ids) else 0
        if offset and (not ids or ids[0] not in seen):
            offset = max(0, offset - _STEP_BACK)
            continue
        pages.append(page)
        seen.update(ids)
        if len(ids) < PAGE_SIZE:
            return pages
        offset += len(ids) - 1
    raise UnreadableAnswer(
        "The session list does not end: its pages bring nothing new.", endpoint="list_sessions"
    )


def _ids(page: Page) -> list[str]:
    return [item.session_id for item in page.result.sleep_session_list]
