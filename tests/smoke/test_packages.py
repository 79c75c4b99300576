"""Whose packages a smoke test runs in: the cluster's runtime's, or the model's own; made by pip, from wheels here."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from m2g import mlmodel
from tests.support.fleet import CONFIG, release, write_record
from tests.support.machine import seconds
from tests.support.smoke_runs import SERVERS, models, smoke, wheels

pytestmark = pytest.mark.slow
QUICK = ("--requests", "2", "--rest-only", "--format", "json")
ALONE = ("--timeout", "1", "--format", "json")
"""Makes the environment and ends, since no server is ready that soon."""
UNREADY = re.compile("wine (was not ready within 1 s|does not load)")
FILES = ("MLmodel", "requirements.txt", "python_env.yaml", "serving_input_example.json")


@functools.cache
def versions() -> dict[str, str]:
    """What .venv-mlserver has."""
    names = ("mlflow", "pandas", "scikit_learn", "mlserver", "mlserver_mlflow")
    found = {name: next(SERVERS.glob(f"lib/python3*/site-packages/{name}-*.dist-info")).name for name in names}
    return {name: info.split("-")[1].removesuffix(".dist") for name, info in found.items()}


def runtime() -> dict[str, object]:
    """The runtime `mine`, with those packages."""
    packages = {name.replace("_", "-"): version for name, version in versions().items()}
    return {"name": "mine", "python": platform.python_version(), "packages": packages, "complete": True}


class World:
    """Saved models, wheels, a cache, and repositories whose models are served by the runtime `mine`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = models(folder / "models", "wine", "needs")
        self.wheels = wheels(folder / "wheels", **versions(), uvloop="0.21.0", cellar="1.0")
        self.cache = folder / "cache"

    def repository(self, place: Path, model: str, **changes: object) -> Path:
        """A repository with one record, and the runtime with these changes."""
        (place / "runtimes").mkdir(parents=True)
        (place / "m2g.yaml").write_text(CONFIG)
        (place / "runtimes/mine.json").write_text(json.dumps({**runtime(), **changes}))
        saved = self.models / model
        files = {name: (saved / name).read_bytes() for name in FILES if (saved / name).is_file()}
        write_record(place, model, release(model, version="7", mlmodel=mlmodel.read(files)))
        (place / f"models/{model}/model.yaml").write_text("settings: {runtime: mine}\n")
        return place

    def ask(self, repository: Path, model: str, *arguments: str) -> tuple[Mapping[str, Any], int, str]:
        """What `m2g smoke` of the record says, its exit code, and its talk."""
        place = ("-C", str(repository))
        options = (
            "--env",
            "prod",
            "--model-dir",
            str(self.models / model),
            "--pass-path",
            str(SERVERS),
            *QUICK,
            *arguments,
        )
        done = smoke(model, *options, cache=self.cache, place=place, PIP_FIND_LINKS=str(self.wheels))
        assert done.stdout, done.stderr
        return json.loads(done.stdout)["tests"][0], done.returncode, done.stderr


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("packages"))


def test_what_the_runtime_has_serves_and_the_gate_says_so(world: World, tmp_path: Path) -> None:
    packages = {**versions(), "skops": ""}  # which the model does not require by name
    root = world.repository(tmp_path / "repository", "wine", packages=packages)
    found, code, talk = world.ask(root, "wine")
    assert code == 0, (found, talk)
    assert (found["packages"], found["runtime"], found["gate"], found["profile"]) == (
        "runtime",
        "mine",
        "serves",
        "mlserver",
    )
    assert found["python"] == platform.python_version()
    assert not [note for note in found["notes"] if "gate" in note]
    assert "building the environment of wine" in talk


def test_what_the_runtime_lacks_is_not_there_and_fails_as_in_the_cluster(world: World, tmp_path: Path) -> None:
    root = world.repository(tmp_path / "repository", "needs")
    found, code, _ = world.ask(root, "needs")
    assert code == 1
    assert "No module named 'cellar'" in found["problem"]
    assert (found["packages"], found["gate"]) == ("runtime", "fails")
    assert "mine lacks cellar, which the model requires: not installed here either" in found["notes"]
    assert "the gate says the same: it requires cellar, which mine does not have" in found["notes"]
    assert "mlserver-image" in found["hint"]
    found, code, _ = world.ask(root, "needs", "--packages", "model")
    assert code == 0, found
    assert found["packages"] == "model"
    assert "the gate says that mine does not load it: it requires cellar, which mine does not have" in (found["notes"])


