"""Git, only read: refs, the files of a commit in bulk, and what differs from the working tree."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.core import process, tempdirs
from m2g.core.errors import InputError, OutsideError

_QUIET = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_LITERAL_PATHSPECS": "1"}
_READING = (
    *("-c", "core.fsmonitor=false", "-c", "core.quotePath=false"),
    *("-c", "core.splitIndex=false", "-c", "diff.autoRefreshIndex=true"),
)
_SHALLOW = "this clone has no full history: in CI, check out with fetch-depth: 0 (GitLab: GIT_DEPTH: 0)"
_USUAL = ("refs/remotes/origin/main", "refs/remotes/origin/master", "refs/heads/main", "refs/heads/master")
_FILE, _LINK = ("100644", "100755"), "120000"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a commit: Git's mode and object id."""

    mode: str
    oid: str

    @property
    def is_symlink(self) -> bool:
        """A symbolic one; its content is where it leads."""
        return self.mode == _LINK


def resolve_ref(root: Path, ref: str) -> str:
    """The commit that `ref` names.

    Raises InputError where it names none, is an option in disguise, or `root` is in no Git repository.
    """
    if not ref or ref.startswith("-") or any(ord(char) < 32 for char in ref):
        raise InputError(f"{ref!r} is no Git ref", hint="name a branch, tag or commit, such as origin/main")
    ran = _run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if ran.code == 0:
        return ran.stdout.decode().strip()
    _inside(root)
    hint = _SHALLOW if is_shallow(root) else "fetch it first (git fetch origin), or name another ref"
    raise InputError(f"Git knows no commit {ref!r} here", hint=hint)


