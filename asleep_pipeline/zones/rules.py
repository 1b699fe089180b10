"""Which UTC offset holds where and when.

pendulum is the one authority on zone rules, and it reads the `tzdata` package, whose version the
lock pins. Every engine (DuckDB, polars, the operating system) brings rules of its own, and they
disagree by an hour for some zones, so none of them converts a column: columns meet the table that
`zone_rules` makes, see `asleep_pipeline.zones.local_time`. The package's files only say when to ask
pendulum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from itertools import pairwise

import pendulum
import polars as pl

from asleep_pipeline.zones.files import ZoneFile, read_zone_file
from asleep_pipeline.zones.names import known_zones

_SCHEMA = pl.Schema({"tz": pl.String(), "utc_from": pl.Int64(), "offset_s": pl.Duration("us")})
# Earlier than any instant a session can have, so that each has a rule.
_FAR_PAST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_FIRST = int(datetime(1969, 12, 31, tzinfo=UTC).timestamp())
_LAST = int(datetime(2101, 1, 5, tzinfo=UTC).timestamp())
# A rule that goes on changes twice a year; the shortest time between is 18 weeks (Havana's winter).
_STEP = 28 * 86_400


@cache
def zone_rules() -> pl.DataFrame:
    """The UTC offset of every zone, from every instant at which it changes.

    A rule holds until the next one of its zone. Complete from 1970 to 2100; earlier instants get
    a zone's first offset in that time, later ones its last.
    A pure function of the installed `tzdata`, computed once a process (0.2 s of CPU).

    Returns:
        One row a zone and offset, sorted by zone and time: `tz` (String, IANA name), `utc_from`
        (naive Datetime in us, UTC, inclusive; the year 1 in a zone's first row) and `offset_s`
        (Int32, seconds to add to UTC for the local wall time).
    """
    files = {name: read_zone_file(name) for name in sorted(known_zones())}
    # Most zones that go on changing do it alike: the one that began first is asked for all.
    alike = {file.rule: name for name, file in sorted(files.items(), key=_began, reverse=True)}
    later = {
        rule: _later(rule, _began((name, files[name])), pendulum.timezone(name))
        for rule, name in alike.items()
    }
    rows = [
        (name, *rule)
        for name, file in files.items()
        for rule in _rules(pendulum.timezone(name), sorted({*file.changes, *later[file.rule]}))
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").with_columns(
        pl.from_epoch("utc_from").cast(pl.Datetime("us")),
        pl.col("offset_s").dt.total_seconds().cast(pl.Int32),
    )


def _began(named: tuple[str, ZoneFile]) -> int:
    """Since when a zone's rule holds."""
    return named[1].changes[-1] if named[1].changes else _FIRST


def _later(rule: bytes, since: int, zone: tzinfo) -> list[int]:
    """The seconds in which the offset changes after all that a zone's file lists."""
    if b"," not in rule:
        return []
    probes = [*range(max(since, _FIRST), _LAST, _STEP), _LAST]
    offsets = [_offset(zone, probe) for probe in probes]
    return [
        _change(zone, start, end, after)
        for (start, before), (end, after) in pairwise(zip(probes, offsets, strict=True))
        if before != after
    ]


def _change(zone: tzinfo, start: int, end: int, after: timedelta | None) -> int:
    seconds = range(start, end + 1)
    return seconds[bisect_left(seconds, True, key=lambda at: _offset(zone, at) == after)]  # noqa: FBT003


def _rules(zone: tzinfo, moments: Iterable[int]) -> Iterator[tuple[int, timedelta | None]]:
    """From when on which offset holds; asked at the moments at which it may change."""
    offset = _offset(zone, _FIRST)
    yield _FAR_PAST, offset
    for moment in moments:
        if _FIRST < moment <= _LAST and (after := _offset(zone, moment)) != offset:
            yield moment, (offset := after)


def _offset(zone: tzinfo, second: int) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()
