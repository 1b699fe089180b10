"""Forcing files and their names to the disk, so that a power cut leaves them; and removing files."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import rmtree


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
