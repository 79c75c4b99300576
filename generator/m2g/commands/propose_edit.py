"""Do a hold or a rollback in a temporary clone, and propose it: `--propose`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from m2g.core.errors import InputError
from m2g.core.results import ChangeKind, HoldResult
from m2g.core.sanitize import make_visible
from m2g.delivery.edits import Edited, EditTools, propose_edit
from m2g.delivery.loop import Validate
from m2g.delivery.publish import Describe
from m2g.delivery.values import Moved
from m2g.forge.detect import open_forge
from m2g.git.remote import find_remote
from m2g.git.worktree import open_worktree
from m2g.repository import config as configuration


class _Nothing(Exception):
    """The change changes nothing."""


def propose_hold(
    root: Path, change: Callable[[Path], HoldResult], *, validate: Validate, describe: Describe
) -> HoldResult:
    """The result of a change on the remote's default branch, and where it is proposed. Nothing at `root` changes.

    Raises the errors of the change, InputError for a missing remote, OutsideError if Git or the forge fails.
    """
    remote = find_remote(root)
    done: list[HoldResult] = []

    def edit(place: Path) -> Edited:
        config = configuration.load(place).config
        if config is None:
            raise InputError("m2g.yaml on the remote's branch is invalid", hint="see what is wrong: m2g validate")
        result = change(place)
        done.append(result)
        if not result.files:
            raise _Nothing
        moved = Moved(
            kind=ChangeKind.CHANGED,
            slug=result.slug,
            model=result.model,
            environment=result.environment,
            before=result.before or result.model_version,
            after=result.model_version,
        )
        return Edited(moved=moved, files=result.files, text=_describe(result), rules=config.proposals)

    tools = EditTools(
        edit=edit, validate=validate, describe=describe, open_forge=lambda rules: open_forge(remote.url, rules)
    )
    with open_worktree(root, remote) as worktree:
        try:
            proposed = propose_edit(worktree, "", tools)
        except _Nothing:
            return done[-1]
    return msgspec.structs.replace(done[-1], branch=proposed.branch, url=proposed.url, next=())


def _describe(result: HoldResult) -> str:
    """What a person asked for. The reason is a block of code: nothing in it mentions or closes anything."""
    what = {"held": "Hold version", "rolled-back": "Go back to version"}.get(result.action)
    change = f"{what} {result.model_version}." if what else "Follow the registry."
    reason = "".join(f"\n    {line}" for line in make_visible(result.reason, 1000).splitlines())
    return f"{change}\n{reason}" if reason else change
