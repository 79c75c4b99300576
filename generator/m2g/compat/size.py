"""Compare the size of the model with the memory of the containers that download and load it."""

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
    """The checks of the size, if MLflow wrote it."""
    size = mlmodel.size_bytes
    if not size or runtime.loads == "hub":
        return
    files = f"the model's files are {size} bytes"
    limit = _bytes(limits.get("memory", ""))
    if limit is not None and limit < size:
        text = f"{files}, more than the container's memory limit of {limits['memory']}"
        more = 2 * size // (1 << 30) + 1
        fix = f"write to model.yaml: settings: {{resources: {{limits: {{memory: {more}Gi}}}}}}"
        yield CheckResult(answer="fails", text=text, fix=fix)
    initializer = limits.get(STORAGE_INITIALIZER, _DEFAULT)
    memory = _bytes(initializer)
    if memory is not None and memory < size:
        text = f"{files}, more than the memory limit of KServe's storage initializer, {initializer}"
        fix = "use a ClusterStorageContainer with more memory (storageContainerName), or serve it from an OCI image"
        yield CheckResult(answer="unknown", text=text, fix=fix)


def _bytes(text: str) -> Decimal | None:
    try:
        return quantity.parse(text) if text else None
    except InputError:
        return None
