"""Refs, bulk reading and changed files, on real repositories; hostile refs and trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from m2g.core.errors import InputError
from m2g.git import read as m2g_git
from tests.support.git_repository import commit, git, start
from tests.support.handmade_fleet import write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return start(tmp_path / "repository")


def test_resolves_branches_tags_and_commits(root: Path) -> None:
    first = commit(root)
    git(root, "tag", "v1")
    second = commit(root)
    assert m2g_git.resolve_ref(root, "v1") == first
    assert m2g_git.resolve_ref(root, "main") == second
    assert m2g_git.resolve_ref(root, "HEAD~1") == first
    assert m2g_git.resolve_ref(root, first[:10]) == first


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "-h",
        "--upload-pack=touch x",
        "--output=x",
        "nothing",
        "main..main",
        "HEAD:file",
        "a\nb",
        "a\0b",
        "$(x)",
        "@{u}",
    ],
)
def test_refs_that_are_none_are_refused(root: Path, ref: str) -> None:
    commit(root)
    with pytest.raises(InputError):
        m2g_git.find_merge_base(root, ref)
    assert sorted(path.name for path in root.iterdir()) == [".git"]


def test_the_merge_base_is_where_the_branches_parted(root: Path) -> None:
    base = commit(root)
    git(root, "switch", "-q", "-c", "work")
    commit(root, "work")
    git(root, "switch", "-q", "main")
    commit(root, "main")
    git(root, "switch", "-q", "work")
    assert m2g_git.find_merge_base(root, "main") == base


def test_no_repository_and_no_commit(tmp_path: Path, root: Path) -> None:
    with pytest.raises(InputError, match="not in a Git repository") as caught:
        m2g_git.find_merge_base(tmp_path, "main")
    assert "git init" in caught.value.hint
    with pytest.raises(InputError, match="not in a Git repository"):
        m2g_git.find_default_base(tmp_path)
    with pytest.raises(InputError, match="does not find a commit"):
        m2g_git.find_merge_base(root, "main")


def test_a_shallow_clone_says_what_to_do(tmp_path: Path, root: Path) -> None:
    first = commit(root)
    commit(root)
    git(root, "switch", "-q", "-c", "work")
    commit(root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", "--no-single-branch", "--branch=work", f"file://{root}", str(clone))
    for ref in (first, "origin/main"):
        with pytest.raises(InputError) as caught:
            m2g_git.find_merge_base(clone, ref)
        assert "fetch-depth: 0" in caught.value.hint


def test_unrelated_histories(root: Path) -> None:
    commit(root)
    git(root, "switch", "-q", "--orphan", "other")
    commit(root, "other")
    with pytest.raises(InputError, match="no common commit"):
        m2g_git.find_merge_base(root, "main")


def test_the_usual_base(tmp_path: Path, root: Path) -> None:
    commit(root)
    assert m2g_git.find_default_base(root) == "main"
    git(root, "branch", "-m", "trunk")
    with pytest.raises(InputError, match="to compare with"):
        m2g_git.find_default_base(root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(root), str(clone))
    assert m2g_git.find_default_base(clone) == "origin/trunk"


STRANGE = [
    "a b.yaml",
    "ünï.yaml",
    'q"uote.yaml',
    "new\nline.yaml",
    "tab\t.yaml",
    "-rf.yaml",
    "folder/*.yaml",
    ":(glob)x",
]


def test_reads_files_of_a_commit_in_bulk(root: Path) -> None:
    contents = {path: f"{path}\n" * 3 for path in STRANGE} | {"empty.yaml": "", "no-newline": "x"}
    write(root, contents)
    (root / "bytes").write_bytes(b"\0\xff\n\n" * 5000)
    sha = commit(root)
    for path in contents:
        (root / path).unlink()
    found = m2g_git.read_files(root, m2g_git.list_files(root, sha))
    assert {path: data.decode() for path, data in found.items() if path != "bytes"} == contents
    assert found["bytes"] == b"\0\xff\n\n" * 5000
    assert set(m2g_git.list_files(root, sha, ["folder"])) == {"folder/*.yaml"}


def test_a_root_below_the_top_of_the_repository(root: Path) -> None:
    write(root, {"gitops/m2g.yaml": "a", "gitops/models/x": "x", "outside": "o"})
    sha = commit(root)
    write(root, {"gitops/models/x": "y", "outside": "p", "gitops/new": "n"})
    inner = root / "gitops"
    assert set(m2g_git.list_files(inner, sha)) == {"m2g.yaml", "models/x"}
    assert m2g_git.list_changed(inner, sha) == {"models/x", "new"}
    assert m2g_git.read_files(inner, m2g_git.list_files(inner, sha))["models/x"] == b"x"


def test_changed_files_committed_staged_modified_new_removed(root: Path) -> None:
    write(root, dict.fromkeys(("committed", "staged", "modified", "removed", "same", *STRANGE), "1"))
    write(root, {".gitignore": "ignored\n"})
    sha = commit(root)
    write(root, {"committed": "2"})
    commit(root)
    write(root, {"staged": "2"})
    git(root, "add", "staged")
    write(root, {"modified": "2", "new folder/new\nfile": "2", "ignored": "2", STRANGE[3]: "2"})
    (root / "removed").unlink()
    expected = {"committed", "staged", "modified", "removed", "new folder/new\nfile", STRANGE[3]}
    assert m2g_git.list_changed(root, sha) == expected


def test_extracts_files_and_links(tmp_path: Path, root: Path) -> None:
    write(root, {"models/wine/base/a.yaml": "a", "shared/b.yaml": "b"})
    (root / "models/wine/link").symlink_to("../../shared")
    (root / "evil").symlink_to("/etc")
    sha = commit(root)
    out = tmp_path / "out"
    out.mkdir()
    m2g_git.extract(root, m2g_git.list_files(root, sha), out)
    assert (out / "models/wine/link/b.yaml").read_text() == "b"
    assert os.readlink(out / "evil") == "/etc"


def test_a_tree_that_climbs_out_is_refused(tmp_path: Path, root: Path) -> None:
    commit(root)
    blob = git(root, "hash-object", "-w", "--stdin")
    inner = git(root, "mktree", stdin=f"100644 blob {blob}\t..\n")
    outer = git(root, "mktree", stdin=f"040000 tree {inner}\tmodels\n")
    sha = git(root, "commit-tree", outer, "-m", "evil")
    with pytest.raises(InputError, match="unsafe"):
        m2g_git.extract(root, m2g_git.list_files(root, sha), tmp_path)


def test_the_repository_s_own_configuration_starts_nothing(root: Path) -> None:
    proof = root.parent / "ran"
    write(root, {"a.yaml": "1", ".gitattributes": "*.yaml diff=evil\n"})
    sha = commit(root)
    script = root.parent / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {proof}\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "diff.evil.command", "diff.evil.textconv"):
        git(root, "config", key, str(script))
    write(root, {"a.yaml": "2"})
    assert m2g_git.list_changed(root, sha) == {"a.yaml"}
    assert not proof.exists()


@pytest.mark.parametrize("split", [False, True])
def test_files_with_new_dates_are_not_changed_and_git_s_folder_is_not_written(root: Path, split: bool) -> None:
    write(root, dict.fromkeys(("same.yaml", "mode.sh", "empty", "kept.bin", "changed.yaml"), ""))
    write(root, {".gitattributes": "*.yaml -diff\n"})
    (root / "binary").write_bytes(b"\0\xff\n" * 50)
    (root / "link").symlink_to("same.yaml")
    (root / "other").symlink_to("same.yaml")
    sha = commit(root)
    for path in (path for path in root.iterdir() if path.name != ".git"):
        os.utime(path, (1_900_000_000, 1_900_000_000), follow_symlinks=False)
    (root / "mode.sh").chmod(0o755)
    write(root, {"changed.yaml": "1"})
    (root / "other").unlink()
    (root / "other").symlink_to("mode.sh")
    if split:
        git(root, "config", "core.splitIndex", "true")
        git(root, "update-index", "--split-index")
    before = states(root / ".git")
    assert m2g_git.list_changed(root, sha) == {"mode.sh", "changed.yaml", "other"}
    assert states(root / ".git") == before


def states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What would show that a file, or what is in a folder, was written. Git dates what a split index shares anew."""
    found = ((path, path.stat()) for path in sorted(folder.rglob("*")))
    return {
        str(path): (state.st_ino, state.st_size, 0 if path.name.startswith("sharedindex") else state.st_mtime_ns)
        for path, state in found
    }


def test_a_merge_in_conflict(root: Path) -> None:
    write(root, {"a.yaml": "1", "b.yaml": "1"})
    base = commit(root)
    git(root, "switch", "-q", "-c", "work")
    write(root, {"a.yaml": "2"})
    commit(root)
    git(root, "switch", "-q", "main")
    write(root, {"a.yaml": "3"})
    commit(root)
    with pytest.raises(AssertionError):
        git(root, "merge", "-q", "work")
    assert m2g_git.list_changed(root, base) == {"a.yaml"}
    assert m2g_git.list_changed(root, "HEAD") == {"a.yaml"}
