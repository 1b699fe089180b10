"""Which UTC offset holds where and when.

pendulum is the one authority on zone rules, and it reads the `tzdata` package, whose version the
lock pins. Every engine (DuckDB, polars, the operating system) brings rules of its own, and they
disagree by an hour for some zones, so none of them converts a column: columns meet the table that
`zone_rules` makes, see `asleep_pipeline.zones.local_time`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, partial
from itertools import pairwise
from typing import cast

import pendulum
import polars as pl

from asleep_pipeline.zones.names import known_zones

_SCHEMA = pl.Schema({"tz": pl.String(), "utc_from": pl.Datetime("us"), "offset_s": pl.Int32()})
# Earlier than any instant a session can have, so that each has a rule.
_FAR_PAST = datetime(1, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1969, 12, 31, tzinfo=UTC), datetime(2101, 1, 5, tzinfo=UTC)
# The shortest time that a zone keeps an offset in these years is 6 days 23 hours (Recife in 2000,
# Gaza in 2040). A step and a day at either end are shorter: they hold one change at most.
_STEP, _DAY = timedelta(days=4), timedelta(days=1)


@cache
def zone_rules() -> pl.DataFrame:
    """The UTC offset of every zone, from every instant at which it changes.

    A rule holds until the next one of its zone. Complete from 1970 to 2100; earlier instants get
    a zone's first offset in that time, later ones its last.
    A pure function of the installed `tzdata`, computed once a process (1.5 s of CPU).

    Returns:
        One row a zone and offset, sorted by zone and time: `tz` (String, IANA name), `utc_from`
        (naive Datetime in us, UTC, inclusive; the year 1 in a zone's first row) and `offset_s`
        (Int32, seconds to add to UTC for the local wall time).
    """
    probes = [_FIRST + _STEP * n for n in range((_LAST - _FIRST) // _STEP + 1)]
    rows = (
        (name, utc_from.replace(tzinfo=None), offset.total_seconds())
        for name in sorted(known_zones())
        for utc_from, offset in _rules(pendulum.timezone(name), probes)
    )
    return pl.DataFrame(list(rows), schema=_SCHEMA, orient="row")


def _rules(zone: tzinfo, probes: list[datetime]) -> Iterator[tuple[datetime, timedelta]]:
    # utcoffset reads a probe as wall time and ignores its zone, ten times faster than converting
    # an instant. Wall time is less than a day from UTC, and the bracket given to _change is wider.
    offsets = cast("list[timedelta]", list(map(zone.utcoffset, probes)))
    yield _FAR_PAST, offsets[0]
    for (start, before), (end, after) in pairwise(zip(probes, offsets, strict=True)):
        if before != after:
            yield _change(zone, start - _DAY, end + _DAY, after), after


def _change(zone: tzinfo, start: datetime, end: datetime, after: timedelta) -> datetime:
    seconds = range(int(start.timestamp()), int(end.timestamp()))
    changed = partial(_has_offset, zone, after)
    return datetime.fromtimestamp(seconds[bisect_left(seconds, 1, key=changed)], UTC)


def _has_offset(zone: tzinfo, offset: timedelta, second: int) -> bool:
    return datetime.fromtimestamp(second, zone).utcoffset() == offset
