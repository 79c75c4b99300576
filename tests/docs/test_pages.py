"""Tutorial and how-to pages do what they say: a reader follows each of them, block by block."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import ryaml

from tests.support.docs_pages import DOCS, PAGES, Block, blocks
from tests.support.docs_reader import Reader
from tests.support.mlflow_store import PYTHON3, Server
from tests.support.offline_index import make_index
from tests.support.paths import ROOT
from tests.support.smoke_runs import SERVERS

TUTORIAL = DOCS / "tutorial/first-repository.md"
YOUR_REGISTRY = DOCS / "tutorial/your-registry.md"
HOW_TO = sorted(DOCS.glob("how-to/*.md"))


class Done(msgspec.Struct, frozen=True):
    """Where the tutorial ends: its repository and its registry."""

    repository: Path
    registry: str

    def reset(self) -> None:
        """Point the aliases where the tutorial left them, and delete the models that a page registered."""
        import mlflow

        client = mlflow.MlflowClient(tracking_uri=self.registry, registry_uri=self.registry)
        for alias in ("champion", "challenger"):
            client.set_registered_model_alias("wine", alias, "2")
        for model in client.search_registered_models():
            if model.name != "wine":
                client.delete_registered_model(model.name)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory, kustomize: Path) -> Done:
    """The tutorial, followed once; every how-to page starts where it ends."""
    assert kustomize.is_file()
    reader = Reader(tmp_path_factory.mktemp("tutorial"), {})
    for block in blocks(TUTORIAL):
        reader.follow(block)
    return Done(repository=reader.folder, registry=reader.variables["MLFLOW_TRACKING_URI"])


@pytest.fixture
def reader(tutorial: Done, tmp_path: Path) -> Iterator[Reader]:
    """A reader in a repository such as the tutorial makes."""
    repository = tmp_path / "my-models"
    shutil.copytree(tutorial.repository, repository)
    yield Reader(repository, {"MLFLOW_TRACKING_URI": tutorial.registry})
    tutorial.reset()


@pytest.mark.slow
def test_the_tutorial(tutorial: Done) -> None:
    assert (tutorial.repository / "models/wine/releases/prod.json").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tutorial_of_ones_own_registry(tmp_path: Path, kustomize: Path) -> None:
    """A real server with twenty models that were logged with defaults, and an empty home."""
    assert kustomize.is_file()
    server = Server(PYTHON3).wait()
    variables = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    script = [str(SERVERS / "bin/python"), str(ROOT / "demo/fleet.py"), "--models", "20"]
    subprocess.run(script, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, check=True)
    (tmp_path / "reader").mkdir()
    index = make_index(tmp_path / "index")
    reader = Reader(tmp_path / "reader", {**variables, **index, "M2G_CACHE_DIR": str(tmp_path / "cache")})
    for block in blocks(YOUR_REGISTRY):
        reader.follow(block)
    assert (reader.folder / "models/energy-demand/overlays/prod/kustomization.yaml").is_file()
    server.stop()


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: str(page.stem))
@pytest.mark.slow
def test_a_how_to(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        reader.follow(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_blocks_are_what_they_are_called(page: Path) -> None:
    for block in blocks(page):
        _parse(block)


def _parse(block: Block) -> None:
    assert block.language, f"{block}: of what language?"
    if "no-test" in block.options:
        reason = block.before.startswith("<!-- no-test: ")
        assert reason or block.language == "text", f"{block}: say why in a comment above: <!-- no-test: … -->"
    elif block.language == "yaml":
        ryaml.loads(block.text)
    elif block.language == "python":
        compile(block.text, str(block), "exec")
    followed = block.page in (TUTORIAL, YOUR_REGISTRY) or block.page in HOW_TO
    assert followed or block.language != "sh" or "no-test" in block.options, f"{block}: no test runs this page"
