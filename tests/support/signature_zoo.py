"""Models of every kind of signature, for .venv-mlserver: `… log <folder>`, then `… serve <folder> <port>`.

`log` writes beside them what pyfunc says to the first row of each example, given to it as Python values. `serve` is
MLflow's scoring server for all of them, under /<kind>; /<kind>/pyfunc says what pyfunc says to the same body.
"""

# mypy: ignore-errors
# It runs in .venv-mlserver, whose packages mypy does not see.

import base64
import datetime
import faulthandler
import json
import logging
import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pydantic
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import ChatModel, PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType, Map, Object, Property

TEXT = Schema([TensorSpec(np.dtype(str), (-1,))])
NOT_BY_V2 = "note"
"""An answer (or a load) that MLServer cannot give, as the request's note must say."""


def plain(value: object) -> object:
    """As JSON, with what each value is."""
    if isinstance(value, pd.DataFrame):
        return {str(name): plain(value[name]) for name in sorted(value.columns, key=str)}
    if isinstance(value, pd.Series):
        return [value.dtype.kind, [plain(item) for item in value.tolist()]]
    if isinstance(value, np.ndarray):
        return [value.dtype.str[1:] if value.dtype.kind not in "UO" else "text", plain(value.tolist())]
    if isinstance(value, dict):
        return {str(name): plain(value[name]) for name in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return f"bytes {base64.b64encode(value).decode()}"
    if isinstance(value, (datetime.date, np.datetime64)):
        return f"time {pd.Timestamp(value).isoformat()}"
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, pydantic.BaseModel):
        return plain(value.model_dump())
    return value if isinstance(value, (str, int, float, bool)) and not pd.isna(value) else None


class Mirror(PythonModel):
    """Answers with what reached it, types and all: no other answer is as hard to please."""

    def predict(self, context, model_input, params=None):
        params = {name: value for name, value in (params or {}).items() if value is not None}
        if isinstance(model_input, pd.DataFrame) and "input-0" in model_input:  # columns without names
            model_input.columns = range(len(model_input.columns))
        if isinstance(model_input, pd.DataFrame):  # an optional column may be left out, or be null
            model_input = model_input.dropna(axis="columns", how="all") if len(model_input.columns) > 2 else model_input
        return np.array([json.dumps([plain(model_input), plain(params)])])


class Message(pydantic.BaseModel):
    role: str
    n: int = 1
    tags: list[str]
    score: float | None = None


class Alone(pydantic.BaseModel):
    text: str


def hinted(hint):
    """A model whose signature is its type hint."""

    class Hinted(PythonModel):
        def predict(self, model_input: hint) -> list[str]:
            return [json.dumps(plain(item)) for item in model_input]

    return Hinted()


def answering(answer):
    """A model that always says this."""

    class Answering(PythonModel):
        def predict(self, context, model_input, params=None):
            return answer

    return Answering()


class Chat(ChatModel):
    def predict(self, context, messages, params):
        from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage

        said = ChatMessage(role="assistant", content=messages[0].content.upper())
        return ChatCompletionResponse(choices=[ChatChoice(index=0, message=said)], created=0, id="1", model="m")


def agent():
    """A ResponsesAgent, which MLflow 2 has not."""
    from mlflow.pyfunc.model import ResponsesAgent
    from mlflow.types.responses import ResponsesAgentResponse

    class Agent(ResponsesAgent):
        def predict(self, request):
            item = self.create_text_output_item(request.input[0].content.upper(), "1")
            return ResponsesAgentResponse(output=[item], created_at=0)

    return Agent()


def columns(*specs):
    return ModelSignature(inputs=Schema(list(specs)), outputs=TEXT)


