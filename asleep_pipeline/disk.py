"""Files: forced to the disk, so that a power cut leaves them; removed; kept from all but their owner."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Final

_OTHERS: Final = 0o077
_OWNER: Final = 0o700


def write_privately() -> None:
    """Let whatever this process and its children make from now on be their owner's alone."""
    os.umask(_OTHERS)


def make_private(folder: Path) -> None:
    """Take a folder, and those in it, back from everybody but their owner; what is below is shielded by them.

    A folder of somebody else stays as it is: whoever does not own it cannot change that.
    """
    if not folder.is_dir():
        return
    below = (path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    for path in (folder, *below):
        if path.stat().st_mode & _OTHERS:
            with suppress(PermissionError):
                path.chmod(_OWNER)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_path_to(folder: Path) -> None:
    """Force the names of a new folder and of every folder above it that may be new to the disk."""
    for path in (folder, *folder.absolute().parents):
        # Where we may not write we have made no folder either.
        if os.access(path, os.R_OK | os.W_OK):
            sync(path)


def discard(path: Path) -> None:
    """Remove a file, if it is there, and what a database has written beside it.

    Raises:
        OSError: A folder has the file's name, or something cannot be removed.
    """
    for leftover in path.parent.glob(f"{path.name}*"):
        if leftover.name == f"{path.name}.tmp":
            # A folder: what did not fit into the memory of a process that was killed.
            rmtree(leftover)
        else:
            leftover.unlink()
