"""One file written whole or not at all, whatever is killed, full, linked or changed meanwhile."""

from __future__ import annotations

import os
import resource
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from m2g.core import safe_files
from m2g.core.errors import InputError, OutsideError

FILE = "models/wine/model.yaml"
_STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.chown", "os.chmod")


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked child; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def put(root: Path, content: bytes) -> Path:
    path = root / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755])
def test_a_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = put(tmp_path, b"old")
    path.chmod(mode)
    safe_files.write_atomic(tmp_path, FILE, b"new", before=b"old")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_of_new_files_and_its_folders_are_made(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        safe_files.write_atomic(tmp_path, FILE, b"new", before=None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o640
    assert os.listdir(tmp_path / "models/wine") == ["model.yaml"]


@pytest.mark.parametrize(("there", "read"), [(b"theirs", b"old"), (b"theirs", None), (None, b"old")])
def test_what_somebody_wrote_meanwhile_stays(tmp_path: Path, there: bytes | None, read: bytes | None) -> None:
    path = put(tmp_path, there or b"")
    if there is None:
        path.unlink()
    with pytest.raises(OutsideError, match="has changed since"):
        safe_files.write_atomic(tmp_path, FILE, b"new", before=read)
    assert os.listdir(path.parent) == ([] if there is None else ["model.yaml"])
    assert there is None or path.read_bytes() == there


def test_nothing_is_written_through_a_symlink(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(root, b"old")
    put(outside, b"theirs")
    (root / "file").symlink_to(outside / FILE)
    (root / "inside").symlink_to(FILE)
    (root / "nowhere").symlink_to("gone")
    (root / "folder").symlink_to(outside)
    for file in ("file", "inside", "nowhere", f"folder/{FILE}", "../outside/x", f"{outside}/x", "models//x", ""):
        with pytest.raises(InputError, match=r"symlink|leads out of"):
            safe_files.write_atomic(root, file, b"new")
    assert (outside / FILE).read_bytes() == b"theirs"
    assert (root / FILE).read_bytes() == b"old"
    assert sorted(os.listdir(outside)) == ["models"]


def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    for file in (FILE, "pipe"):
        with pytest.raises(InputError, match="not a regular file"):
            safe_files.write_atomic(tmp_path, file, b"new")
    with pytest.raises(OutsideError, match="cannot be written: File exists"):
        safe_files.write_atomic(tmp_path, "pipe/x", b"new")
    assert sorted(os.listdir(tmp_path)) == ["models", "pipe"]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = put(tmp_path, b"old")

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            safe_files.write_atomic(tmp_path, FILE, b"x" * 10_000, before=b"old")
        except OutsideError as error:
            (tmp_path / "said").write_text(error.message)

    assert in_child(work) == 0
    assert (tmp_path / "said").read_text() == f"{FILE} cannot be written: File too large"
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["model.yaml"]


def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    found = []
    for step in range(20):
        root = tmp_path / str(step)
        path = put(root, b"old")
        status = in_child(lambda root=root, step=step: _killed_at(root, step))  # type: ignore[misc]  # defaults bind it
        found.append(path.read_bytes())
        if status == 0:
            break
    assert found[0] == b"old"
    assert found[-1] == b"new"
    assert set(found) == {b"old", b"new"}


def _killed_at(root: Path, step: int) -> None:
    passed = 0

    def watch(event: str, _arguments: object) -> None:
        nonlocal passed
        if event in _STEPS:
            if passed == step:
                os.kill(os.getpid(), signal.SIGKILL)
            passed += 1

    sys.addaudithook(watch)
    safe_files.write_atomic(root, FILE, b"new", before=b"old")
