"""What a disk holds after a power cut, from the recorder's log of what a process did to it.

The strict model: of a file survives what was in it at its last sync; of a folder survive the names
that it had at its last sync, and nothing below a name that did not survive. That is all POSIX
promises. `Survival` names what a kinder or a crueller disk may keep on top of that.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

_HEADER = struct.Struct("=cQQII")


class Survival(Enum):
    """What survives besides what was synced."""

    STRICT = "nothing"
    TORN = "the first half of what was written since, its last write torn in the middle"
    NAMES = "every name, as when the journal of the file system was written just in time"
    ALL = "everything, as after SIGKILL"


@dataclass(frozen=True, slots=True)
class Record:
    """One change; see recorder.c for the meaning of the fields."""

    op: str
    inode: int
    offset: int
    text: str
    data: bytes


def recorded_in(recorder: Path, root: Path, log: Path) -> dict[str, str]:
    """The environment of a process whose changes to the folder `root` are logged."""
    return os.environ | {
        "LD_PRELOAD": str(recorder),
        "RECORDER_ROOT": str(root),
        "RECORDER_LOG": str(log),
    }


def read_log(path: Path) -> list[Record]:
    """All records, in the order in which the kernel saw them."""
    log = path.read_bytes()
    return list(_records(log))


def _records(log: bytes) -> Iterator[Record]:
    at = 0
    while at < len(log):
        op, inode, offset, text, data = _HEADER.unpack_from(log, at)
        middle = at + _HEADER.size + text
        at = middle + data
        yield Record(
            op.decode(), inode, offset, log[middle - text : middle].decode(), log[middle:at]
        )


def contents(root: Path) -> dict[str, bytes | None]:
    """Bytes of every file, None of every folder; a wal index is shared memory, not content."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
        if not path.name.endswith("-shm")
    }


Write = tuple[int, bytes | None]
"""Offset and data; without data, the new size."""


@dataclass(slots=True)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[Write] = field(default_factory=list)

    def sync(self) -> None:
        for write in self.unsynced:
            _apply(self.synced, write)
        self.unsynced.clear()

    def content(self, survival: Survival) -> bytes:
        content = bytearray(self.synced)
        for write in self._survivors(survival):
            _apply(content, write)
        return bytes(content)

    def _survivors(self, survival: Survival) -> list[Write]:
        if survival is Survival.ALL:
            return self.unsynced
        if survival is not Survival.TORN or not self.unsynced:
            return []
        half = len(self.unsynced) // 2
        offset, data = self.unsynced[half]
        torn = None if data is None else data[: len(data) // 2]
        return [*self.unsynced[:half], (offset, torn)]


@dataclass(slots=True)
class _Folder:
    synced: dict[str, _Node] = field(default_factory=dict)
    names: dict[str, _Node] = field(default_factory=dict)

    def sync(self) -> None:
        self.synced = dict(self.names)


_Node = _File | _Folder


def _apply(content: bytearray, write: Write) -> None:
    offset, data = write
    size = offset if data is None else max(len(content), offset + len(data))
    content.extend(bytes(max(0, size - len(content))))
    if data is None:
        del content[size:]
    else:
        content[offset : offset + len(data)] = data


class Disk:
    """The folder `root` while a log is replayed onto it.

    Args:
        root: The folder that was recorded, as its path stands in the log; empty at the beginning.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._top = _Folder()
        self._files: dict[int, _File] = {}
        self.notes: list[str] = []
        self._do: dict[str, Callable[[Record], None]] = {
            "C": self._create,
            "T": lambda r: self._files[r.inode].unsynced.append((r.offset, None)),
            "W": lambda r: self._files[r.inode].unsynced.append((r.offset, r.data)),
            "S": lambda r: self._files[r.inode].sync(),
            "D": lambda r: self._folder(Path(r.text)).sync(),
            "M": self._make_folder,
            "R": self._rename,
            "U": self._remove,
            "X": self._remove,
            "N": lambda r: self.notes.append(r.text),
        }

    def replay(self, record: Record) -> None:
        """Let the next change happen."""
        self._do[record.op](record)

    def cut(self, target: Path, survival: Survival) -> None:
        """Write down, as the new folder `target`, what is left when the power fails now."""
        _write_down(self._top, target, survival)

    def _create(self, record: Record) -> None:
        path = Path(record.text)
        file = self._files[record.inode] = _File()
        self._folder(path.parent).names[path.name] = file

    def _make_folder(self, record: Record) -> None:
        path = Path(record.text)
        self._folder(path.parent).names[path.name] = _Folder()

    def _rename(self, record: Record) -> None:
        old, new = Path(record.text), Path(record.data.decode())
        self._folder(new.parent).names[new.name] = self._folder(old.parent).names.pop(old.name)

    def _remove(self, record: Record) -> None:
        path = Path(record.text)
        del self._folder(path.parent).names[path.name]

    def _folder(self, path: Path) -> _Folder:
        folder = self._top
        for name in path.relative_to(self._root).parts:
            below = folder.names[name]
            assert isinstance(below, _Folder), path
            folder = below
        return folder


def _write_down(folder: _Folder, target: Path, survival: Survival) -> None:
    target.mkdir()
    keeps_names = survival in (Survival.NAMES, Survival.ALL)
    for name, node in (folder.names if keeps_names else folder.synced).items():
        if isinstance(node, _Folder):
            _write_down(node, target / name, survival)
        else:
            (target / name).write_bytes(node.content(survival))
