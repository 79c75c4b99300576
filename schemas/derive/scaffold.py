"""The parts of the template that depend on the serving backends: `python schemas/derive/scaffold.py`.

Copier renders the template without m2g, so these parts must be files. With --check the script writes nothing, and the
exit code tells whether the files are up to date.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from m2g.serving.backend import Backend, Kind
from m2g.serving.backends import BACKENDS

_CORE = '""'
FOLDER = Path(__file__).parents[2] / "template/.parts"


def parts() -> dict[Path, str]:
    """Path → text of every part."""
    backends = BACKENDS.values()
    return {
        FOLDER / "written-kinds.yaml": _list(kind for one in backends for kind in one.writes),
        FOLDER / "created-kinds.yaml": "".join(_created(one) for one in backends),
        FOLDER / "argocd-health.yaml": "".join(_health(one) for one in backends),
    }


def _list(kinds: Iterable[Kind]) -> str:
    return "".join(f"    - {{group: {kind.group or _CORE}, kind: {kind.kind}}}\n" for kind in dict.fromkeys(kinds))


def _created(backend: Backend) -> str:
    always = _list(backend.creates.get(None, ()))
    by_mode = (
        f"[%- if deployment_mode == '{mode}' %]\n{_list(kinds)}[%- endif %]\n"
        for mode, kinds in backend.creates.items()
        if mode is not None
    )
    return always + "".join(by_mode)


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
