"""Start the real git: which settings and variables it gets, and which never."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from m2g.core import process
from m2g.core.process.environment import NETWORK, clean_environment

QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_LITERAL_PATHSPECS": "1"}
_PLAIN = (
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false"),
    # A branch can contain what looks like a bare repository, with a config that names programs.
    *("-c", "safe.bareRepository=explicit"),
    *("-c", "core.splitIndex=false", "-c", "diff.autoRefreshIndex=true"),
)
_SETTINGS = (
    *("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),
    *("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_*", "GIT_CONFIG_VALUE_*", "GIT_CONFIG_PARAMETERS"),
)
_REACH = ("GIT_ALLOW_PROTOCOL", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS", "SSH_AUTH_SOCK", *NETWORK)
_HERE = (
    *_SETTINGS,
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"),
    *_REACH,
)
"""Which repository it is, whose settings apply, and what Git needs to fetch the missing objects of a partial clone."""


def run_here(
    root: Path, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
) -> process.Completed:
    """Run git in the person's repository, to read."""
    variables = clean_environment(_HERE) | QUIET | dict(environment or {})
    return process.run(["git", *_PLAIN, *arguments], cwd=root, stdin=stdin, environment=variables)


def run_apart(folder: Path, *arguments: str, stdin: bytes | None = None) -> process.Completed:
    """Run git in a repository of m2g's own, with no settings of anybody: no filter, no hook, no signing program."""
    variables = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": "/"}
    environment = clean_environment() | QUIET | variables
    return process.run(["git", *_PLAIN, *arguments], cwd=folder, stdin=stdin, timeout=600, environment=environment)


def run_signing(folder: Path, *arguments: str, stdin: bytes, environment: Mapping[str, str]) -> process.Completed:
    """Run git in a repository of m2g's own, to sign: with what an agent or GPG needs, and no settings of anybody."""
    variables = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": "/"}
    kept = clean_environment(("HOME", "GNUPGHOME", "SSH_AUTH_SOCK", "GPG_TTY"))
    known = kept | QUIET | variables | dict(environment)
    return process.run(["git", *_PLAIN, *arguments], cwd=folder, stdin=stdin, timeout=60, environment=known)


def run_remote(folder: Path, *arguments: str, credentials: Mapping[str, str]) -> process.Completed:
    """Run git in a repository of m2g's own, to ask a remote: with the person's own settings, such as a proxy.

    `credentials` are settings (key → value) that only the environment of this one program has.
    """
    environment = clean_environment((*_SETTINGS, *_REACH)) | QUIET
    count = int(environment.get("GIT_CONFIG_COUNT") or 0)
    for number, (key, value) in enumerate(credentials.items(), count):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    environment["GIT_CONFIG_COUNT"] = str(count + len(credentials))
    safe = (
        *("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.writeCommitGraph=false"),
        *("-c", "push.gpgSign=false", "-c", "push.followTags=false", "-c", "push.recurseSubmodules=no"),
        *(
            "-c",
            "fetch.recurseSubmodules=false",
            "-c",
            "http.followRedirects=false",
            "-c",
            "push.useForceIfIncludes=false",
        ),
    )
    return process.run(["git", *_PLAIN, *safe, *arguments], cwd=folder, timeout=600, environment=environment)
