"""The fold: what each answer does to the state of a session."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest

from asleep_pipeline.asleep import SessionItem
from asleep_pipeline.normalise.fold import DetailAnswer, Entry, Fold, Listing

START = datetime(2026, 1, 10, 23, tzinfo=UTC)
MONTH = (date(2026, 1, 1), date(2026, 1, 31))
_seconds = count()


def moment() -> datetime:
    """An instant, later than the one before."""
    return datetime(2026, 2, 1, tzinfo=UTC) + timedelta(seconds=next(_seconds))


def item(state: str = "COMPLETE", *, name: str = "s", start: datetime = START) -> SessionItem:
    """A list row."""
    return SessionItem(session_id=name, state=state, session_start_time=start)


def listing(*items: SessionItem, window: tuple[date, date] = MONTH) -> Listing:
    """A whole listing of a window."""
    names = frozenset(each.session_id for each in items)
    return Listing("org", "u", *window, moment(), names, items)


def detail(body: str | None = "body") -> DetailAnswer:
    """A detail of the session `s`; None for a 404."""
    return DetailAnswer("org", "u", "s", START.date(), body, moment(), list_hash="hash")


def pushed(body: str = "pushed", *, at: datetime | None = None) -> DetailAnswer:
    """The webhook of the session `s`; it arrives now unless told otherwise."""
    return DetailAnswer("org", "u", "s", START.date(), body, at or moment(), is_pushed=True)


def folded(*events: Listing | DetailAnswer, fold: Fold | None = None) -> Entry:
    """The state of the session `s` after some events."""
    fold = fold or Fold()
    for event in events:
        fold.read(event)
    return fold.entries["u"]["s"]


@pytest.fixture
def stored() -> Fold:
    """A fold that begins with the session as it was stored after a listing and a detail."""
    entry = folded(listing(item()), detail())
    entry.is_changed, entry.stored_date, entry.start_date = False, START.date(), START.date()
    fold = Fold()
    fold.remember("u", "s", entry)
    return fold


def test_a_listing_and_a_detail_make_a_complete_session() -> None:
    """Both are kept: what the list says, and which body is the newest."""
    entry = folded(listing(item()), detail("body"))
    assert entry.listed is not None
    assert entry.detailed is not None
    assert (entry.is_complete, entry.detailed.body_sha256, entry.is_gone) == (True, "body", False)


def test_answers_that_repeat_what_is_stored_change_nothing(stored: Fold) -> None:
    """The same list row and the same body leave the row alone."""
    folded(listing(item()), detail(), fold=stored)
    assert list(stored.changed()) == []


def test_a_new_body_replaces_the_old_one(stored: Fold) -> None:
    """A recomputed session is changed, and what it says of itself is newer than the list."""
    entry = folded(detail("other"), fold=stored)
    assert entry.detailed is not None
    assert (entry.detailed.body_sha256, entry.list_is_newer) == ("other", False)
    assert [key for key, _ in stored.changed()] == [("u", "s")]


def test_a_session_that_a_listing_of_its_date_lacks_is_gone(stored: Fold) -> None:
    """The listing is a statement about its whole window."""
    assert folded(listing(), fold=stored).is_gone


def test_a_listing_of_other_dates_says_nothing(stored: Fold) -> None:
    """Its window neither holds the session's start nor forgets it."""
    window = (date(2026, 1, 11), date(2026, 1, 31))
    assert not folded(listing(window=window), fold=stored).is_gone


def test_a_listing_that_names_a_session_in_a_broken_row_keeps_it(stored: Fold) -> None:
    """A row that breaks a rule is no deletion."""
    broken = Listing("org", "u", *MONTH, moment(), frozenset({"s"}), ())
    assert not folded(broken, fold=stored).is_gone


def test_a_404_ends_a_session(stored: Fold) -> None:
    """A session that vanished between list and detail is gone."""
    assert folded(detail(None), fold=stored).is_gone


def test_a_404_of_an_unknown_session_says_nothing() -> None:
    """There is nothing to remove."""
    fold = Fold()
    fold.read(detail(None))
    assert list(fold.changed()) == []


def test_a_session_that_comes_back_is_there_again(stored: Fold) -> None:
    """Without its detail, which is looked up in raw."""
    entry = folded(listing(), listing(item()), fold=stored)
    assert (entry.is_gone, entry.detailed, entry.is_changed) == (False, None, True)


def test_a_session_that_is_taken_up_again_loses_its_numbers(stored: Fold) -> None:
    """They are not its numbers any more."""
    entry = folded(listing(item("CLOSED")), fold=stored)
    assert (entry.is_complete, entry.detailed) == (False, None)


