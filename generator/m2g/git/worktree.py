"""A temporary clone to render in: its objects and files are its own, the person's clone is only read.

The person's working tree, index, hooks and settings take no part. Objects of a complete clone are used where they are;
of a shallow or partial one nothing is, so that no history is missing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.core import tempdirs
from m2g.core.errors import InputError, OutsideError
from m2g.git.program import run_here, run_remote
from m2g.git.remote import TOKEN, Remote, explain_failure, is_complete, list_branches, parse_remote, run_checked

_BASE = "refs/remotes/origin/"
"""Where the branch to change is, as in a clone: m2g compares with it whom to trust."""
_HEADS = "refs/m2g/heads/"
_ATTRIBUTES = "* -text -eol -ident -filter -working-tree-encoding\n"
"""Files are checked out byte for byte, whatever .gitattributes says."""


_TRIES = 5


class _Gone(Exception):
    """A branch that was listed is not there any more."""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched: the branch to change with its commit, and m2g's own branches with theirs."""

    branch: str
    base: str
    heads: Mapping[str, str]


class Worktree(msgspec.Struct, frozen=True, kw_only=True):
    """A temporary clone of a remote. `folder` has the files of the last `fetch`.

    `prefix` is the path of the person's folder in the repository: empty, or with a slash at its end.
    """

    folder: Path
    remote: Remote
    prefix: str = ""

    @property
    def root(self) -> Path:
        """The folder that stands for the person's."""
        return self.folder / self.prefix

    def fetch(self, branch: str, is_own: Callable[[str], bool]) -> Fetched:
        """Fetch a branch (empty: the default one) and m2g's own, and check the branch out.

        Raises InputError if there is no such branch, OutsideError if the remote does not answer.
        """
        for _ in range(_TRIES):
            try:
                return self._fetch_listed(branch, is_own)
            except _Gone:  # somebody deleted a branch after it was listed
                continue
        raise OutsideError(f"{self.remote.shown}: its branches change all the time", hint="try again: m2g sync")

    def _fetch_listed(self, branch: str, is_own: Callable[[str], bool]) -> Fetched:
        listed = list_branches(self.folder, self.remote)
        chosen = branch or listed.default
        if not chosen or chosen not in listed.branches:
            where = self.remote.shown
            raise InputError(
                f"{where} has no branch {chosen!r}" if chosen else f"{where} has no default branch",
                hint="push one first (git push origin HEAD), or name another one: --branch NAME",
            )
        heads = {name: oid for name, oid in listed.branches.items() if is_own(name)}
        refs = {f"{_BASE}{chosen}": f"refs/heads/{chosen}"} | {
            f"{_HEADS}{name}": f"refs/heads/{name}" for name in heads
        }
        for ref in run_checked(self.folder, "for-each-ref", "--format=%(refname)", _HEADS).decode().split():
            if ref not in refs:
                run_checked(self.folder, "update-ref", "-d", ref)
        self._fetch([f"+{there}:{here}" for here, there in refs.items()])
        known = self._read_refs()
        base = known[f"{_BASE}{chosen}"]
        run_checked(self.folder, "symbolic-ref", f"{_BASE}HEAD", f"{_BASE}{chosen}")
        self.reset(base)
        heads = {ref.removeprefix(_HEADS): oid for ref, oid in known.items() if ref.startswith(_HEADS)}
        return Fetched(branch=chosen, base=base, heads=heads)

    def take(self, root: Path) -> Fetched:
        """Like `fetch`, for what is checked out in the clone at `root`: no remote is asked."""
        self._fetch([f"+HEAD:{_BASE}here"], "--update-shallow", source=str(root))
        base = self._read_refs()[f"{_BASE}here"]
        run_checked(self.folder, "symbolic-ref", f"{_BASE}HEAD", f"{_BASE}here")
        self.reset(base)
        return Fetched(branch="HEAD", base=base, heads={})

    def reset(self, commit: str) -> None:
        """Make the files those of a commit."""
        run_checked(self.folder, "update-ref", "--no-deref", "HEAD", commit)
        run_checked(self.folder, "read-tree", "--reset", "-u", commit)
        run_checked(self.folder, "clean", "-ffdxq")

    def _fetch(self, refs: list[str], *options: str, source: str = "") -> None:
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--force")
        arguments = ("fetch", *quiet, *options, "--", source or self.remote.url)
        ran = run_remote(self.folder, *arguments, *refs, credentials=self.remote.credentials)
        if ran.code != 0:
            if "couldn't find remote ref" in ran.stderr:
                raise _Gone
            raise explain_failure(self.remote, ran.stderr, "cannot be fetched")

    def _read_refs(self) -> dict[str, str]:
        listed = run_checked(self.folder, "for-each-ref", "--format=%(objectname) %(refname)").decode()
        return {ref: oid for oid, _, ref in (line.partition(" ") for line in listed.splitlines())}


@contextlib.contextmanager
def open_worktree(root: Path, remote: Remote) -> Iterator[Worktree]:
    """A temporary clone for a person's clone at `root`; it is removed at the end of the block."""
    objects = run_here(root, "rev-parse", "--git-path", "objects").stdout
    form = run_here(root, "rev-parse", "--show-object-format").stdout.decode().strip() or "sha1"
    with tempdirs.open_folder("m2g-sync-") as folder:
        place = _make(folder, form)
        if is_complete(root):
            shared = os.path.realpath(root / os.fsdecode(objects.removesuffix(b"\n")))
            _share_objects(place, shared)
        inside = run_here(root, "rev-parse", "--show-prefix").stdout.removesuffix(b"\n")
        yield Worktree(folder=place, remote=remote, prefix=os.fsdecode(inside))


@contextlib.contextmanager
def open_clone(address: str, branch: str) -> Iterator[Callable[[], Path]]:
    """A temporary clone in place of a person's; it is removed at the end of the block. The function fetches a branch
    (empty: the default one), and returns the folder. It may be called again.

    Raises InputError for an address that holds a password. The function raises the errors of `Worktree.fetch`.
    """
    remote = parse_remote(address, Path.cwd())
    if remote.password and not os.environ.get(TOKEN, "").strip():
        hint = f"write the address without it, and set {TOKEN} to the token"
        raise InputError("the address of the repository holds a password, which other users can see", hint=hint)
    with tempdirs.open_folder("m2g-clone-") as folder:
        worktree = Worktree(folder=folder / "clone", remote=remote)

        def fetch() -> Path:
            if not worktree.folder.exists():
                oids = list_branches(folder, remote).branches.values()
                _make(folder, "sha256" if any(len(oid) == 64 for oid in oids) else "sha1")
                run_checked(worktree.folder, "remote", "add", "origin", remote.url)
            worktree.fetch(branch, lambda name: False)
            return worktree.folder

        yield fetch


def _make(folder: Path, form: str) -> Path:
    place = folder / "clone"
    place.mkdir()
    run_checked(place, "init", "--quiet", "--template=", f"--object-format={form}", "--initial-branch=none")
    (place / ".git/info").mkdir(exist_ok=True)
    (place / ".git/info/attributes").write_text(_ATTRIBUTES)
    return place


def _share_objects(place: Path, shared: str) -> None:
    """Use the objects of another repository where they are. Git reads the path as text up to the end of a line."""
    if "\n" in shared or shared.startswith(('"', "#")) or not os.path.isdir(shared):
        return
    alternates = place / ".git/objects/info/alternates"
    try:
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_bytes(os.fsencode(f"{shared}\n"))
    except OSError as error:
        raise OutsideError(f"{alternates} cannot be written: {error.strerror}") from error
