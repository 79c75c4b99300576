"""Other forms of a request: rows as CSV, and Python programs that ask by REST or gRPC."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Literal

from m2g.core.errors import InputError
from m2g.inference.type_parser import Json

Form = Literal["json", "csv", "python", "grpc"]
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Datatype to the field of InferTensorContents (Open Inference Protocol, grpc_predict_v2.proto)."""
_REST = '''\
# Ask {slug}: python ask.py. It needs Python alone.
import json
import os
import urllib.request

URL = os.environ.get("URL", "http://localhost:8080")  # of a forwarded port, or of the cluster's ingress
HOST = os.environ.get("HOST", "")  # the model's host name, at an ingress
BODY = r"""
{body}"""

headers = {{"Content-Type": "application/json", **({{"Host": HOST}} if HOST else {{}})}}
request = urllib.request.Request(URL + {path}, BODY.encode(), headers)
with urllib.request.urlopen(request, timeout=60) as answer:
    print(json.dumps(json.load(answer), indent=2))
'''
_GRPC = '''\
# Ask {slug} by gRPC: pip install 'tritonclient[grpc]', then python ask.py.
import os

import grpc
from google.protobuf import json_format
from tritonclient.grpc import service_pb2, service_pb2_grpc

ADDRESS = os.environ.get("ADDRESS", "localhost:9000")  # of a forwarded port: MLServer's gRPC port is 9000
BODY = r"""
{body}"""

request = json_format.Parse(BODY, service_pb2.ModelInferRequest())
with grpc.insecure_channel(ADDRESS) as channel:
    answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
print(json_format.MessageToJson(answer))
'''


def make_csv(body: str) -> str:
    """The rows of a body for /invocations, with a header. Raises InputError if it has none."""
    split = json.loads(body).get("dataframe_split", {})
    if "columns" not in split:
        raise InputError("the model takes no table with named columns, so no CSV", hint="remove --form csv")
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(split["columns"])
    rows.writerows([_cell(cell) for cell in row] for row in split["data"])
    return written.getvalue()


def _cell(value: Json) -> Json:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def make_script(slug: str, path: str, body: str) -> str:
    """A Python program that sends a JSON body by REST."""
    return _REST.format(slug=slug, path=json.dumps(path), body=body)


def make_grpc_script(slug: str, body: str) -> str:
    """A Python program that sends a v2 body by gRPC, in protobuf's JSON form.

    Raises InputError for a parameter or a datatype that gRPC cannot carry.
    """
    parsed = json.loads(body)
    message = {
        "model_name": slug,
        **_parameters(parsed),
        "inputs": [_input(one) for one in parsed["inputs"]],
    }
    return _GRPC.format(slug=slug, body=json.dumps(message, indent=2) + "\n")


def _input(one: Mapping[str, Json]) -> Json:
    datatype = str(one["datatype"])
    given = one.get("parameters")
    text_tensor = datatype == "BYTES" and isinstance(given, dict) and given.get("content_type") == "np"
    if datatype not in _CONTENTS or text_tensor:  # MLServer 1.7.1 makes bytes of a tensor of text, which MLflow refuses
        what = "a tensor of text" if text_tensor else f"the datatype {datatype}"
        raise InputError(f"gRPC cannot carry {what}", hint="ask by REST: remove --form grpc")
    contents: list[Json] = list(_flatten(one["data"]))
    if datatype == "BYTES":
        if None in contents:
            raise InputError("gRPC cannot carry a missing text", hint="ask by REST: remove --form grpc")
        contents = [base64.b64encode(_text(value).encode()).decode() for value in contents]
    made: dict[str, Json] = {"name": one["name"], "datatype": datatype, "shape": one["shape"]}
    numbers: list[Json] = ["NaN" if value is None else value for value in contents]
    return {**made, **_parameters(one), "contents": {_CONTENTS[datatype]: numbers}}


def _flatten(data: Json) -> Iterator[Json]:
    if isinstance(data, list):
        for part in data:
            yield from _flatten(part)
    else:
        yield data


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _parameters(part: Mapping[str, Json]) -> dict[str, Json]:
    given = part.get("parameters")
    if not isinstance(given, dict):
        return {}
    return {"parameters": {name: _parameter(name, value) for name, value in given.items()}}


def _parameter(name: str, value: Json) -> Json:
    match value:
        case bool():
            return {"bool_param": value}
        case int():
            return {"int64_param": value}
        case str():
            return {"string_param": value}
        case _:
            hint = "ask by REST: remove --form grpc"
            raise InputError(f"gRPC cannot carry the parameter {name[:80]}", hint=hint)
