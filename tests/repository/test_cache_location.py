"""Where a run may remember: a branch must not bring its own answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from m2g.core.cache import Cache, key
from m2g.repository.cache_location import find_cache_folder
from tests.support.cached_fleet import cached_fleet


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def validated(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "m2g", "-C", str(root), "validate", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def filled(folder: Path) -> Path:
    with Cache(folder) as cache:
        cache.put(key("a"), b"b")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository in a folder of a checkout."""
    checkout = tmp_path / "checkout"
    (checkout / "gitops").mkdir(parents=True)
    git(checkout, "init", "-q")
    return checkout / "gitops"


@pytest.mark.parametrize("where", ["gitops/.m2g-cache", "gitops", ".m2g-cache", "../elsewhere"])
def test_in_the_repository_only_what_git_does_not_have(root: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    folder = root.parent / where
    monkeypatch.setenv("M2G_CACHE_DIR", str(folder))
    assert find_cache_folder(root) == folder  # nothing there yet
    filled(folder)
    assert find_cache_folder(root) == folder
    if ".." not in where:
        git(root.parent, "add", "--force", f"{where}/found.db")
        assert find_cache_folder(root) is None


@pytest.mark.parametrize("bring", ["link to the folder", "link to the file", "journal", "submodule"])
def test_what_a_branch_brings_otherwise(root: Path, monkeypatch: pytest.MonkeyPatch, bring: str) -> None:
    folder = root / ".m2g-cache"
    monkeypatch.setenv("M2G_CACHE_DIR", str(folder))
    if bring == "link to the folder":
        filled(root / "notes")
        folder.symlink_to("notes")
    elif bring == "link to the file":
        filled(root / "notes")
        folder.mkdir()
        (folder / "found.db").symlink_to("../notes/found.db")
    elif bring == "journal":
        filled(folder)
        (folder / "found.db-journal").write_bytes(b"x")
        (root / ".gitignore").write_text("found.db\n")
    else:
        filled(folder)
        git(folder, "init", "-q")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "a")
    git(root, "add", ".")
    assert find_cache_folder(root) is None


def test_where_git_cannot_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "plain"
    monkeypatch.setenv("M2G_CACHE_DIR", str(filled(root / ".m2g-cache")))
    assert find_cache_folder(root) is None


@pytest.mark.slow
def test_the_command_says_so_and_goes_without(kustomize: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kustomize.is_file()
    root = cached_fleet(tmp_path)
    git(root, "init", "-q")
    monkeypatch.setenv("M2G_CACHE_DIR", str(root))
    first = validated(root)
    assert "found.db" not in first.stderr
    assert (root / "found.db").exists()
    git(root, "add", ".")
    again = validated(root)
    assert "does not use the cache" in again.stderr
    assert (again.returncode, again.stdout) == (first.returncode, first.stdout)
    assert "does not use the cache" not in validated(root, "--no-cache").stderr
