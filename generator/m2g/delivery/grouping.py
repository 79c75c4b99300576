"""Which releases one proposal contains, and the name of its branch.

Below the prefix, all names have two parts, so that none of them can be in the way of another when the grouping changes,
and so that a fleet whose prefix is longer has no branch that looks like one of this fleet.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Mapping

from m2g.core.model import Value
from m2g.core.proposal_types import Proposals, TagGroup
from m2g.delivery.values import Moved

_RESERVED = ("model", "env", "group", "fleet", "upgrade")
"""The first part of names of branches that are about no environment."""
_PLAIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Tags = Mapping[str, Mapping[str, str]]
"""Registered model → its tags."""


class Names(Value, frozen=True, kw_only=True):
    """The branches of one fleet. `prefix` is how they begin, with a slash at its end."""

    prefix: str

    @property
    def upgrade(self) -> str:
        """The branch of the proposal that only writes files anew, with no other version."""
        return f"{self.prefix}upgrade/files"

    def are_of(self, branch: str) -> bool:
        """Whether a branch is one of this fleet's."""
        return self._split(branch) is not None

    def name(self, moved: Moved, rules: Proposals, tags: Tags) -> str:
        """The branch that proposes a release. Slugs and environments are safe in the name of a branch."""
        match rules.per:
            case "model-and-environment":
                return self._name_own(moved)
            case "model":
                return f"{self.prefix}model/{moved.slug}"
            case "environment":
                return f"{self.prefix}env/{moved.environment}"
            case "fleet":
                return f"{self.prefix}fleet/all"
            case "group":
                group = find_group(moved.model, rules, tags)
                return f"{self.prefix}group/{group}" if group else self._name_own(moved)

    def list_all(self, moved: Moved, rules: Proposals, tags: Tags) -> list[str]:
        """The branches that are most likely to have proposed a release: that of now, and that of its own."""
        return list(dict.fromkeys((self.name(moved, rules, tags), self._name_own(moved))))

    def _name_own(self, moved: Moved) -> str:
        """An environment may have a reserved name, but no underscore."""
        environment = f"{moved.environment}_" if moved.environment in _RESERVED else moved.environment
        return f"{self.prefix}{environment}/{moved.slug}"

    def concerns(self, branch: str, slug: str, environment: str) -> bool:
        """Whether a branch can be about a release. One of a group or of everything can be about any."""
        kind, name = self._split(branch) or ("", "")
        if kind == "model":
            return name == slug
        if kind == "env":
            return name == environment
        return kind in _RESERVED or not kind or (kind.removesuffix("_"), name) == (environment, slug)

    def find_key(self, branch: str) -> tuple[str, str]:
        """The slug and the environment that a branch is about alone; empty for one that is about more."""
        kind, slug = self._split(branch) or ("", "")
        return ("", "") if kind in _RESERVED else (slug, kind.removesuffix("_"))

    def _split(self, branch: str) -> tuple[str, str] | None:
        rest = branch.removeprefix(self.prefix)
        first, _, second = rest.partition("/")
        return (first, second) if rest != branch and first and second and "/" not in second else None


def make_names(folder: str, rules: Proposals) -> Names:
    """The names for the fleet in a folder of the repository (empty: the whole of it).

    Two fleets in one repository share no branch: the folder is part of the prefix.
    """
    folder = folder.strip("/")
    if not folder:
        return Names(prefix=f"{rules.branch_prefix}/")
    plain = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:60]
    if not _PLAIN.fullmatch(folder) or plain != folder:
        digest = hashlib.sha256(folder.encode(errors="surrogateescape")).hexdigest()[:8]
        plain = f"{plain}-{digest}" if plain else digest
    return Names(prefix=f"{rules.branch_prefix}.{plain}/")


def group_releases(
    moved: Iterable[Moved], names: Names, rules: Proposals, tags: Tags
) -> Mapping[str, tuple[Moved, ...]]:
    """Branch → the releases of its proposal. Environments with direct commits are left out."""
    groups: dict[str, list[Moved]] = {}
    for one in moved:
        if one.environment not in rules.direct:
            groups.setdefault(names.name(one, rules, tags), []).append(one)
    return {branch: tuple(ones) for branch, ones in groups.items()}


def find_group(model: str, rules: Proposals, tags: Tags) -> str:
    """The first group with a pattern or a tag that fits; empty for none."""
    return next((name for name, group in rules.groups.items() if _is_in(model, group, tags.get(model, {}))), "")


def _is_in(model: str, group: tuple[str, ...] | TagGroup, tags: Mapping[str, str]) -> bool:
    if isinstance(group, TagGroup):
        key, equals, value = group.tag.partition("=")
        return key in tags and (not equals or tags[key] == value)
    return any(fnmatch.fnmatchcase(model, pattern) for pattern in group)
