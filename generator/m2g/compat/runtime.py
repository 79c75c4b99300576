"""What one serving image contains, as data: m2g's own descriptions and those of a repository are of this form."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from m2g.core.model import Value

_SEPARATORS = re.compile(r"[-_.]+")
_FLAVORS = {"sklearn": "scikit-learn", "pytorch": "torch", "spark": "pyspark", "keras": "keras"}
"""Where a flavor's package has another name than the flavor."""
_SAME = {"xgboost-cpu": "xgboost", "tensorflow-cpu": "tensorflow", "tensorflow-intel": "tensorflow"}
"""Other packages of the same modules."""


class Runtime(Value, frozen=True, kw_only=True):
    """One serving runtime: the image behind a ServingRuntime's name."""

    name: str
    """The ServingRuntime's name, as `runtime` in model.yaml says it."""
    image: str = ""
    """The image that it was described from."""
    kserve: tuple[str, ...] = ()
    """The KServe versions (`0.21`) that bring this runtime; empty for one of your own."""
    python: str = ""
    """The image's Python version; empty where nobody knows it."""
    loads: Literal["pyfunc", "file", "hub"] = "pyfunc"
    """How it loads a model: by MLflow's pyfunc, one saved file by its library, or from the Hugging Face hub."""
    formats: tuple[str, ...] = ("mlflow",)
    """KServe's model formats that it serves."""
    protocols: tuple[Literal["v2", "v1", "invocations"], ...] = ("v2",)
    """How it is asked."""
    files: dict[str, tuple[str, ...]] = {}
    """Where it loads one file: MLflow's flavor to the endings that it reads."""
    packages: dict[str, str] = {}
    """Python package to its version; an empty version says that it is there in a version that nobody knows."""
    complete: bool = False
    """Whether a package that is not named is not there."""
    source: str = ""
    """Where the facts are from."""

    def __hash__(self) -> int:
        """Of what can be hashed; equality looks at all of it."""
        return hash((self.name, self.image, self.python))

    def version(self, package: str) -> str:
        """The version of a package; empty where it is not there or not known."""
        return self.packages.get(normalize_name(package), "")

    def has(self, package: str) -> bool | None:
        """Whether it has a package; None where nobody knows."""
        return True if normalize_name(package) in self.packages else False if self.complete else None


@functools.lru_cache(maxsize=1 << 12)
def normalize_name(package: str) -> str:
    """A package's name as PyPI compares it."""
    return _SEPARATORS.sub("-", package).lower()


def find_package(flavor: str) -> str:
    """The package of a flavor of MLflow."""
    return _FLAVORS.get(flavor, flavor)


def resolve_variant(package: str) -> str:
    """The package that has the same modules under its usual name."""
    return _SAME.get(package, package)


def find_runtime(known: Iterable[Runtime], name: str, kserve: str) -> Runtime | None:
    """The runtime of this name under this KServe version; None where nobody described it."""
    return next((one for one in known if one.name == name and (not one.kserve or kserve in one.kserve)), None)


def find_by_image(known: Sequence[Runtime], image: str) -> Runtime | None:
    """The description of an image: with its tag and digest, or with the digest alone."""
    digest = image.partition("@")[2]
    return next(
        (one for one in known if one.image and (one.image == image or (digest and one.image.endswith(digest)))), None
    )
