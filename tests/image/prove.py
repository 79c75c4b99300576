"""Builds, pushes, records and starts the images of both profiles and of m2g itself, and looks into every layer.

`make images` runs it and writes tests/image/outcome.json, which docs/reference/images-proved.md shows. It needs the
network, root, and a quarter of an hour.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from docs._generate.images import OUTCOME, Outcome, Own, Served
from ruamel.yaml import YAML

from m2g.core.process.environment import NETWORK
from tests.support.apiserver.server import until
from tests.support.containers import index
from tests.support.containers.build import Buildah, buildah
from tests.support.containers.registry import ASSETS, Registry, registry
from tests.support.containers.run import container
from tests.support.images import SERVERS, TRAIN, UV, free_port
from tests.support.paths import ROOT
from tests.support.programs import running
from tests.support.scaffolded import at, commit, mapping

_USER = "builder"
_MODELS = {"wine-mlserver": "mlserver-image", "wine-mlflow": "mlflow-image"}
"""Slug → profile."""
_M2G = Path(sys.executable).with_name("m2g")
_PRESENT = "Debian GNU/Linux"
"""In the base image's files, so a search finds it."""
_REGISTER = """
import sys, mlflow
uri, folder, *names = sys.argv[1:]
client = mlflow.MlflowClient(uri, uri)
for name in names:
    client.create_registered_model(name)
    client.create_model_version(name, "file://" + folder)
    client.set_registered_model_alias(name, "champion", "1")
"""
_CHECK = """\
set -e
m2g --version && git --version && kustomize version
m2g render --locked --check && m2g validate
"""


