"""The files beside MLmodel: what a record keeps of them, and files that want to hurt."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2g import mlmodel
from m2g.core.model import Mlmodel

MLMODEL = b"flavors: {python_function: {loader_module: mlflow.sklearn}}\n"


def read(**files: bytes) -> Mlmodel:
    names = {"requirements": "requirements.txt", "conda": "conda.yaml", "python": "python_env.yaml"}
    named = {names.get(key, "serving_input_example.json"): content for key, content in files.items()}
    return mlmodel.read({"MLmodel": MLMODEL, **named})


def test_requirements_and_indexes_are_kept_without_options_comments_and_passwords() -> None:
    text = b"""\xef\xbb\xbfmlflow==3.17.2  # by MLflow
--extra-index-url https://ada:secret@pypi.example/simple --trusted-host pypi.example
--find-links=https://files.example/?token=secret
--find-links /home/ada/wheels
-c constraints.txt
scikit-learn[extra] == 1.9.1 ; python_version > "3.8" --hash=sha256:abc
numpy==2.1.0 \\
    --hash=sha256:def

own @ git+https://token@git.example/own.git?key=secret@v1#egg=own
https://ada:secret@files.example/wheel.whl?sig=secret
mlflow==3.17.2
"""
    assert read(requirements=text).requirements == (
        "mlflow==3.17.2",
        "--extra-index-url https://pypi.example/simple",
        "--find-links=https://files.example/",
        'scikit-learn[extra] == 1.9.1 ; python_version > "3.8"',
        "numpy==2.1.0",
        "own @ git+https://git.example/own.git",
        "https://files.example/wheel.whl",
    )


def test_conda_says_what_requirements_would() -> None:
    conda = b"""
channels: [conda-forge]
dependencies: [python=3.10.4, pip<=23, conda-forge::numpy=1.26.4=py310, libgomp, {pip: [mlflow==2.19.0, "-r x.txt"]}]
"""
    made = read(conda=conda)
    assert made.requirements == ("numpy==1.26.4", "libgomp", "mlflow==2.19.0")
    assert made.python_version == "3.10.4"
    assert read(conda=conda, python=b"python: 3.11.7\nbuild_dependencies: [pip]").python_version == "3.11.7"


def test_nobody_asked_is_not_nothing_found() -> None:
    assert mlmodel.parse(MLMODEL).requirements is None
    assert read().requirements == ()
    assert mlmodel.read({"MLmodel": MLMODEL}, unread=["requirements.txt"]).requirements is None


NONSENSE = {
    "not UTF-8": b"\xff\xfe",
    "a NUL": b"numpy\x00==1",
    "a page": b"<!doctype html>",
    "deep": b"[" * 100_000,
    "a list": b"[1, 2]",
    "another map": b"dependencies: 3\npython: {a: 1}",
    "long digits": b"python: " + b"9" * 5000,
    "infinite": b'{"inputs": [1e999]}',
    "many digits": b'{"inputs": [' + b"9" * 5000 + b"]}",
    "half a character": b'{"inputs": ["\\ud800"]}',
    "hidden": "numpy\u202e==1".encode(),
}


@pytest.mark.parametrize("content", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_says_nothing(content: bytes) -> None:
    made = read(conda=content, python=content, example=content)
    assert (made.requirements, made.python_version, made.example) == ((), "", "")
    json.dumps(read(requirements=content).requirements).encode()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes(one: bytes, other: bytes) -> None:
    made = read(requirements=one, conda=one, python=other, example=other)
    assert all(len(line) <= 300 and line.isprintable() for line in made.requirements or ())


def test_a_record_stays_small() -> None:
    many = read(requirements="\n".join(f"package-{n}" for n in range(5000)).encode() + b"\n" + b"x" * 9999).requirements
    assert many is not None
    assert len(many) == 400
    assert read(example=json.dumps({"inputs": [["x" * 20_000]]}).encode()).example == ""


EXAMPLES = [
    (
        {"dataframe_split": {"index": [0, 1], "columns": ["a"], "data": [[1], [2]]}, "params": {"k": 1}},
        {"dataframe_split": {"index": [0], "columns": ["a"], "data": [[1]]}, "params": {"k": 1}},
    ),
    ({"dataframe_records": [{"a": 1}, {"a": 2}]}, {"dataframe_records": [{"a": 1}]}),
    ({"inputs": [[1.5, 2], [3, 4]]}, {"inputs": [[1.5, 2]]}),
    ({"inputs": {"a": [1, 2], "b": [3, 4]}}, {"inputs": {"a": [1], "b": [3]}}),
    ({"inputs": {"prompt": "x", "stop": ["a", "b"]}}, {"inputs": {"prompt": "x", "stop": ["a", "b"]}}),
    ({"messages": [{"role": "user"}, {"role": "x"}]}, {"messages": [{"role": "user"}, {"role": "x"}]}),
    ({"inputs": [float("nan"), 1]}, {"inputs": [None]}),
]


@pytest.mark.parametrize(("given", "kept"), EXAMPLES)
def test_an_example_is_cut_to_its_first_row(given: object, kept: object) -> None:
    assert read(example=json.dumps(given, indent=2).encode()).example == json.dumps(kept, separators=(",", ":"))


def test_a_tensor_of_fixed_size_is_not_cut() -> None:
    specs = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [2, 2]}}])
    fixed = json.dumps({"flavors": {"f": {}}, "signature": {"inputs": specs}}).encode()
    body = b'{"inputs":[[1,2],[3,4]]}'
    assert mlmodel.read({"MLmodel": fixed, "serving_input_example.json": body}).example == body.decode()


def flavors(**named: object) -> Mlmodel:
    return mlmodel.parse(json.dumps({"flavors": named}).encode())


def test_transformers_that_were_left_at_the_hub() -> None:
    left = {"source_model_name": "acme/tiny", "source_model_revision": "a" * 40}
    assert flavors(transformers=left).source_model == f"acme/tiny@{'a' * 40}"
    assert flavors(transformers={**left, "model_binary": "model"}).source_model == ""
    assert flavors(transformers={"source_model_name": "acme/tiny"}).source_model == ""


def test_the_saved_file_and_own_code() -> None:
    assert flavors(xgboost={"data": "model.ubj"}).flavors[0].file == "model.ubj"
    assert flavors(python_function={"code": "code"}).code
    by_code = flavors(python_function={"model_code_path": "/home/ada/secret project/model.py", "code": None})
    assert (by_code.code, by_code.flavors[0].file) == (True, "model.py")
    assert not flavors(python_function={"code": None, "python_model": "python_model.pkl"}).code
