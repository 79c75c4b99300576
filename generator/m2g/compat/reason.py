"""What every look at a model and a runtime starts from, and what it finds."""

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
"""MLflow notes a format for LightGBM's own file, too, which takes none."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One reason: what it makes of the answer, and the way out. `serves` is a remark that changes nothing."""

    answer: Literal["fails", "unknown", "serves"]
    text: str
    fix: str = ""


class ModelOnRuntime(msgspec.Struct, frozen=True, kw_only=True):
    """One model for one runtime. Digest, size and example of the model are left out: its versions share the grounds."""

    mlmodel: Mlmodel
    runtime: Runtime

    @property
    def flavors(self) -> Mapping[str, Flavor]:
        return {flavor.name: flavor for flavor in self.mlmodel.flavors}

    @property
    def library(self) -> Flavor | None:
        """The flavor beside python_function, by name; None for a model that is only a pyfunc."""
        return next((flavor for flavor in self.mlmodel.flavors if flavor.name != PYFUNC), None)

    @property
    def python_model(self) -> bool:
        """Whether it is a class of the author's own, pickled whole."""
        return self.library is None and self.mlmodel.loader_module == "mlflow.pyfunc.model"

    @property
    def other_python(self) -> bool:
        """Whether model and runtime are known to have different minor versions of Python."""
        made, has = parse_minor(self.mlmodel.python_version), parse_minor(self.runtime.python)
        return len(made) == len(has) == 2 and made != has

    @property
    def required(self) -> Mapping[str, str]:
        """Package to the one version that the model's requirements pin; empty for another requirement."""
        return _pinned(self.mlmodel.requirements or ())


@functools.lru_cache(maxsize=1 << 6)  # runtimes are asked about one model in turn, and versions often need the same
def _pinned(requirements: tuple[str, ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in requirements:
        parts = _REQUIREMENT.match(line)
        if parts is not None and "://" not in line.split()[0] and not line.startswith((".", "/")):
            found[normalize_name(parts[1])] = parts[4] if parts[3] in ("==", "===") else ""
    return found


@functools.lru_cache(maxsize=1 << 12)
def parse_version(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (1, 5, 2) of `1.5.2.post1`."""
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
    """How a library's object was serialized (pickle, cloudpickle, skops, pt2); empty for a library's own file."""
    return "" if flavor.file.endswith(_OWN_FILES) else flavor.serialization_format
