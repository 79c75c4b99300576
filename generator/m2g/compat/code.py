"""Check code inside the model: pickled classes and functions, its own code files, loaders of a newer mlflow."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.compat.reason import CheckResult, ModelOnRuntime, find_format
from m2g.compat.requirement import parse_version

_CODE_MODEL = "mlflow.pyfunc.loaders.code_model"
_CODE_MODEL_SINCE = (2, 12, 2)
_TYPES = {"any": (2, 20), "map<": (2, 13), "object{": (2, 10), "array<": (2, 10)}
"""The first mlflow that supports a type in signatures. An older one rejects the whole model (from its wheels)."""
_OTHER_TYPE = "give the column another type, or set profile: mlserver-image (`m2g image` prepares an image)"
_TYPE_HINTS_SINCE = (2, 20)
"""The first mlflow that converts the input of `predict` to the type in its hint (its changelog)."""
_AS_CODE = "log the class as code (mlflow.pyfunc.log_model(python_model='model.py')), which is not pickled"


def check_code(case: ModelOnRuntime) -> Iterator[CheckResult]:
    """Checks for pyfunc, then checks for every pickle."""
    if case.runtime.loads == "pyfunc":
        yield from _loader(case)
        yield from _types(case)
        yield from _type_hints(case)
    if case.runtime.loads != "hub":
        yield from _bytecode(case)
    if case.runtime.loads == "file" and case.mlmodel.code:
        text = f"the model has its own code files, which {case.runtime.name} does not put on the Python path"
        yield CheckResult(answer="unknown", text=text)


def _loader(case: ModelOnRuntime) -> Iterator[CheckResult]:
    has = parse_version(case.runtime.version("mlflow"))
    if case.mlmodel.loader_module == _CODE_MODEL and has and has < _CODE_MODEL_SINCE:
        text = f"the model was logged as code, which needs mlflow 2.12.2; {case.runtime.name} has an older one"
        yield CheckResult(answer="fails", text=text)


def _types(case: ModelOnRuntime) -> Iterator[CheckResult]:
    has, signature = parse_version(case.runtime.version("mlflow")), case.mlmodel.signature
    sides = (signature.inputs, signature.outputs, signature.params) if signature is not None else ()
    types = [field.type for fields in sides for field in fields or ()]
    for prefix, since in _TYPES.items():
        if has and has < since and any(prefix == text or (prefix != "any" and prefix in text) for text in types):
            name = prefix.rstrip("<{")
            text = f"the signature has the type {name}, which needs mlflow {since[0]}.{since[1]}"
            text += f"; {case.runtime.name} has an older one"
            yield CheckResult(answer="fails", text=text, fix=_OTHER_TYPE if case.written_by_author else "")


def _type_hints(case: ModelOnRuntime) -> Iterator[CheckResult]:
    """An older mlflow neither converts the input to the hinted type nor calls `predict` without `context`."""
    has = parse_version(case.runtime.version("mlflow"))
    if not case.mlmodel.type_hints or has >= _TYPE_HINTS_SINCE:
        return
    text = "predict has type hints, which need mlflow 2.20"
    if has:
        version = ".".join(map(str, has))
        yield CheckResult(answer="fails", text=f"{text} to answer; {case.runtime.name} has {version}")
    else:
        yield CheckResult(answer="unknown", text=f"{text}; the mlflow version of {case.runtime.name} is unknown")


def _bytecode(case: ModelOnRuntime) -> Iterator[CheckResult]:
    """cloudpickle saves bytecode for code that it cannot import, which another minor version of Python cannot load."""
    made, has = case.mlmodel.python_version, case.runtime.python
    if case.python_model:
        if case.other_python and not case.mlmodel.code:
            text = f"the model is a class that was pickled with Python {made}; {case.runtime.name} has {has}"
            yield CheckResult(answer="fails", text=text, fix=_AS_CODE)
        elif case.other_python or not made or not has:
            text = f"the model is a class pickled with Python {made or 'unknown'}, {case.runtime.name} has "
            text += f"{has or 'an unknown version'}; only a class from its own code files would load"
            yield CheckResult(answer="unknown", text=text, fix=_AS_CODE)
    elif case.other_python and any(find_format(flavor) == "cloudpickle" for flavor in case.mlmodel.flavors):
        text = f"it was pickled with Python {made}, {case.runtime.name} has {has}: its own functions and classes"
        fix = "log it with that Python, or with serialization_format='pickle', which does not save code"
        yield CheckResult(answer="unknown", text=f"{text} cannot be loaded, everything else can", fix=fix)
