"""Check the kustomizations in platform/: what they bring is checked by itself, and nothing changes it afterwards."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator

from m2g.core.manifest import Manifest, get_at, name_kind
from m2g.core.sanitize import make_visible
from m2g.core.schema_errors import Violation
from m2g.repository.layout import CONFIG, PLATFORM

KINDS = frozenset({"Kustomization.kustomize.config.k8s.io", "Component.kustomize.config.k8s.io"})
_LISTS = ("resources", "components")
_HARMLESS = frozenset({"apiVersion", "kind", "metadata", "labels", "commonAnnotations", "sortOptions", *_LISTS})
_SHOWN = 100


def check_kustomization(item: Manifest, file: str, checked: Collection[str]) -> Iterator[Violation]:
    """The violations of one kustomization. `checked` are the files that m2g reads as they are."""
    bound = f"sync: {{bounds: {{platform: [{name_kind(item)}]}}}}"
    hint = f"write the objects into files of {PLATFORM}/, or write to {CONFIG}: {bound}"
    for field in item.keys() - _HARMLESS:
        yield Violation(where=(field,), message="can bring or change objects, which m2g does not build here", hint=hint)
    folder = posixpath.dirname(file)
    for field in _LISTS:
        listed = get_at(item, field)
        for index, name in enumerate(listed if isinstance(listed, list) else [] if listed is None else [listed]):
            path = posixpath.normpath(posixpath.join(folder, str(name)))
            if path not in checked and not any(one.startswith(f"{path}/") for one in checked):
                shown = make_visible(str(name), _SHOWN)
                message = f"takes {shown}, which is no file of {PLATFORM}/ that m2g checks"
                yield Violation(where=(field, index), message=message, hint=hint)
