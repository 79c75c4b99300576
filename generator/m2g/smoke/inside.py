"""A script for the model's own environment, which has no m2g: what pyfunc says, and gRPC. One JSON object on stdout.

    python inside.py predict <model folder>   stdin: a body of MLflow's scoring server
    python inside.py grpc <host:port> <name> <times> <seconds>   stdin: a body of Open Inference

It has to run on Python 3.8. Everything that a model prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time


def plain(value):  # type: ignore[no-untyped-def] # whatever a model gives
    """A value of numpy or pandas as JSON."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if type(value).__name__ == "Series":
        return [plain(part) for part in value]
    if type(value).__name__ == "DataFrame":
        return {str(name): [plain(part) for part in value[name]] for name in value.columns}
    if hasattr(value, "todense"):
        return plain(value.todense())
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist") and getattr(value, "dtype", None) is not None and value.dtype.kind == "M":
        return [str(part) for part in value.ravel()]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set)):
        return [plain(part) for part in value]
    return str(value)


def predict(folder, body):  # type: ignore[no-untyped-def] # as above
    """What pyfunc says; the input is read as MLflow's own server reads it."""
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    began = time.perf_counter()
    model = mlflow.pyfunc.load_model(folder)
    loaded = time.perf_counter() - began
    parsed = json.loads(body)
    params = parsed.pop("params", None) or {}
    schema = model.metadata.get_input_schema()
    envelope = any(key in parsed for key in ("dataframe_split", "dataframe_records", "inputs", "instances"))
    data = scoring_server.infer_and_parse_data(json.dumps(parsed), schema) if envelope else parsed
    answer = model.predict(data, params=params) if params else model.predict(data)
    return {"loaded": loaded, "columns": plain(answer)}


def grpc(address, name, times, seconds, body):  # type: ignore[no-untyped-def] # as above
    """The first answer as REST would say it, and how long each took."""
    import grpc
    from mlserver.grpc import converters, dataplane_pb2_grpc
    from mlserver.types import InferenceRequest

    request = converters.ModelInferRequestConverter.from_types(InferenceRequest(**json.loads(body)), model_name=name)
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
            return {"problem": "{}: {}".format(error.code().name, str(error.details())[:2000]), "seconds": took}
    answer = converters.ModelInferResponseConverter.to_types(first)
    outputs = [{"name": part.name, "data": plain(list(part.data))} for part in answer.outputs]
    return {"answer": {"outputs": [_text(part) for part in outputs]}, "seconds": took}


def _text(output):  # type: ignore[no-untyped-def] # as above
    return output


def main() -> None:
    """Stdout is kept for the answer; the model's own prints go to stderr."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    body = sys.stdin.buffer.read().decode()
    if sys.argv[1] == "predict":
        said = predict(sys.argv[2], body)
    else:
        said = grpc(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), body)
    answer.write(json.dumps(said))
    answer.close()


if __name__ == "__main__":
    main()
