"""Whether KServe's stock MLServer can load the model, by what its MLmodel file says.

kserve-mlserver is MLServer 1.7.1: Python 3.10 and mlflow 2.19.0. It never installs a model's requirements.
"""

from __future__ import annotations

from collections.abc import Iterator

from m2g.checks.rule import Fault, Rule, Subject, issue
from m2g.finding import Severity
from m2g.model import Mlmodel

_STOCK = "kserve-mlserver"
_TOO_NEW = ("skops", "pt2")
_PYTHON = "3.10"
_LIBRARIES = {"sklearn": "1", "xgboost": "2", "lightgbm": "4", "catboost": "1", "pytorch": "2", "tensorflow": "2"}
_PICKLED = ("pickle", "cloudpickle", "")
_PLACE = ("spec", "predictor", "model", "runtime")


def _mlmodel(subject: Subject) -> Mlmodel | None:
    """The facts of the model, where the stock runtime is to load it."""
    if subject.release is None or subject.at("metadata", "name") is None:
        return None
    return subject.release.mlmodel if subject.at(*_PLACE) == _STOCK else None


def _format(subject: Subject) -> Iterator[Fault]:
    mlmodel = _mlmodel(subject)
    for flavor in mlmodel.flavors if mlmodel else ():
        if flavor.serialization_format in _TOO_NEW:
            message = (
                f"{_STOCK} has mlflow 2.19, which cannot read {flavor.name} saved as {flavor.serialization_format}"
            )
            yield Fault(place=_PLACE, message=message)


def _versions(subject: Subject) -> Iterator[Fault]:
    mlmodel = _mlmodel(subject)
    if mlmodel is None:
        return
    python = ".".join(mlmodel.python_version.split(".")[:2])
    if python and python != _PYTHON and any(item.serialization_format in _PICKLED for item in mlmodel.flavors):
        message = f"the model was pickled with Python {python}; {_STOCK} has {_PYTHON}, and code in it may not load"
        yield Fault(place=_PLACE, message=message)
    for flavor in mlmodel.flavors:
        has = _LIBRARIES.get(flavor.name)
        if has and flavor.version and flavor.version.split(".")[0] != has:
            message = f"the model was saved by {flavor.name} {flavor.version}; {_STOCK} has {has}.x"
            yield Fault(place=_PLACE, message=message)


_FIX = "set image (from `mlflow models build-docker`), or runtime to a ServingRuntime with the model's environment"

RULES = (
    Rule(
        id="runtime-format",
        covers=("L20",),
        summary="The stock MLServer runtime is not asked for a model saved in a format that it cannot read.",
        why="MLflow 3.14 and newer save scikit-learn and LightGBM models as skops, and PyTorch as pt2. The pod would "
        "start and fail to load, over and over.",
        fix=f"log the model with serialization_format='cloudpickle'; or {_FIX}",
        link=issue(18759, "mlflow/mlflow"),
        check=_format,
    ),
    Rule(
        id="runtime-versions",
        covers=("L20",),
        severity=Severity.WARNING,
        summary="The stock MLServer runtime has the Python and the library that the model was saved with.",
        why="The runtime does not install what the model requires; a pickle of another version often does not load.",
        fix=_FIX,
        link=issue(3733),
        check=_versions,
    ),
)
