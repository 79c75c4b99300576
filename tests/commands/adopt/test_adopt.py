"""`m2g adopt`: twenty hand-written objects in different styles become models, or stay, with no field lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from m2g import kustomize
from m2g.changes.update import RenderOptions, update
from m2g.commands.adopt import AdoptOptions, adopt
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.manifest import Manifest, get_at, read_all
from m2g.core.model import ModelVersion
from m2g.core.results import AdoptedObject, Adoption
from m2g.rendering.adopt import find_losses, normalize
from m2g.serving.backends import find_backend
from tests.support.fleet import FakeRegistry, model, repository, tree

CONFIG = """\
version: 1
registry: {uri: "http://mlflow.test"}
environments:
  prod: {namespace: models-prod, follow: {alias: champion}}
sync: {argocd: {}, bounds: {backends: [kserve, seldon-core-1, seldon-core-2]}}
"""
NAMES = (
    *("plain", "settings", "odd-fields", "legacy", "new-format", "Fraud Detection", "older", "seldon-one", "core-two"),
    *("live", "with-canary", "bad"),
)
ADOPTED = (
    *("core-two", "legacy", "live", "new-format", "odd-fields", "older", "other-name", "plain", "seldon-one"),
    *("settings", "with-canary"),
)


class _Registry(FakeRegistry):
    """Each registered model has files of its own: version 3 is the champion, and `older` is served at version 2."""

    def _version(self, name: str, number: str) -> ModelVersion:
        source = f"s3://mlflow/{NAMES.index(name)}/m-{number}/artifacts"
        return ModelVersion(name=name, version=number, source=source, created_at=1, run_id=f"run-{number}")


def _registry() -> _Registry:
    return _Registry([model(name, champion="3") for name in NAMES])


def _manifests() -> str:
    text = (Path(__file__).parent / "manifests.yaml").read_text()
    for name in NAMES:
        number = "2" if name == "older" else "3"
        text = text.replace(f"{{{name}}}", f"s3://mlflow/{NAMES.index(name)}/m-{number}/artifacts")
    return text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = repository(tmp_path / "fleet", CONFIG)
    (tmp_path / "old").mkdir()
    (tmp_path / "old/all.yaml").write_text(_manifests())
    return root


def _adopt(root: Path, *, write: bool = False) -> Adoption:
    options = AdoptOptions(folder=root.parent, paths=("old",), write=write)
    return adopt(root, options, lambda _config: _registry())


def _find(result: Adoption, name: str) -> AdoptedObject:
    return next(one for one in result.objects if one.name == name)


def _originals() -> Iterator[Manifest]:
    for item in read_all(_manifests()):
        assert isinstance(item, dict)
        yield item


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Adoption]:
    """The repository after everything was adopted that can be."""
    folder = tmp_path_factory.mktemp("adopt")
    root = repository(folder / "fleet", CONFIG)
    (folder / "old").mkdir()
    (folder / "old/all.yaml").write_text(_manifests())
    return root, _adopt(root, write=True)


def test_a_dry_run_says_the_same_and_writes_nothing(root: Path, adopted: tuple[Path, Adoption]) -> None:
    before = tree(root)
    result = _adopt(root)
    assert not result.written
    assert result.objects == adopted[1].objects
    assert tree(root) == before


def test_what_a_version_serves_is_adopted(adopted: tuple[Path, Adoption]) -> None:
    _, result = adopted
    assert result.written
    assert sorted(one.name for one in result.objects if one.outcome == "adopted") == sorted(ADOPTED), [
        (one.name, one.reason) for one in result.objects if one.outcome != "adopted"
    ]


@pytest.mark.parametrize("name", ADOPTED)
def test_no_field_is_lost_in_what_is_built(adopted: tuple[Path, Adoption], name: str) -> None:
    root, _ = adopted
    original = next(item for item in _originals() if get_at(item, "metadata", "name") == name)
    backend = find_backend(original)
    assert backend is not None
    (built,) = kustomize.build_overlays(root, [f"models/{name}/overlays/prod"]).values()
    rendered = next(item for item in built.objects if find_backend(item) is backend)
    assert get_at(rendered, "metadata", "name") == name
    assert get_at(rendered, "metadata", "namespace") == "models-prod"
    assert find_losses(normalize(original), rendered, backend) == []


def test_the_fleet_is_valid_and_a_render_changes_nothing(adopted: tuple[Path, Adoption]) -> None:
    root, _ = adopted
    errors = {(one.model, one.rule) for one in validate(root, ValidateOptions()).findings if one.severity == "error"}
    # It was wrong before: KServe ignores that field in Standard mode.
    assert errors == {("with-canary", "canary-percent-mode")}
    changed = update(root, RenderOptions(), open_registry=lambda _config: _registry()).files
    assert {file.path.split("/")[1] for file in changed} == {"bad"}, "a model that nobody adopted"


def test_settings_say_what_settings_can_say(adopted: tuple[Path, Adoption]) -> None:
    root, result = adopted
    one = _find(result, "settings")
    assert one.patched == ()
    assert {text.partition(":")[0] for text in one.settings} >= {
        "minReplicas",
        "maxReplicas",
        "scaleMetric",
        "resources",
    }
    assert not (root / "models/settings/custom").exists()
    assert "priorityClassName" in " ".join(
        (*_find(result, "odd-fields").settings, *_find(result, "odd-fields").patched)
    )


def test_a_name_that_is_no_default_slug_is_kept_by_m2g_yaml(adopted: tuple[Path, Adoption]) -> None:
    root, result = adopted
    assert '"Fraud Detection": other-name' in (root / "m2g.yaml").read_text()
    assert _find(result, "other-name").model == "Fraud Detection"


def test_an_older_version_is_pinned_so_that_nothing_moves(adopted: tuple[Path, Adoption]) -> None:
    root, _ = adopted
    assert "version: 2" in (root / "models/older/model.yaml").read_text()
    assert (
        not (root / "models/plain/model.yaml").exists()
        or "version:" not in (root / "models/plain/model.yaml").read_text()
    )


@pytest.mark.parametrize(
    ("name", "outcome", "why"),
    [
        ("stranger", "kept", "no registered version is at gs://kfserving-examples"),
        ("custom-predictor", "kept", "no registered version is at no storage URI"),
        ("elsewhere", "kept", "no environment has the namespace another-team"),
        ("helm", "refused", "a Helm release owns it"),
        ("argo", "refused", "an Argo CD Application owns it"),
        ("twin", "kept", "another object is plain in prod already"),
        ("own-runtime", "kept", "it serves no model"),
        ("beside", "kept", "it serves no model"),
        ("Bad_Name", "kept", "cannot be a slug"),
    ],
)
def test_what_stays_says_why(adopted: tuple[Path, Adoption], name: str, outcome: str, why: str) -> None:
    one = _find(adopted[1], name)
    assert (one.outcome, why in one.reason) == (outcome, True), one.reason


def test_a_second_adoption_refuses_what_the_fleet_has(adopted: tuple[Path, Adoption]) -> None:
    root, _ = adopted
    result = _adopt(root)
    assert {one.outcome for one in result.objects} == {"kept", "refused"}
    assert "already" in _find(result, "plain").reason


def test_a_path_without_objects_is_refused(root: Path) -> None:
    (root.parent / "none").mkdir()
    with pytest.raises(InputError) as caught:
        adopt(root, AdoptOptions(folder=root.parent, paths=("none",)), lambda _config: _registry())
    assert "--from-cluster" in str(caught.value.hint)


@pytest.mark.attack
def test_a_symlink_leads_no_write_out_of_the_repository(root: Path) -> None:
    """A pull request may commit one. The other services are adopted."""
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "models/odd-fields").mkdir(parents=True)
    (root / "models/odd-fields/custom").symlink_to(outside)
    result = _adopt(root, write=True)
    refused = _find(result, "odd-fields")
    assert (refused.outcome, "symlink" in refused.reason) == ("refused", True)
    assert list(outside.iterdir()) == []
    assert _find(result, "plain").outcome == "adopted"