class Zoo:
    """Saves models; keeps what pyfunc says to the first row."""

    def __init__(self, folder):
        self.folder, self.expected = folder, {}

    def add(self, name, model, example=None, signature=None, *, params=None, v2="", saver=mlflow.pyfunc, **more):
        where = self.folder / name
        key = {mlflow.pyfunc: "python_model", mlflow.sklearn: "sk_model", mlflow.xgboost: "xgb_model"}.get(saver)
        given = {key or "lgb_model": model, "signature": signature, "pip_requirements": ["mlflow"], **more}
        if example is not None:
            given["input_example"] = example if params is None else (example, params)
        saver.save_model(path=str(where), **given)
        settings = {"name": name, "implementation": "mlserver_mlflow.MLflowRuntime", "parameters": {"uri": "."}}
        (where / "model-settings.json").write_text(json.dumps(settings))
        answer = None
        if example is not None:
            loaded = mlflow.pyfunc.load_model(str(where))
            said = loaded.predict(_first(example), params=params) if params else loaded.predict(_first(example))
            answer = _answer(said)
        self.expected[name] = {"answer": answer, "v2": v2}


def _first(example):
    if isinstance(example, (pd.DataFrame, np.ndarray)):
        return example[:1]
    if isinstance(example, list):
        return example[:1]
    if isinstance(example, dict) and all(isinstance(value, np.ndarray) for value in example.values()):
        return {name: value[:1] for name, value in example.items()}
    return example


def _answer(said):
    """As m2g.smoke.compare reads it: columns by name, or one without."""
    if isinstance(said, pd.DataFrame):
        return {str(name): [_cell(cell) for cell in said[name]] for name in said.columns}
    if isinstance(said, dict):
        return {name: _answer(value) for name, value in said.items()}
    return json.loads(json.dumps(said.tolist() if hasattr(said, "tolist") else said, default=_cell))


def _cell(cell):
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    return cell.item() if hasattr(cell, "item") else cell


FRAME = pd.DataFrame(
    {
        "b": [True, False],
        "i": np.array([-7, 2], dtype=np.int32),
        "l": [2**53 + 1, 3],
        "f": np.array([0.1, 0.5], dtype=np.float32),
        "d": [1e300, 0.25],
        "s": ['ж"\n\t\u202e', ""],
        "x": [b"\x00\xff", b"a"],
        "t": pd.to_datetime(["2026-01-01T10:20:30.123456", "2026-01-02T00:00:00.000001"]),
    }
)


def tables(zoo):
    """Columns."""
    zoo.add("scalars", Mirror(), FRAME, infer_signature(FRAME, np.array(["a"])))
    nested = pd.DataFrame(
        {"a": [[1.0, 2.0]], "o": [{"k": "v", "n": 1, "in": {"z": [True]}}], "n": [[["a"], ["b", "c"]]]}
    )
    zoo.add("nested", Mirror(), nested, infer_signature(nested, np.array(["a"])))
    typed = columns(
        ColSpec(Map(DataType.double), "m"),
        ColSpec(AnyType(), "y"),
        ColSpec(Object([Property("a: b}", DataType.long), Property("c", DataType.string, required=False)]), "o"),
    )
    zoo.add("map-any", Mirror(), pd.DataFrame({"m": [{"a": 1.0}], "y": [{"q": [1, "a"]}], "o": [{"a: b}": 1}]}), typed)
    optional = columns(
        ColSpec("double", "a"),
        ColSpec("double", "b", required=False),
        ColSpec("string", "c", required=False),
        ColSpec("long", "n", required=False),
        ColSpec("datetime", "t", required=False),
    )
    zoo.add("optional", Mirror(), pd.DataFrame({"a": [1.0], "b": [None], "n": [3]}), optional)
    zoo.add(
        "null",
        Mirror(),
        pd.DataFrame({"a": [np.nan], "s": [None]}),
        columns(ColSpec("double", "a"), ColSpec("string", "s")),
    )
    zoo.add(
        "unnamed", Mirror(), pd.DataFrame([[1.0, "a"]]), columns(ColSpec("double"), ColSpec("string")), v2="unnamed"
    )
    zoo.add("no-signature", Mirror(), pd.DataFrame({"a": [1.5], "n": [2], "s": ["x"]}), False)
    odd = pd.DataFrame({"it's; $(rm)": [1.0], '"ж"\n': [2.0], "content_type": ["x"], "id": [3.0]})
    zoo.add("odd-names", Mirror(), odd, infer_signature(odd, np.array(["a"])))
    wide = pd.DataFrame({f"c{n}": [float(n)] for n in range(1000)})
    zoo.add("wide", Mirror(), wide, infer_signature(wide, np.array(["a"])))
    given = [
        ParamSpec("k", "double", 0.5),
        ParamSpec("i", "integer", 7),
        ParamSpec("f", "float", 0.5),
        ParamSpec("mode", "string", "a"),
        ParamSpec("flags", "long", [1, 2], (-1,)),
        ParamSpec("on", "boolean", True),
        ParamSpec("nothing", "string", None),
        ParamSpec("when", "datetime", np.datetime64("2026-01-01")),
        ParamSpec("o", Object([Property("z", DataType.long)]), {"z": 1}),
    ]
    signature = ModelSignature(Schema([ColSpec("double", "x")]), TEXT, ParamSchema(given))
    zoo.add("params", Mirror(), pd.DataFrame({"x": [1.0]}), signature, params={"k": 0.75, "mode": "b"})


