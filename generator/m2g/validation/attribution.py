"""Which model, environment and part of the fleet a finding belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from m2g.core.finding import Finding
from m2g.core.shard import Shard
from m2g.repository.layout import FLEET
from m2g.repository.state import Scope

_BY_ENVIRONMENT = ("overlays", "releases", "requests", "custom")


class Belonging:
    """What findings belong to; `names` is slug to registered name of all models."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._slugs: dict[str, set[str]] = defaultdict(set)
        for slug, name in names.items():
            self._slugs[name].add(slug)

    def placed(self, finding: Finding) -> Finding:
        """The finding with the model and environment that its file belongs to."""
        parts = finding.file.split("/")
        if parts[0] == "models" and len(parts) > 1:
            environment = ""
            if len(parts) > 3 and parts[2] in _BY_ENVIRONMENT:
                environment = parts[3].removesuffix(".json")
            return msgspec.structs.replace(
                finding,
                model=finding.model or self._names.get(parts[1], parts[1]),
                environment=finding.environment or environment,
            )
        if parts[0] == FLEET and len(parts) == 3:
            slug = parts[2].removesuffix(".yaml")
            return msgspec.structs.replace(finding, model=self._names.get(slug, ""), environment=parts[1])
        return finding

    def is_here(self, finding: Finding, shard: Shard | None) -> bool:
        """Whether it is for this part to say what was not looked for in one part alone; all say what has no model."""
        return shard is None or not finding.model or any(shard.contains(slug) for slug in self._of(finding))

    def concerns(self, finding: Finding, scope: Scope) -> bool:
        """Whether the run is about its model and environment; what belongs to no model concerns every run."""
        if finding.model and scope.models and not scope.models & {finding.model, *self._of(finding)}:
            return False
        return not (finding.environment and scope.environments and finding.environment not in scope.environments)

    def _of(self, finding: Finding) -> set[str]:
        """The slugs that it may be about: that of its file, else all of its name (a new slug may leave a folder)."""
        parts = finding.file.split("/")
        if parts[0] == "models" and len(parts) > 1:
            return {parts[1]}
        if parts[0] == FLEET and len(parts) == 3:
            return {parts[2].removesuffix(".yaml")}
        return self._slugs.get(finding.model) or {finding.model}
