"""Commits without a checkout, and pushes that overwrite nothing: with the real git and real remotes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from m2g.core.errors import InputError, OutsideError
from m2g.core.proposal_types import Author
from m2g.git.commit import NewCommit, make_commits, read_changes, read_commits
from m2g.git.push import BranchUpdate, Outcome, push
from m2g.git.remote import find_remote, parse_remote
from m2g.git.worktree import Worktree, open_worktree
from tests.support.git_repository import commit, git, start
from tests.support.handmade_fleet import write


def is_own(branch: str) -> bool:
    return branch.startswith("m2g/")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    place = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "trunk", str(place))
    return place


@pytest.fixture
def clone(tmp_path: Path, remote: Path) -> Path:
    """A clone with one pushed commit, and work of a person that is not committed."""
    root = start(tmp_path / "clone")
    write(root, {"models/wine/base/a.yaml": "a\n", "models/wine/base/b.yaml": "b\n", "bin.sh": "x\n"})
    git(root, "remote", "add", "origin", str(remote))
    commit(root)
    git(root, "push", "-q", "origin", "HEAD:trunk")
    write(root, {"models/wine/base/a.yaml": "mine\n", "new.txt": "mine\n"})
    git(root, "add", "new.txt")
    return root


@pytest.fixture
def worktree(clone: Path) -> Iterator[Worktree]:
    with open_worktree(clone, find_remote(clone)) as opened:
        yield opened


def change(parent: str, text: bytes = b"new\n") -> NewCommit:
    return NewCommit(
        parent=parent,
        files={"models/wine/base/a.yaml": text, 'models/o d"d\n/é.yaml': b"\x00"},
        removals=frozenset({"models/wine/base/b.yaml"}),
        subject="wine (dev): 1 → 2",
        trailers=(("M2g-Model", "wine\nM2g-Tree: forged"), ("M2g-Version", "2")),
    )


def test_a_commit_has_exactly_the_changes_and_touches_nothing_of_the_person(worktree: Worktree, clone: Path) -> None:
    before = git(clone, "status", "--porcelain"), sorted(os.listdir(clone / ".git")), git(clone, "count-objects", "-v")
    fetched = worktree.fetch("", is_own)
    assert fetched.branch == "trunk"
    assert (worktree.folder / "models/wine/base/a.yaml").read_text() == "a\n"
    (oid,) = make_commits(worktree.folder, [change(fetched.base)], Author(), 1_700_000_000)
    assert set(read_changes(worktree.folder, fetched.base, oid)) == {
        *("models/wine/base/a.yaml", "models/wine/base/b.yaml", 'models/o d"d\n/é.yaml'),
    }
    assert read_changes(worktree.folder, fetched.base, oid)["models/wine/base/b.yaml"] == ""
    after = git(clone, "status", "--porcelain"), sorted(os.listdir(clone / ".git")), git(clone, "count-objects", "-v")
    assert after == before


@pytest.mark.attack
def test_trailers_cannot_be_forged_and_a_changed_commit_is_foreign(worktree: Worktree, tmp_path: Path) -> None:
    base = worktree.fetch("", is_own).base
    (oid,) = make_commits(worktree.folder, [change(base)], Author(), 1_700_000_000)
    made = read_commits(worktree.folder, [oid])[oid]
    assert made.own
    assert made.trailers["M2g-Model"] == '"wine\\nM2g-Tree: forged"'
    push(worktree.folder, worktree.remote, [BranchUpdate(branch="m2g/dev/wine", old="", new=oid)])
    person = tmp_path / "person"
    git(tmp_path, "clone", "-q", "-b", "m2g/dev/wine", worktree.remote.url, str(person))
    (person / "bin.sh").write_text("y\n")
    git(person, "commit", "-q", "-a", "--amend", "--no-edit")
    git(person, "push", "-q", "--force")
    head = worktree.fetch("", is_own).heads["m2g/dev/wine"]
    assert not read_commits(worktree.folder, [head])[head].own


@pytest.mark.attack
def test_a_push_that_lost_a_race_overwrites_nothing(worktree: Worktree) -> None:
    base = worktree.fetch("", is_own).base
    first, second = make_commits(worktree.folder, [change(base), change(base, b"other\n")], Author(), 1_700_000_000)
    made = push(worktree.folder, worktree.remote, [BranchUpdate(branch="m2g/dev/wine", old="", new=first)])
    assert made["m2g/dev/wine"].outcome is Outcome.DONE
    updates = [
        BranchUpdate(branch="m2g/dev/wine", old="", new=second),  # thinks that there is no branch yet
        BranchUpdate(branch="m2g/dev/fraud", old="", new=second),
        BranchUpdate(branch="trunk", old=second, new=second),
    ]
    outcomes = {name: one.outcome for name, one in push(worktree.folder, worktree.remote, updates).items()}
    assert outcomes == {"m2g/dev/wine": Outcome.MOVED, "m2g/dev/fraud": Outcome.DONE, "trunk": Outcome.MOVED}
    assert worktree.fetch("", is_own).heads == {"m2g/dev/wine": first, "m2g/dev/fraud": second}
    gone = [BranchUpdate(branch=name, old=oid, new="") for name, oid in (("m2g/dev/wine", first), ("m2g/x", first))]
    assert push(worktree.folder, worktree.remote, gone)["m2g/dev/wine"].outcome is Outcome.DONE
    assert worktree.fetch("", is_own).heads == {"m2g/dev/fraud": second}


def test_a_refused_push_says_what_the_server_said(worktree: Worktree, remote: Path) -> None:
    base = worktree.fetch("", is_own).base
    hook = remote / "hooks/update"
    hook.write_text("#!/bin/sh\necho 'trunk is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    (oid,) = make_commits(worktree.folder, [change(base)], Author(), 1_700_000_000)
    made = push(worktree.folder, worktree.remote, [BranchUpdate(branch="trunk", old=base, new=oid)])["trunk"]
    assert made.outcome is Outcome.REFUSED
    assert "trunk is protected" in made.reason


@pytest.mark.parametrize("kind", [["--depth=1"], ["--filter=blob:none", "--no-checkout"]])
def test_shallow_and_partial_clones_have_the_whole_history(
    clone: Path, remote: Path, tmp_path: Path, kind: list[str]
) -> None:
    write(clone, {"second.txt": "2\n"})
    commit(clone, "second")
    git(clone, "push", "-q", "origin", "HEAD:trunk")
    git(remote, "config", "uploadpack.allowFilter", "true")
    part = tmp_path / "part"
    git(tmp_path, "clone", "-q", *kind, f"file://{remote}", str(part))
    with open_worktree(part, find_remote(part)) as opened:
        base = opened.fetch("", is_own).base
        assert git(opened.folder, "rev-list", "--count", base) == "2"
        assert (opened.folder / "second.txt").read_text() == "2\n"
        (oid,) = make_commits(opened.folder, [change(base)], Author(), 1)
        assert push(opened.folder, opened.remote, [BranchUpdate(branch="m2g/a/b", old="", new=oid)])
    assert git(remote, "rev-parse", "m2g/a/b") == oid


@pytest.mark.attack
def test_hooks_filters_and_attributes_run_nothing(clone: Path, tmp_path: Path) -> None:
    spy = tmp_path / "ran"
    for name in ("pre-push", "post-checkout", "reference-transaction", "post-index-change"):
        hook = clone / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {spy}\n")
        hook.chmod(0o755)
    git(clone, "config", "filter.spy.smudge", f"sh -c 'echo smudge >> {spy}; cat'")
    git(clone, "checkout", "-q", "--", "models")
    write(clone, {".gitattributes": "* filter=spy ident\n*.txt eol=crlf\n", "id.txt": "$Id$\n"})
    commit(clone, "attributes")
    git(clone, "-c", "core.hooksPath=/dev/null", "push", "-q", "origin", "HEAD:trunk")
    spy.unlink(missing_ok=True)
    with open_worktree(clone, find_remote(clone)) as opened:
        base = opened.fetch("", is_own).base
        assert (opened.folder / "id.txt").read_bytes() == b"$Id$\n"
        (oid,) = make_commits(opened.folder, [change(base)], Author(), 1)
        push(opened.folder, opened.remote, [BranchUpdate(branch="m2g/a/b", old="", new=oid)])
    assert not spy.exists()


@pytest.mark.attack
def test_a_token_is_in_no_address_and_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2G_TOKEN", "plain-words-of-a-token")
    remote = parse_remote("http://someone:hunter2hunter2@127.0.0.1:1/a/b.git", tmp_path)
    assert remote.url == "http://127.0.0.1:1/a/b.git"
    assert list(remote.credentials) == ["http.http://127.0.0.1:1/.extraHeader"]
    root = start(tmp_path / "root")
    commit(root)
    with open_worktree(root, remote) as opened, pytest.raises(OutsideError) as failed:
        opened.fetch("", is_own)
    assert "plain-words" not in failed.value.message + failed.value.hint
    assert "hunter2" not in failed.value.message


def test_a_missing_branch_or_remote_says_what_to_do(worktree: Worktree, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no branch 'nothing'"):
        worktree.fetch("nothing", is_own)
    with pytest.raises(InputError, match="has no remote") as failed:
        find_remote(start(tmp_path / "alone"))
    assert failed.value.hint == "add the one to propose changes to: git remote add origin ADDRESS"
