"""Read from Git: refs, the files of a commit in bulk, and the differences to the working tree."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.core import tempdirs
from m2g.core.errors import InputError, OutsideError
from m2g.git.program import run_here as _run

_SHALLOW = "this clone is shallow: run `git fetch --unshallow`; in CI, set fetch-depth: 0 (GitLab: GIT_DEPTH: 0)"
_DEFAULT_BASES = ("refs/remotes/origin/main", "refs/remotes/origin/master", "refs/heads/main", "refs/heads/master")
FILE_MODES, _SYMLINK = ("100644", "100755"), "120000"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a commit: Git's mode and object id."""

    mode: str
    oid: str

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symlink. The content of a symlink is its target."""
        return self.mode == _SYMLINK


def resolve_ref(root: Path, ref: str) -> str:
    """The commit of a ref.

    Raises InputError if there is no such commit, if the ref looks like an option, or if `root` is not in a Git
    repository.
    """
    if not ref or ref.startswith("-") or any(ord(char) < 32 for char in ref):
        raise InputError(f"{ref!r} is not a Git ref", hint="use a branch, tag or commit, such as origin/main")
    ran = _run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if ran.code == 0:
        return ran.stdout.decode().strip()
    _check_repository(root)
    hint = _SHALLOW if is_shallow(root) else "run `git fetch origin` first, or use another ref"
    raise InputError(f"Git does not find a commit {ref!r}", hint=hint)


def find_default_base(root: Path) -> str:
    """The ref that a pull request is usually compared with: origin's default branch, else main or master.

    Raises InputError if none of them exists.
    """
    ran = _run(root, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
    for ref in ([ran.stdout.decode().strip()] if ran.code == 0 else []) + list(_DEFAULT_BASES):
        if _run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").code == 0:
            return ref.removeprefix("refs/remotes/").removeprefix("refs/heads/")
    _check_repository(root)
    raise InputError("there is no origin/main, main or master to compare with", hint="pass a ref with --against REF")


def is_alone(root: Path) -> bool:
    """Whether nobody else can have written this repository: there is none, or it has no remote and was not fetched."""
    if not any(os.path.lexists(folder / ".git") for folder in (root.absolute(), *root.absolute().parents)):
        return True
    fetched = _run(root, "for-each-ref", "--count=1", "refs/remotes")
    remotes = _run(root, "remote")
    return (fetched.code, fetched.stdout, remotes.code, remotes.stdout) == (0, b"", 0, b"")


def find_merge_base(root: Path, ref: str) -> str:
    """The merge base of HEAD and `ref`, which a pull request is compared with.

    Raises InputError if `ref` or HEAD is not a commit, or if the two have no common history.
    """
    commit = resolve_ref(root, ref)
    ran = _run(root, "merge-base", commit, resolve_ref(root, "HEAD"))
    if ran.code == 0:
        return ran.stdout.decode().split()[0]
    hint = _SHALLOW if is_shallow(root) else "pass a ref with a common history: --against REF"
    raise InputError(f"HEAD and {ref!r} have no common commit", hint=hint)


def is_shallow(root: Path) -> bool:
    """Whether the repository is a shallow clone."""
    return _run(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"


def list_files(root: Path, commit: str, under: Sequence[str] = ()) -> dict[str, Entry]:
    """All files of a commit in `root`, or in some of its folders. Paths are relative to `root`."""
    entries: dict[str, Entry] = {}
    for record in read_output(root, "ls-tree", "-r", "-z", "--end-of-options", commit, *under).split(b"\0"):
        about, _, path = record.partition(b"\t")
        if path:
            mode, _, oid = about.decode().split(" ")
            entries[os.fsdecode(path)] = Entry(mode=mode, oid=oid)
    return entries


def read_files(root: Path, entries: Mapping[str, Entry]) -> dict[str, bytes]:
    """The content of the regular files in `entries`, read by one process. Symlinks and submodules are left out."""
    wanted = {path: entry.oid for path, entry in entries.items() if entry.mode in FILE_MODES}
    blobs = read_blobs(root, wanted.values())
    return {path: blobs[oid] for path, oid in wanted.items()}


def read_symlinks(root: Path, entries: Mapping[str, Entry]) -> dict[str, str]:
    """The targets of the symlinks in `entries`."""
    wanted = {path: entry.oid for path, entry in entries.items() if entry.is_symlink}
    blobs = read_blobs(root, wanted.values())
    return {path: os.fsdecode(blobs[oid]) for path, oid in wanted.items()}


def extract(root: Path, entries: Mapping[str, Entry], folder: Path) -> None:
    """Write the files in `entries` into an empty folder.

    Symlinks are created last, so that no file is written through one. Raises InputError for a path outside the folder.
    """
    for path in entries:
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/")) or os.path.isabs(path):
            raise InputError(f"the commit contains a file with an unsafe name: {path!r}")
    for path, content in read_files(root, entries).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    for path, target in read_symlinks(root, entries).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, folder / path)


def list_changed(root: Path, commit: str) -> frozenset[str]:
    """The paths in `root` that differ between a commit and the working tree, without files that Git ignores."""
    with tempdirs.open_folder() as folder:
        listed = read_output(
            *(root, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"),
            *("--ignore-submodules", "--relative", commit, "--"),
            environment=_copy_index(root, folder),
        )
    untracked = read_output(root, "ls-files", "-z", "--others", "--exclude-standard")
    return frozenset(os.fsdecode(path) for path in (listed + untracked).split(b"\0") if path)


def _copy_index(root: Path, folder: Path) -> Mapping[str, str]:
    """Variables that make Git use a copy of the index, because `git diff` updates the index for touched files.

    The copy keeps the date of the index, from which Git knows which files it must read.
    """
    index = root / os.fsdecode(read_output(root, "rev-parse", "--git-path", "index").removesuffix(b"\n"))
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


def read_history(root: Path, folder: str, refs: Sequence[str], limit: int) -> list[bytes]:
    """The contents of the files in `folder` in the last `limit` commits of `refs` that changed them, newest first.

    Of a merge, only its result counts: nobody approved what its branch contained on the way. Refs that do not exist are
    left out.
    """
    known = [ref for ref in refs if _run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", ref).code == 0]
    if not known:
        return []
    listed = read_output(
        *(
            root,
            "log",
            "--first-parent",
            "-m",
            "--format=",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "--no-ext-diff",
            "-z",
        ),
        *(f"--max-count={limit}", *known, "--", folder),
    )
    heads = [part.decode().split(" ") for part in listed.split(b"\0") if part.startswith(b":")]
    files = [pair for old, new, before, after, _ in heads for pair in ((new, after), (old[1:], before))]
    oids = [oid for mode, oid in files if mode in FILE_MODES]
    blobs = read_blobs(root, oids)
    return [blobs[oid] for oid in dict.fromkeys(oids)]


def find_added(root: Path, path: str) -> str:
    """The day on which a file was first committed (`2026-11-30`); empty if Git does not know one."""
    ran = _run(root, "log", "--diff-filter=A", "--no-renames", "--format=%cs", "--max-count=1", "HEAD", "--", path)
    return ran.stdout.decode().strip() if ran.code == 0 else ""


def list_tracked(folder: Path) -> frozenset[str] | None:
    """The files in a folder that are in Git's index, relative to the folder; None if Git cannot tell."""
    try:
        ran = _run(folder, "ls-files", "-z", "--cached")
    except OutsideError:
        return None
    return frozenset(os.fsdecode(name) for name in ran.stdout.split(b"\0") if name) if ran.code == 0 else None


