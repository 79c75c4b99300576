"""What Argo CD and Flux have in common when they install the platform."""

from __future__ import annotations

from typing import Literal

from m2g.compat.platform import Chart
from m2g.core.model import Value
from m2g.core.yaml_writer import Plain

Stage = Literal["base", "network", "kserve"]
Files = dict[str, list[dict[str, Plain]]]
"""Path in platform/install to the objects of a file."""


class Component(Value, frozen=True, kw_only=True):
    """A chart, as it is installed. `needs` are the components of the same stage that come first."""

    name: str
    stage: Stage
    namespace: str
    chart: Chart
    values: dict[str, Plain]
    needs: tuple[str, ...] = ()


def make_object(version: str, kind: str, name: str, namespace: str = "", **rest: Plain) -> dict[str, Plain]:
    """An object with m2g's label; `rest` are its other fields, such as `spec`."""
    metadata: dict[str, Plain] = {"name": name, **({"namespace": namespace} if namespace else {})}
    metadata["labels"] = {"app.kubernetes.io/managed-by": "m2g"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}
