"""Every kind of model: a real MLServer and MLflow's own server take its requests, and answer as pyfunc does."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from m2g import mlmodel
from m2g.core.config_types import Requests
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel
from m2g.core.stamp import stamp
from m2g.inference import Protocol, Request, drop_example, forms, make_request
from m2g.rendering.sample_request import make_sample
from m2g.smoke import compare
from tests.support import inference_servers
from tests.support.machine import seconds

pytestmark = pytest.mark.slow
FILES = ("MLmodel", "serving_input_example.json")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What signature_zoo.py knows: pyfunc's answer to the example's first row, and whether v2 can give one at all."""

    answer: compare.Json
    v2: str


@dataclasses.dataclass
class World:
    """The saved models and the servers that have them."""

    folder: Path
    kinds: Mapping[str, Kind]
    mlserver: str
    scoring: str
    loaded: dict[str, int] = dataclasses.field(default_factory=dict)

    def load(self, kind: str) -> int:
        """MLServer's status for loading this kind, which it is asked for once."""
        if kind not in self.loaded:
            self.loaded[kind], _ = inference_servers.post(f"{self.mlserver}/v2/repository/models/{kind}/load", "")
        return self.loaded[kind]

    def model(self, kind: str) -> Mlmodel:
        place = self.folder / kind
        return mlmodel.read({name: (place / name).read_bytes() for name in FILES if (place / name).is_file()})

    @functools.cached_property
    def asked(self) -> list[tuple[str, str, Mlmodel, compare.Json]]:
        """Kind, origin, model and what pyfunc says: with the example and without, as far as there is one."""
        found = []
        for kind, known in self.kinds.items():
            made = self.model(kind)
            if made.example:
                found.append((kind, "example", made, known.answer))
            if made.signature is not None:
                own = make_request(drop_example(made), "invocations")
                status, said = inference_servers.post(
                    f"{self.scoring}/{kind}/pyfunc", own.body, self.folder / "zoo.log"
                )
                assert status == 200, (kind, own.body[:2000], said)
                assert isinstance(said, dict)
                found.append((kind, "made up", drop_example(made), said["answer"]))
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("zoo")
    command = [str(inference_servers.BIN / "python"), str(inference_servers.ZOO), "log", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads((folder / "expected.json").read_text())
    kinds = {name: Kind(**known) for name, known in said.items()}
    with inference_servers.mlserver(folder) as mlserver, inference_servers.scoring(folder) as scoring:
        yield World(folder, kinds, mlserver, scoring)


def differences(expected: compare.Json, answer: object, *, v2: bool) -> list[str]:
    assert isinstance(answer, dict), answer
    read = compare.read_v2(answer) if v2 else compare.read_invocations(answer)
    return compare.find_differences(compare.to_columns(expected), read)


def test_mlserver_answers_as_pyfunc_or_the_note_says_why_not(world: World) -> None:
    wrong = []
    for kind, origin, made, expected in world.asked:
        loaded = world.load(kind)
        refused = world.kinds[kind].v2 == "note"
        asked = make_request(made, "v2")
        if refused != _warns(asked):
            wrong.append((kind, origin, f"the notes are {asked.notes}"))
        if refused and (loaded != 200 or not asked.body):
            continue
        status, answer = inference_servers.post(f"{world.mlserver}/v2/models/{kind}/infer", asked.body)
        if refused:
            wrong += [(kind, origin, "MLServer does answer")] if status == 200 else []
            continue
        found = [str(answer)] if status != 200 else differences(expected, answer, v2=True)
        if found:
            wrong.append((kind, origin, f"{loaded} {status} {found}\n{asked.body[:1500]}"))
    assert not wrong, "\n\n".join(" · ".join(item) for item in wrong)


def _warns(asked: Request) -> bool:
    return any("MLServer" in note for note in asked.notes)


def test_mlflow_s_scoring_server_answers_as_pyfunc(world: World) -> None:
    wrong = []
    for kind, origin, made, expected in world.asked:
        asked = make_request(made, "invocations")
        status, answer = inference_servers.post(f"{world.scoring}/{kind}/invocations", asked.body)
        if status == 200 and isinstance(answer, dict) and "predictions" not in answer:
            answer = {"predictions": answer}  # chat and agents: no envelope
        found = [str(answer)] if status != 200 else differences(expected, answer, v2=False)
        if found:
            wrong.append((kind, origin, f"{status} {found}\n{asked.body[:1500]}"))
    assert not wrong, "\n\n".join(" · ".join(item) for item in wrong)


@pytest.mark.parametrize("protocol", ["v2", "invocations"])
def test_the_file_in_requests_is_taken_as_it_lies_there(world: World, protocol: Protocol) -> None:
    """With m2g's mark in it; what has no place for the mark has no file."""
    sent, wrong = 0, []
    for kind, origin, made, expected in world.asked:
        file = make_sample(made, protocol, Requests())
        if protocol == "v2" and world.kinds[kind].v2 == "note":
            continue
        if not file.text:
            wrong += [] if file.known else [(kind, origin, "has no body")]
            continue
        path, prefix = ("infer", "/v2/models") if protocol == "v2" else ("invocations", "")
        base = world.mlserver if protocol == "v2" else world.scoring
        if protocol == "v2":
            world.load(kind)
        status, answer = inference_servers.post(f"{base}{prefix}/{kind}/{path}", stamp("prod.json", file.text).decode())
        found = [str(answer)] if status != 200 else differences(expected, answer, v2=protocol == "v2")
        wrong += [(kind, origin, f"{status} {found}")] if found else []
        sent += 1
    assert not wrong, "\n\n".join(" · ".join(item) for item in wrong)
    assert sent > len(world.kinds)


_RUN_ALL = """
import contextlib, io, json, runpy, sys
printed = []
for path in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            runpy.run_path(path)
        except Exception as error:
            print("failed:", str(error)[:500])
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def run_program(text: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A printed program, run by a Python that has tritonclient; the tests' own settings do not reach it."""
    command = [str(inference_servers.BIN / "python"), "-I", "-c", text, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=seconds(90), env={"PATH": "/usr/bin", **variables}
    )


@pytest.mark.parametrize("kind", ["scalars", "wine"])
def test_the_python_program_gets_the_answer(world: World, kind: str) -> None:
    assert world.load(kind) == 200
    body = make_request(world.model(kind), "v2").body
    done = run_program(forms.make_script(kind, f"/v2/models/{kind}/infer", body), URL=world.mlserver)
    assert done.returncode == 0, done.stderr
    assert not differences(world.kinds[kind].answer, json.loads(done.stdout), v2=True)


def test_the_grpc_program_gets_the_answer_of_every_kind(world: World) -> None:
    """All programs run in one process, because each import of gRPC takes a second."""
    port = json.loads((world.folder / "settings.json").read_text())["grpc_port"]
    programs: list[tuple[str, str, compare.Json, Path]] = []
    for kind, origin, made, expected in world.asked:
        body = make_request(made, "v2").body
        if world.kinds[kind].v2 == "note" or not body or world.load(kind) != 200:
            continue
        if kind == "answers-frame":  # MLServer 1.7.1 cuts a column of lists in an answer by gRPC
            continue
        path = world.folder / f"ask-{len(programs)}.py"
        try:
            path.write_text(forms.make_grpc_script(kind, body))
        except InputError as error:
            assert "gRPC cannot carry" in error.message
            continue
        programs.append((kind, origin, expected, path))
    paths = [str(path) for *_, path in programs]
    done = run_program(_RUN_ALL, *paths, ADDRESS=f"{inference_servers.HOST}:{port}")
    assert done.returncode == 0, done.stderr
    wrong = []
    for (kind, origin, expected, _), printed in zip(programs, json.loads(done.stdout), strict=True):
        try:
            outputs = [to_v2(one) for one in json.loads(printed)["outputs"]]
        except ValueError:
            wrong.append((kind, origin, printed))
            continue
        found = differences(expected, {"outputs": outputs}, v2=True)
        wrong += [(kind, origin, str(found))] if found else []
    assert not wrong, "\n\n".join(" · ".join(item) for item in wrong)
    assert len(programs) > 5


def to_v2(output: Mapping[str, Any]) -> dict[str, Any]:
    """An output in protobuf's JSON form as REST has it."""
    ((field, cells),) = (output.get("contents") or {"fp64Contents": []}).items()
    data: list[Any] = [int(cell) if field in ("int64Contents", "uint64Contents") else cell for cell in cells]
    if field == "bytesContents":
        data = [base64.b64decode(cell).decode() for cell in cells]
    return {"name": output["name"], "datatype": output["datatype"], "shape": output["shape"], "data": data}


def test_mlflow_models_serve_takes_the_body_too(world: World) -> None:
    (port,) = inference_servers.ports(1)
    url = f"http://{inference_servers.HOST}:{port}"
    serve = ["models", "serve", "--model-uri", str(world.folder / "scalars"), "--env-manager", "local"]
    command = [
        str(inference_servers.BIN / "python"),
        str(inference_servers.BIN / "mlflow"),
        *serve,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    with inference_servers.running(command, world.folder, f"{url}/ping"):
        status, answer = inference_servers.post(
            f"{url}/invocations", make_request(world.model("scalars"), "invocations").body
        )
    assert status == 200, answer
    assert not differences(world.kinds["scalars"].answer, answer, v2=False)


def test_the_tutorial_of_old_is_refused_and_ours_is_not(world: World) -> None:
    data = json.loads(make_request(world.model("wine"), "v2").body)["inputs"][0]["data"]
    old = {"inputs": [{"name": "input", "shape": [13], "datatype": "FP32", "data": data}]}
    infer = f"{world.mlserver}/v2/models/wine/infer"
    world.load("wine")
    assert inference_servers.post(infer, json.dumps(old))[0] == 500
    assert inference_servers.post(infer, make_request(world.model("wine"), "v2").body)[0] == 200
