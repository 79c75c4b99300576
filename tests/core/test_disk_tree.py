"""What is rendered lies in a temporary file, and is the same when it comes back."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2g.core.disk_tree import DiskTree, select_paths
from m2g.core.errors import OutsideError

LARGE = bytes(range(256)) * 3000


@given(st.lists(st.dictionaries(st.text(max_size=3), st.sampled_from([b"", b"a", b"\x00b", LARGE]), max_size=4)))
def test_the_last_content_of_a_path_comes_back(trees: list[dict[str, bytes]]) -> None:
    spool, expected = DiskTree(), dict[str, bytes]()
    for tree in trees:
        spool.put(tree)
        expected |= tree
        assert dict(spool) == expected
    assert list(spool) == list(expected)


def test_a_part_has_its_own_paths_alone() -> None:
    spool = DiskTree()
    spool.put({"a": b"1", "b": b"2", "c": b"3"})
    some = select_paths(spool, ["c", "a"])
    assert dict(some) == {"c": b"3", "a": b"1"}
    assert list(some) == ["c", "a"]
    assert "b" not in some
    with pytest.raises(KeyError):
        some["b"]
    assert select_paths(spool, ["c", "b", "a"]) == spool


def test_no_room_is_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            DiskTree().put({"a": LARGE, "b": LARGE})
        except OutsideError as error:
            os._exit(7 if str(tmp_path) in error.message and "TMPDIR" in error.hint else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert list(tmp_path.iterdir()) == []