def tensors(zoo):
    """Arrays."""
    for dtype in "float64 float32 float16 int64 int32 uint8 uint64 bool str object".split():
        array = np.arange(8).reshape(2, 4).astype(dtype)
        v2 = NOT_BY_V2 if dtype == "object" else ""
        zoo.add(f"tensor-{dtype}", Mirror(), array, infer_signature(array, np.array(["a"])), v2=v2)
    array = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    zoo.add("tensor-4d", Mirror(), array, infer_signature(array, np.array(["a"])))
    zoo.add("tensor-1d", Mirror(), np.arange(2.0), infer_signature(np.arange(2.0), np.array(["a"])))
    named = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2])}
    zoo.add("tensors", Mirror(), named, infer_signature(named, np.array(["a"])))
    batch = ModelSignature(Schema([TensorSpec(np.dtype("float64"), (2, 3))]), TEXT)
    zoo.add("tensor-batch", Mirror(), None, batch)
    zoo.add("tensor-no-signature", Mirror(), np.arange(6.0).reshape(2, 3), False)
    when = ModelSignature(Schema([TensorSpec(np.dtype("datetime64[ns]"), (-1,))]), TEXT)
    zoo.add("tensor-time", Mirror(), None, when, v2=NOT_BY_V2)


def hints(zoo):
    """Signatures that are type hints."""
    examples = {
        "str": (list[str], ["a", "b"]),
        "int": (list[int], [1, 2]),
        "float": (list[float], [1.5]),
        "bool": (list[bool], [True]),
        "bytes": (list[bytes], [b"\xff"]),
        "time": (list[datetime.datetime], [datetime.datetime(2026, 1, 1, 10)]),
        "list": (list[list[float]], [[1.0, 2.0]]),
        "map": (list[dict[str, float]], [{"a": 1.0}]),
        "object": (list[Message], [Message(role="user", tags=["x"])]),
        "alone": (list[Alone], [Alone(text="a")]),
        "map-of-objects": (list[dict[str, list[Message]]], [{"k": [Message(role="r", tags=[])]}]),
    }
    for name, (hint, example) in examples.items():
        zoo.add(f"hint-{name}", hinted(hint), example)


def answers(zoo):
    """What comes back."""
    rows = pd.DataFrame({"x": [1.0]})
    given = {
        "array": (np.array([1.5]), ""),
        "array-2d": (np.array([[1.5, 2.5]]), ""),
        "labels": (np.array(["red"]), ""),
        "frame": (pd.DataFrame({"p": [0.5], "n": [1], "ok": [True], "s": ["a"], "e": [[1.0, 2.0]]}), ""),
        "texts": (["a"], ""),
        "arrays": ({"a": np.array([1.0]), "b": np.array([2])}, ""),
        "time": (pd.DataFrame({"ds": pd.to_datetime(["2026-01-01"]), "y": [1.0]}), NOT_BY_V2),
        "series": (pd.Series([1.5]), NOT_BY_V2),
        "numbers": ([1.5], NOT_BY_V2),
    }
    for name, (answer, v2) in given.items():
        zoo.add(f"answers-{name}", answering(answer), rows, infer_signature(rows, answer), v2=v2)
    zoo.add("answers-unsaid", answering(np.array([1.5])), rows, infer_signature(rows), v2=NOT_BY_V2)
    zoo.add("chat", Chat(), {"messages": [{"role": "user", "content": "hi"}]}, v2=NOT_BY_V2)
    zoo.add("agent", agent(), {"input": [{"role": "user", "content": "hi"}]}, v2=NOT_BY_V2)


