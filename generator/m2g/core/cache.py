"""A cache of results of earlier runs, by a digest of everything that a result depends on.

It is not part of the repository, because a branch could bring its own cache. It is one file of limited size, which CI
runs can share. Losing or damaging it costs only time: every value has its own digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

T = TypeVar("T")
MAX_BYTES = 512 << 20
"""Maximum size of the file. If it is larger, the least recently used half is removed."""
_DAY = 86_400
_CHECK = 8
_SCHEMA = "CREATE TABLE results (key BLOB PRIMARY KEY, value BLOB, day INTEGER)"
"""Another schema makes every m2g delete the file of an older one: that one stored what a registry sent as it was."""
FILE = "found.db"


def find_folder() -> Path | None:
    """M2G_CACHE_DIR, else the user's cache folder (`~/.cache/m2g` on Linux); None for a user without a home folder."""
    named = os.environ.get("M2G_CACHE_DIR")
    if named:
        return Path(named).absolute()
    import platformdirs

    with contextlib.suppress(RuntimeError):
        return platformdirs.user_cache_path("m2g")
    return None


class Cache:
    """The cache of one run. New values are written at the end of the `with` block.

    Keys are made by `key`. With a `folder` of None, nothing is cached. Problems with the file or the disk raise no
    error.
    """

    def __init__(self, folder: Path | None, *, limit: int = MAX_BYTES) -> None:
        self._folder = folder
        self._limit = limit
        self._today = int(time.time()) // _DAY
        self._database: sqlite3.Connection | None = None
        self._new: dict[bytes, bytes] = {}
        self._stale: list[bytes] = []
        self._conditions: list[Callable[[], bool]] = []

    @property
    def is_enabled(self) -> bool:
        """Whether values are stored at all."""
        return self._folder is not None

    def __enter__(self) -> Self:
        if self._folder is None:
            return self
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = self._open(self._folder / FILE)
        except (OSError, sqlite3.Error):
            self._folder = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._store(self._database)
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
        self._database = None

    def get(self, key: bytes) -> bytes | None:
        """The value of the key, or None if it is missing or damaged."""
        return self.get_all((key,)).get(key)

    def get_all(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """The values of many keys, read under one lock of the file. Missing keys have no entry."""
        if self._database is None:
            return {}
        query = "SELECT value, day FROM results WHERE key = ?"
        try:
            with self._database:
                self._database.execute("BEGIN")
                rows = [(key, self._database.execute(query, (key,)).fetchone()) for key in keys]
        except sqlite3.OperationalError:  # busy, or a value that is not bytes
            return {}
        except sqlite3.Error:
            self._delete()
            return {}
        values: dict[bytes, bytes] = {}
        for key, row in rows:
            value, day = row or (None, 0)
            if not isinstance(value, bytes) or value[:_CHECK] != _check(key, value[_CHECK:]):
                continue
            if day != self._today:
                self._stale.append(key)
            values[key] = value[_CHECK:]
        return values

    def read(self, key: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        """The decoded value of the key, or None. A value from another m2g that does not decode counts as missing."""
        return self.read_all((key,), decoder).get(key)

    def read_all(self, keys: Collection[bytes], decoder: msgspec.msgpack.Decoder[T]) -> dict[bytes, T]:
        """The decoded values of many keys. Missing keys have no entry."""
        values: dict[bytes, T] = {}
        for key, value in self.get_all(keys).items():
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                values[key] = decoder.decode(value)
        return values

    def keep_only_while(self, holds: Callable[[], bool]) -> None:
        """Do not store values once this condition is false, because they may come from changed inputs."""
        self._conditions.append(holds)

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value at the end of the run."""
        if self._database is not None:
            self._new[key] = value

    def put_all(self, items: Mapping[bytes, bytes]) -> None:
        """Store values now, so that they survive if the run is killed later."""
        self._new |= items
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._store(self._database)

    def _open(self, file: Path) -> sqlite3.Connection:
        try:
            return _connect(file)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # not a database (a full disk, an incomplete download), or another one
            file.unlink()
            return _connect(file)

    def _delete(self) -> None:
        """Delete a file with a broken page."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / FILE).unlink()

    def _holds_all(self) -> bool:
        try:
            return all(holds() for holds in self._conditions)
        except OSError:  # a folder that disappears while it is listed
            return False

    def _store(self, database: sqlite3.Connection) -> None:
        if self._new and not self._holds_all():
            self._new = {}
            self._conditions = [lambda: False]
        rows = [(key, _check(key, value) + value, self._today) for key, value in self._new.items()]
        with database:
            database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
            database.executemany(
                "UPDATE results SET day = ? WHERE key = ?", ((self._today, key) for key in self._stale)
            )
        self._new, self._stale = {}, []
        if rows and _size(database) > self._limit:
            oldest = "SELECT key FROM results ORDER BY day LIMIT (SELECT (COUNT(*) + 1) / 2 FROM results)"
            half = f"DELETE FROM results WHERE key IN ({oldest})"  # noqa: S608  # both parts are constants
            while _size(database) > self._limit * 3 // 4 and database.execute(half).rowcount > 0:
                database.commit()
                database.execute("VACUUM")


def key(*parts: bytes | str) -> bytes:
    """The key for these parts, in this order."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(b"%d " % len(data))
        digest.update(data)
    return digest.digest()


def digest_below(folder: Path, suffix: str) -> bytes:
    """One digest of the relative names and contents of all files in a folder with this suffix."""
    start = f"{folder}{os.sep}"
    places = [
        os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(suffix)
    ]
    parts: list[bytes | str] = []
    for place in sorted(places):
        try:
            with open(place, "rb", buffering=0) as file:
                parts += (place.removeprefix(start), file.read())
        except OSError as error:
            parts += (place, f"unreadable {error.errno}")
    return key(*parts)


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=2, isolation_level="DEFERRED")
    try:
        database.execute("PRAGMA synchronous = OFF")
        database.execute(_SCHEMA.replace("TABLE", "TABLE IF NOT EXISTS"))
        if database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall() != [(_SCHEMA,)]:
            raise sqlite3.DatabaseError("written by another version of m2g")
        database.execute("SELECT value FROM results LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _size(database: sqlite3.Connection) -> int:
    pages, size = (int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    return pages * size


def _check(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_CHECK, key=key).digest()
