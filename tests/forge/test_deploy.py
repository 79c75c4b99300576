"""What the containers of deploy/ run, one after the other, with what each may see: on a real MLflow and Gitea."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import M2G
from tests.support.deploy import build, list_containers, write_overlay
from tests.support.machine import seconds
from tests.support.serve_world import World

pytestmark = [pytest.mark.forge, pytest.mark.slow]


@pytest.mark.parametrize("form", ["cron", "split"])
def test_the_containers_open_a_pull_request(world: World, form: str, tmp_path: Path, kustomize: Path) -> None:
    (tmp_path / "overlay").mkdir()
    objects = build(write_overlay(tmp_path / "overlay", form), kustomize)
    values = {"REPOSITORY": world.repository.url, "MLFLOW_TRACKING_URI": str(world.registry.tracking_uri)}
    token = world.bot.limited("write:repository", "write:issue")
    secrets = {"m2g-forge": {"M2G_TOKEN": token}, "m2g-registry": {"MLFLOW_TRACKING_TOKEN": "a token"}}
    for container in list_containers(objects)[1]:
        clone = digest(tmp_path / "clone")
        run(container, values, secrets, tmp_path)
        if container["name"] == "resolve":
            assert digest(tmp_path / "clone") == clone
    (pull,) = world.pulls()
    assert pull["title"] == "wine (prod): version 1, new"


def run(container: dict[str, Any], values: dict[str, str], secrets: dict[str, dict[str, str]], folder: Path) -> None:
    """Run a container's command. Its volumes are folders."""
    given: dict[str, str] = {}
    for source in container["envFrom"]:
        given |= secrets[source["secretRef"]["name"]] if "secretRef" in source else values
    for one in container.get("env", ()):
        given[one["name"]] = one["value"] if "value" in one else values[one["valueFrom"]["configMapKeyRef"]["key"]]
    words = container["command"] if "command" in container else container["args"]
    places = {mount["mountPath"]: folder / mount["name"] for mount in container["volumeMounts"]}
    for place in places.values():
        place.mkdir(exist_ok=True)
    words = [re.sub(r"\$\((\w+)\)", lambda found: given[found[1]], word) for word in words]
    paths = "|".join(places)
    words = [re.sub(rf"(^| )({paths})/", lambda found: f"{found[1]}{places[found[2]]}/", word) for word in words]
    words = words if "command" in container else [*M2G, *words]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "M2G_"))}
    home = {"HOME": str(places["/tmp"]), "TMPDIR": str(places["/tmp"])} if "/tmp" in places else {"HOME": "/nowhere"}
    more = {"GIT_ALLOW_PROTOCOL": "file:http", "NO_PROXY": "*", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        words, cwd="/", env=own | home | more | given, capture_output=True, text=True, check=False, timeout=seconds(120)
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    assert secrets["m2g-forge"]["M2G_TOKEN"] not in done.stdout + done.stderr


def digest(folder: Path) -> str:
    """What is in a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(f"{path}\0".encode() + (path.read_bytes() if path.is_file() else b""))
    return found.hexdigest()
