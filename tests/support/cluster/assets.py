"""What `make cluster` builds."""

from __future__ import annotations

from tests.support.paths import ROOT

ASSETS = ROOT / ".tools/cluster"


def program(name: str) -> str:
    """The path of a program. Raises FileNotFoundError if it was not built."""
    path = ASSETS / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{name} is not in .tools/cluster/bin; `make cluster` builds it")
    return str(path)
