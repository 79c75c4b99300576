"""The serving backends that m2g knows. A new one needs an entry here and a renderer in `rendering/backends`."""

from __future__ import annotations

from collections.abc import Iterable

from m2g.core.manifest import Manifest, get_at
from m2g.serving.backend import Backend, Kind
from m2g.serving.kserve import KSERVE
from m2g.serving.seldon import SELDON_CORE_1, SELDON_CORE_2

BACKENDS: dict[str, Backend] = {one.name: one for one in (KSERVE, SELDON_CORE_1, SELDON_CORE_2)}
"""Name (as in the setting `backend`) → backend."""


def find_backend(item: Manifest) -> Backend | None:
    """The backend whose main kind this object has."""
    kind = _kind(item)
    return next((one for one in BACKENDS.values() if one.main == kind), None)


def find_writer(item: Manifest) -> Backend | None:
    """The first backend for which m2g renders objects of this kind."""
    kind = _kind(item)
    return next((one for one in BACKENDS.values() if kind in one.writes), None)


def main_kinds() -> tuple[str, ...]:
    """The kinds of the objects that serve a model."""
    return tuple(dict.fromkeys(one.main.kind for one in BACKENDS.values()))


def written_kinds(names: Iterable[str]) -> frozenset[str]:
    """The kinds that m2g renders for these backends, with their API groups: `InferenceService.serving.kserve.io`."""
    chosen = (BACKENDS[name] for name in names if name in BACKENDS)
    return frozenset(f"{kind.kind}.{kind.group}".rstrip(".") for one in chosen for kind in one.writes)


def _kind(item: Manifest) -> Kind:
    return Kind(group=str(get_at(item, "apiVersion")).rpartition("/")[0], kind=str(get_at(item, "kind")))
