"""What earlier runs found out, by a digest of everything that it depends on: a file that may be lost at any time.

It is no part of the repository: a branch could bring its own. It can be shared between CI runs (one file), it is
bounded, and whatever is wrong with it costs time only: every value carries a digest of its own.
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
"""Of the file. Half of it goes, the longest unused first, when it is larger."""
_DAY = 86_400
_CHECK = 8
_SCHEMA = "CREATE TABLE found (key BLOB PRIMARY KEY, value BLOB, day INTEGER)"
FILE = "found.db"


def folder() -> Path | None:
    """M2G_CACHE_DIR, else the user's cache folder (`~/.cache/m2g` on Linux); None for a user without a home."""
    named = os.environ.get("M2G_CACHE_DIR")
    if named:
        return Path(named).absolute()
    import platformdirs

    with contextlib.suppress(RuntimeError):
        return platformdirs.user_cache_path("m2g")
    return None


class Cache:
    """One run's view of the cache; what is put is kept at the end of the `with` block.

    Keys are bytes made by `key`. A `place` of None remembers nothing. Never raises for the state of the file or disk.
    """

    def __init__(self, place: Path | None, *, limit: int = MAX_BYTES) -> None:
        self._place = place
        self._limit = limit
        self._today = int(time.time()) // _DAY
        self._database: sqlite3.Connection | None = None
        self._new: dict[bytes, bytes] = {}
        self._stale: list[bytes] = []
        self._holds: list[Callable[[], bool]] = []

    @property
    def remembers(self) -> bool:
        """Whether anything that is put here can be found again."""
        return self._place is not None

    def __enter__(self) -> Self:
        if self._place is None:
            return self
        try:
            self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = self._open(self._place / FILE)
        except (OSError, sqlite3.Error):
            self._place = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._keep(self._database)
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
        self._database = None

    def get(self, key: bytes) -> bytes | None:
        """What was put under the key, unharmed; else None."""
        return self.get_all((key,)).get(key)

    def get_all(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """As `get` for many keys, under one lock of the file. What is missing has no entry."""
        if self._database is None:
            return {}
        question = "SELECT value, day FROM found WHERE key = ?"
        try:
            with self._database:
                self._database.execute("BEGIN")
                rows = [(key, self._database.execute(question, (key,)).fetchone()) for key in keys]
        except sqlite3.OperationalError:  # busy, or a value that is no bytes
            return {}
        except sqlite3.Error:
            self._forget()
            return {}
        found: dict[bytes, bytes] = {}
        for key, row in rows:
            value, day = row or (None, 0)
            if not isinstance(value, bytes) or value[:_CHECK] != _check(key, value[_CHECK:]):
                continue
            if day != self._today:
                self._stale.append(key)
            found[key] = value[_CHECK:]
        return found

    def read(self, key: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        """What was put under the key, decoded; None also for what another m2g put there that means something else."""
        return self.read_all((key,), decoder).get(key)

    def read_all(self, keys: Collection[bytes], decoder: msgspec.msgpack.Decoder[T]) -> dict[bytes, T]:
        """As `read`, of those of the keys under which something was put."""
        found: dict[bytes, T] = {}
        for key, value in self.get_all(keys).items():
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found[key] = decoder.decode(value)
        return found

    def only_while(self, holds: Callable[[], bool]) -> None:
        """Keep nothing that is put after this did not hold: it may have been found out of something else."""
        self._holds.append(holds)

    def put(self, key: bytes, value: bytes) -> None:
        """Remember the value under the key."""
        if self._database is not None:
            self._new[key] = value

    def put_all(self, items: Mapping[bytes, bytes]) -> None:
        """Remember each value under its key, now: a run that is killed later has not worked for nothing."""
        self._new |= items
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._keep(self._database)

    def _open(self, file: Path) -> sqlite3.Connection:
        try:
            return _connect(file)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # no database any more (a full disk, a download that broke off), or another one
            file.unlink()
            return _connect(file)

    def _forget(self) -> None:
        """A file with a broken page is of no use to anybody."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._place is not None:
            with contextlib.suppress(OSError):
                (self._place / FILE).unlink()

    def _still(self) -> bool:
        try:
            return all(holds() for holds in self._holds)
        except OSError:  # a folder that goes away while it is listed
            return False

    def _keep(self, database: sqlite3.Connection) -> None:
        if self._new and not self._still():
            self._new = {}
            self._holds = [lambda: False]
        rows = [(key, _check(key, value) + value, self._today) for key, value in self._new.items()]
        with database:
            database.executemany("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", rows)
            database.executemany("UPDATE found SET day = ? WHERE key = ?", ((self._today, key) for key in self._stale))
        self._new, self._stale = {}, []
        if rows and _size(database) > self._limit:
            oldest = "SELECT key FROM found ORDER BY day LIMIT (SELECT (COUNT(*) + 1) / 2 FROM found)"
            half = f"DELETE FROM found WHERE key IN ({oldest})"  # noqa: S608  # both parts stand here
            while _size(database) > self._limit * 3 // 4 and database.execute(half).rowcount > 0:
                database.commit()
                database.execute("VACUUM")


def key(*parts: bytes | str) -> bytes:
    """A key of all parts, in this order."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(b"%d " % len(data))
        digest.update(data)
    return digest.digest()


def digest_below(folder: Path, ending: str) -> bytes:
    """One digest of the names (seen from the folder) and contents of all files below it whose names end so."""
    start = f"{folder}{os.sep}"
    places = [
        os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(ending)
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
            raise sqlite3.DatabaseError("not of this m2g")
        database.execute("SELECT value FROM found LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _size(database: sqlite3.Connection) -> int:
    pages, size = (int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    return pages * size


def _check(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_CHECK, key=key).digest()
