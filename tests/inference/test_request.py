"""Requests from signature and example alone: every type, every form of an example, what is refused, what is bounded."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2g.core.errors import InputError
from m2g.core.model import Field, Flavor, Mlmodel, Signature
from m2g.inference import Protocol, drop_example, keep_request_facts, make_request
from tests.support.machine import seconds

PROTOCOLS: tuple[Protocol, ...] = ("v2", "v1", "invocations")
ARRAY = (Field(name="", type="float64", shape=(-1,)),)


def model(
    inputs: Sequence[Field] | None,
    example: object = None,
    *,
    params: Sequence[Field] | None = None,
    outputs: Sequence[Field] | None = ARRAY,
) -> Mlmodel:
    """A model with this signature and this serving input example."""
    signature = None
    if inputs is not None:
        sides = {"outputs": None if outputs is None else tuple(outputs), "params": tuple(params) if params else None}
        signature = Signature(inputs=tuple(inputs), **sides)
    text = example if isinstance(example, str) else "" if example is None else json.dumps(example)
    return Mlmodel(sha256="0" * 64, flavors=(Flavor(name="python_function"),), signature=signature, example=text)


def column(type_: str, name: str = "x", *, required: bool = True) -> Field:
    return Field(name=name, type=type_, required=required)


def split(**row: object) -> Mapping[str, object]:
    return {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}


def v2(mlmodel: Mlmodel) -> Sequence[Mapping[str, object]]:
    """The inputs of the v2 body."""
    inputs = json.loads(make_request(mlmodel, "v2").body)["inputs"]
    assert isinstance(inputs, list)
    return inputs


@pytest.mark.parametrize(
    ("word", "value", "datatype", "content", "sent"),
    [
        ("boolean", True, "BOOL", "np", True),
        ("integer", -(2**31), "INT32", "np", -(2**31)),
        ("long", 2**53 + 1, "INT64", "np", 2**53 + 1),
        ("long", 3.0, "INT64", "np", 3),
        ("float", 0.5, "FP32", "np", 0.5),
        ("double", 1, "FP64", "np", 1.0),
        ("string", 'a"\n\u0000\u202e', "BYTES", "str", 'a"\n\u0000\u202e'),
        ("binary", "AP8=\n", "BYTES", "base64", "AP8="),
        ("datetime", "2026-01-02", "BYTES", "datetime", "2026-01-02T00:00:00"),
        ("datetime", "2026-01-02T03:04:05.123456789", "BYTES", "datetime", "2026-01-02T03:04:05.123456"),
        ("datetime", "2026-01-02T03:04:05+02:00", "BYTES", "datetime", "2026-01-02T01:04:05"),
        ("datetime", "2026-01-02T03:04:05Z", "BYTES", "datetime", "2026-01-02T03:04:05"),
        ("array<array<long>>", [[1], []], "BYTES", "pd_json", "[[1], []]"),
        ("map<double>", {"k": 1}, "BYTES", "pd_json", '{"k": 1.0}'),
        ("object{a: long, b?: string}", {"a": 1}, "BYTES", "pd_json", '{"a": 1}'),
        ('object{"a: b}": long}', {"a: b}": 1}, "BYTES", "pd_json", '{"a: b}": 1}'),
        ("any", {"q": [1, "ж"]}, "BYTES", "pd_json", '{"q": [1, "\\u0436"]}'),
    ],
)
def test_a_column_is_sent_as_mlserver_takes_it(
    word: str, value: object, datatype: str, content: str, sent: object
) -> None:
    (found,) = v2(model([column(word)], split(x=value)))
    wanted = {"name": "x", "shape": [1], "datatype": datatype, "parameters": {"content_type": content}}
    assert found == {**wanted, "data": [sent]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("boolean", 1),
        ("boolean", "true"),
        ("integer", 2**31),
        ("integer", True),
        ("integer", None),
        ("long", 1.5),
        ("long", 10**400),
        ("long", "1"),
        ("float", 1e300),
        ("double", "NaN"),
        ("double", 10**400),
        ("string", 1),
        ("string", {"a": 1}),
        ("binary", "%%%"),
        ("binary", 1),
        ("datetime", "yesterday"),
        ("datetime", 1767225600),
        ("array<long>", {"a": 1}),
        ("array<long>", [1, "a"]),
        ("map<double>", [1]),
        ("object{a: long}", {"a": "b"}),
        ("object{a: long}", {}),
        ("object{a: long}", {"a": 1, "b": 2}),
    ],
)
def test_an_example_that_contradicts_the_signature_names_the_column(
    word: str, value: object, protocol: Protocol
) -> None:
    with pytest.raises(InputError) as caught:
        make_request(model([column("double", "good"), column(word, "bad")], split(good=1.0, bad=value)), protocol)
    assert "'bad'" in caught.value.message
    assert "infer_signature" in caught.value.hint
    assert len(caught.value.message) < 400


def test_a_required_column_must_be_in_the_example_and_an_optional_one_need_not() -> None:
    fields = [column("double", "a"), column("string", "b", required=False), column("long", "c", required=False)]
    assert [item["name"] for item in v2(model(fields, split(a=1.0, b=None)))] == ["a"]
    assert [item["name"] for item in v2(model(fields, split(c=1, a=1.0, more=2)))] == ["a", "c"]
    with pytest.raises(InputError, match=r"column 'a' is required, but the example does not have it"):
        make_request(model(fields, split(b="x")), "invocations")


def test_a_null_is_sent_where_servers_take_one_and_made_up_where_they_do_not() -> None:
    fields = [column("double", "a"), column("string", "b"), column("datetime", "c")]
    made = make_request(model(fields, '{"dataframe_split":{"columns":["a","b","c"],"data":[[NaN,null,null]]}}'), "v2")
    assert [item["data"] for item in json.loads(made.body)["inputs"]] == [[None], [None], ["2026-01-01T00:00:00"]]
    assert "'c'" in made.notes[0]
    assert "NaN" not in made.body


@pytest.mark.parametrize(
    "example",
    [
        split(a=1.0, b="x"),
        {"dataframe_split": {"data": [[1.0, "x"]]}},
        {"dataframe_split": {"columns": [0, 1], "index": [0], "data": [[1.0, "x"], [2.0, "y"]]}},
        {"dataframe_records": [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]},
        {"inputs": {"a": [1.0, 2.0], "b": ["x", "y"]}},
        {"inputs": {"a": 1.0, "b": "x"}},
        {"instances": [{"a": 1.0, "b": "x"}]},
        {"inputs": [{"a": 1.0, "b": "x"}]},
    ],
)
def test_every_form_of_an_example_gives_the_same_row(example: object) -> None:
    fields = [column("double", "a"), column("string", "b")]
    assert [item["data"] for item in v2(model(fields, example))] == [[1.0], ["x"]]
    body = json.loads(make_request(model(fields, example), "invocations").body)
    assert body == {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, "x"]]}}
    assert json.loads(make_request(model(fields, example), "v1").body) == {"instances": [{"a": [1.0], "b": ["x"]}]}


def test_tensors_have_the_batch_dimension_and_one_row() -> None:
    wine = [Field(name="", type="float64", shape=(-1, 3))]
    (found,) = v2(model(wine, {"inputs": [[1, 2, 3], [4, 5, 6]]}))
    assert (found["shape"], found["datatype"], found["data"]) == ([1, 3], "FP64", [1.0, 2.0, 3.0])
    (found,) = v2(model(wine))
    assert (found["name"], found["shape"], found["data"]) == ("input-0", [1, 3], [0.5] * 3)
    assert json.loads(make_request(model(wine, split(a=1, b=2, c=3)), "invocations").body) == {
        "inputs": [[1.0, 2.0, 3.0]]
    }
    batch = [Field(name="", type="int64", shape=(2, 2))]
    assert v2(model(batch, {"inputs": [[1, 2]]}))[0]["data"] == [1, 2, 1, 2]
    named = [Field(name="a", type="float32", shape=(-1, 2)), Field(name="b", type="int32", shape=(-1,))]
    made = model(named, {"inputs": {"a": [[1, 2]], "b": [7]}})
    assert [(item["name"], item["datatype"], item["shape"]) for item in v2(made)] == [
        ("a", "FP32", [1, 2]),
        ("b", "INT32", [1]),
    ]
    assert json.loads(make_request(made, "invocations").body) == {"inputs": {"a": [[1.0, 2.0]], "b": [7]}}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (Field(name="", type="float64", shape=(-1, 13)), [1.0] * 13, "shape"),  # the tutorial of old
        (Field(name="", type="float64", shape=(-1, 13)), [[1.0] * 12], r"\[1, 12\].*\[any, 13\]"),
        (Field(name="", type="float64", shape=(-1, 2, 2)), [[[1, 2], [3]]], "different shapes"),
        (Field(name="", type="uint8", shape=(-1, 1)), [[256]], "256"),
        (Field(name="", type="int64", shape=(-1, 1)), [["a"]], "str"),
        (Field(name="", type="bool", shape=(-1, 1)), [[1]], "bool"),
        (Field(name="", type="float64", shape=(-1, 1)), [[{"a": 1}]], "different shapes"),
    ],
)
def test_a_tensor_of_another_shape_or_type_is_refused(field: Field, value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_request(model([field], {"inputs": value}), "v2")


def test_parameters_have_the_example_s_value_or_their_default() -> None:
    params = [
        Field(name="k", type="double", required=False, default="1"),
        Field(name="mode", type="string", required=False, default='"a"'),
        Field(name="flags", type="long", required=False, shape=(-1,), default="[1,2]"),
        Field(name="nothing", type="string", required=False, default="null"),
        Field(name="content_type", type="string", required=False, default='"mine"'),
    ]
    made = model([column("double")], {**split(x=1.0), "params": {"mode": "b", "unknown": 1}}, params=params)
    sent = {"k": 1.0, "mode": "b", "flags": [1, 2]}
    asked = make_request(made, "v2")
    assert json.loads(asked.body)["parameters"] == {"content_type": "pd", **sent}
    assert any("content_type" in note for note in asked.notes)
    assert json.loads(make_request(made, "invocations").body)["params"] == {**sent, "content_type": "mine"}
    assert "parameters" in make_request(made, "v1").notes[0]
    with pytest.raises(InputError, match="parameter 'k'"):
        make_request(model([column("double")], {**split(x=1.0), "params": {"k": "a"}}, params=params), "v2")


def test_without_names_the_inputs_are_numbered_and_a_hinted_object_is_taken_apart() -> None:
    hint = [column("string", "")]
    assert v2(model(hint, {"inputs": ["a", "b"]}))[0]["name"] == "input-0"
    assert json.loads(make_request(model(hint, {"inputs": ["a", "b"]}), "invocations").body) == {"inputs": ["a"]}
    message = [column("object{role: string, n?: long, tags: array<string>}", "")]
    made = model(message, {"inputs": [{"role": "user", "tags": ["x"]}]})
    assert [(item["name"], item["data"]) for item in v2(made)] == [("role", ["user"]), ("tags", ['["x"]'])]
    assert json.loads(make_request(made, "invocations").body) == {"inputs": [{"role": "user", "tags": ["x"]}]}
    assert v2(model([column("map<double>", "")]))[0]["data"] == ['{"key": 0.5}']
    assert v2(model([column("array<double>", "")], {"inputs": [[1, 2]]}))[0]["data"] == ["[1.0, 2.0]"]
    both = model([column("double", ""), column("string", "")], {"dataframe_split": {"data": [[1.0, "a"]]}})
    assert [item["name"] for item in v2(both)] == ["input-0", "input-1"]


def test_without_a_signature_the_example_is_sent_and_the_note_says_what_to_log() -> None:
    made = make_request(model(None, split(a=1.5, n=2, b=True, s="x", o=[1])), "v2")
    assert made.origin == "example"
    body = json.loads(made.body)
    assert body["parameters"] == {"content_type": "pd"}
    assert [item["datatype"] for item in body["inputs"]] == ["FP64", "INT64", "BOOL", "BYTES", "BYTES"]
    assert "signature=infer_signature" in made.notes[0]
    tensor = json.loads(make_request(model(None, {"inputs": [[1, 2.5]]}), "v2").body)
    assert tensor["parameters"] == {"content_type": "np"}
    nothing = make_request(model(None), "v2")
    assert (nothing.body, nothing.origin) == ("", "none")
    assert "input_example" in nothing.notes[0]


def test_what_mlserver_cannot_answer_is_said() -> None:
    said = [
        (model([column("double")], outputs=None), "no outputs"),
        (model([column("double")], outputs=[column("datetime", "ds")]), "datetimes of output 'ds'"),
        (model([column("double")], outputs=[column("double", "")]), "Series"),
        (model([Field(name="", type="complex64", shape=(-1,))]), "complex64"),
    ]
    for mlmodel, words in said:
        assert any(words in note for note in make_request(mlmodel, "v2").notes), words
        assert not any(words in note for note in make_request(mlmodel, "invocations").notes)
    assert make_request(model([column("double")]), "v2").notes == ()


def test_a_body_without_an_envelope_stays_one() -> None:
    chat = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 1.0}
    fields = [column("array<object{content?: string, role: string}>", "messages")]
    fields.append(column("double", "temperature", required=False))
    assert json.loads(make_request(model(fields, chat), "invocations").body) == chat
    assert [item["name"] for item in v2(model(fields, chat))] == ["messages", "temperature"]


@pytest.mark.parametrize(
    "example",
    ["[1]", "{", '{"inputs": []}', '{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', '{"x": 1}', "[" * 9999],
)
def test_what_is_no_example_is_refused(example: str) -> None:
    with pytest.raises(InputError, match="example"):
        make_request(model([column("double")], example), "v2")


def test_deep_and_wide_models_are_bounded() -> None:
    deep = '{"dataframe_split":{"columns":["x"],"data":[[' + '{"a":' * 3000 + "1" + "}" * 3000 + "]]}}"
    began = time.monotonic()
    for protocol in PROTOCOLS:
        for wide in (
            model([column("double", f"column {n}") for n in range(5000)]),
            model([Field(name="", type="float32", shape=(-1, 1000, 1000))]),
        ):
            assert json.loads(make_request(wide, protocol).body)
        assert make_request(model([Field(name="", type="float32", shape=(-1, 1 << 40))]), protocol).origin == "none"
        try:
            json.loads(make_request(model([column("any")], deep), protocol).body)
        except InputError as error:
            assert "deep" in error.message or "JSON" in error.message
        long = model([column("string")], split(x="ж" * 100_000))
        assert "ж" * 100_000 in json.dumps(json.loads(make_request(long, protocol).body), ensure_ascii=False)
    assert time.monotonic() - began < seconds(20)


def test_a_body_is_ascii_over_lines_and_always_the_same() -> None:
    fields = [column("string", 'ж"\n\u202e\ud800'), column("double", "b")]
    for made in (model(fields), drop_example(model(fields, split(b=1.0)))):
        body = make_request(made, "v2").body
        assert body == make_request(made, "v2").body
        assert body.isascii()
        assert body.startswith("{\n")
        assert body.endswith("}\n")
        assert len(body.splitlines()) == 7


_WORDS = st.sampled_from(
    ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime", "any", "sparkml_vector", "array<"]
) | st.text(max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
_SHAPES = st.none() | st.lists(st.integers(-2, 4), max_size=3).map(tuple)
_FIELDS = st.lists(
    st.builds(Field, name=st.text(max_size=5), type=_WORDS, required=st.booleans(), shape=_SHAPES, default=st.text()),
    max_size=4,
)
_FORMS = st.sampled_from(["inputs", "instances", "dataframe_split", "dataframe_records", "messages", "params"])


def _odd(mlmodel: Mlmodel) -> Mlmodel:
    """Another version of the model, that differs in all that no request depends on."""
    return msgspec.structs.replace(
        mlmodel,
        sha256="1" * 64,
        mlflow_version="3.17.2",
        python_version="3.14",
        predict_fn="predict_proba",
        size_bytes=1,
        code=True,
        source_model="a/b@c",
        requirements=("numpy",),
        with_example=True,
    )


@given(fields=_FIELDS, params=_FIELDS, example=st.none() | st.dictionaries(_FORMS, _JSON, max_size=3))
def test_whatever_was_logged_a_body_is_json_or_a_clear_error(
    fields: Sequence[Field], params: Sequence[Field], example: object
) -> None:
    text = None if example is None else json.dumps(example)
    for protocol in PROTOCOLS:
        try:
            made = make_request(model(fields, text, params=params), protocol)
        except InputError:
            continue
        assert made == make_request(keep_request_facts(_odd(model(fields, text, params=params))), protocol)
        assert made.notes if not made.body else isinstance(json.loads(made.body, parse_constant=pytest.fail), dict)


@pytest.mark.parametrize(
    ("field", "example"),
    [
        (Field(name="", type="int64", shape=(-1, 1)), '{"inputs": [[%s]]}' % ("9" * 400)),
        (column("datetime"), split(x="0001-01-01T00:00:00+23:00")),
    ],
)
def test_a_number_or_a_moment_beyond_all_bounds_is_a_clear_error(field: Field, example: object) -> None:
    with pytest.raises(InputError, match="does not fit the signature"):
        make_request(model([field], example), "v2")


def test_a_default_that_is_not_of_its_own_type_is_left_out() -> None:
    odd = Field(name="k", type="long", required=False, default='"NaN"')
    for columns in ([column("double")], [Field(name="", type="float64", shape=(-1, 2))]):
        made = make_request(model(columns, params=[odd]), "v2")
        assert "k" not in json.loads(made.body)["parameters"]
        assert any("'k'" in note for note in made.notes)


def test_texts_without_a_name_are_no_data_frame_to_a_server_that_takes_texts() -> None:
    """KServe's Hugging Face server tokenizes a list of texts, and makes a data frame where the request says `pd`."""
    assert "parameters" not in json.loads(make_request(model([column("string", "")]), "v2").body)
    assert json.loads(make_request(model(None, {"inputs": ["text"]}), "v2").body)["parameters"]
