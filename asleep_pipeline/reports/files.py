"""Files of reports: names without user ids, and files that appear when they are whole."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.reports.model import Report
from asleep_pipeline.warehouse.export import put_in_place

_HASH_LENGTH: Final = 12
_SLUG_LENGTH: Final = 40


def hashed(identity: str) -> str:
    """A name for a user or an organisation that does not hold its id."""
    return hashlib.sha256(identity.encode()).hexdigest()[:_HASH_LENGTH]


def readable(org_id: str) -> str:
    """A name that can be recognised, is safe on every file system, and different for each."""
    slug = re.sub(r"[^a-z0-9]+", "-", org_id.lower())[:_SLUG_LENGTH].strip("-")
    return f"{slug}-{hashed(org_id)}".lstrip("-")


def report_json(report: Report) -> str:
    """A report as JSON: the fields of `model`, in their order; two spaces a level."""
    return msgspec.json.format(msgspec.json.encode(report)).decode()


@contextmanager
def put_aside(file: Path) -> Iterator[Path]:
    """Give a path beside the file, which takes the file's place when the block is through.

    Raises:
        WarehouseError: It cannot be written.
    """
    aside = file.with_name(f"{file.name}.unfinished")
    with _writing(file):
        # Fails as an OSError here, whoever writes it then.
        aside.touch()
        try:
            yield aside
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def put_folder_aside(folder: Path) -> Iterator[Path]:
    """Give an empty folder, which takes the place of the other when the block is through.

    Raises:
        WarehouseError: It cannot be written.
    """
    aside = folder.with_name(f"{folder.name}.unfinished")
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(".lock")):
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            yield aside
            put_in_place(aside, folder)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WarehouseError(
            f"{path} cannot be written: {os.strerror(error.errno or 0)}.",
            fix="Check the folder's rights and the free disk, or name another place.",
        ) from error
