"""MLmodel files of today and of ten years ago, and files that want to hurt."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2g import mlmodel
from m2g.core.errors import InputError
from m2g.core.model import Field, Flavor, Signature
from tests.support.machine import seconds

SKLEARN = b"""\
artifact_path: mlflow-artifacts:/0/models/m-0b/artifacts
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.skops
    predict_fn: predict
    python_version: 3.11.7
  sklearn:
    code: null
    pickled_model: model.skops
    serialization_format: skops
    sklearn_version: 1.9.1
mlflow_version: 3.17.2
model_size_bytes: 5624
model_uuid: 12345678901234567890123456789e01
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 13]}}]'
  outputs: null
  params: null
utc_time_created: '2026-11-20 17:57:22.715475'
"""


def minimal(**more: object) -> bytes:
    """JSON is YAML."""
    return json.dumps({"flavors": {"python_function": {}}, **more}).encode()


def fields(specs: object, side: str = "inputs") -> tuple[Field, ...] | None:
    parsed = mlmodel.parse(minimal(signature={side: json.dumps(specs)})).signature
    assert parsed is not None
    found: tuple[Field, ...] | None = getattr(parsed, side)
    return found


def test_what_mlflow_writes() -> None:
    parsed = mlmodel.parse(SKLEARN)
    assert parsed.flavors == (
        Flavor(name="python_function", file="model.skops"),
        Flavor(name="sklearn", version="1.9.1", serialization_format="skops", file="model.skops"),
    )
    assert (parsed.mlflow_version, parsed.python_version) == ("3.17.2", "3.11.7")
    assert (parsed.loader_module, parsed.size_bytes, parsed.task) == ("mlflow.sklearn", 5624, "")
    assert parsed.signature == Signature(inputs=(Field(name="", type="float64", shape=(-1, 13)),))
    assert len(parsed.sha256) == 64
    assert mlmodel.parse(SKLEARN + b"\n").sha256 != parsed.sha256


def test_where_flavors_keep_their_version() -> None:
    keys = {"xgboost": "xgb_version", "lightgbm": "lgb_version", "spark": "pyspark_version", "onnx": "onnx_version"}
    content = minimal(flavors={name: {key: "2.10"} for name, key in keys.items()})
    found = mlmodel.parse(content).flavors
    assert [(flavor.name, flavor.version) for flavor in found] == [(name, "2.10") for name in sorted(keys)]


def test_what_decides_how_it_answers() -> None:
    flavors = {
        "python_function": {"predict_fn": "predict_proba"},
        "xgboost": {"model_class": "xgboost.sklearn.XGBClassifier"},
    }
    parsed = mlmodel.parse(minimal(flavors=flavors))
    assert (parsed.predict_fn, parsed.flavors[1].model_class) == ("predict_proba", "xgboost.sklearn.XGBClassifier")
    # What MLflow takes it for where nothing is said.
    parsed = mlmodel.parse(minimal(flavors={"python_function": {"predict_fn": "predict"}, "xgboost": {}}))
    assert (parsed.predict_fn, parsed.flavors[1].model_class) == ("", "xgboost.core.Booster")


def test_whether_an_example_lies_beside_it() -> None:
    flavors: dict[str, object] = {"python_function": {}}
    info = {"artifact_path": "input_example.json", "type": "dataframe"}
    assert mlmodel.parse(minimal(flavors=flavors, saved_input_example_info=info)).with_example
    assert not mlmodel.parse(minimal(flavors=flavors)).with_example
    # Nonsense there is no reason to refuse a model.
    assert mlmodel.parse(minimal(flavors=flavors, saved_input_example_info="x")).with_example


@pytest.mark.parametrize("content", [b"flavors: {python_function: }", b"flavors:\n  python_function: null\n"])
def test_a_flavor_may_say_nothing(content: bytes) -> None:
    parsed = mlmodel.parse(content)
    assert parsed.flavors == (Flavor(name="python_function"),)
    assert (parsed.signature, parsed.size_bytes) == (None, None)


def test_a_task_of_an_agent() -> None:
    assert mlmodel.parse(minimal(metadata={"task": "agent/v1/responses"})).task == "agent/v1/responses"
    assert mlmodel.parse(minimal(metadata={"task": ["x"]})).task == ""


COLUMNS: list[tuple[dict[str, object], Field]] = [
    ({"type": "double", "name": "x"}, Field(name="x", type="double")),
    ({"type": "double"}, Field(name="", type="double")),
    ({"type": "long", "name": "x", "required": False}, Field(name="x", type="long", required=False)),
    ({"type": "long", "name": "x", "optional": True}, Field(name="x", type="long", required=False)),
    ({"type": "array", "items": {"type": "string"}, "name": "x"}, Field(name="x", type="array<string>")),
    (
        {"type": "array", "items": {"type": "array", "items": {"type": "any"}}, "name": "x"},
        Field(name="x", type="array<array<any>>"),
    ),
    ({"type": "map", "values": {"type": "long"}, "name": "x"}, Field(name="x", type="map<long>")),
    ({"type": "sparkml_vector", "name": "x"}, Field(name="x", type="sparkml_vector")),
    (
        {
            "type": "object",
            "properties": {"b": {"type": "string", "required": False}, "a": {"type": "double", "required": True}},
            "name": "x",
        },
        Field(name="x", type="object{a: double, b?: string}"),
    ),
    (
        {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2, 3]}, "name": "x"},
        Field(name="x", type="float32", shape=(-1, 2, 3)),
    ),
    ({"type": "something-new", "name": "x", "more": {}}, Field(name="x", type="something-new")),
]


@pytest.mark.parametrize(("spec", "field"), COLUMNS)
def test_inputs(spec: dict[str, object], field: Field) -> None:
    assert fields([spec]) == (field,)


def test_parameters_are_never_required() -> None:
    specs = [
        {"name": "k", "type": "long", "default": 3, "shape": None},
        {"name": "stop", "type": "string", "default": None, "shape": [-1]},
    ]
    assert fields(specs, "params") == (
        Field(name="k", type="long", required=False, default="3"),
        Field(name="stop", type="string", required=False, shape=(-1,), default="null"),
    )


def test_no_side_is_not_an_empty_side() -> None:
    assert fields([]) == ()
    assert fields(None) is None
    assert mlmodel.parse(minimal(signature={})).signature == Signature()


NO_MLMODEL = {
    "nothing": (b"", "MLmodel is not valid"),
    "text": (b"hello", "MLmodel is not valid"),
    "a list": (b"- a", "MLmodel is not valid"),
    "a web page": (b"<!doctype html><html>", "MLmodel is not valid"),
    "no flavors": (b"mlflow_version: 3.17.2", "no flavors"),
    "empty flavors": (b"flavors: {}", "no flavors"),
    "flavors that are no map": (b"flavors: [sklearn]", "flavors"),
    "a flavor that is no map": (b"flavors: {sklearn: 3}", "flavors"),
    "two documents": (b"flavors: {a: {}}\n---\nb: 1\n", "not valid YAML"),
    "a key twice": (b"flavors: {a: {}}\nflavors: {b: {}}\n", "not valid YAML"),
    "not UTF-8": (b"flavors: {\xff: {}}", "not UTF-8 at byte 10"),
    "a NUL": (b"flavors: {a: {}}\x00", "not valid YAML"),
    "broken": (b"flavors: {a: {", "not valid YAML"),
    "a map as a key": (b"flavors: {a: {}}\n? {x: y}\n: z\n", "not valid YAML"),
    "a size that is text": (minimal(model_size_bytes="big"), "model_size_bytes"),
    "a size below zero": (minimal(model_size_bytes=-1), "model_size_bytes is -1"),
    "a size of many digits": (b"flavors: {a: {}}\nmodel_size_bytes: " + b"9" * 5000, "model_size_bytes"),
    "a signature that is text": (minimal(signature="x"), "signature"),
    "a signature that is no JSON": (minimal(signature={"inputs": "[{"}), "signature in MLmodel is not valid: inputs"),
    "a signature that is no list": (minimal(signature={"outputs": "3"}), "signature in MLmodel is not valid: outputs"),
    "a column without a type": (minimal(signature={"inputs": '[{"name": "x"}]'}), "signature in MLmodel is not valid"),
    "a nested one without": (
        minimal(signature={"inputs": '[{"type": "array", "items": {"name": "x"}}]'}),
        "signature in MLmodel is not valid",
    ),
    "a deep signature": (minimal(signature={"inputs": "[" * 20_000}), "signature in MLmodel is not valid"),
    "a deeply nested type": (
        minimal(signature={"inputs": "[" + '{"type": "array", "items": ' * 99 + '{"type": "long"}' + "}" * 99 + "]"}),
        "nested more than 32 levels",
    ),
    "deep YAML": (b"[" * 100_000, "not valid YAML"),
    "a deep map": ("".join(f"{' ' * level}a:\n" for level in range(1000)).encode(), "not valid YAML"),
    "an alias of itself": (b"flavors: &a [*a]", "not valid YAML"),
    "a bomb of lists": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 110)),
        "not valid YAML",
    ),
    "a bomb of text": (b"a: &a " + b"x" * 500_000 + b"\nb: [" + b"*a," * 100_000 + b"]\n", "too many YAML aliases"),
    "too large": (b"#" * (1 << 20) + b"\nflavors: {a: {}}", "larger than 1024 KiB"),
}


@pytest.mark.parametrize("case", NO_MLMODEL.values(), ids=NO_MLMODEL)
def test_what_is_no_mlmodel(case: tuple[bytes, str]) -> None:
    content, message = case
    started = time.monotonic()
    with pytest.raises(InputError) as raised:
        mlmodel.parse(content)
    assert message in raised.value.message
    assert len(raised.value.message) < 500
    assert time.monotonic() - started < seconds(5)


def test_text_that_only_looks_like_aliases() -> None:
    card = "R &D wants **bold** and *italic*: " * 5000
    assert mlmodel.parse(minimal(metadata={"card": card, "task": "x"})).task == "x"


def test_an_alias_that_pyyaml_writes() -> None:
    content = b"flavors:\n  a: &id001 {a_version: '1.10'}\n  b: *id001\n"
    assert mlmodel.parse(content).flavors == (Flavor(name="a", version="1.10"), Flavor(name="b"))


def test_a_wide_signature() -> None:
    specs = [{"type": "double", "name": f"column_{index}", "required": True} for index in range(5000)]
    found = fields(specs)
    assert found is not None
    assert len(found) == 5000


@given(st.binary(max_size=200))
def test_any_bytes_are_an_mlmodel_or_an_input_error(content: bytes) -> None:
    try:
        mlmodel.parse(content)
    except InputError as error:
        assert error.message


@given(st.text(alphabet="{}[]:,-&*!|>'\"%@`? \n\tabflvors019.~#", max_size=200))
def test_any_yaml_is_an_mlmodel_or_an_input_error(text: str) -> None:
    try:
        mlmodel.parse(f"flavors: {{a: }}\n{text}".encode())
    except InputError as error:
        assert error.message