def test_a_python_that_is_not_here_is_said(world: World, tmp_path: Path) -> None:
    root = world.repository(tmp_path / "repository", "needs", python="3.99.1")
    found, code, _ = world.ask(root, "needs")
    assert code == 0, found
    assert found["packages"] == "model"
    assert found["notes"][0].startswith(
        "mine has Python 3.99, which is not on this machine: m2g used the packages that the model"
    )
    found, code, _ = world.ask(root, "needs", "--packages", "runtime")
    assert code == 2
    assert found["problem"] == "needs: mine has Python 3.99, which is not on this machine"
    assert "uv python install 3.99" in found["hint"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": ""}, "the description of mine does not say its Python version"),
        ({"packages": {"mlflow": "3.17.0"}}, "mine does not have MLServer"),
        ({"name": "other"}, "the runtime mine is not described"),
    ],
)
def test_a_runtime_that_cannot_be_had_is_refused_where_it_is_wished(
    world: World, tmp_path: Path, changes: Mapping[str, object], words: str
) -> None:
    root = world.repository(tmp_path / "repository", "wine", **changes)
    found, code, _ = world.ask(root, "wine", "--packages", "runtime")
    assert code == 2
    assert found["problem"] == f"wine: {words}"
    assert found["hint"]


def test_versions_that_no_index_has_are_told_with_the_way_out(world: World, tmp_path: Path) -> None:
    packages = {**versions(), "pandas": "1.0.99", "skops": ""}
    root = world.repository(tmp_path / "repository", "wine", packages=packages)
    found, code, _ = world.ask(root, "wine")
    assert code == 2
    assert "in the versions of mine" in found["problem"]
    assert "--packages model" in found["hint"]
    assert not list((world.cache / "environments").glob("*.constraints.txt"))


def test_two_runs_that_need_the_same_environment_make_it_once_and_old_ones_go(world: World, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    environments = cache / "environments"
    names = [f"{number:020d}" for number in range(9)]
    for age, name in enumerate(names):  # the first was used last
        (environments / name).mkdir(parents=True)
        (environments / f"{name}.seal").touch()
        os.utime(environments / f"{name}.seal", (1_700_000_000 - age,) * 2)
    command = ["m2g", "smoke", "--model-dir", str(world.models / "wine"), *ALONE]
    variables = {**os.environ, "M2G_CACHE_DIR": str(cache), "PIP_FIND_LINKS": str(world.wheels), "M2G_UV": "/none"}
    held = os.open(environments / f"{names[-1]}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_SH)  # somebody is serving by the oldest
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=seconds(120)) for process in both]
    os.close(held)
    assert [process.returncode for process in both] == [1, 1], said
    assert all(UNREADY.search(told) for told, _ in said)
    talk = "".join(error for _, error in said)
    assert talk.count("building the environment of wine") == 1
    assert talk.count("another m2g builds this environment; waiting until it is done …") >= 1
    left = {path.name for path in environments.iterdir() if path.with_name(f"{path.name}.seal").is_file()}
    assert len(left & set(names)) == 8
    assert names[-1] in left
    assert names[-2] not in left


def test_a_killed_run_leaves_no_environment_that_counts(world: World, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    command = ["m2g", "smoke", "--model-dir", str(world.models / "wine"), *ALONE]
    variables = {**os.environ, "M2G_CACHE_DIR": str(cache), "PIP_FIND_LINKS": str(world.wheels), "M2G_UV": "/none"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=variables)
    deadline = time.monotonic() + seconds(60)
    while not list(cache.glob("environments/*/bin")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not list(cache.glob("environments/*.seal"))
    done = smoke(*command[2:], cache=cache, PIP_FIND_LINKS=str(world.wheels))
    assert UNREADY.search(done.stdout), done.stdout + done.stderr
    assert len(list(cache.glob("environments/*.seal"))) == 1


def test_a_repository_that_must_be_mended_is_told_with_file_and_reason(world: World, tmp_path: Path) -> None:
    root = world.repository(tmp_path / "repository", "wine")
    (root / "models/wine/model.yaml").write_text("setings: {}\n")
    done = smoke("wine", "--env", "prod", place=("-C", str(root)))
    assert done.returncode == 2
    assert "invalid files: models/wine/model.yaml:1: " in done.stderr
    assert "setings" in done.stderr


def test_environment_and_packages_contradict_each_other(world: World) -> None:
    done = smoke("--model-dir", str(world.models / "wine"), "--venv", sys.prefix, "--packages", "model")
    assert done.returncode == 2
    assert "--venv and --packages exclude each other" in done.stderr
