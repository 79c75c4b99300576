"""A script for the model's own environment, which has no m2g: what pyfunc says, and questions by gRPC.

    python inside.py predict <body> <answer> <model folder>                     body: of MLflow's scoring server
    python inside.py grpc <body> <answer> <host:port> <name> <times> <seconds>  body: of Open Inference

It has to run on Python 3.8. Body and answer are files: a model may print what it likes.
"""

from __future__ import annotations

import base64
import json
import math
import os
import sys
import time


def plain(value: object) -> object:
    """A value of numpy or pandas as JSON."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(part) for part in value]
    return _foreign(value)


def _foreign(value: object) -> object:
    import pandas

    if isinstance(value, pandas.DataFrame):
        return {str(name): [plain(part) for part in value[name]] for name in value.columns}
    if isinstance(value, pandas.Series):
        return [plain(part) for part in value]
    if hasattr(value, "todense"):
        return plain(value.todense())
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if hasattr(value, "dtype") and hasattr(value, "ravel") and value.dtype.kind == "M":
        return [str(part) for part in value.ravel()]
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def predict(folder: str, body: str) -> object:
    """What pyfunc says; the input is read as MLflow's own server reads it."""
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    began = time.perf_counter()
    model = mlflow.pyfunc.load_model(folder)
    loaded = time.perf_counter() - began
    parsed = json.loads(body)
    params = parsed.pop("params", None) or {}
    envelope = any(key in parsed for key in ("dataframe_split", "dataframe_records", "inputs", "instances"))
    schema = model.metadata.get_input_schema()
    hinted = getattr(model.metadata, "_is_signature_from_type_hint", bool)()  # such a model checks its input itself
    if hinted and "inputs" in parsed:
        data = parsed["inputs"]
    else:
        data = scoring_server.infer_and_parse_data(parsed, schema) if envelope else parsed
    answer = model.predict(data, params=params) if params else model.predict(data)
    return {"loaded": loaded, "columns": plain(answer)}


def grpc(address: str, name: str, times: int, seconds: float, body: str) -> object:
    """The first answer as REST would say it, and how long each further one took."""
    import grpc
    from mlserver.grpc import converters, dataplane_pb2_grpc
    from mlserver.types import InferenceRequest

    question = json.loads(body)
    for part in question["inputs"]:
        part["data"] = _binary(part["data"], part["datatype"])
    request = converters.ModelInferRequestConverter.from_types(InferenceRequest(**question), model_name=name)
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
    outputs = [{"name": part.name, "data": [_text(cell) for cell in part.data]} for part in answer.outputs]
    return {"answer": {"outputs": outputs, "model_version": answer.model_version}, "seconds": took}


def _binary(data: object, datatype: str) -> object:
    """As gRPC carries it: a flat list, text as bytes, NaN for null. A null text has no place and becomes empty."""
    if isinstance(data, list):
        parts = [_binary(part, datatype) for part in data]
        return [cell for part in parts for cell in (part if isinstance(part, list) else [part])]
    if datatype == "BYTES":
        return (data if isinstance(data, str) else "" if data is None else json.dumps(data)).encode()
    return math.nan if data is None else data


def _text(cell: object) -> object:
    """gRPC carries text as bytes."""
    return cell.decode(errors="replace") if isinstance(cell, bytes) else plain(cell)


def main() -> None:
    """The answer is there only when it is whole."""
    what, question, answer, *rest = sys.argv[1:]
    with open(question, encoding="utf-8") as file:
        body = file.read()
    said = predict(rest[0], body) if what == "predict" else _asked(rest, body)
    with open(answer + ".part", "w", encoding="utf-8") as file:
        json.dump(said, file)
    os.replace(answer + ".part", answer)


def _asked(rest: list[str], body: str) -> object:
    return grpc(rest[0], rest[1], int(rest[2]), float(rest[3]), body)


if __name__ == "__main__":
    main()
