"""The description of a serving runtime: what its image contains and how it loads models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from m2g.compat.requirement import normalize_name
from m2g.core.model import Value

_FLAVORS = {"sklearn": "scikit-learn", "pytorch": "torch", "spark": "pyspark", "keras": "keras"}
"""Flavors whose package has another name."""
_SAME = {"xgboost-cpu": "xgboost", "tensorflow-cpu": "tensorflow", "tensorflow-intel": "tensorflow"}
"""Packages that provide the same modules as another package."""


class Runtime(Value, frozen=True, kw_only=True):
    """One serving runtime: the image behind a ServingRuntime's name."""

    name: str
    """The name of the ServingRuntime, for `runtime` in model.yaml."""
    image: str = ""
    """The image that the description is based on."""
    kserve: tuple[str, ...] = ()
    """The KServe versions (`0.21`) that include this runtime. Empty for your own runtimes."""
    python: str = ""
    """The Python version of the image. Empty if it is unknown."""
    loads: Literal["pyfunc", "file", "hub"] = "pyfunc"
    """How it loads a model: with MLflow's pyfunc, as one saved file with its library, or from the Hugging Face hub."""
    formats: tuple[str, ...] = ("mlflow",)
    """The model formats, in KServe's terms, that it serves."""
    protocols: tuple[Literal["v2", "v1", "invocations"], ...] = ("v2",)
    """The protocols that it supports."""
    files: dict[str, tuple[str, ...]] = {}
    """For a runtime that loads one file: MLflow flavor to the file suffixes that it reads."""
    packages: dict[str, str] = {}
    """Python package to version. An empty version means that the package is installed, but its version is unknown."""
    complete: bool = False
    """Whether `packages` is complete: other packages are not installed."""
    source: str = ""
    """The source of the description."""

    def __hash__(self) -> int:
        """A hash of the hashable fields. Equality compares all fields."""
        return hash((self.name, self.image, self.python))

    def version(self, package: str) -> str:
        """The version of a package; empty if it is not installed or unknown."""
        return self.packages.get(normalize_name(package), "")

    def has(self, package: str) -> bool | None:
        """Whether a package is installed; None if unknown."""
        return True if normalize_name(package) in self.packages else False if self.complete else None


def find_package(flavor: str) -> str:
    """The Python package of an MLflow flavor."""
    return _FLAVORS.get(flavor, flavor)


def resolve_variant(package: str) -> str:
    """The usual package that provides the same modules."""
    return _SAME.get(package, package)


def find_runtime(runtimes: Iterable[Runtime], name: str, kserve: str) -> Runtime | None:
    """The runtime with this name in this KServe version; None if there is no description."""
    return next((r for r in runtimes if r.name == name and (not r.kserve or kserve in r.kserve)), None)


def find_by_image(runtimes: Sequence[Runtime], image: str) -> Runtime | None:
    """The runtime of an image, compared by name with tag and digest, or by digest alone."""
    digest = image.partition("@")[2]
    return next((r for r in runtimes if r.image and (r.image == image or (digest and r.image.endswith(digest)))), None)
