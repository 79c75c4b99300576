"""Writes: all or nothing, whatever is killed, full, read-only, linked or already running."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from m2g.changes import write
from m2g.core.errors import InputError, OutsideError
from m2g.repository.load import InvalidRepository
from tests.support.fleet import FakeRegistry, model, repository, run, tree
from tests.support.paths import ROOT

OLD = {"models/a/base/x.yaml": b"old", "models/a/README.md": b"old", "fleet/dev/a.yaml": b"old"}
NEW = {"models/a/base/x.yaml": b"new", "models/b/overlays/dev/y.yaml": b"new", "fleet/prod/b.yaml": b"new"}
REMOVED = {"models/a/README.md", "fleet/dev/a.yaml"}
_WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")


def lay_out(root: Path) -> None:
    with write.lock_repository(root):
        write.write_tree(root, OLD, (), {})


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked child; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def killed_at(event: int, root: Path) -> Callable[[], None]:
    """Write NEW over OLD and die, as by kill -9, before the n-th file operation."""

    def work() -> None:
        seen = 0

        def hook(name: str, _arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if name in _WATCHED:
                seen += 1
                if seen == event:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        with write.lock_repository(root):
            write.write_tree(root, NEW, REMOVED, OLD)

    return work


def test_a_kill_at_any_moment_leaves_all_or_nothing(tmp_path: Path) -> None:
    states = []
    for event in range(1, 200):
        root = tmp_path / str(event)
        root.mkdir()
        lay_out(root)
        status = in_child(killed_at(event, root))
        committed = write.is_unfinished(root)
        if not committed and tree(root) != NEW:
            assert tree(root) == OLD, f"killed before file operation {event}"
        with write.lock_repository(root):
            pass
        states.append(tree(root))
        assert states[-1] == (NEW if committed or not os.WIFSIGNALED(status) else states[-1])
        assert states[-1] in (OLD, NEW), f"killed before file operation {event}"
        assert not (root / ".m2g/write").exists()
        if not os.WIFSIGNALED(status):
            break
    else:
        pytest.fail("the write never ended")
    assert states[0] == OLD
    assert states[-1] == NEW
    assert len(states) > 20


def test_a_folder_that_went_away_before_the_next_run_is_made_again(tmp_path: Path) -> None:
    for event in range(1, 200):
        root = tmp_path / str(event)
        root.mkdir()
        lay_out(root)
        in_child(killed_at(event, root))
        if write.is_unfinished(root) and not (root / "models/b/overlays/dev/y.yaml").exists():
            shutil.rmtree(root / "models/b")
            with write.lock_repository(root):
                pass
            assert tree(root) == NEW
            return
    pytest.fail("no kill came between the journal and the file")


def test_a_render_killed_with_its_whole_process_is_finished_by_the_next(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(f"m{n}", champion="1", challenger="1") for n in range(30)])
    before = tree(root)
    moments = [n / 100 for n in range(12)]
    for moment in moments:
        child = os.fork()
        if child == 0:
            try:
                run(root, registry)
            finally:
                os._exit(0)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with write.lock_repository(root):
            assert len(tree(root)) in (len(before), len(before) + 30 * 15)
    assert run(root, registry).findings == ()
    assert len(tree(root)) == len(before) + 30 * 15


def test_two_renders_at_once_wait_for_each_other(tmp_path: Path) -> None:
    root = repository(tmp_path)
    outcomes = []
    registry = FakeRegistry([model(f"m{n}", champion="1") for n in range(20)])
    threads = [threading.Thread(target=lambda: outcomes.append(run(root, registry))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(outcome.files) for outcome in outcomes) == [0, 0, 0, 20 * 9]


def test_a_lock_that_is_never_released_is_an_error(tmp_path: Path) -> None:
    told = []
    with (
        write.lock_repository(tmp_path),
        pytest.raises(OutsideError, match="another m2g"),
        write.lock_repository(tmp_path, wait=0.2, waiting=lambda: told.append(True)),
    ):
        pass
    assert told == [True]


def test_a_full_disk_leaves_the_tree(tmp_path: Path) -> None:
    lay_out(tmp_path)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with write.lock_repository(tmp_path):
                write.write_tree(tmp_path, {**NEW, "models/c/base/big.yaml": b"x" * 5000}, REMOVED, OLD)
        except OutsideError as error:
            os._exit(7 if "m2g changed no file" in error.hint else 8)

    assert os.waitstatus_to_exitcode(in_child(work)) == 7
    assert tree(tmp_path) == OLD
    assert not (tmp_path / "models/c").exists()


def test_a_read_only_folder_leaves_the_tree(tmp_path: Path) -> None:
    lay_out(tmp_path)
    os.chmod(tmp_path / "models/a/base", 0o555)
    script = (
        "import os, pathlib, sys\n"
        "import filelock  # now: nobody may not be able to read Python's own folder\n"
        "from m2g.changes import write; from m2g.core.errors import OutsideError\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "try:\n"
        f"    with write.lock_repository(root): write.write_tree(root, {NEW!r}, {REMOVED!r}, {OLD!r})\n"
        "except OutsideError as error: print(error.message, error.hint); sys.exit(7)\n"
    )
    for folder in (tmp_path, *tmp_path.rglob("*")):
        if os.getuid() == 0:
            os.chown(folder, 65534, 65534)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            os.chmod(folder, folder.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "generator")},
        capture_output=True,
        text=True,
        check=False,
    )
    os.chmod(tmp_path / "models/a/base", 0o755)
    assert done.returncode == 7, done.stderr
    assert "models/a/base" in done.stdout
    assert tree(tmp_path) == OLD


@pytest.mark.attack
@pytest.mark.parametrize("place", ["models/a/base", "models/a", "models", "models/a/base/x.yaml", "fleet/prod"])
def test_nothing_is_written_through_a_symbolic_link(tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    link = root / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(InputError, match="symlink"), write.lock_repository(root):
        write.write_tree(root, NEW, (), OLD)
    assert list(outside.iterdir()) == []


@pytest.mark.attack
def test_a_journal_that_somebody_committed_cannot_write_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / ".m2g/write").mkdir(parents=True)
    (root / ".m2g/write/0").write_text("evil")
    for target in ("../evil", str(tmp_path / "evil")):
        (root / ".m2g/write/journal.json").write_text(f'{{"writes": ["{target}"], "removals": []}}')
        with pytest.raises(InputError, match="a file that m2g does not own"), write.lock_repository(root):
            pass
    assert not (tmp_path / "evil").exists()


@pytest.mark.attack
@pytest.mark.parametrize(
    "journal",
    [
        '{"writes": [".git/hooks/pre-commit"], "removals": []}',
        '{"writes": [], "removals": [".git/HEAD"]}',
        '{"writes": [], "removals": ["m2g.yaml"]}',
        '{"writes": ["models/a/model.yaml"], "removals": []}',
        '{"writes": ["models/a/base/../../../x"], "removals": []}',
        '{"writes": [], "removals": ["models/a/custom/dev/kustomization.yaml"]}',
        '{"writes": ["models/',
        "[]",
        '{"writes": 1}',
        "\xff",
    ],
)
def test_a_journal_moves_m2gs_files_only(tmp_path: Path, journal: str) -> None:
    (tmp_path / ".git/hooks").mkdir(parents=True)
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / "m2g.yaml").write_text("mine")
    (tmp_path / ".m2g/write").mkdir(parents=True)
    (tmp_path / ".m2g/write/0").write_text("#!/bin/sh\n")
    (tmp_path / ".m2g/write/journal.json").write_bytes(journal.encode("latin-1"))
    before = sorted(path for path in tmp_path.rglob("*") if path.name not in ("lock", ".gitignore"))
    with pytest.raises(InputError) as caught, write.lock_repository(tmp_path):
        pass
    assert "rm -r .m2g" in caught.value.hint or "leads out of the repository" in caught.value.message
    assert sorted(path for path in tmp_path.rglob("*") if path.name not in ("lock", ".gitignore")) == before


class TestHostileRepository:
    """What somebody committed in the place of m2g's files costs a clear word, no time and no file outside."""

    def test_a_record_that_is_a_link_outside(self, tmp_path: Path) -> None:
        root = repository(tmp_path / "root")
        secret = tmp_path / "secret"
        secret.write_text("password")
        record = root / "models/wine/releases/prod.json"
        record.parent.mkdir(parents=True)
        for target in (secret, Path("/dev/zero"), tmp_path / "nothing", record):
            record.unlink(missing_ok=True)
            record.symlink_to(target)
            with pytest.raises(InvalidRepository) as caught:
                run(root, FakeRegistry())
            assert [finding.rule for finding in caught.value.findings] == ["record-unreadable"]
            assert "password" not in caught.value.findings[0].message

    def test_m2g_yaml_that_is_a_pipe(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        (root / "m2g.yaml").unlink()
        os.mkfifo(root / "m2g.yaml")
        with pytest.raises(InvalidRepository) as caught:
            run(root, FakeRegistry())
        assert "not a regular file" in caught.value.findings[0].message

    def test_a_folder_in_the_place_of_a_file(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        (root / "models/wine/overlays/prod/patch.yaml").mkdir(parents=True)
        with pytest.raises((InputError, OutsideError)):
            run(root, FakeRegistry([model(champion="1")]))
        assert not (root / "models/wine/releases").exists()


def edited_at(event: str, path: str, edit: Callable[[], None]) -> None:
    """In this process, as another one would: edit when a file operation of this kind touches the path, once."""
    done = False

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        if not done and name == event and any(str(argument).endswith(path) for argument in arguments):
            done = True
            edit()

    sys.addaudithook(hook)


def _replace(file: Path, *, by_link: bool) -> None:
    file.unlink(missing_ok=True)
    if by_link:
        file.symlink_to("/etc/hostname")
    else:
        file.mkdir()


def _change(file: Path) -> None:
    file.write_text("mine")


EDITS: dict[str, Callable[[Path], None]] = {
    "changed": _change,
    "removed": lambda file: file.unlink(missing_ok=True),
    "replaced by a link": lambda file: _replace(file, by_link=True),
    "a folder": lambda file: _replace(file, by_link=False),
}
FILES = ("models/a/base/x.yaml", "models/a/README.md", "fleet/prod/b.yaml")
"""One that is replaced, one that is removed, one that is new."""


def describe(file: Path) -> object:
    if file.is_symlink():
        return os.readlink(file)
    return file.is_dir() or (file.read_bytes() if file.exists() else None)


@pytest.mark.attack
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("path", FILES)
def test_an_edit_before_the_write_is_kept_and_nothing_is_written(
    tmp_path: Path, path: str, edit: Callable[[Path], None]
) -> None:
    lay_out(tmp_path)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    edit(tmp_path / path)
    if describe(tmp_path / path) == OLD.get(path):
        return  # a new file that is removed is as it was
    before = {name: describe(tmp_path / name) for name in {*OLD, *NEW}}
    with pytest.raises(InputError) as caught, write.lock_repository(tmp_path):
        write.write_tree(tmp_path, NEW, REMOVED, OLD)
    assert path in caught.value.message
    assert {name: describe(tmp_path / name) for name in {*OLD, *NEW}} == before


@pytest.mark.attack
@pytest.mark.parametrize("edit", ["changed", "replaced by a link"])
@pytest.mark.parametrize("path", FILES[:2])
def test_an_edit_in_the_middle_of_the_write_is_kept_and_named(tmp_path: Path, path: str, edit: str) -> None:
    lay_out(tmp_path)

    def work() -> None:
        edited_at("os.rename", "fleet/prod/b.yaml", lambda: EDITS[edit](tmp_path / path))
        with write.lock_repository(tmp_path):
            kept = write.write_tree(tmp_path, NEW, REMOVED, OLD)
        (tmp_path / "kept").write_text(repr(kept))

    assert in_child(work) == 0
    assert (tmp_path / "kept").read_text() == repr((path,))
    assert describe(tmp_path / path) == (b"mine" if edit == "changed" else "/etc/hostname")
    assert (tmp_path / "models/b/overlays/dev/y.yaml").read_bytes() == b"new"
    assert not (tmp_path / ".m2g/write").exists()


@pytest.mark.attack
def test_an_edit_after_a_kill_is_kept_by_the_run_that_finishes(tmp_path: Path) -> None:
    for event in range(1, 60):
        root = tmp_path / str(event)
        root.mkdir()
        lay_out(root)
        if in_child(killed_at(event, root)) == 0:
            break
        if write.is_unfinished(root) and (root / "models/a/base/x.yaml").read_bytes() == b"old":
            (root / "models/a/base/x.yaml").write_text("mine")
            with write.lock_repository(root):
                assert (root / "models/a/base/x.yaml").read_text() == "mine"
                assert (root / "fleet/prod/b.yaml").read_text() == "new"
            assert not write.is_unfinished(root)


@pytest.mark.attack
@pytest.mark.parametrize("path", ["models/wine/overlays/prod/patch.yaml", "models/wine/README.md"])
def test_a_hand_edit_while_render_runs_is_kept(tmp_path: Path, path: str) -> None:
    """The registry's answer takes long; somebody edits in the meantime."""
    root = repository(tmp_path / "root")
    registry = FakeRegistry([model(champion="1", challenger="1")])
    run(root, registry)

    def work() -> None:
        edited_at("os.mkdir", ".m2g/write", lambda: _change(root / path))
        registry.known = [model(champion="2", challenger="2")]
        try:
            run(root, registry)
        except InputError as error:
            (tmp_path / "said").write_text(error.message)

    root_before = tree(root)
    assert in_child(work) == 0
    assert "changed while m2g ran" in (tmp_path / "said").read_text()
    (tmp_path / "said").unlink()
    assert tree(root) == root_before | {path: b"mine"}


@pytest.mark.attack
def test_a_hand_edit_in_the_last_moment_ends_the_run_with_its_finding(tmp_path: Path) -> None:
    root = repository(tmp_path / "root")
    registry = FakeRegistry([model(champion="1", challenger="1")])
    run(root, registry)
    path = "models/wine/releases/prod.json"

    def work() -> None:
        edited_at("os.rename", "models/wine/README.md", lambda: _change(root / path))
        registry.known = [model(champion="2", challenger="2")]
        outcome = run(root, registry)
        found = [(finding.rule, finding.file, str(finding.severity)) for finding in outcome.findings]
        (tmp_path / "said").write_text(repr((found, path in {change.path for change in outcome.files})))

    assert in_child(work) == 0
    assert (tmp_path / "said").read_text() == repr(([("hand-edit", path, "error")], False))
    assert (root / path).read_text() == "mine"


def test_the_journal_of_an_older_m2g_is_finished(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / ".m2g/write").mkdir()
    (tmp_path / ".m2g/write/0").write_text("new")
    (tmp_path / ".m2g/write/journal.json").write_text('{"writes": ["models/a/base/x.yaml"], "removals": []}')
    with write.lock_repository(tmp_path):
        assert (tmp_path / "models/a/base/x.yaml").read_text() == "new"
