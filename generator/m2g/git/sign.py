"""Signed commits, by Git's own means: with an SSH key or with GPG."""

from __future__ import annotations

import os
from pathlib import Path

from m2g.core.errors import InputError
from m2g.git.program import run_signing

SIGNING_KEY = "M2G_SIGNING_KEY"
"""The file of an SSH key, or the name of a key that GPG has."""


def sign_commit(folder: Path, tree: str, parent: str, stamp: str, message: str) -> str:
    """A commit that Git signs. `stamp` is author and committer. Raises InputError if there is no such key."""
    key = os.environ[SIGNING_KEY].strip()
    is_file = os.path.isabs(key)
    name, _, rest = stamp.partition(" <")
    email, _, when = rest.partition("> ")
    people = {
        f"GIT_{who}_{field}": value
        for who in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", name), ("EMAIL", email), ("DATE", when))
    }
    settings = ("-c", f"gpg.format={'ssh' if is_file else 'openpgp'}", "-c", f"user.signingKey={key}")
    programs = ("-c", "gpg.ssh.program=ssh-keygen", "-c", "gpg.program=gpg")
    arguments = (*programs, *settings, "commit-tree", "-S", "-p", parent, tree)
    ran = run_signing(folder, *arguments, stdin=f"{message}\n".encode(), environment=people)
    if ran.code != 0:
        last = (ran.stderr.splitlines() or ["no reason given"])[-1][:300]
        raise InputError(
            f"Git cannot sign with the key in {SIGNING_KEY}: {last}",
            hint=f"set {SIGNING_KEY} to the absolute path of an SSH key, or to a key of `gpg --list-secret-keys`",
        )
    return ran.stdout.decode().strip()
