"""Signed commits, with real keys of SSH and GPG; who made them is still known."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from m2g.core.errors import InputError
from m2g.core.proposal_types import Author
from m2g.git.commit import NewCommit, make_commits, read_commits
from m2g.git.sign import SIGNING_KEY
from tests.support.git_repository import commit, git, start


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = start(tmp_path / "repository")
    (root / "a").write_text("a\n")
    commit(root)
    return root


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a key in a GPG of its own. Its folder must have a short path."""
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        monkeypatch.setenv("GNUPGHOME", home)
        name = "Ada <ada@example.com>"
        quick = [
            "gpg",
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--quick-generate-key",
            name,
            "ed25519",
            "sign",
            "never",
        ]
        subprocess.run(quick, check=True, capture_output=True)
        yield "ada@example.com"
        subprocess.run(["gpgconf", "--kill", "all"], check=False)


def make(root: Path) -> str:
    parent = git(root, "rev-parse", "HEAD")
    change = NewCommit(
        parent=parent,
        files={"b": b"b\n"},
        removals=frozenset(),
        subject="wine (prod): 1 → 2",
        trailers=(("M2g-Model", "wine"),),
    )
    (oid,) = make_commits(root, [change], Author(name="The Bot", email="bot@example.com"), 1_700_000_000)
    made = read_commits(root, [oid])[oid]
    assert made.own
    assert made.trailers["M2g-Model"] == "wine"
    assert git(root, "log", "-1", "--format=%an <%ae> %at|%cn <%ce> %ct|%s", oid) == (
        "The Bot <bot@example.com> 1700000000|The Bot <bot@example.com> 1700000000|wine (prod): 1 → 2"
    )
    return oid


def test_with_an_ssh_key(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    monkeypatch.setenv(SIGNING_KEY, str(key))
    signers = tmp_path / "signers"
    signers.write_text(f"bot@example.com {key.with_suffix('.pub').read_text()}")
    git(root, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", make(root))


def test_with_gpg(root: Path, keyring: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIGNING_KEY, keyring)
    git(root, "verify-commit", make(root))


@pytest.mark.attack
def test_a_missing_key_is_said_and_no_settings_of_the_repository_count(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\nexit 1\n")
    os.chmod(trap, 0o755)
    for name in ("gpg.ssh.program", "gpg.program"):
        git(root, "config", name, str(trap))
    monkeypatch.setenv(SIGNING_KEY, str(tmp_path / "missing"))
    with pytest.raises(InputError) as failed:
        make(root)
    assert SIGNING_KEY in failed.value.hint
    assert not (tmp_path / "sprung").exists()
