"""Builds, as the Dockerfile says it, the environment of each image profile from PyPI, and serves a model with it.

`make images` runs it and writes docs/reference/images-proved.md. It needs the network, uv, and a few minutes.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from m2g import mlmodel
from m2g.commands.image import ImageOptions, prepare
from m2g.core.setting_fields import Profile
from tests.support.fleet import FakeRegistry, release, repository, write_record
from tests.support.images import SERVERS, TRAIN, Instructions, free_port, instructions, post, started
from tests.support.paths import ROOT

PAGE = ROOT / "docs/reference/images-proved.md"
_CONFIG = 'version: 1\nregistry: {uri: "http://mlflow.test"}\nenvironments: {prod: {namespace: models}}\n'
_HEAD = """\
<!-- Written by `make images`; do not edit. -->
# Images, proved

For this test, `make images` saved a scikit-learn model with MLflow's defaults (skops, which the stock MLServer cannot
load) and let `m2g image` write the build context. It ran the Dockerfile's own `pip install` in a new environment of the
same Python, then its `CMD` with its `ENV`, and sent a request. It used no Docker engine, so the test does not cover the
base image and the user.

| profile | Python | packages locked | installed in | ready in | requests go to | equals pyfunc |
|---|---|---|---|---|---|---|
"""


class Proof(msgspec.Struct, frozen=True):
    """What one image did."""

    profile: str
    python: str
    packages: int
    installed: float
    ready: float
    asked: str
    equal: bool

    def row(self) -> str:
        equal = "yes" if self.equal else "no"
        times = f"{self.installed:.0f} s | {self.ready:.0f} s"
        return f"| `{self.profile}` | {self.python} | {self.packages} | {times} | `{self.asked}` | {equal} |\n"


def main() -> int:
    """Prove both; 1 where an answer is not pyfunc's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    page: Path = parser.parse_args().page
    with tempfile.TemporaryDirectory(prefix="m2g-images-") as name:
        proofs = [_prove(Path(name), profile) for profile in ("mlserver-image", "mlflow-image")]
    page.write_text(_HEAD + "".join(proof.row() for proof in proofs))
    return 0 if all(proof.equal for proof in proofs) else 1


def _prove(folder: Path, profile: Profile) -> Proof:
    place = folder / profile
    model = place / "model"
    place.mkdir()
    train = [str(SERVERS / "bin/python"), "-c", TRAIN, str(model)]
    *_, row, answer = subprocess.run(train, capture_output=True, text=True, check=True).stdout.splitlines()
    names = {path.name: path.read_bytes() for path in model.iterdir()}
    facts = msgspec.structs.replace(
        mlmodel.parse(names["MLmodel"]), requirements=tuple(names["requirements.txt"].decode().splitlines())
    )
    root = repository(place / "repository", _CONFIG)
    write_record(root, "wine", release(mlmodel=facts))
    options = ImageOptions(model="wine", environment="prod", profile=profile, model_dir=model, locked=True)
    prepare(root, options, place / "context", lambda _config: FakeRegistry())
    made = instructions((place / "context/Dockerfile").read_text())
    began = time.monotonic()
    _install(place)
    installed = time.monotonic() - began
    values = [float(part) for part in row.split(",")]
    signature = facts.signature
    columns = [field.name for field in (signature.inputs or ())] if signature else []
    serve = _mlserver if profile == "mlserver-image" else _mlflow
    ready, asked, found = serve(made, place, columns, values)
    return Proof(
        profile=profile,
        python=platform.python_version(),
        packages=(place / "context/requirements.txt").read_text().count("=="),
        installed=installed,
        ready=ready,
        asked=asked,
        equal=abs(found - float(answer)) < 1e-9,
    )


def _install(place: Path) -> None:
    """The Dockerfile's pip, word for word, in an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(place / "env")], check=True)
    text = (place / "context/Dockerfile").read_text().replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if line.startswith("RUN --mount"))
    words = line.split("python -m pip ", 1)[1].split()
    words[-1] = str(place / "context/requirements.txt")
    subprocess.run([str(place / "env/bin/python"), "-m", "pip", "--quiet", *words], check=True)


def _mlserver(made: Instructions, place: Path, columns: list[str], values: list[float]) -> tuple[float, str, float]:
    ports = {f"MLSERVER_{name}_PORT": str(free_port()) for name in ("HTTP", "GRPC", "METRICS")}
    given = {"MLSERVER_MODEL_NAME": "wine", "MLSERVER_MODEL_URI": str(place / "model"), "HOME": str(place)}
    (place / "empty").mkdir()
    command = [str(place / "env/bin" / made.cmd[0]), *made.cmd[1:-1], str(place / "empty")]
    url = f"http://127.0.0.1:{ports['MLSERVER_HTTP_PORT']}/v2/models/wine"
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
        for name, value in zip(columns, values, strict=True)
    ]
    ready, answer = _ask(command, made.env | ports | given, place, f"{url}/ready", (f"{url}/infer", {"inputs": inputs}))
    assert isinstance(answer, dict)
    return ready, "/v2/models/wine/infer", float(answer["outputs"][0]["data"][0])


def _mlflow(made: Instructions, place: Path, columns: list[str], values: list[float]) -> tuple[float, str, float]:
    port = free_port()
    command = [part.replace("--port 8080", f"--port {port}") for part in made.cmd]
    given = {"__pyfunc_model_path__": str(place / "context/model"), "HOME": str(place)}
    given["PATH"] = f"{place / 'env/bin'}:/usr/bin:/bin"
    url = f"http://127.0.0.1:{port}"
    body = {"dataframe_split": {"columns": columns, "data": [values]}}
    ready, answer = _ask(command, made.env | given, place, f"{url}/ping", (f"{url}/invocations", body))
    assert isinstance(answer, dict)
    return ready, "/invocations", float(answer["predictions"][0])


def _ask(
    command: list[str], env: Mapping[str, str], place: Path, probe: str, call: tuple[str, object]
) -> tuple[float, object]:
    began = time.monotonic()
    with started(command, env, place / "run", probe):
        return time.monotonic() - began, post(*call)


if __name__ == "__main__":
    sys.exit(main())
