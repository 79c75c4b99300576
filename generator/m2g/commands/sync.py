"""`m2g sync`: from the registry to pull requests, or one half of that way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from m2g.core.cache import Cache
from m2g.core.model import Value
from m2g.core.proposal_types import Proposals
from m2g.delivery.loop import LoopOptions, Tools, Validate, run_loop
from m2g.delivery.publish import Describe
from m2g.delivery.survey import Resolve
from m2g.delivery.values import SyncResult
from m2g.forge import Forge
from m2g.forge.detect import open_forge
from m2g.git.remote import Remote, find_remote
from m2g.git.worktree import open_worktree
from m2g.registry import Progress
from m2g.rendering.admit import admit
from m2g.repository import environments, fingerprint, load
from m2g.repository.known_folders import KnownFolders
from m2g.repository.state import check_environments
from m2g.resolution.resolve import open_configured_registry, resolve
from m2g.resolution.snapshot import Snapshot, apply_snapshot, read_snapshot, take_snapshot, write_snapshot


class SyncOptions(Value, frozen=True, kw_only=True):
    """How to sync. `snapshot` is the file of another run that has asked the registry; `remote` is the name of one."""

    loop: LoopOptions
    remote: str = ""
    snapshot: Path | None = None


def sync(root: Path, options: SyncOptions, *, validate: Validate, describe: Describe, progress: Progress) -> SyncResult:
    """Bring branches and pull requests to what the registry says.

    Raises InputError for a missing remote or branch and for invalid files on it, OutsideError if the registry, Git or
    the forge fails as a whole.
    """
    remote = find_remote(root, options.remote)
    if options.snapshot is None:
        wanted = _ask_registry(root, options, progress)
    else:
        wanted = _read_file(read_snapshot(options.snapshot), options)
    tools = Tools(
        resolve=wanted,
        validate=validate,
        describe=describe,
        open_forge=_remember(remote),
        progress=progress,
    )
    with open_worktree(root, remote) as worktree:
        return run_loop(worktree, options.loop, tools)


def resolve_only(root: Path, options: SyncOptions, output: Path, *, progress: Progress) -> Snapshot:
    """Ask the registry what the checked-out commit of the clone at `root` lacks, and write the answer to a file.

    It needs no remote and no forge. Serving environments count as they are in the working tree: `m2g environments` has
    just planned them there, and recorded their images. Raises the errors of `sync`.
    """
    survey = options.loop.survey
    ask = _ask_registry(root, options, progress)
    with open_worktree(root, Remote(url=str(root))) as worktree, Cache(survey.cache) as cache:
        base = worktree.take(root).base
        known = KnownFolders(cache, fingerprint.digest_inputs(worktree.root, cache))
        state = load.load(worktree.root, known).repository
        check_environments(state.config, survey.scope)
        planned, _ = environments.read(root)
        after = msgspec.structs.replace(state, environments={**state.environments, **planned})
        resolved = admit(after, ask(worktree.root, base)(after, cache)).resolved
        resolved = msgspec.structs.replace(resolved, environments=planned)
        snapshot = take_snapshot(worktree.root, base, state, resolved)
    write_snapshot(output, snapshot)
    return snapshot


def _ask_registry(root: Path, options: SyncOptions, progress: Progress) -> Callable[[Path, str], Resolve]:
    scope = options.loop.survey.scope

    def ask(folder: Path, base: str) -> Resolve:
        return lambda repository, cache: resolve(
            repository, open_configured_registry(repository.config, folder, progress, paths=root), scope, cache
        )

    return ask


def _read_file(snapshot: Snapshot, options: SyncOptions) -> Callable[[Path, str], Resolve]:
    scope = options.loop.survey.scope
    return lambda folder, base: lambda repository, cache: apply_snapshot(folder, snapshot, repository, scope)


def _remember(remote: Remote) -> Callable[[Proposals], Forge]:
    """Open the forge once, although the loop may need several tries."""
    known: dict[bytes, Forge] = {}

    def find(rules: Proposals) -> Forge:
        key = repr((rules.forge, rules.api)).encode()
        if key not in known:
            known[key] = open_forge(remote.url, rules)
        return known[key]

    return find