def read_blobs(root: Path, oids: Collection[str]) -> dict[str, bytes]:
    """The contents of files by object id."""
    if not oids:
        return {}
    stdin = "".join(f"{oid}\n" for oid in sorted(set(oids))).encode()
    output = read_output(root, "cat-file", "--batch", "--buffer", stdin=stdin)
    blobs: dict[str, bytes] = {}
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        oid, kind, *size = output[position:end].decode().split(" ")
        if kind != "blob":
            raise OutsideError(
                f"Git has no content for the object {oid}", hint="run `git fetch`, or find the damage with `git fsck`"
            )
        start = end + 1
        blobs[oid] = output[start : start + int(size[0])]
        position = start + int(size[0]) + 1
    return blobs


def _check_repository(root: Path) -> None:
    ran = _run(root, "rev-parse", "--show-toplevel")
    if ran.code == 0:
        return
    if "not a git repository" in ran.stderr:
        raise InputError(
            f"{root} is not in a Git repository", hint="run `git init` and commit, or pass a folder with -C"
        )
    raise InputError(f"Git cannot use {root}: {ran.stderr[:300]}")


def read_output(
    root: Path, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
) -> bytes:
    """What a Git command prints. Raises InputError outside of a repository, OutsideError if the command fails."""
    ran = _run(root, *arguments, stdin=stdin, environment=environment)
    if ran.code != 0:
        _check_repository(root)
        raise OutsideError(f"git {arguments[0]} failed: {ran.stderr[:300] or f'exit code {ran.code}'}")
    return ran.stdout
