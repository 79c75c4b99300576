"""Parse MLmodel and the files next to it, without the mlflow package, into the facts that decide how it is served."""

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
"""Keys with the file or folder that a flavor saved. The first key that a flavor has counts."""
_CODE_KEYS = ("code", "model_code_path")
_MAX_LENGTH = 300
_WORD = re.compile(r"[\w.-]+")
_VERSION_KEYS = {
    "xgboost": "xgb_version",
    "lightgbm": "lgb_version",
    "spark": "pyspark_version",
    "johnsnowlabs": "pyspark_version",
}
"""Flavors whose version has another key than `<flavor>_version` (from the `add_flavor` calls in mlflow 3.17)."""

_CLASSES = {"xgboost": "xgboost.core.Booster"}
"""The class that MLflow assumes if a flavor does not have one."""

_T = TypeVar("_T")


class _Signature(msgspec.Struct):
    inputs: str | None = None
    outputs: str | None = None
    params: str | None = None


class _File(msgspec.Struct):
    """The keys that m2g needs. MLflow adds more with every release."""

    flavors: dict[str, dict[str, object] | None] = {}
    mlflow_version: str | int | float | None = None
    model_size_bytes: int | None = None
    signature: _Signature | None = None
    metadata: dict[str, object] | None = None
    saved_input_example_info: object = None
    is_signature_from_type_hint: object = False


class _Tensor(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]


class _Spec(msgspec.Struct):
    """A ColSpec, TensorSpec or ParamSpec. MLflow before 2.9 wrote `optional` instead of `required: false`."""

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
    """Parse an MLmodel file.

    Raises InputError for an invalid file: too large, not UTF-8 or YAML, without flavors, with a broken signature.
    """
    if len(content) > MAX_BYTES:
        raise InputError(
            f"MLmodel is larger than {MAX_BYTES >> 10} KiB", hint="check that this is a file that MLflow wrote"
        )
    file = _convert(text.load(content, "MLmodel"), _File)
    if not file.flavors:
        raise InputError("MLmodel has no flavors", hint="log the model with mlflow.<flavor>.log_model")
    python = file.flavors.get(_PYTHON) or {}
    transformers = file.flavors.get("transformers") or {}
    return Mlmodel(
        sha256=hashlib.sha256(content).hexdigest(),
        flavors=tuple(_flavor(name, file.flavors[name] or {}) for name in sorted(file.flavors)),
        mlflow_version=_text(file.mlflow_version),
        python_version=_text(python.get("python_version")),
        loader_module=_text(python.get("loader_module")),
        predict_fn="" if python.get("predict_fn") == "predict" else _text(python.get("predict_fn"))[:_MAX_LENGTH],
        size_bytes=_size(file.model_size_bytes),
        signature=_signature(file.signature),
        task=_text((file.metadata or {}).get("task")),
        code=any(bool((options or {}).get(key)) for options in file.flavors.values() for key in _CODE_KEYS),
        source_model=_reference(transformers),
        with_example=bool(file.saved_input_example_info),
        type_hints=file.is_signature_from_type_hint is True,
    )


def read(files: Mapping[str, bytes], unread: Collection[str] = ()) -> Mlmodel:
    """Parse MLmodel and the files next to it, by name. `unread` are files that may exist but could not be read.

    Raises InputError as `parse` does. Invalid files next to MLmodel are ignored.
    """
    mlmodel = parse(files["MLmodel"])
    return msgspec.structs.replace(
        mlmodel,
        python_version=mlmodel.python_version or requirements.read_python_version(files),
        requirements=None if "requirements.txt" in unread else requirements.read_requirements(files),
        example=example.compact_example(files.get("serving_input_example.json", b""), mlmodel.signature),
        packed_environment="environment.tar.gz" in files,
    )


def _convert(loaded: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(loaded, type=kind)
    except msgspec.ValidationError as error:
        raise InputError(f"MLmodel is not valid: {error}") from error


def _flavor(name: str, options: Mapping[str, object]) -> Flavor:
    key = _VERSION_KEYS.get(name, f"{name}_version")
    return Flavor(
        name=name,
        version=_text(options.get(key)),
        serialization_format=_text(options.get("serialization_format")),
        file=next((_file_name(options[key]) for key in _FILE_KEYS if isinstance(options.get(key), str)), ""),
        model_class=_text(options.get("model_class", _CLASSES.get(name, "")))[:_MAX_LENGTH],
    )


def _file_name(path: object) -> str:
    """The path of a saved file inside the model. Code can have an absolute path on the author's machine, which m2g
    drops."""
    name = str(path).replace("\\", "/")
    return (name.rpartition("/")[2] if name.startswith("/") or ":" in name else name)[:_MAX_LENGTH]


def _reference(transformers: Mapping[str, object]) -> str:
    """`owner/name@revision` if the weights stayed on the Hugging Face hub (save_pretrained=False), else empty."""
    name, revision = (_text(transformers.get(f"source_model_{key}")) for key in ("name", "revision"))
    if not name or not revision or "model_binary" in transformers:
        return ""
    return f"{name}@{revision}"[:_MAX_LENGTH]


def _text(value: object) -> str:
    """A scalar as text; empty for anything else."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _size(size: int | None) -> int | None:
    if size is not None and not 0 <= size < 1 << 63:
        raise InputError(f"MLmodel is not valid: model_size_bytes is {size}")
    return size


def _signature(texts: _Signature | None) -> Signature | None:
    if texts is None:
        return None
    return Signature(
        inputs=_fields("inputs", texts.inputs),
        outputs=_fields("outputs", texts.outputs),
        params=_fields("params", texts.params),
    )


@functools.lru_cache(maxsize=8)  # most versions of a model have the same signature
def _fields(side: str, text: str | None) -> tuple[Field, ...] | None:
    """One side of the signature, which is JSON inside YAML. Parameters always have a default, so none is required."""
    if text is None:
        return None
    try:
        specs = _SPECS.decode(text)
        return None if specs is None else tuple(_field(spec, is_param=side == "params") for spec in specs)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise InputError(
            f"the signature in MLmodel is not valid: {side}: {error}", hint="log the model again with a signature"
        ) from error


def _field(spec: _Spec, *, is_param: bool) -> Field:
    """Type names are interned, because a fleet has many columns of a few types."""
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
    """The default of a parameter as JSON text; empty if it is too long for a record."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MAX_LENGTH else ""


def _required(spec: _Spec) -> bool:
    return not spec.optional if spec.required is None else spec.required


def _type(spec: _Spec, depth: int) -> str:
    """The type as text: `double`, `array<long>`, `map<string>`, `object{a: double, b?: string}` (`?`: not required)."""
    if depth > MAX_DEPTH:
        raise InputError(f"the signature in MLmodel is nested more than {MAX_DEPTH} levels deep")
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
    """The name of a property, quoted as JSON if it contains characters of the type syntax."""
    return name if _WORD.fullmatch(name) else json.dumps(name, ensure_ascii=False)