class Place(msgspec.Struct, frozen=True):
    """What all steps use. `words` must be in no image: what they are → the text."""

    work: Path
    images: Registry
    tool: Buildah
    base: str
    index: str
    secret: str
    words: dict[str, str]

    def m2g(self, *arguments: str | Path) -> str:
        """What m2g prints, in the repository."""
        return _run([_M2G, *arguments], self.work / "repository", self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """A person's shell, with a private package index and its password where the how-to says."""
        tools = f"{ROOT / '.tools/bin'}:{Path(sys.executable).parent}"
        kept = {key: text for key, text in os.environ.items() if not key.startswith(("UV_", "PIP_"))}
        named = {"HOME": str(self.work / "home"), "UV_INDEX_URL": self.index, "M2G_UV": str(UV)}
        return kept | named | {"PATH": f"{tools}:{os.environ['PATH']}"}


def main() -> int:
    """Prove all; an assertion says what is wrong."""
    with tempfile.TemporaryDirectory(prefix="m2g-images-") as name, contextlib.ExitStack() as stack:
        work = Path(name)
        images, tool = stack.enter_context(registry()), stack.enter_context(buildah())
        secret = secrets.token_hex(16)
        address = stack.enter_context(_private_index(secret))
        digest = tool.push_base(f"{images.host}/base/python:3.11")
        words = {
            "the index's password": secret,
            "its address": address.split("/")[2],
            "the build's folder": str(work),
            "the checkout": str(ROOT),
        }
        place = Place(work, images, tool, f"{images.host}/base/python@{digest}", address, secret, words)
        _prepare(place)
        profiles = {profile: _prove(place, slug, profile) for slug, profile in _MODELS.items()}
        outcome = Outcome(absent=tuple(words), profiles=profiles, m2g=_prove_own(place))
    OUTCOME.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n")
    return 0


@contextlib.contextmanager
def _private_index(secret: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, index.__file__, str(port), _USER, secret, str(ASSETS / "wheels")]
    with running("index", command, **{name: os.environ[name] for name in NETWORK if name in os.environ}):
        yield f"http://127.0.0.1:{port}/simple"


def _prepare(place: Place) -> None:
    """An MLflow store with two models, and a rendered repository in which both wait for an image."""
    store, artifacts, home = f"sqlite:///{place.work}/mlflow.db", place.work / "artifacts", place.work / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {_USER} password {place.secret}\n")
    (home / ".netrc").chmod(0o600)
    (home / ".gitconfig").write_text("[user]\n  name = Ada\n  email = ada@example.com\n")
    python = str(SERVERS / "bin/python")
    _run([python, "-c", TRAIN, artifacts / "wine"], place.work, place.environment)
    _run([python, "-c", _REGISTER, store, artifacts / "wine", *_MODELS], place.work, place.environment)
    answers = {
        "tracking_uri": store,
        "artifact_root": artifacts.as_uri(),
        "image_registry": f"{place.images.host}/models",
        "environments": "prod",
    }
    data = [word for key, text in answers.items() for word in ("--data", f"{key}={text}")]
    root = place.work / "repository"
    _run([_M2G, "init", root, "--defaults", *data], place.work, place.environment)
    for slug, profile in _MODELS.items():
        (root / f"models/{slug}").mkdir(parents=True)
        (root / f"models/{slug}/model.yaml").write_text(f"settings: {{profile: {profile}}}\n")
    config = root / "m2g.yaml"
    text = config.read_text()
    assert text.count("  bases: {}") == 1, text
    config.write_text(text.replace("  bases: {}", f'  bases: {{"3.11": "{place.base}"}}'))
    commit(root, "scaffold")
    place.m2g("render")
    waiting = msgspec.json.decode(place.m2g("image", "--missing", "--format", "json"))["missing"]
    assert {one["slug"]: one["profile"] for one in waiting} == _MODELS


def _prove(place: Place, slug: str, profile: str) -> Served:
    context, name = place.work / "build" / slug, f"{place.images.host}/models/{slug}"
    place.m2g("image", slug, "--env", "prod", "--output", context)
    digest = _build(place, f"models/{slug}", context)
    place.m2g("image", slug, "--env", "prod", "--output", context, "--record", f"{name}@{digest}")
    place.m2g("validate")
    overlay = _run(["kustomize", "build", f"models/{slug}/overlays/prod"], place.work / "repository", place.environment)
    pod = _read_pod(overlay)
    assert at(pod, "image") == f"{name}@{digest}"
    config = place.images.config(f"models/{slug}", digest)
    probe = at(pod, "readinessProbe", "httpGet")
    url = f"http://127.0.0.1:{at(probe, 'port')}"
    given = {str(at(one, "name")): str(at(one, "value")) for one in msgspec.convert(at(pod, "env"), list[object])}
    volumes = {place.work / "artifacts/wine": "/mnt/models"} if profile == "mlserver-image" else {}
    with (
        place.tool.files(f"{name}@{digest}") as files,
        container(files, config, env=given, volumes=volumes) as started,
    ):
        ready = started.wait(f"{url}{at(probe, 'path')}")
        words = f"smoke {slug} --env prod --url {url} --requests 3 --venv".split()
        asked: list[str | Path] = [_M2G, *words, SERVERS]
        if profile == "mlflow-image":
            asked.append("--any-version")  # MLflow's server does not name it
        done = started.inside(asked, place.work / "repository", place.environment)
        assert done.returncode == 0, done.stdout + done.stderr + started.log[-3000:]
        assert "equals pyfunc" in done.stdout, done.stdout
        who = started.owner()
        ended = started.stop()
    return Served(
        packages=(context / "requirements.txt").read_text().count("=="),
        layers=len(place.images.layers(f"models/{slug}", digest)),
        first=who,
        smoke="equals pyfunc",
        ready=round(ready),
        ended=round(ended, 1),
    )


def _read_pod(overlay: str) -> dict[str, object]:
    """The container that KServe starts: of the ServingRuntime, if there is one, with what the service adds."""
    parts = []
    for one in YAML(typ="safe", pure=True).load_all(overlay):
        spec = mapping(one, "spec")
        spec = mapping(spec, "predictor") if "predictor" in spec else spec
        parts.append(mapping(spec, "model") if "model" in spec else mapping(spec, "containers", 0))
    merged = {key: value for part in parts for key, value in part.items()}
    return merged | {"env": [one for part in parts for one in msgspec.convert(part["env"], list[object])]}


def _build(place: Place, name: str, *arguments: str | Path) -> str:
    """Build and push an image of which no byte is of this machine; its digest."""
    pip = place.work / "pip.conf"
    pip.write_text(f"[global]\nindex-url = {place.index.replace('//', f'//{_USER}:{place.secret}@')}\n")
    tag = f"{place.images.host}/{name}:1"
    place.tool("build", "--tls-verify=false", "--secret", f"id=pip_conf,src={pip}", "--tag", tag, *arguments)
    digest = place.tool.push(tag)
    assert place.images.find(name, digest, [_PRESENT, *place.words.values()]) == [_PRESENT]
    return digest


def _prove_own(place: Place) -> Own:
    """The image of m2g itself."""
    certificates = Path("/etc/ssl/certs")  # of this machine's authorities; Go modules come from outside
    arguments = ("--build-arg", f"BASE={place.base}", "--build-arg", "VERSION=v9.8.7")
    volume = ("--volume", f"{certificates}:{certificates}:ro")
    digest = _build(place, "m2g", *arguments, *volume, "--file", ROOT / "deploy/Dockerfile", ROOT)
    config = place.images.config("m2g", digest)
    assert config.command == ["m2g"]
    repository = place.work / "repository-of-1000"
    shutil.copytree(place.work / "repository", repository, symlinks=True)
    _run(["chown", "--recursive", config.user, repository], place.work, place.environment)
    check = msgspec.structs.replace(config, command=["sh", "-c", _CHECK], folder="/repository")
    with (
        place.tool.files(f"{place.images.host}/m2g@{digest}") as files,
        container(files, check, volumes={repository: check.folder}) as started,
    ):
        until(lambda: bool(started.log), "the first line of m2g's container")
        who = started.owner()
        code = started.end()
        assert code == 0, started.log
        own, git, kustomize = started.log.splitlines()[:3]
    assert own == "m2g, version 9.8.7", own
    return Own(first=who, versions=f"{git} and kustomize {kustomize}")


def _run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
