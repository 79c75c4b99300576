"""Which releases one proposal contains, and the name of its branch.

All names have three parts, so that none of them can be in the way of another when the grouping changes.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

from m2g.core.proposal_types import Proposals
from m2g.delivery.values import PREFIX, Moved

_RESERVED = ("model", "env", "group", "fleet", "upgrade")
"""The second part of names of branches that are about no environment."""


def group_releases(moved: Iterable[Moved], rules: Proposals) -> Mapping[str, tuple[Moved, ...]]:
    """Branch → the releases of its proposal. Environments with direct commits are left out."""
    groups: dict[str, list[Moved]] = {}
    for one in moved:
        if one.environment not in rules.direct:
            groups.setdefault(name_branch(one, rules), []).append(one)
    return {branch: tuple(ones) for branch, ones in groups.items()}


def name_branch(moved: Moved, rules: Proposals) -> str:
    """The branch that proposes a release. Slugs and environments are safe in the name of a branch."""
    match rules.per:
        case "model-and-environment":
            return _name_own(moved)
        case "model":
            return f"{PREFIX}model/{moved.slug}"
        case "environment":
            return f"{PREFIX}env/{moved.environment}"
        case "fleet":
            return f"{PREFIX}fleet/all"
        case "group":
            group = find_group(moved.model, rules.groups)
            return f"{PREFIX}group/{group}" if group else _name_own(moved)


def _name_own(moved: Moved) -> str:
    """An environment may have a reserved name, but no underscore."""
    environment = f"{moved.environment}_" if moved.environment in _RESERVED else moved.environment
    return f"{PREFIX}{environment}/{moved.slug}"


def concerns(branch: str, slug: str, environment: str) -> bool:
    """Whether a branch can be about a release. One of a group or of everything can be about any."""
    _, kind, name = branch.split("/", 2) if branch.count("/") > 1 else ("", "", "")
    if kind == "model":
        return name == slug
    if kind == "env":
        return name == environment
    return kind in _RESERVED or not kind or (kind.removesuffix("_"), name) == (environment, slug)


def find_group(model: str, groups: Mapping[str, tuple[str, ...]]) -> str:
    """The first group with a pattern that fits; empty for none."""
    return next(
        (name for name, patterns in groups.items() if any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns)),
        "",
    )
