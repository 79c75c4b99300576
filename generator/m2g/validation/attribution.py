"""Find the model, environment and shard that a finding belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from m2g.core.finding import Finding
from m2g.core.shard import Shard
from m2g.repository import layout
from m2g.repository.state import Scope


class Attribution:
    """Attributes findings to models; `names` maps slug to registered name of all models."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._slugs: dict[str, set[str]] = defaultdict(set)
        for slug, name in names.items():
            self._slugs[name].add(slug)

    def attribute(self, finding: Finding) -> Finding:
        """The finding with the model and environment that its file belongs to."""
        location = layout.parse_path(finding.file)
        if location is None:
            return finding
        if layout.find_top_folder(finding.file) == layout.FLEET:
            model = self._names.get(location.slug, "")
            return msgspec.structs.replace(finding, model=model, environment=location.environment)
        return msgspec.structs.replace(
            finding,
            model=finding.model or self._names.get(location.slug, location.slug),
            environment=finding.environment or location.environment,
        )

    def is_in_shard(self, finding: Finding, shard: Shard | None) -> bool:
        """Whether this shard reports a finding that every shard has; all report findings without a model."""
        return shard is None or not finding.model or any(shard.contains(slug) for slug in self._find_slugs(finding))

    def is_in_scope(self, finding: Finding, scope: Scope) -> bool:
        """Whether the run covers the finding's model and environment; every run covers findings without a model."""
        if finding.model and scope.models and not scope.models & {finding.model, *self._find_slugs(finding)}:
            return False
        return not (finding.environment and scope.environments and finding.environment not in scope.environments)

    def _find_slugs(self, finding: Finding) -> set[str]:
        """The slug of its file, or else all slugs of its model: a model with a new slug may have two folders."""
        location = layout.parse_path(finding.file)
        if location is not None:
            return {location.slug}
        return self._slugs.get(finding.model) or {finding.model}