def test_a_changed_list_row_of_a_complete_session_keeps_its_detail(stored: Fold) -> None:
    """Until a newer detail comes, the old one is the best there is."""
    entry = folded(listing(item(start=START + timedelta(seconds=1))), fold=stored)
    assert entry.detailed is not None
    assert entry.list_is_newer


def test_a_session_known_by_its_detail_alone_is_forgotten_by_a_listing() -> None:
    """Its start is known from the question."""
    assert folded(detail(), listing()).is_gone


def test_users_do_not_touch_each_other(stored: Fold) -> None:
    """A listing of one user forgets no session of another."""
    stored.read(Listing("org", "someone else", *MONTH, moment(), frozenset(), ()))
    assert list(stored.changed()) == []


def test_a_listing_that_is_kept_late_says_nothing_of_what_a_newer_one_said() -> None:
    """Two runs may list a user at the same time, and the older listing be committed last."""
    older, newer = listing(item("CLOSED")), listing(item())
    empty = listing(window=MONTH)
    newest = listing(item())
    assert folded(newer, older).is_complete
    late = Fold()
    for event in (newest, empty):
        late.read(event)
    assert not late.entries["u"]["s"].is_gone


def numbers(entry: Entry) -> str | None:
    """Whose numbers a session has."""
    return entry.detailed.body_sha256 if entry.detailed else None


def test_a_webhook_alone_makes_a_session() -> None:
    """Its numbers are there before any listing, and it is known when it came."""
    entry = folded(came := pushed())
    assert (numbers(entry), entry.listed, entry.pushed_at) == ("pushed", None, came.fetched_at)


def test_a_webhook_that_comes_late_says_only_that_it_came(stored: Fold) -> None:
    """A newer detail is known; the first of several webhooks is remembered."""
    late = pushed(at=START)
    entry = folded(pushed(), late, fold=stored)
    assert (numbers(entry), entry.pushed_at) == ("pushed", START)
    assert [key for key, _ in stored.changed()] == [("u", "s")]


def test_the_first_webhook_is_the_one_that_counts_as_its_arrival(stored: Fold) -> None:
    """A later one replaces the numbers and not that instant."""
    first = pushed()
    entry = folded(first, pushed("newer"), fold=stored)
    assert (numbers(entry), entry.pushed_at) == ("newer", first.fetched_at)


def test_an_older_listing_does_not_take_newer_numbers_away() -> None:
    """It was begun before the session was complete, and kept after its webhook."""
    older = listing(item("CLOSED"))
    entry = folded(pushed(), older)
    assert numbers(entry) == "pushed"
    assert entry.listed is not None
    assert not entry.list_is_newer


def test_a_newer_listing_that_takes_the_session_up_again_does() -> None:
    """And a webhook of before it says nothing any more."""
    came, late = pushed(), pushed("late")
    entry = folded(came, listing(item("CLOSED")), late)
    assert (numbers(entry), entry.pushed_at) == (None, came.fetched_at)


def test_an_older_listing_that_lacks_the_session_forgets_nothing() -> None:
    """The session began after it."""
    older = listing()
    assert not folded(pushed(), older).is_gone


@pytest.mark.parametrize("said", ["an empty listing", "a listing without news", "a 404"])
def test_what_is_gone_since_does_not_come_back_by_an_old_webhook(said: str) -> None:
    """It waited in the inbox while the API said that there is no such session."""
    late = pushed()
    absences: dict[str, Listing | DetailAnswer] = {
        "an empty listing": listing(),
        "a listing without news": Listing("org", "u", *MONTH, moment(), is_news=False),
        "a 404": detail(None),
    }
    fold = Fold()
    for event in (absences[said], late):
        fold.read(event)
    assert list(fold.changed()) == []
    assert numbers(folded(pushed("new"), fold=fold)) == "new"


def test_a_404_of_before_the_webhook_ends_nothing() -> None:
    """It was asked too early, and kept too late."""
    early = detail(None)
    assert not folded(pushed(), early).is_gone


def test_a_session_that_comes_back_has_the_newest_of_its_settled_details() -> None:
    """As it is not asked for again: one of the same list row, or one that a webhook brought."""
    asked, since = detail("asked"), pushed("since")
    since = replace(since, session_state="COMPLETE")
    fold = Fold(settled={("u", "s"): [asked, since]})
    assert numbers(folded(listing(item()), fold=fold)) == "since"
    assert not fold.lacking
    fold = Fold()
    folded(listing(item()), fold=fold)
    assert fold.lacking == {("u", "s")}
