"""Builds, pushes, records and starts the images of both profiles and of m2g itself, and looks into every layer.

`make images` runs it and writes docs/reference/images-proved.md. It needs the network, root, and ten minutes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from ruamel.yaml import YAML

from m2g.core.process.environment import NETWORK
from tests.support.containers import index
from tests.support.containers.build import Buildah, buildah
from tests.support.containers.registry import ASSETS, Registry, registry
from tests.support.containers.run import container
from tests.support.images import SERVERS, TRAIN, UV, free_port
from tests.support.paths import ROOT
from tests.support.programs import running
from tests.support.scaffolded import at, commit

PAGE = ROOT / "docs/reference/images-proved.md"
_USER = "builder"
_MODELS = {"wine-mlserver": "mlserver-image", "wine-mlflow": "mlflow-image"}
"""Slug → profile."""
_M2G = Path(sys.executable).with_name("m2g")
_REGISTER = """
import sys, mlflow
uri, folder, *names = sys.argv[1:]
client = mlflow.MlflowClient(uri, uri)
for name in names:
    client.create_registered_model(name)
    client.create_model_version(name, "file://" + folder)
    client.set_registered_model_alias(name, "champion", "1")
"""
_HEAD = """\
<!-- Written by `make images`; do not edit. -->
# Images, proved

For this test, `make images` registered a scikit-learn model in MLflow (in skops' format, which the stock MLServer
cannot load), once for each profile that needs an image, and did the steps of [Serve a container
image](../how-to/container-image.md): `m2g render`, `m2g image`, `buildah build --isolation chroot`, `buildah push` to a
registry, `m2g image --record`. The base image was Debian's Python 3.11, and the packages came from an index that wants
a password.

Then each image was pulled by the digest in the overlay. Its first process started as the image says, with no more
rights, a read-only file system except `/tmp`, and a network of its own. It was ready when the overlay's readiness probe
passed. `m2g smoke --url` compared its answer with pyfunc's.

| profile | packages | built in | layers | first process | ready in | m2g smoke --url | ended after SIGTERM |
|---|---|---|---|---|---|---|---|
"""
_TAIL = """
The image of m2g itself was built from [deploy/Dockerfile](../../deploy/Dockerfile) in {built:.0f} s and started in the
same way, as {who}. In a copy of the repository above, its `m2g render --locked --check` and `m2g validate` passed. It
has {versions}.

In all three images, every byte of the manifest, the configuration and each layer was searched. These were nowhere:
{words}.
"""
_CHECK = """\
set -e
m2g --version && git --version && kustomize version
cp -r /mnt/repository /tmp/repository && cd /tmp/repository
m2g render --locked --check && m2g validate
! touch /opt/m2g/x 2>/dev/null
sleep 1
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
        rows = [_prove(place, slug, profile) for slug, profile in _MODELS.items()]
        own = _prove_own(place)
    PAGE.write_text(_HEAD + "".join(rows) + _TAIL.format(words=", ".join(words), **own))
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


def _prove(place: Place, slug: str, profile: str) -> str:
    context, name = place.work / "build" / slug, f"{place.images.host}/models/{slug}"
    place.m2g("image", slug, "--env", "prod", "--output", context)
    built, digest = _build(place, f"models/{slug}", context)
    place.m2g("image", slug, "--env", "prod", "--output", context, "--record", f"{name}@{digest}")
    place.m2g("validate")
    overlay = _run(["kustomize", "build", f"models/{slug}/overlays/prod"], place.work / "repository", place.environment)
    (service,) = YAML(typ="safe", pure=True).load_all(overlay)
    model = at(service, "spec", "predictor", "model")
    assert at(model, "image") == f"{name}@{digest}"
    config = place.images.config(f"models/{slug}", digest)
    probe = at(model, "readinessProbe", "httpGet")
    url = f"http://127.0.0.1:{at(probe, 'port')}"
    given = {str(at(one, "name")): str(at(one, "value")) for one in msgspec.convert(at(model, "env"), list[object])}
    volumes = {place.work / "artifacts/wine": "/mnt/models"} if profile == "mlserver-image" else {}
    with (
        place.tool.files(f"{name}@{digest}") as files,
        container(files, config, env={**given, "MLSERVER_MODEL_NAME": slug}, volumes=volumes) as started,
    ):
        ready = started.wait(f"{url}{at(probe, 'path')}")
        asked: list[str | Path] = [
            _M2G,
            "smoke",
            slug,
            "--env",
            "prod",
            "--url",
            url,
            "--venv",
            SERVERS,
            "--requests",
            "3",
        ]
        if profile == "mlflow-image":
            asked.append("--any-version")  # MLflow's server does not name it
        done = started.inside(asked, place.work / "repository", place.environment)
        assert done.returncode == 0, done.stdout + done.stderr + started.log[-3000:]
        assert "equals pyfunc" in done.stdout, done.stdout
        who = started.owner()
        ended = started.stop()
    packages = (context / "requirements.txt").read_text().count("==")
    layers = len(place.images.layers(f"models/{slug}", digest))
    cells = (
        f"`{profile}`", packages, f"{built:.0f} s", layers, who, f"{ready:.0f} s", "equals pyfunc", f"{ended:.1f} s",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |\n"


def _build(place: Place, name: str, *arguments: str | Path) -> tuple[float, str]:
    """Build and push an image of which no byte is of this machine; the seconds, and the digest."""
    pip = place.work / "pip.conf"
    pip.write_text(f"[global]\nindex-url = {place.index.replace('//', f'//{_USER}:{place.secret}@')}\n")
    tag = f"{place.images.host}/{name}:1"
    began = time.monotonic()
    place.tool("build", "--tls-verify=false", "--secret", f"id=pip_conf,src={pip}", "--tag", tag, *arguments)
    built = time.monotonic() - began
    digest = place.tool.push(tag)
    assert place.images.find(name, digest, list(place.words.values())) == []
    return built, digest


def _prove_own(place: Place) -> dict[str, object]:
    """The image of m2g itself."""
    certificates = Path("/etc/ssl/certs")  # of this machine's authorities; Go modules come from outside
    options = ("--build-arg", f"BASE={place.base}", "--volume", f"{certificates}:{certificates}:ro")
    built, digest = _build(place, "m2g", *options, "--file", ROOT / "deploy/Dockerfile", ROOT)
    config = place.images.config("m2g", digest)
    assert config.command == ["m2g"]
    check = msgspec.structs.replace(config, command=["sh", "-c", _CHECK])
    with (
        place.tool.files(f"{place.images.host}/m2g@{digest}") as files,
        container(files, check, volumes={place.work / "repository": "/mnt/repository"}) as started,
    ):
        who = started.owner()
        code = started.end()
        assert code == 0, started.log
        versions = " · ".join(started.log.splitlines()[:3])
    return {"built": built, "who": who, "versions": versions}


def _run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
