"""Who was erased, as keyed hashes: whoever stands here never comes back by a pull, a webhook or a roster.

They are looked at within the transaction that would bring somebody back, so that an erasure that began
meanwhile is seen. Without the deployment's secret nobody can tell whom a hash stands for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asleep_pipeline.errors import ErasureError
from asleep_pipeline.privacy.secret import derived_key, pseudonym

PURPOSE: Final = "tombstones"
BUSY_S: Final = 30


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The tombstones of a deployment.

    Attributes:
        path: The SQLite file; nobody was erased where there is none.
        secret: File of the deployment's secret.
    """

    path: Path
    secret: Path

    @classmethod
    def beside(cls, folder: Path) -> Tombstones:
        """Those of the data folder that a folder lies in: the lake's, or that of webhooks."""
        access = folder.parent / "access"
        return cls(access / "erasures.sqlite", access / "secret")

    def among(self, user_ids: Iterable[str]) -> set[str]:
        """Those of some users who were erased, or are being erased.

        Raises:
            ErasureError: The file cannot be read.
        """
        if not self.path.exists():
            return set()
        key = derived_key(self.secret, PURPOSE)
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as con:
                return {u for u in set(user_ids) if _is_there(con, pseudonym(key, u))}
        except sqlite3.Error as error:
            raise ErasureError(
                f"Who was erased cannot be read from {self.path}: {error}.",
                fix="Check the folder's rights, or restore the file.",
            ) from error

    def hold(self, user_id: str) -> bool:
        """Whether a user was erased, or is being erased.

        Raises:
            ErasureError: The file cannot be read.
        """
        return bool(self.among([user_id]))


def _is_there(con: sqlite3.Connection, person: str) -> bool:
    row = con.execute("SELECT 1 FROM tombstone WHERE person = ?", [person]).fetchone()
    return row is not None
