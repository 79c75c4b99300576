"""The input and the result of every check of a model against a runtime."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Literal

import msgspec

from m2g.compat.requirement import normalize_name, parse_minor, parse_requirement
from m2g.compat.runtime import Runtime
from m2g.core.model import Flavor, Mlmodel

PYFUNC = "python_function"
_PICKLED_CLASS = (
    "mlflow.pyfunc.model",
    "mlflow.pyfunc.loaders.chat_model",
    "mlflow.pyfunc.loaders.chat_agent",
    "mlflow.pyfunc.loaders.responses_agent",
)
"""The loaders of python_model.pkl."""
_OWN_FILES = (".lgb", ".ubj", ".json")
"""Files in a library's own format. MLflow records a serialization format even for LightGBM's own files."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check: the answer, the reason, and a fix. `serves` is a note that does not change the
    verdict."""

    answer: Literal["fails", "unknown", "serves"]
    text: str
    fix: str = ""


class ModelOnRuntime(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one runtime. The model has no digest, size and example, so that its versions share the results."""

    mlmodel: Mlmodel
    runtime: Runtime

    @property
    def flavors(self) -> Mapping[str, Flavor]:
        return {flavor.name: flavor for flavor in self.mlmodel.flavors}

    @property
    def library(self) -> Flavor | None:
        """The flavor other than python_function, or None for a pure pyfunc."""
        return next((flavor for flavor in self.mlmodel.flavors if flavor.name != PYFUNC), None)

    @property
    def python_model(self) -> bool:
        """Whether the model is a pickled class of the author."""
        return self.library is None and self.mlmodel.loader_module in _PICKLED_CLASS

    @property
    def written_by_author(self) -> bool:
        """Whether the author wrote `predict`, so that the types of its answer can be changed."""
        return self.library is None and not self.mlmodel.task.startswith("agent/")

    @property
    def other_python(self) -> bool:
        """Whether the model and the runtime are known to have different minor Python versions."""
        made, has = parse_minor(self.mlmodel.python_version), parse_minor(self.runtime.python)
        return len(made) == len(has) == 2 and made != has

    @property
    def required(self) -> Mapping[str, str]:
        """The required packages with their pinned version, or an empty version if it is not pinned."""
        return _pinned(self.mlmodel.requirements or ())


@functools.lru_cache(maxsize=1 << 6)  # a model is checked against several runtimes, and versions share requirements
def _pinned(requirements: tuple[str, ...]) -> Mapping[str, str]:
    found = [one for one in map(parse_requirement, requirements) if one is not None]
    return {
        normalize_name(one.name): next((pin.version for pin in one.specifier if pin.operator in ("==", "===")), "")
        for one in found
    }


def find_format(flavor: Flavor) -> str:
    """The serialization format of a flavor (pickle, cloudpickle, skops, pt2); empty for a library's own file format."""
    return "" if flavor.file.endswith(_OWN_FILES) else flavor.serialization_format
