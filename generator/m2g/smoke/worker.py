"""A script that runs in the model's environment, where m2g is not installed: pyfunc's prediction, and gRPC requests.

    python worker.py predict <request> <answer> <model folder>                     request: for MLflow's scoring server
    python worker.py batch <rows> <answer> <model folder> <csv|json> <csv|json>    rows in one form, answer in the other
    python worker.py grpc <request> <answer> <host:port> <name> <times> <seconds>  request: Open Inference

It must run on Python 3.8. Request and answer are files, because a model may print anything to stdout.
"""

from __future__ import annotations

import base64
import io
import json
import math
import sys
import time
from typing import Any


def to_json(value: object) -> object:
    """A value of numpy or pandas as JSON."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): to_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [to_json(part) for part in value]
    return _convert_array(value)


def _convert_array(value: object) -> object:
    import pandas

    if isinstance(value, pandas.DataFrame):
        return {str(name): [to_json(part) for part in value[name]] for name in value.columns}
    if isinstance(value, pandas.Series):
        return [to_json(part) for part in value]
    if hasattr(value, "todense"):
        return to_json(value.todense())
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if hasattr(value, "dtype") and hasattr(value, "ravel") and value.dtype.kind == "M":
        return [str(part) for part in value.ravel()]
    return to_json(value.tolist()) if hasattr(value, "tolist") else str(value)


def predict(folder: str, body: str) -> object:
    """The prediction of pyfunc. The input is parsed as in MLflow's own server."""
    import mlflow.pyfunc

    began = time.perf_counter()
    model = mlflow.pyfunc.load_model(folder)
    loaded = time.perf_counter() - began
    return {"loaded": loaded, "columns": to_json(_predict_json(model, body))}


def batch(folder: str, rows: str, given: str, wanted: str) -> str:
    """The prediction for a file, as MLflow's own `mlflow models predict` reads and writes it; CSV has a header."""
    import mlflow.pyfunc
    import pandas
    from mlflow.pyfunc import scoring_server

    model = mlflow.pyfunc.load_model(folder)
    if given == "csv":
        answer = model.predict(scoring_server.parse_csv_input(io.StringIO(rows), model.metadata.get_input_schema()))
    else:
        answer = _predict_json(model, rows)
    if wanted == "csv":
        table = pandas.DataFrame(answer)
        if list(table.columns) == [0]:
            table.columns = ["prediction"]
        return str(table.to_csv(index=False))
    written = io.StringIO()
    write: Any = scoring_server.predictions_to_json
    write(answer, written)
    return written.getvalue() + "\n"


def _predict_json(model: Any, body: str) -> object:
    from mlflow.pyfunc import scoring_server

    parsed = json.loads(body)
    params = parsed.pop("params", None) or {}
    envelope = any(key in parsed for key in ("dataframe_split", "dataframe_records", "inputs", "instances"))
    schema = model.metadata.get_input_schema()
    # A model whose signature comes from type hints validates its input itself.
    hinted = getattr(model.metadata, "_is_signature_from_type_hint", bool)()
    if hinted and "inputs" in parsed:
        data = parsed["inputs"]
    else:
        data = scoring_server.infer_and_parse_data(parsed, schema) if envelope else parsed
    return model.predict(data, params=params) if params else model.predict(data)


def grpc(address: str, name: str, times: int, seconds: float, body: str) -> object:
    """The first answer in the form of REST, and how long each further request took."""
    import grpc
    from mlserver.grpc import converters, dataplane_pb2_grpc
    from mlserver.types import InferenceRequest

    parsed = json.loads(body)
    for part in parsed["inputs"]:
        part["data"] = _to_grpc(part["data"], part["datatype"])
    request = converters.ModelInferRequestConverter.from_types(InferenceRequest(**parsed), model_name=name)
    options = [("grpc.max_receive_message_length", 32 << 20), ("grpc.enable_http_proxy", 0)]
    took = []
    with grpc.insecure_channel(address, options=options) as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            first = stub.ModelInfer(request, timeout=seconds)
            for _ in range(times):
                began = time.perf_counter()
                stub.ModelInfer(request, timeout=seconds)
                took.append(time.perf_counter() - began)
        except grpc.RpcError as error:
            return {"problem": f"{error.code().name}: {str(error.details())[:2000]}", "seconds": took}
    answer = converters.ModelInferResponseConverter.to_types(first)
    outputs = [{"name": part.name, "data": [_from_grpc(cell) for cell in part.data]} for part in answer.outputs]
    return {"answer": {"outputs": outputs, "model_version": answer.model_version}, "seconds": took}


def _to_grpc(data: object, datatype: str) -> object:
    """Data as gRPC carries it: a flat list, text as bytes, null as NaN or as an empty text."""
    if isinstance(data, list):
        parts = [_to_grpc(part, datatype) for part in data]
        return [cell for part in parts for cell in (part if isinstance(part, list) else [part])]
    if datatype == "BYTES":
        return (data if isinstance(data, str) else "" if data is None else json.dumps(data)).encode()
    return math.nan if data is None else data


def _from_grpc(cell: object) -> object:
    """Text comes as bytes."""
    return cell.decode(errors="replace") if isinstance(cell, bytes) else to_json(cell)


def main() -> None:
    """Run the command. The answer file exists, and is the only one that this program may write."""
    what, request, answer, *rest = sys.argv[1:]
    with open(request, encoding="utf-8") as file:
        body = file.read()
    if what == "batch":
        text = batch(rest[0], body, rest[1], rest[2])
    else:
        text = json.dumps(predict(rest[0], body) if what == "predict" else _grpc(rest, body))
    with open(answer, "w", encoding="utf-8") as file:
        file.write(text)


def _grpc(rest: list[str], body: str) -> object:
    return grpc(rest[0], rest[1], int(rest[2]), float(rest[3]), body)


if __name__ == "__main__":
    main()
