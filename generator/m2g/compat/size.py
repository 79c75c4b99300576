"""The model's size against the memory of those who carry and load it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from m2g.compat.reason import CheckResult
from m2g.compat.runtime import Runtime
from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel

STORAGE_INITIALIZER = "storage-initializer"
_DEFAULT = "1Gi"
"""KServe's ClusterStorageContainer `default`, 0.15 to 0.21."""


def check_size(mlmodel: Mlmodel, runtime: Runtime, limits: Mapping[str, str]) -> Iterator[CheckResult]:
    """Nothing where MLflow did not write the size."""
    size = mlmodel.size_bytes
    if not size or runtime.loads == "hub":
        return
    words = f"the model's files are {size} bytes"
    limit = _bytes(limits.get("memory", ""))
    if limit is not None and limit < size:
        text = f"{words}, more than the container's memory of {limits['memory']}"
        yield CheckResult(answer="fails", text=text, fix="raise resources.limits.memory in model.yaml")
    carrier = limits.get(STORAGE_INITIALIZER, _DEFAULT)
    room = _bytes(carrier)
    if room is not None and room < size:
        text = f"{words}, more than the {carrier} of memory that KServe's storage initializer has"
        fix = "name a ClusterStorageContainer with more memory (storageContainerName), or serve it from an OCI image"
        yield CheckResult(answer="unknown", text=text, fix=fix)


def _bytes(text: str) -> Decimal | None:
    try:
        return quantity.parse(text) if text else None
    except InputError:
        return None