def libraries(zoo):
    """Models that people train."""
    import lightgbm
    import sklearn.compose
    import sklearn.datasets
    import sklearn.linear_model
    import sklearn.pipeline
    import sklearn.preprocessing
    import xgboost

    data, target = sklearn.datasets.load_wine(return_X_y=True, as_frame=True)
    array = data.to_numpy()
    net = sklearn.linear_model.ElasticNet().fit(array, target)
    zoo.add("wine", net, array[:2], infer_signature(array, net.predict(array)), saver=mlflow.sklearn)
    net = sklearn.linear_model.ElasticNet().fit(data, target)
    zoo.add("wine-frame", net, data[:2], infer_signature(data, net.predict(data)), saver=mlflow.sklearn)
    signature = infer_signature(data, np.zeros((1, 3)))
    sure = sklearn.linear_model.LogisticRegression(max_iter=50).fit(data, target)
    zoo.add("wine-sure", sure, data[:2], signature, saver=mlflow.sklearn, pyfunc_predict_fn="predict_proba")
    rows = pd.DataFrame({"colour": ["red", "white", "red", "rosé"], "alcohol": [12.0, 13.5, 11.0, 12.5]})
    step = [("colour", sklearn.preprocessing.OneHotEncoder(handle_unknown="ignore"), ["colour"])]
    words = sklearn.pipeline.make_pipeline(
        sklearn.compose.ColumnTransformer(step, remainder="passthrough"), sklearn.linear_model.LogisticRegression()
    ).fit(rows, ["good", "bad", "good", "bad"])
    signature = infer_signature(rows, words.predict(rows))
    zoo.add("words", words, rows[:1], signature, saver=mlflow.sklearn, serialization_format="cloudpickle")
    tree = xgboost.XGBClassifier(n_estimators=3).fit(data, target)
    zoo.add("xgb", tree, data[:1], infer_signature(data, tree.predict(data)), saver=mlflow.xgboost)
    booster = xgboost.train({}, xgboost.DMatrix(data, target), 3)
    zoo.add("booster", booster, data[:1], infer_signature(data, tree.predict_proba(data)[:, 0]), saver=mlflow.xgboost)
    leaf = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(data, target)
    zoo.add("lgb", leaf, data[:1], infer_signature(data, leaf.predict(data)), saver=mlflow.lightgbm)


def log(folder):
    zoo = Zoo(folder)
    for kinds in (tables, tensors, hints, answers, libraries):
        kinds(zoo)
    (folder / "expected.json").write_text(json.dumps(zoo.expected))


def serve(folder, port):
    import fastapi
    import uvicorn
    from mlflow.pyfunc import scoring_server

    app = fastapi.FastAPI()
    for kind in json.loads((folder / "expected.json").read_text()):
        model = mlflow.pyfunc.load_model(str(folder / kind))

        def pyfunc(body: dict, model=model):
            faulthandler.dump_traceback_later(40, exit=True)  # what hangs says where
            try:
                schema = model.metadata.get_input_schema()
                parsed = scoring_server._parse_json_data(json.dumps(body), model.metadata, schema)
                return {"answer": _answer(model.predict(parsed.data, params=parsed.params))}
            finally:
                faulthandler.cancel_dump_traceback_later()

        app.post(f"/{kind}/pyfunc")(pyfunc)
        app.mount(f"/{kind}", scoring_server.init(model))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    if sys.argv[1] == "log":
        log(Path(sys.argv[2]))
    else:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
