"""Compare the namespaces in platform/ and fleet/ with m2g.yaml: two places that say the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from m2g.core.config_types import Config
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import get_at, name_kind
from m2g.core.sanitize import make_visible
from m2g.kustomize import RawFile
from m2g.repository.layout import CONFIG

ENVIRONMENT = "m2g.dev/environment"
"""The label by which the scaffold says which environment an object is of."""
_SHOWN = 100


def check_namespaces(config: Config, files: Iterable[RawFile]) -> Iterator[Finding]:
    """A finding for each Namespace of an environment that m2g.yaml does not have, or has with another namespace."""
    for file in files:
        for index, item in enumerate(file.objects):
            environment = get_at(item, "metadata", "labels", ENVIRONMENT)
            if not isinstance(item, dict) or name_kind(item) != "Namespace" or not isinstance(environment, str):
                continue
            place = config.environments.get(environment)
            name = str(get_at(item, "metadata", "name"))
            if place is not None and place.namespace == name:
                continue
            says = "has no such environment" if place is None else f"gives it {place.namespace}"
            yield Finding(
                rule="namespace-differs",
                severity=Severity.WARNING,
                file=file.file,
                line=file.find_line(index, ("metadata", "name")),
                path="metadata.name",
                environment="" if place is None else environment,
                message=f"is the namespace {make_visible(name, _SHOWN)} of {make_visible(environment, _SHOWN)}, but "
                f"{CONFIG} {says}",
                hint="bring the files of the template in line: m2g scaffold; or change the name or the label here",
            )
