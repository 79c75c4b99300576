"""What the tests of images stand on: an index of small wheels, a Dockerfile read back, a model that MLflow saved."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from tests.support.machine import seconds
from tests.support.paths import ROOT

UV = ROOT / ".tools/uv-venv/bin/uv"
SERVERS = ROOT / ".venv-mlserver"
TRAIN = """
import sys, warnings, logging
warnings.filterwarnings("ignore"); logging.disable(logging.WARNING)
import mlflow, sklearn.datasets, sklearn.linear_model
data, target = sklearn.datasets.load_wine(return_X_y=True, as_frame=True)
model = sklearn.linear_model.ElasticNet(random_state=0).fit(data, target)
signature = mlflow.models.infer_signature(data, model.predict(data))
mlflow.sklearn.save_model(model, sys.argv[1], signature=signature, input_example=data.head(1))
print(",".join(str(value) for value in data.iloc[0]), model.predict(data.head(1))[0], sep="\\n")
"""


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """A wheel of nothing, for an index in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as made:
        for path, text in {
            "METADATA": metadata,
            "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }.items():
            made.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{path}"), text)


class Instructions(msgspec.Struct, frozen=True):
    """A Dockerfile's last ENV, CMD and USER, and all its instructions."""

    env: dict[str, str]
    cmd: list[str]
    user: str
    names: list[str]


def instructions(text: str) -> Instructions:
    """Read a Dockerfile back, as far as ours go."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    found = [(name, rest) for name, _, rest in (line.strip().partition(" ") for line in whole) if name]
    said = dict(found)
    env = dict(pair.partition("=")[::2] for name, rest in found if name == "ENV" for pair in shlex.split(rest))
    return Instructions(env, json.loads(said["CMD"]), said["USER"], [name for name, _ in found])


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def started(command: Sequence[str], env: Mapping[str, str], folder: Path, ready: str) -> Iterator[None]:
    """A server in an environment's folder `bin`, until `ready` answers; stopped as Kubernetes does, by SIGTERM."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **env}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        deadline = time.monotonic() + seconds(120)
        while True:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(ready, timeout=seconds(2)).read()
                break
            time.sleep(0.3)
        yield
        os.kill(process.pid, signal.SIGTERM)
        process.wait(timeout=seconds(30))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=seconds(10))


def post(url: str, body: object) -> object:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=seconds(60)) as answer:
        return json.loads(answer.read())
