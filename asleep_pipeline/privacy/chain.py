"""The chain of the audit log: each entry's hash rests on the one before it, and on a key.

Whoever changes, leaves out or inserts an entry without the key breaks the chain at that entry. Only the newest
entries can be cut off unseen, and the whole file replaced by an earlier one: an anchor that was noted elsewhere
shows that.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import msgspec

Checkpoint = tuple[int, bytes, bytes]
"""Number and hash of the last entry before the first one there is, and the seal of whoever cut there."""


class Anchor(NamedTuple):
    """The newest entry at some time: its number, and its hash in hexadecimal digits."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


class Content(NamedTuple):
    """What an entry says; `at` in microseconds since 1970, UTC, `details` as JSON."""

    at: int
    org_id: str | None
    actor: str
    action: str
    about: str | None
    details: str


class Link(NamedTuple):
    """An entry as it stands in the file; one whose content has expired has digest and seal in its place."""

    number: int
    content: Content
    hash: bytes
    digest: bytes | None
    seal: bytes | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a check.

    Attributes:
        entries: Entries that are as they were written, up to the first one that is not.
        last: Number of the last of them, or of the checkpoint before them.
        problem: What is wrong, naming the first bad entry; None when nothing is.
    """

    entries: int
    last: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Chain:
    """HMAC-SHA-256 by one key, for three purposes that never meet."""

    key: bytes

    def digest(self, number: int, content: Content) -> bytes:
        """Of an entry's content."""
        return self._mac(b"entry", msgspec.json.encode([number, *content]))

    def next(self, last: bytes, digest: bytes) -> bytes:
        """The hash of the entry that follows."""
        return self._mac(b"link", last + digest)

    def seal(self, number: int, digest: bytes) -> bytes:
        """Proves that the deployment itself took an entry's content out."""
        return self._mac(b"emptied", b"%d:%b" % (number, digest))

    def checkpoint_seal(self, number: int, last: bytes) -> bytes:
        """Proves that the deployment itself cut off the entries up to this one."""
        return self._mac(b"cut", b"%d:%b" % (number, last))

    def _mac(self, purpose: bytes, message: bytes) -> bytes:
        return hmac.new(self.key, purpose + b"\0" + message, sha256).digest()


def verdict_of(
    chain: Chain, checkpoint: Checkpoint | None, links: Iterable[Link], anchor: Anchor | None
) -> Verdict:
    """Follow the chain to its end, or to the first entry that does not belong there."""
    start, last, seal = checkpoint or (0, b"", b"")
    if checkpoint and not hmac.compare_digest(seal, chain.checkpoint_seal(start, last)):
        return Verdict(0, start, f"The checkpoint at entry {start} was not made here.")
    number, entries = start, 0
    at_anchor = last if anchor and anchor.number == start else None
    for link in links:
        if problem := _problem(chain, number, last, link):
            return Verdict(entries, number, problem)
        number, last, entries = link.number, link.hash, entries + 1
        if anchor and anchor.number == number:
            at_anchor = last
    return Verdict(entries, number, _against(anchor, start, number, at_anchor))


def _problem(chain: Chain, number: int, last: bytes, link: Link) -> str | None:
    if link.number != number + 1:
        return f"Entry {number + 1} is missing."
    is_emptied = link.seal is not None
    if is_emptied and not _was_emptied_here(chain, link):
        return f"Entry {link.number} was emptied by somebody else."
    digest = link.digest or b"" if is_emptied else chain.digest(link.number, link.content)
    if not hmac.compare_digest(link.hash, chain.next(last, digest)):
        return f"Entry {link.number} is not as it was written."
    return None


def _was_emptied_here(chain: Chain, link: Link) -> bool:
    expected = chain.seal(link.number, link.digest or b"")
    return not any(link.content) and hmac.compare_digest(link.seal or b"", expected)


def _against(anchor: Anchor | None, start: int, end: int, found: bytes | None) -> str | None:
    if anchor is None:
        return None
    if anchor.number < start:
        return f"Entry {anchor.number} of the anchor has expired; compare with a newer anchor."
    if anchor.number > end:
        return f"The log ends with entry {end}; entry {anchor.number} was there once."
    if found is None or found.hex() != anchor.hash:
        return f"Entry {anchor.number} is another one than the anchor tells of."
    return None