def find_default_base(root: Path) -> str:
    """What a pull request is usually compared with: origin's default branch, else main or master.

    Raises InputError where none of them exists.
    """
    ran = _run(root, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
    for ref in ([ran.stdout.decode().strip()] if ran.code == 0 else []) + list(_USUAL):
        if _run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").code == 0:
            return ref.removeprefix("refs/remotes/").removeprefix("refs/heads/")
    _inside(root)
    raise InputError("there is no origin/main, main or master to compare with", hint="name a ref with --against REF")


def find_merge_base(root: Path, ref: str) -> str:
    """The commit where HEAD left `ref`: what a pull request is compared with.

    Raises InputError where `ref` or HEAD names no commit, or the two have no common history here.
    """
    commit = resolve_ref(root, ref)
    ran = _run(root, "merge-base", commit, resolve_ref(root, "HEAD"))
    if ran.code == 0:
        return ran.stdout.decode().split()[0]
    hint = _SHALLOW if is_shallow(root) else "name a ref of the same history with --against REF"
    raise InputError(f"HEAD and {ref!r} have no common commit here", hint=hint)


def is_shallow(root: Path) -> bool:
    """Whether the clone has only the newest commits."""
    return _run(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"


def list_files(root: Path, commit: str, under: Sequence[str] = ()) -> dict[str, Entry]:
    """Every file of a commit below `root`, or below some folders of it; paths are relative to `root`."""
    found: dict[str, Entry] = {}
    for record in _output(root, "ls-tree", "-r", "-z", "--end-of-options", commit, *under).split(b"\0"):
        about, _, path = record.partition(b"\t")
        if path:
            mode, _, oid = about.decode().split(" ")
            found[os.fsdecode(path)] = Entry(mode=mode, oid=oid)
    return found


def read_files(root: Path, entries: Mapping[str, Entry]) -> dict[str, bytes]:
    """The content of the regular files among `entries`, by one process; links and submodules are left out."""
    wanted = {path: entry.oid for path, entry in entries.items() if entry.mode in _FILE}
    blobs = _blobs(root, wanted.values())
    return {path: blobs[oid] for path, oid in wanted.items()}


def read_symlinks(root: Path, entries: Mapping[str, Entry]) -> dict[str, str]:
    """Where the symbolic links among `entries` lead."""
    wanted = {path: entry.oid for path, entry in entries.items() if entry.is_symlink}
    blobs = _blobs(root, wanted.values())
    return {path: os.fsdecode(blobs[oid]) for path, oid in wanted.items()}


def extract(root: Path, entries: Mapping[str, Entry], folder: Path) -> None:
    """Write the files among `entries` below `folder`, an empty one.

    Links are made last, so that no file is written through one. Raises InputError for a path that leaves `folder`.
    """
    for path in entries:
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/")) or os.path.isabs(path):
            raise InputError(f"the commit has a file with an unsafe name: {path!r}")
    for path, content in read_files(root, entries).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    for path, target in read_symlinks(root, entries).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, folder / path)


def list_changed(root: Path, commit: str) -> frozenset[str]:
    """Paths below `root` that differ between a commit and the working tree; files that Git ignores do not count."""
    with tempdirs.open_folder() as folder:
        listed = _output(
            *(root, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"),
            *("--ignore-submodules", "--relative", commit, "--"),
            environment=_index(root, folder),
        )
    new = _output(root, "ls-files", "-z", "--others", "--exclude-standard")
    return frozenset(os.fsdecode(path) for path in (listed + new).split(b"\0") if path)


def _index(root: Path, folder: Path) -> Mapping[str, str]:
    """A copy for Git to work on: `git diff` writes the index where a file has a new date and the content that it had.

    The copy has the date of the index, by which Git knows which files it must read.
    """
    index = root / os.fsdecode(_output(root, "rev-parse", "--git-path", "index").removesuffix(b"\n"))
    try:
        state, content = index.stat(), index.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OutsideError(f"{index} cannot be read: {error.strerror}") from error
    copy = folder / "index"
    copy.write_bytes(content)
    os.utime(copy, ns=(state.st_atime_ns, state.st_mtime_ns))
    return {"GIT_INDEX_FILE": str(copy)}


def read_history(root: Path, folder: str, refs: Sequence[str], most: int) -> list[bytes]:
    """What the files below `folder` were in the last `most` commits of `refs` that changed them, newest first.

    A ref that does not exist is left out.
    """
    known = [ref for ref in refs if _run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", ref).code == 0]
    if not known:
        return []
    listed = _output(
        *(root, "log", "--format=", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "-z"),
        *(f"--max-count={most}", *known, "--", folder),
    )
    heads = [part.decode().split(" ") for part in listed.split(b"\0") if part.startswith(b":")]
    files = [pair for old, new, before, after, _ in heads for pair in ((new, after), (old[1:], before))]
    oids = [oid for mode, oid in files if mode in _FILE]
    blobs = _blobs(root, oids)
    return [blobs[oid] for oid in dict.fromkeys(oids)]


def list_tracked(folder: Path) -> frozenset[str] | None:
    """The files below a folder that Git has in its index, seen from there; None where Git cannot tell."""
    try:
        ran = _run(folder, "ls-files", "-z", "--cached")
    except OutsideError:
        return None
    return frozenset(os.fsdecode(name) for name in ran.stdout.split(b"\0") if name) if ran.code == 0 else None


def _blobs(root: Path, oids: Collection[str]) -> dict[str, bytes]:
    if not oids:
        return {}
    stdin = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
    output = _output(root, "cat-file", "--batch", "--buffer", stdin=stdin)
    found: dict[str, bytes] = {}
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        oid, kind, *size = output[position:end].decode().split(" ")
        if kind != "blob":
            raise OutsideError(f"Git has no content for the object {oid}", hint="run `git fetch` or `git fsck`")
        start = end + 1
        found[oid] = output[start : start + int(size[0])]
        position = start + int(size[0]) + 1
    return found


def _inside(root: Path) -> None:
    ran = _run(root, "rev-parse", "--show-toplevel")
    if ran.code == 0:
        return
    if "not a git repository" in ran.stderr:
        raise InputError(f"{root} is in no Git repository", hint="run `git init` and commit, or check the folder (-C)")
    raise InputError(f"Git refuses {root}: {ran.stderr[:300]}")


def _output(
    root: Path, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
) -> bytes:
    ran = _run(root, *arguments, stdin=stdin, environment=environment)
    if ran.code != 0:
        _inside(root)
        raise OutsideError(f"git {arguments[0]} failed: {ran.stderr[:300] or f'exit code {ran.code}'}")
    return ran.stdout


def _run(
    root: Path, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
) -> process.Completed:
    variables = {**_QUIET, **(environment or {})}
    return process.run(["git", *_READING, *arguments], cwd=root, stdin=stdin, environment=variables)
