"""The data keys of one data folder: one for each user, wrapped by a master key, in `access/keys.sqlite`.

The file names nobody: a user's row is found by a keyed hash of the id. The key of that hash, and the key of
the published files, stand in it as well, wrapped alike, so that another master key changes nothing but
wrappings. Without a user's row, nobody can read what was sealed for the user, in no copy of the data folder.

`load_settings` says which master keys belong to a folder (`privacy.key_files`).
"""

from __future__ import annotations

import hmac
import os
import secrets
import sqlite3
import threading
from base64 import b64encode
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from asleep_pipeline.access.database import transaction
from asleep_pipeline.errors import ConfigurationError
from asleep_pipeline.privacy.key_files import key_file_of
from asleep_pipeline.privacy.master_keys import MasterKeys, add_master_key, read_master_keys
from asleep_pipeline.privacy.sealed import UserKey

if TYPE_CHECKING:
    from asleep_pipeline.settings import Settings

_BYTES: Final = 32
_NONCE: Final = 12
_BUSY_S: Final = 30
_MOST_CACHED: Final = 20_000
_ROWS: Final = 500
_NAMES: Final = "names"
_FILES: Final = "files"
_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS common (
    name TEXT NOT NULL,        -- names: of the hashes of users; files: of the published files
    number INTEGER NOT NULL,   -- the largest is the present one
    master TEXT NOT NULL,      -- id of the master key that wraps it
    wrapped BLOB NOT NULL,
    PRIMARY KEY (name, number)
) STRICT;
CREATE TABLE IF NOT EXISTS user (
    name BLOB PRIMARY KEY,     -- keyed hash of the user's id
    master TEXT NOT NULL,
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;
COMMIT;
"""

_opened: dict[tuple[Path, Path], Keys] = {}
_opening = threading.Lock()


def keys_of(data_dir: Path) -> Keys | None:
    """The keys of a data folder; None when it is not encrypted.

    Raises:
        ConfigurationError: The master keys cannot be read.
    """
    file = key_file_of(data_dir)
    if file is None:
        return None
    with _opening:
        place = (data_dir, file)
        if place not in _opened:
            _opened[place] = Keys(data_dir / "access" / "keys.sqlite", file)
        return _opened[place]


def forget(settings: Settings, user_id: str) -> bool:
    """Make everything that was sealed for a user unreadable, here and in every copy of the folder.

    The published files get another key with their next publication, which builds them anew, so that copies
    of the earlier ones cannot be opened any more either. Nothing happens without encryption.

    Returns:
        Whether there was a key.

    Raises:
        ConfigurationError: The keys cannot be read or written.
    """
    keys = keys_of(settings.data_dir)
    return keys is not None and keys.forget(user_id)


@dataclass(frozen=True, slots=True)
class KeysStatus:
    """What there is.

    Attributes:
        newest: Id of the newest master key.
        users: Users with a data key.
        wrapped_by: Keys by the id of the master key that wraps them.
    """

    newest: str
    users: int
    wrapped_by: Mapping[str, int]


class Keys:
    """The keys of a data folder, for use by many threads.

    Every method raises `ConfigurationError` when the keys cannot be read or written, or the master key is
    not the one that wrapped them.

    Args:
        path: The SQLite file; made with the first key.
        master_file: The master keys.
    """

    def __init__(self, path: Path, master_file: Path) -> None:
        self.path, self._master_file = path, master_file
        self._masters: MasterKeys = read_master_keys(master_file)
        self._read_as = _stamp(master_file)
        self._lock = threading.RLock()
        self._con: sqlite3.Connection | None = None
        self._version = -1
        self._cached: OrderedDict[str, UserKey] = OrderedDict()

    @property
    def exist(self) -> bool:
        """Whether any key was made yet."""
        return self.path.exists()

    @cached_property
    def id(self) -> str:
        """Names these keys: those of another folder, or made anew, have another one."""
        return hmac.new(self._names_key, b"id", sha256).hexdigest()[:16]

    def of(self, user_ids: Iterable[str], *, make: bool = False) -> dict[str, UserKey | None]:
        """The data keys of some users.

        Args:
            user_ids: Whose.
            make: Make those that are missing; they are on the disk when this returns.
        """
        with self._lock, self._connection() as con:
            self._drop_what_may_be_gone(con)
            found: dict[str, UserKey | None] = {u: self._found(con, u) for u in user_ids}
            missing = [user_id for user_id, key in found.items() if key is None]
            if make and missing:
                self._make(con, missing)
                found |= {user_id: self._found(con, user_id) for user_id in missing}
            return found

    def file_keys(self) -> list[str]:
        """The keys by which published files may be encrypted, as DuckDB takes them, the present one first."""
        with self._lock, self._connection() as con:
            rows = con.execute(
                "SELECT * FROM common WHERE name = ? ORDER BY number DESC", [_FILES]
            ).fetchall()
            return [self._file_key(row) for row in rows]

    def drop_file_keys_before(self, present: str) -> None:
        """Forget the keys of published files that are earlier than one: no file needs them any more."""
        with self._lock, self._connection() as con, transaction(con):
            rows = con.execute("SELECT * FROM common WHERE name = ?", [_FILES]).fetchall()
            numbers = {self._file_key(row): row["number"] for row in rows}
            con.execute(
                "DELETE FROM common WHERE name = ? AND number < ?",
                [_FILES, numbers.get(present, 0)],
            )

    def renew_file_key(self) -> str:
        """Make another key for published files, and return it; the earlier ones stay until dropped."""
        with self._lock, self._connection() as con, transaction(con):
            self._renew_file_key(con)
        return self.file_keys()[0]

    def forget(self, user_id: str, *, from_files: bool = True) -> bool:
        """See `forget`.

        Args:
            user_id: Whom.
            from_files: Whether published files are to get another key; False when the lake has lost
                the user's rows, so that the next publication has not to be built for that.
        """
        with self._lock, self._connection() as con:
            with transaction(con):
                gone = con.execute("DELETE FROM user WHERE name = ?", [self._name(user_id)])
                if gone.rowcount and from_files:
                    self._renew_file_key(con)
            # What was deleted must not linger in free pages.
            con.execute("VACUUM")
            self._cached.clear()
            return bool(gone.rowcount)

    def rotate(self) -> KeysStatus:
        """Wrap every key by the newest master key; by a new one, if that is so already.

        Processes that run go on: they find every key by the id of its master key, and read the file of
        master keys again when they meet an id that they do not know.
        """
        with self._lock, self._connection() as con:
            self._refresh_masters()
            if not self._left_to_wrap(con):
                self._masters = add_master_key(self._master_file)
                self._read_as = _stamp(self._master_file)
            for table in ("common", "user"):
                while rows := self._wrapped_otherwise(con, table):
                    with transaction(con):
                        self._rewrap(con, table, rows)
            return self.status()

    def status(self) -> KeysStatus:
        """What there is."""
        with self._lock, self._connection() as con:
            counts: Counter[str] = Counter()
            for table in ("common", "user"):
                sql = f"SELECT master, count(*) AS keys FROM {table} GROUP BY 1"
                counts.update({row["master"]: row["keys"] for row in con.execute(sql)})
            ((users,),) = con.execute("SELECT count(*) FROM user").fetchall()
            return KeysStatus(self._masters.newest, users, dict(counts))

    def _file_key(self, row: sqlite3.Row) -> str:
        return b64encode(self._unwrapped(row, _about(row))).decode()

    @cached_property
    def _names_key(self) -> bytes:
        with self._lock, self._connection() as con:
            row = con.execute("SELECT * FROM common WHERE name = ?", [_NAMES]).fetchone()
            return self._unwrapped(row, _about(row))

    def _name(self, user_id: str) -> bytes:
        return hmac.new(self._names_key, user_id.encode(), sha256).digest()

    def _found(self, con: sqlite3.Connection, user_id: str) -> UserKey | None:
        if user_id in self._cached:
            self._cached.move_to_end(user_id)
            return self._cached[user_id]
        name = self._name(user_id)
        row = con.execute("SELECT * FROM user WHERE name = ?", [name]).fetchone()
        if row is None:
            return None
        key = self._cached[user_id] = UserKey(self._unwrapped(row, name))
        if len(self._cached) > _MOST_CACHED:
            self._cached.popitem(last=False)
        return key

    def _make(self, con: sqlite3.Connection, user_ids: Iterable[str]) -> None:
        self._refresh_masters()
        names = map(self._name, user_ids)
        with transaction(con):
            con.executemany(
                # Another process may have made it meanwhile: the first one holds.
                "INSERT INTO user VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [(name, *self._wrapped(secrets.token_bytes(_BYTES), name)) for name in names],
            )

    def _renew_file_key(self, con: sqlite3.Connection) -> None:
        (last,) = con.execute("SELECT max(number) FROM common WHERE name = ?", [_FILES]).fetchone()
        self._add_common(con, _FILES, last + 1)

    def _add_common(self, con: sqlite3.Connection, name: str, number: int) -> None:
        wrapped = self._wrapped(secrets.token_bytes(_BYTES), b"%s %d" % (name.encode(), number))
        con.execute(
            "INSERT INTO common VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [name, number, *wrapped],
        )

    def _drop_what_may_be_gone(self, con: sqlite3.Connection) -> None:
        """Forget all cached keys once another process has written: it may have deleted some."""
        (version,) = con.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._cached.clear()
            self._version = version

    def _left_to_wrap(self, con: sqlite3.Connection) -> bool:
        return any(self._wrapped_otherwise(con, table) for table in ("common", "user"))

    def _wrapped_otherwise(self, con: sqlite3.Connection, table: str) -> list[sqlite3.Row]:
        sql = f"SELECT * FROM {table} WHERE master <> ? LIMIT {_ROWS}"
        return con.execute(sql, [self._masters.newest]).fetchall()

    def _rewrap(self, con: sqlite3.Connection, table: str, rows: Iterable[sqlite3.Row]) -> None:
        for row in rows:
            about = _about(row)
            wrapped = self._wrapped(self._unwrapped(row, about), about)
            # One that is gone meanwhile stays gone.
            con.execute(
                f"UPDATE {table} SET master = ?, wrapped = ? WHERE wrapped = ?",
                [*wrapped, row["wrapped"]],
            )

    def _wrapped(self, key: bytes, about: bytes) -> tuple[str, bytes]:
        master, nonce = self._masters.newest, os.urandom(_NONCE)
        sealed = AESGCM(self._masters.by_id[master]).encrypt(nonce, key, about)
        return master, nonce + sealed

    def _unwrapped(self, row: sqlite3.Row, about: bytes) -> bytes:
        master, wrapped = row["master"], row["wrapped"]
        if master not in self._masters.by_id:
            self._refresh_masters()
        if master not in self._masters.by_id:
            raise ConfigurationError(
                f"The data is encrypted by the master key {master}, which {self._master_file} lacks.",
                fix="Set encryption_key_file to the file that holds it, or put its line back.",
            )
        try:
            return AESGCM(self._masters.by_id[master]).decrypt(
                wrapped[:_NONCE], wrapped[_NONCE:], about
            )
        except InvalidTag:
            raise ConfigurationError(
                f"The master key {master} in {self._master_file} is not the one of {self.path}.",
                fix="Restore the key file and access/keys.sqlite that belong together.",
            ) from None

    def _refresh_masters(self) -> None:
        if (stamp := _stamp(self._master_file)) != self._read_as:
            self._masters, self._read_as = read_master_keys(self._master_file), stamp

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._con is None or not self.exist:
                self._con = self._connected()
            yield self._con
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"The data keys in {self.path} cannot be used: {error}.",
                fix="Check the folder's rights and the free space, or restore the file.",
            ) from error

    def _connected(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite would make the file readable for everybody.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        con = sqlite3.connect(
            self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        con.row_factory = sqlite3.Row
        con.execute("PRAGMA synchronous = FULL")
        con.execute("PRAGMA secure_delete = ON")
        con.executescript(_SCHEMA)
        with transaction(con):
            for name in (_NAMES, _FILES):
                if not con.execute("SELECT 1 FROM common WHERE name = ?", [name]).fetchone():
                    self._add_common(con, name, 1)
        return con


def _about(row: sqlite3.Row) -> bytes:
    name = row["name"]
    return name if isinstance(name, bytes) else b"%s %d" % (name.encode(), row["number"])


def _stamp(file: Path) -> Any:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
