"""The input and the result of every check of a model against a runtime."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from m2g.compat.runtime import Runtime, normalize_name
from m2g.core.model import Flavor, Mlmodel

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:(@)|([=<>!~]=?=?)\s*([0-9][^\s,;]*))?")
_NUMBER = re.compile(r"\d{1,9}")
PYFUNC = "python_function"
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
        return self.library is None and self.mlmodel.loader_module == "mlflow.pyfunc.model"

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
    found: dict[str, str] = {}
    for line in requirements:
        parts = _REQUIREMENT.match(line)
        if parts is not None and "://" not in line.split()[0] and not line.startswith((".", "/")):
            found[normalize_name(parts[1])] = parts[4] if parts[3] in ("==", "===") else ""
    return found


@functools.lru_cache(maxsize=1 << 12)
def parse_version(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (1, 5, 2) for `1.5.2.post1`."""
    found = []
    for part in version.split("+", maxsplit=1)[0].split("."):
        digits = _NUMBER.match(part)
        if digits is None:
            break
        found.append(int(digits[0]))
        if digits[0] != part:
            break
    return tuple(found)


def parse_minor(version: str) -> tuple[int, ...]:
    """Major and minor."""
    return parse_version(version)[:2]


def find_format(flavor: Flavor) -> str:
    """The serialization format of a flavor (pickle, cloudpickle, skops, pt2); empty for a library's own file format."""
    return "" if flavor.file.endswith(_OWN_FILES) else flavor.serialization_format
