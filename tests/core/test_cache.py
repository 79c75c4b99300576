"""The cache file: what is put is found, and nothing that happens to the file is more than lost time."""

from __future__ import annotations

import contextlib
import os
import pwd
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from m2g.core.cache import FILE, Cache, find_folder, key


def put(place: Path, **items: bytes) -> None:
    with Cache(place) as cache:
        for name, value in items.items():
            cache.put(key(name), value)


def got(place: Path, name: str) -> bytes | None:
    with Cache(place) as cache:
        return cache.get(key(name))


def test_what_one_run_puts_the_next_one_finds(tmp_path: Path) -> None:
    put(tmp_path / "deep/cache", a=b"one", b=b"")
    assert (got(tmp_path / "deep/cache", "a"), got(tmp_path / "deep/cache", "b")) == (b"one", b"")
    assert got(tmp_path / "deep/cache", "c") is None


def test_a_key_tells_its_parts_apart() -> None:
    assert len({key("ab", "c"), key("a", "bc"), key("abc"), key("", "abc"), key(b"abc", "")}) == 5


def test_without_a_place_nothing_is_remembered() -> None:
    with Cache(None) as cache:
        cache.put(key("a"), b"one")
        assert (cache.get(key("a")), cache.is_enabled) == (None, False)


@pytest.mark.parametrize("harm", ["empty", "text", "cut", "page", "folder"])
def test_a_harmed_file_costs_time_only(tmp_path: Path, harm: str) -> None:
    with Cache(tmp_path) as cache:
        cache.put_all({key(str(n)): b"x" * 1000 for n in range(200)})
    file = tmp_path / "found.db"
    content = file.read_bytes()
    if harm == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(
            {
                "empty": b"",
                "text": b"not a database " * 1000,
                "cut": content[: len(content) // 2],
                "page": content[:8192] + os.urandom(len(content) - 8192),
            }[harm]
        )
    for number in range(200):
        assert got(tmp_path, str(number)) in (None, b"x" * 1000)
    put(tmp_path, fresh=b"two")
    assert got(tmp_path, "fresh") in ((None,) if harm == "folder" else (None, b"two"))
    put(tmp_path, fresh=b"two")
    assert harm == "folder" or got(tmp_path, "fresh") == b"two"


def test_a_value_that_was_changed_in_place_is_not_believed(tmp_path: Path) -> None:
    put(tmp_path, a=b"the right answer", b=b"another")
    with sqlite3.connect(tmp_path / "found.db") as database:
        (value,) = database.execute("SELECT value FROM results WHERE key = ?", (key("a"),)).fetchone()
        database.execute("UPDATE results SET value = ? WHERE key = ?", (value.replace(b"right", b"wrong"), key("a")))
        (swapped,) = database.execute("SELECT value FROM results WHERE key = ?", (key("b"),)).fetchone()
        database.execute("INSERT INTO results VALUES (?, ?, 1)", (key("c"), swapped))
    assert (got(tmp_path, "a"), got(tmp_path, "b"), got(tmp_path, "c")) == (None, b"another", None)


def test_it_stays_below_its_limit_and_loses_the_longest_unused_first(tmp_path: Path) -> None:
    with Cache(tmp_path, limit=300_000) as cache:
        cache.put_all({key(f"old {n}"): os.urandom(1000) for n in range(200)})
    with sqlite3.connect(tmp_path / "found.db") as database:
        database.execute("UPDATE results SET day = 1")
    assert got(tmp_path, "old 7") is not None  # used today
    with Cache(tmp_path, limit=300_000) as cache:
        cache.put_all({key(f"new {n}"): os.urandom(1000) for n in range(80)})
    assert (tmp_path / "found.db").stat().st_size <= 300_000
    assert all(got(tmp_path, f"new {n}") for n in range(80))
    assert got(tmp_path, "old 7") is not None
    assert sum(got(tmp_path, f"old {n}") is not None for n in range(200)) < 100


def test_a_place_that_cannot_be_written_remembers_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    put(tmp_path / "file", a=b"one")
    assert got(tmp_path / "file", "a") is None


def test_two_runs_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from m2g.core.cache import Cache, key\n"
        "with Cache(Path(sys.argv[1])) as cache:\n"
        "    for number in range(40):\n"
        "        cache.put_all({key(sys.argv[2], str(number)): b'x'})\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name]) for name in ("a", "b", "c")]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    with Cache(tmp_path) as cache:
        assert all(cache.get(key(name, str(n))) == b"x" for name in ("a", "b", "c") for n in range(40))


def test_of_many_those_that_are_there_and_unharmed(tmp_path: Path) -> None:
    put(tmp_path, a=b"one", b=b"two", c=b"three")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("UPDATE results SET value = x'00' WHERE key = ?", (key("b"),))
    with Cache(tmp_path) as cache:
        assert cache.get_all([key(name) for name in "abcd"]) == {key("a"): b"one", key("c"): b"three"}
        assert cache.get_all([]) == {}


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("M2G_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_folder() == tmp_path / ".cache/m2g"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find_folder() == tmp_path / "xdg/m2g"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert find_folder() == tmp_path / ".cache/m2g"
    monkeypatch.setenv("M2G_CACHE_DIR", str(tmp_path / "own"))
    assert find_folder() == tmp_path / "own"


def test_a_user_without_a_home_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(user: int) -> None:
        raise KeyError(user)

    for name in ("M2G_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert find_folder() is None


@pytest.mark.parametrize(
    "other",
    [
        "CREATE TABLE results (a, b)",
        "CREATE TABLE results (key TEXT, value BLOB, day INTEGER)",
        "CREATE VIEW found AS SELECT x'00' AS key, 'a' AS value, 1 AS day",
        "CREATE TABLE other (a)",
    ],
)
def test_another_database_of_that_name_is_replaced(tmp_path: Path, other: str) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "found.db")) as database:
        database.execute(other)
        database.commit()
    put(tmp_path, a=b"one")
    assert got(tmp_path, "a") == b"one"


def test_nothing_is_kept_from_when_something_moved(tmp_path: Path) -> None:
    moved = False
    with Cache(tmp_path) as cache:
        cache.keep_only_while(lambda: not moved)
        cache.put_all({key("a"): b"one"})
        moved = True
        cache.put_all({key("b"): b"two"})
        moved = False
        cache.put_all({key("c"): b"three"})
    assert [got(tmp_path, name) for name in "abc"] == [b"one", None, None]


def test_what_cannot_be_looked_at_has_moved(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.keep_only_while(lambda: bool(os.stat(tmp_path / "gone")))
        cache.put(key("a"), b"one")
    assert got(tmp_path, "a") is None
