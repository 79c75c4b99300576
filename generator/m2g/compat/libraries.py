"""Compare the libraries that the model was saved with and requires with those of the runtime."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.compat.reason import PYFUNC, CheckResult, ModelOnRuntime, find_format
from m2g.compat.requirement import parse_minor, parse_version
from m2g.compat.runtime import find_package, resolve_variant
from m2g.core.model import Flavor

_OWN_FORMAT = frozenset({"xgboost", "lightgbm", "catboost", "onnx", "tensorflow", "keras"})
"""Flavors whose own file format newer versions of the library can read. A pickle has no such guarantee."""
_TOOLS = frozenset(
    "mlflow mlflow-skinny mlflow-tracing pip setuptools wheel mlserver mlserver-mlflow uv virtualenv "
    "skops cloudpickle psutil ipython ipykernel jupyter notebook pytest ruff black".split()
)
"""Requirements that do not matter for loading. `formats` checks skops and cloudpickle."""
_NUMPY = (1, 26)
"""The first numpy that can load pickles of numpy 2 (it has the module numpy._core)."""


def check_libraries(case: ModelOnRuntime) -> Iterator[CheckResult]:
    """Checks for runtimes that load a model from its own files."""
    if case.runtime.loads == "hub":
        return
    for flavor in case.mlmodel.flavors:
        if case.runtime.loads == "pyfunc" or flavor.name in case.runtime.files:
            yield from _library(case, flavor)
    yield from _numpy(case)
    if case.runtime.loads == "pyfunc":
        yield from _missing(case)


def _library(case: ModelOnRuntime, flavor: Flavor) -> Iterator[CheckResult]:
    package = find_package(flavor.name)
    if not flavor.version or flavor.name == PYFUNC:
        return
    if case.runtime.has(package) is False:
        yield CheckResult(
            answer="fails", text=f"the model needs {package} {flavor.version}, which {case.runtime.name} does not have"
        )
        return
    has, made = case.runtime.version(package), flavor.version
    if not has:
        text = f"it was saved by {package} {made}; the version in {case.runtime.name} is unknown"
        yield CheckResult(answer="unknown", text=text)
    elif parse_minor(has) != parse_minor(made) and not _reads(flavor, has, made):
        text = f"it was saved by {package} {made}, and {case.runtime.name} has {has}"
        yield CheckResult(
            answer="unknown", text=text, fix=f"train it with {package} {'.'.join(map(str, parse_minor(has)))}"
        )


def _reads(flavor: Flavor, has: str, made: str) -> bool:
    """Whether the library can read the file: its own format, from the same or an older major version."""
    pickled = find_format(flavor) or flavor.file.endswith((".pkl", ".pickle", ".joblib", ".skops"))
    if pickled or flavor.name not in _OWN_FORMAT:
        return False
    return parse_version(has)[:1] >= parse_version(made)[:1]


def _numpy(case: ModelOnRuntime) -> Iterator[CheckResult]:
    made, has = parse_version(case.required.get("numpy", "")), parse_version(case.runtime.version("numpy"))
    pickled = case.python_model or any(find_format(flavor) for flavor in case.mlmodel.flavors)
    if pickled and made and has and made[0] >= 2 and has < _NUMPY:
        version = case.runtime.version("numpy")
        text = f"its arrays were pickled by numpy {case.required['numpy']}; {case.runtime.name} has {version}"
        yield CheckResult(answer="fails", text=text, fix=f"train it with numpy {version}")


def _missing(case: ModelOnRuntime) -> Iterator[CheckResult]:
    if case.mlmodel.requirements is None:
        text = "the requirements of the model are unknown"
        yield CheckResult(answer="unknown", text=text, fix="run `m2g render`, which reads them from the registry")
        return
    own = {find_package(flavor.name) for flavor in case.mlmodel.flavors}
    needed = [name for name in case.required if resolve_variant(name) not in _TOOLS | own]
    lacking = [name for name in needed if case.runtime.has(resolve_variant(name)) is False]
    if lacking:
        text = f"it requires {', '.join(lacking[:8])}, which {case.runtime.name} does not have"
        yield CheckResult(answer="fails", text=text)
    unknown = [name for name in needed if case.runtime.has(resolve_variant(name)) is None]
    if unknown:
        text = f"it requires {', '.join(unknown[:8])}; it is unknown whether {case.runtime.name} has them"
        yield CheckResult(answer="unknown", text=text, fix="describe the whole image with `m2g runtimes import`")
