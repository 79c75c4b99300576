"""The parts of the template that depend on the backends and the default bounds: `python schemas/derive/scaffold.py`.

Copier renders the template without m2g, so these parts must be files. With --check the script writes nothing, and the
exit code tells whether the files are up to date.
"""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from m2g.core.config_types import Bounds
from m2g.serving.backend import Backend
from m2g.serving.backends import BACKENDS
from m2g.validation.bounds import list_allowed_kinds
from m2g.validation.platform_bounds import name_resource

_CORE = '""'
_VERBS = "[get, list, watch, create, update, patch, delete]"
FOLDER = Path(__file__).parents[2] / "template/.parts"


def parts() -> dict[Path, str]:
    """Path → text of every part."""
    found: dict[Path, str] = {}
    for name, backend in BACKENDS.items():
        kinds = sorted(list_allowed_kinds(Bounds(backends=(name,))), key=lambda kind: kind.partition(".")[::-2])
        found[FOLDER / f"allowed-kinds-{name}.yaml"] = "".join(map(_entry, kinds))
        found[FOLDER / f"allowed-rules-{name}.yaml"] = "".join(_rules(kinds))
        found[FOLDER / f"argocd-health-{name}.yaml"] = _health(backend)
    return found


def _entry(kind: str) -> str:
    """An entry of an AppProject."""
    name, _, group = kind.partition(".")
    return f"    - {{group: {group or _CORE}, kind: {name}}}\n"


def _rules(kinds: Iterable[str]) -> Iterator[str]:
    """The rules of a Role, one for each API group."""
    for group, named in itertools.groupby(map(name_resource, kinds), key=lambda resource: resource.partition(".")[2]):
        resources = ", ".join(resource.partition(".")[0] for resource in named)
        yield f"  - apiGroups: [{group or _CORE}]\n    resources: [{resources}]\n    verbs: {_VERBS}\n"


def _health(backend: Backend) -> str:
    if not backend.argocd_health:
        return ""
    name = f"resource.customizations.health.{backend.main.group}_{backend.main.kind}"
    return f"  {name}: |\n{textwrap.indent(backend.argocd_health, '    ')}"


def main() -> int:
    """Write the files, or compare them."""
    stale = [path for path, text in parts().items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv:
        for path, text in parts().items():
            path.write_text(text)
        return 0
    for path in stale:
        sys.stderr.write(f"{path.name} is out of date; run: make schemas\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
