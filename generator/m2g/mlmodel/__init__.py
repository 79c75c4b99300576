"""MLmodel and the files beside it → `Mlmodel`: what decides how a model is served, without the mlflow package."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec

from m2g.core.errors import InputError
from m2g.core.model import Field, Flavor, Mlmodel, Signature
from m2g.mlmodel import example, requirements, text

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
_PYTHON = "python_function"
_FILE_KEYS = ("pickled_model", "python_model", "model_code_path", "model_path", "data", "model_file", "saved_model_dir")
"""Where flavors name the file or folder that they saved; the first that a flavor has counts."""
_CODE_KEYS = ("code", "model_code_path")
_LONGEST = 300
_WORD = re.compile(r"[\w.-]+")
_VERSION_KEYS = {
    "xgboost": "xgb_version",
    "lightgbm": "lgb_version",
    "spark": "pyspark_version",
    "johnsnowlabs": "pyspark_version",
}
"""Where a flavor does not name its version `<flavor>_version` (read in mlflow 3.17's `add_flavor` calls)."""

_CLASSES = {"xgboost": "xgboost.core.Booster"}
"""What MLflow takes a model for whose flavor does not say its class."""

_T = TypeVar("_T")


class _Signature(msgspec.Struct):
    inputs: str | None = None
    outputs: str | None = None
    params: str | None = None


class _File(msgspec.Struct):
    """The keys that matter; MLflow writes more of them with every release."""

    flavors: dict[str, dict[str, object] | None] = {}
    mlflow_version: str | int | float | None = None
    model_size_bytes: int | None = None
    signature: _Signature | None = None
    metadata: dict[str, object] | None = None
    saved_input_example_info: object = None


class _Tensor(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]


class _Spec(msgspec.Struct):
    """A ColSpec, TensorSpec or ParamSpec; `optional` is how MLflow before 2.9 wrote `required: false`."""

    type: str
    name: str = ""
    default: object = None
    required: bool | None = None
    optional: bool = False
    tensor: _Tensor | None = msgspec.field(default=None, name="tensor-spec")
    shape: tuple[int, ...] | None = None
    items: _Spec | None = None
    values: _Spec | None = None
    properties: dict[str, _Spec] | None = None


_SPECS = msgspec.json.Decoder(list[_Spec] | None)


def parse(content: bytes) -> Mlmodel:
    """Read an MLmodel file.

    Raises InputError for what is no MLmodel: too large, not UTF-8 or YAML, no flavors, a broken signature.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"MLmodel is larger than {MAX_BYTES >> 10} KiB", hint="is this the file that MLflow wrote?")
    file = _convert(text.load(content, "MLmodel"), _File)
    if not file.flavors:
        raise InputError("MLmodel lists no flavors", hint="log the model with mlflow.<flavor>.log_model")
    python = file.flavors.get(_PYTHON) or {}
    transformers = file.flavors.get("transformers") or {}
    return Mlmodel(
        sha256=hashlib.sha256(content).hexdigest(),
        flavors=tuple(_flavor(name, file.flavors[name] or {}) for name in sorted(file.flavors)),
        mlflow_version=_text(file.mlflow_version),
        python_version=_text(python.get("python_version")),
        loader_module=_text(python.get("loader_module")),
        predict_fn="" if python.get("predict_fn") == "predict" else _text(python.get("predict_fn"))[:_LONGEST],
        size_bytes=_size(file.model_size_bytes),
        signature=_signature(file.signature),
        task=_text((file.metadata or {}).get("task")),
        code=any(bool((options or {}).get(key)) for options in file.flavors.values() for key in _CODE_KEYS),
        source_model=_reference(transformers),
        with_example=bool(file.saved_input_example_info),
    )


def read(files: Mapping[str, bytes], unread: Collection[str] = ()) -> Mlmodel:
    """What MLmodel and the files beside it (by name) say. `unread` are files that may be there all the same.

    Raises InputError as `parse` does; a file beside MLmodel that makes no sense counts as one that says nothing.
    """
    made = parse(files["MLmodel"])
    return msgspec.structs.replace(
        made,
        python_version=made.python_version or requirements.read_python_version(files),
        requirements=None if "requirements.txt" in unread else requirements.read_requirements(files),
        example=example.compact_example(files.get("serving_input_example.json", b""), made.signature),
    )


def _convert(loaded: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(loaded, type=kind)
    except msgspec.ValidationError as error:
        raise InputError(f"MLmodel is not what MLflow writes: {error}") from error


def _flavor(name: str, options: Mapping[str, object]) -> Flavor:
    key = _VERSION_KEYS.get(name, f"{name}_version")
    return Flavor(
        name=name,
        version=_text(options.get(key)),
        serialization_format=_text(options.get("serialization_format")),
        file=next((_name(options[key]) for key in _FILE_KEYS if isinstance(options.get(key), str)), ""),
        model_class=_text(options.get("model_class", _CLASSES.get(name, "")))[:_LONGEST],
    )


def _name(path: object) -> str:
    """A saved file's path inside the model. Code may be named by its author's own path, which is nobody's business."""
    whole = str(path).replace("\\", "/")
    return (whole.rpartition("/")[2] if whole.startswith("/") or ":" in whole else whole)[:_LONGEST]


def _reference(transformers: Mapping[str, object]) -> str:
    """`owner/name@revision` where the weights were left at the hub (save_pretrained=False); else empty."""
    name, revision = (_text(transformers.get(f"source_model_{key}")) for key in ("name", "revision"))
    if not name or not revision or "model_binary" in transformers:
        return ""
    return f"{name}@{revision}"[:_LONGEST]


def _text(value: object) -> str:
    """A scalar as text; anything else counts as not said."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _size(size: int | None) -> int | None:
    if size is not None and not 0 <= size < 1 << 63:
        raise InputError(f"MLmodel is not what MLflow writes: model_size_bytes is {size}")
    return size


def _signature(texts: _Signature | None) -> Signature | None:
    if texts is None:
        return None
    return Signature(
        inputs=_fields("inputs", texts.inputs),
        outputs=_fields("outputs", texts.outputs),
        params=_fields("params", texts.params),
    )


@functools.lru_cache(maxsize=8)  # the versions of a model mostly have the same
def _fields(side: str, text: str | None) -> tuple[Field, ...] | None:
    """One side of the signature: JSON inside the YAML. A parameter always has a default, so none is required."""
    if text is None:
        return None
    try:
        specs = _SPECS.decode(text)
        return None if specs is None else tuple(_field(spec, is_param=side == "params") for spec in specs)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise InputError(
            f"MLmodel's signature is broken: {side}: {error}", hint="log the model again with a signature"
        ) from error


def _field(spec: _Spec, *, is_param: bool) -> Field:
    """Words of types are interned: there are a few, and a fleet has many columns."""
    if spec.tensor is not None:
        dtype = sys.intern(spec.tensor.dtype)
        return Field(name=spec.name, type=dtype, required=_required(spec), shape=spec.tensor.shape)
    required = not is_param and _required(spec)
    return Field(
        name=spec.name,
        type=sys.intern(_type(spec, 0)),
        required=required,
        shape=spec.shape,
        default=_default(spec.default) if is_param else "",
    )


def _default(value: object) -> str:
    """A parameter's default as JSON text; one as long as a document is no default that a record keeps."""
    written = msgspec.json.encode(value).decode()
    return written if len(written) <= _LONGEST else ""


def _required(spec: _Spec) -> bool:
    return not spec.optional if spec.required is None else spec.required


def _type(spec: _Spec, depth: int) -> str:
    """`double`, `array<long>`, `map<string>`, `object{a: double, b?: string}` (`?`: not required)."""
    if depth > MAX_DEPTH:
        raise InputError(f"MLmodel's signature is nested deeper than {MAX_DEPTH}")
    if spec.type == "array" and spec.items is not None:
        return f"array<{_type(spec.items, depth + 1)}>"
    if spec.type == "map" and spec.values is not None:
        return f"map<{_type(spec.values, depth + 1)}>"
    if spec.type == "object" and spec.properties is not None:
        parts = (
            f"{_key(name)}{'' if _required(inner) else '?'}: {_type(inner, depth + 1)}"
            for name, inner in sorted(spec.properties.items())
        )
        return f"object{{{', '.join(parts)}}}"
    return spec.type


def _key(name: str) -> str:
    """A property's name; one that could be taken for the marks around it is quoted as JSON."""
    return name if _WORD.fullmatch(name) else json.dumps(name, ensure_ascii=False)
