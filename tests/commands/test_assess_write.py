"""`m2g assess --write`: after it, what render does is what assess says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.assess import assess, assess_and_write
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.model import ModelVersion, RegisteredModel
from m2g.core.results import Assessment
from m2g.repository import config
from tests.commands.test_assess import Kinds
from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run, tree

COMMENTED = f"""\
# ours
{CONFIG}storage:
  allow: ["s3://mlflow/"]  # nothing else
"""


class Proxied(FakeRegistry):
    """A server that proxies its files, and signs URLs of a bucket."""

    def __init__(self, names: Sequence[str], root: str = "s3://mlflow/a/") -> None:
        super().__init__([model(name, champion="1") for name in names], last=1)
        self.root = root
        for name in names:
            source = f"mlflow-artifacts:/1/models/{len(name)}/artifacts"
            self.changes[name, "1"] = ModelVersion(name=name, version="1", source=source, created_at=len(name))

    def find_artifact_root(self, uri: str) -> str:
        assert uri.startswith("mlflow-artifacts:/")
        return self.root


def write(registry: FakeRegistry, root: Path, *, known: bool = True) -> Assessment:
    """`m2g assess --write` in a repository, or in a folder that is none."""
    return assess_and_write(
        root if known else None,
        root,
        lambda place: assess(place, (), open_registry=lambda _: registry),
    )


def check_render(registry: FakeRegistry, root: Path, said: Assessment) -> None:
    """Render, and compare with what assess says of every version that an environment wants."""
    environments = list(config.load(root).config.environments)  # type: ignore[union-attr]  # it is valid
    wanted = {(one.slug, name): one for one in said.versions for name in environments if name in one.wanted}
    outcome = run(root, registry)
    rendered = {(slug, name) for slug, name in wanted if (root / f"models/{slug}/releases/{name}.json").is_file()}
    broken = {key for key, one in wanted.items() if any(p.kind in ("storage", "slug") for p in one.problems)}
    assert rendered == {k for k, one in wanted.items() if one.outcome in ("serves", "unsure")} - broken
    waiting = {finding.model for finding in outcome.findings if finding.rule == "image-missing"}
    images = ("mlserver-image", "mlflow-image")
    assert waiting == {one.model for key, one in wanted.items() if one.outcome in images and key not in broken}
    report = validate(root, ValidateOptions())
    assert [finding for finding in report.findings if finding.severity == "error"] == []


@pytest.mark.usefixtures("kustomize")
def test_each_kind_after_it(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), Kinds()
    said = write(registry, root)
    check_render(registry, root, said)
    assert write(registry, root).written == ()


@pytest.mark.usefixtures("kustomize")
def test_the_bucket_that_the_server_signs_for_is_written_and_comments_stay(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r", COMMENTED), Proxied(["wine"])
    assert [one.to for one in assess(root, (), open_registry=lambda _: registry).rewrites] == ["s3://mlflow/a/"]
    said = write(registry, root)
    assert (said.written, said.rewrites) == (("m2g.yaml",), ())
    text = (root / "m2g.yaml").read_text()
    assert text.startswith("# ours\n")
    assert 'allow: ["s3://mlflow/"]  # nothing else\n' in text
    check_render(registry, root, said)
    assert "s3://mlflow/a/1/models/4/artifacts/" in (root / "models/wine/overlays/prod/patch.yaml").read_text()


@pytest.mark.usefixtures("kustomize")
def test_names_that_collide_get_slugs_and_the_model_with_a_record_keeps_its_own(tmp_path: Path) -> None:
    registry = FakeRegistry([model("b wine", champion="1")])
    root = repository(tmp_path / "r")
    run(root, registry)
    registry.known += [model("B wine", champion="1"), model("b-wine", champion="1")]
    said = write(registry, root)
    assert {one.model: one.slug for one in said.versions} == {
        "b wine": "b-wine",
        "B wine": "b-wine-2",
        "b-wine": "b-wine-3",
    }
    check_render(registry, root, said)


@pytest.mark.usefixtures("kustomize")
def test_without_a_repository_the_aliases_become_environments(tmp_path: Path) -> None:
    odd = RegisteredModel(name="beer", aliases={"champion": "1", "Not-A name": "1"})
    registry = FakeRegistry([model("wine", champion="2", challenger="3"), odd])
    said = write(registry, tmp_path, known=False)
    settings = config.load(tmp_path).config
    assert settings is not None
    assert {name: one.follow.alias for name, one in settings.environments.items()} == {
        "challenger": "challenger",
        "prod": "champion",
    }
    assert settings.registry.uri == "http://mlflow.test"
    check_render(registry, tmp_path, said)


def test_a_registry_without_aliases_gets_an_environment_to_start_with(tmp_path: Path) -> None:
    write(FakeRegistry([model("wine")]), tmp_path, known=False)
    settings = config.load(tmp_path).config
    assert settings is not None
    assert settings.environments["prod"].follow.alias == "champion"


def test_an_m2g_yaml_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "m2g.yaml").write_text("mine: 1\n")
    before = tree(tmp_path)
    with pytest.raises(InputError, match="already"):
        write(FakeRegistry([model("wine")]), tmp_path, known=False)
    assert tree(tmp_path) == before


@pytest.mark.attack
@pytest.mark.parametrize("name", ["a: b", "#x", "{{x}}", "yes", "1e3", "[x", "'", "ü" * 30])
def test_any_name_is_a_key_and_no_yaml(tmp_path: Path, name: str) -> None:
    registry = FakeRegistry([model(name, champion="1"), model(f"{name} ", champion="1")])
    root = repository(tmp_path / "r", COMMENTED)
    said = write(registry, root)
    settings = config.load(root)
    assert settings.config is not None
    assert not settings.findings
    slugs = {one.slug for one in said.versions}
    assert len(slugs) == 2
    assert set(settings.config.models.slugs) <= {name, f"{name} "}


@pytest.mark.attack
@pytest.mark.parametrize("root", ["s3://evil/", ""])
def test_a_hostile_server_gets_no_bucket_past_the_allow_list(tmp_path: Path, root: str) -> None:
    folder, registry = repository(tmp_path / "r", COMMENTED), Proxied(["wine"], root)
    said = write(registry, folder)
    assert [problem.kind for problem in said.versions[0].problems] == ["storage"]
    run(folder, registry, RenderOptions())
    assert not (folder / "models/wine/releases").exists()
