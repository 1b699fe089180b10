"""Answers that went wrong on their way, or were wrong from the start: all kinds, by a seeded random."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

Place = tuple[Any, Any]
"""A dict or list, and a key or index of it."""

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", [], {}, "null", [None], [[]], {"": None}),
    *(0, -0.0, -1, 1.5, 7, 127, 128, -129, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, 2**64, 10**30),
    *(1e308, -1e308, 1e-320, float("nan"), float("inf"), float("-inf")),
    *("\x00", "a\x00b", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "é" * 3, "x" * 70_000),
    *("12345", "1e3", "COMPLETE", "Asia/Seoul", "../../etc", "Mars/Olympus", "'; DROP TABLE raw"),
    *("2026-01-10", "23:59"),
)

_MOMENTS = (
    *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *("2026-01-10T23:00:00+23:59", "2026-01-10T23:00:00-00:01", "2026-01-10T23:00:60Z"),
    *("2026-02-30T00:00:00Z", "2026-01-10T24:00:00Z", "2026-01-10T23:00:00.1234567Z"),
    *("2026-01-10T23:00:00.999999+00:00", "2026-01-10 23:00:00Z", "2026-01-10T23:00:00"),
    *("2000-01-01T00:00:00+00:00", "2000-01-01T00:00:00+14:00", "2099-12-31T23:59:59-14:00"),
    *("2099-12-31T23:59:59+00:00", "2026-05-01T00:00:00Z", "1999-12-31T23:59:59-00:01"),
    *("1970-01-01T00:00:00Z", "2262-04-12T00:00:00Z", "-0001-01-01T00:00:00Z", "23:59"),
)


def mutated(said: Any, rng: Random) -> bytes:
    """The JSON of an answer, after a few mutations of what it says and of how it is written."""
    said = json.loads(json.dumps(said))
    for _ in range(rng.choice([0, 1, 1, 1, 2, 4])):
        if said:
            rng.choice(_MEANING)(said, rng)
    body = _written(said, rng)
    for _ in range(rng.choice([0] * 7 + [1, 2])):
        body = rng.choice(_BYTES)(body, rng)
    return body


def places(said: Any) -> Iterator[Place]:
    """Every place of a value within an answer."""
    for key in said if isinstance(said, dict) else range(len(said)):
        yield said, key
        if isinstance(said[key], dict | list):
            yield from places(said[key])


def _one_of(values: Sequence[Any], rng: Random) -> Any:
    """A copy: what is put into an answer may be mutated there."""
    return deepcopy(rng.choice(values))


def _somewhere(said: Any, rng: Random) -> Place:
    # As likely in a small object as in a long list.
    return rng.choice([p for p in places(said) if isinstance(p[0], dict) or rng.random() < _SPARSE])


_SPARSE = 0.01
_NEW_KEYS = ("new", "extra", "$extra", "$readings", "id", "", "\x00")
_DEEP, _LONG = 3_000, 1_000


def _replace(said: Any, rng: Random) -> None:
    inside, key = _somewhere(said, rng)
    inside[key] = _one_of(ODD_VALUES, rng)


def _nudge(said: Any, rng: Random) -> None:
    """Another value of the same kind, which a parser takes."""
    inside, key = _somewhere(said, rng)
    value = inside[key]
    if isinstance(value, str) and value[4:5] == "-":
        inside[key] = rng.choice(_MOMENTS)
    else:
        alike = [odd for odd in ODD_VALUES if type(odd) is type(value)]
        inside[key] = _one_of(alike or ODD_VALUES, rng)


def _remove(said: Any, rng: Random) -> None:
    inside, key = _somewhere(said, rng)
    del inside[key]


def _add(said: Any, rng: Random) -> None:
    inside, _ = _somewhere(said, rng)
    if isinstance(inside, dict):
        inside[rng.choice(_NEW_KEYS)] = _one_of(ODD_VALUES, rng)
    else:
        inside.append(_one_of(ODD_VALUES, rng))


def _swap(said: Any, rng: Random) -> None:
    (one, key), (other, name) = _somewhere(said, rng), _somewhere(said, rng)
    copies = json.loads(json.dumps([one[key], other[name]]))
    one[key], other[name] = reversed(copies)


def _retype(said: Any, rng: Random) -> None:
    inside, key = _somewhere(said, rng)
    value = inside[key]
    inside[key] = rng.choice([str(value), [value], {"value": value}])
    if isinstance(value, int | float):
        inside[key] = rng.choice([float(value), -value, value * 1000, str(value)])


def _lengthen(said: Any, rng: Random) -> None:
    inside, key = _somewhere(said, rng)
    value = inside[key]
    # Long once, not a long list of long lists.
    if len(json.dumps(value)) < _LONG:
        inside[key] = (value or [0]) * _LONG if isinstance(value, list) else [value] * _LONG


def _deepen(said: Any, rng: Random) -> None:
    inside, key = _somewhere(said, rng)
    for _ in range(rng.choice([2, 60, 400])):
        inside[key] = [inside[key]]


def _written(said: Any, rng: Random) -> bytes:
    text = json.dumps(said, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 2]))
    return text.encode("utf-8", "surrogatepass")


def _flip(body: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(body))
    return body[:at] + bytes([body[at] ^ (1 << rng.randrange(8))]) + body[at + 1 :]


def _cut(body: bytes, rng: Random) -> bytes:
    return body[: rng.randrange(1, len(body))]


def _cut_out(body: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(body))
    return body[:start] + body[start + rng.randrange(1, 40) :] or b" "


def _repeat(body: bytes, rng: Random) -> bytes:
    """A piece again: a key may stand twice then."""
    pieces = body.split(b",")
    at = rng.randrange(len(pieces))
    return b",".join([*pieces[: at + 1], *pieces[at:]])


def _digits(body: bytes, rng: Random) -> bytes:
    return body.replace(b": 0", b": " + rng.choice([b"1" * 5_000, b"-0", b"1e9999", b"01"]), 1)


def _encode(body: bytes, rng: Random) -> bytes:
    text = body.decode("utf-8", "replace")
    return text.encode(rng.choice(["utf-16", "utf-32", "utf-8-sig", "latin-1"]), "replace")


def _nest(body: bytes, rng: Random) -> bytes:
    return body.replace(b"null", b"[" * _DEEP + b"]" * rng.choice([0, _DEEP]), 1)


_MEANING: tuple[Callable[[Any, Random], None], ...] = (
    *(_nudge,) * 8,
    *(_replace, _remove, _add, _swap, _retype, _lengthen, _deepen),
)
_BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_flip, _flip, _cut, _cut_out, _repeat, _digits, _encode, _nest),
)
