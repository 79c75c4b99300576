"""The seam of serving backends: another one renders, builds, validates and is reviewed through every stage.

It differs from KServe in all that a stage could take for granted: two objects, no storage URI, another health check.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import ryaml

from m2g.changes.update import RenderOptions
from m2g.commands import request
from m2g.commands.diff import diff
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.manifest import Manifest, get_at
from m2g.core.results import RenderResult
from m2g.inference.curl import Endpoint
from m2g.rendering.backends import RENDERERS
from m2g.rendering.objects import Object, Renderer, ServedModel
from m2g.repository.state import Scope
from m2g.review import Risk
from m2g.serving.backend import Backend, Kind
from m2g.serving.backends import BACKENDS
from m2g.serving.spec import Serving, ServingChoice
from m2g.validation import origin
from m2g.validation.base import Against
from tests.support.fleet import FakeRegistry, model, repository, run, tree
from tests.support.git_repository import commit, start

_DEPLOYMENT, _SERVICE = Kind(group="apps", kind="Deployment"), Kind(group="", kind="Service")
CONFIG = """\
version: 1
registry: {uri: "http://mlflow.test"}
environments:
  dev: {namespace: models-dev, follow: {alias: challenger}}
  prod: {namespace: models-prod, follow: {alias: champion}, settings: {minReplicas: 2, maxReplicas: 4}}
defaults: {backend: plain}
sync: {argocd: {}, flux: {}, bounds: {backends: [plain, kserve]}}
"""


def _refused_update(before: Manifest, after: Manifest) -> str:
    place = ("spec", "selector")
    return "" if get_at(before, *place) == get_at(after, *place) else "spec.selector changed: it is immutable"


def _objects(slug: str, version: str, image: str, serving: Serving) -> dict[str, Object]:
    labels: Object = {"app": slug}
    container: Object = {"name": "model", "image": image, "resources": {"limits": dict(serving.limits)}}
    return {
        "deployment.yaml": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": slug, "labels": labels, "annotations": {"example.com/version": version}},
            "spec": {
                "replicas": serving.min_replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        "service.yaml": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": slug, "labels": labels},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80 + serving.min_replicas}]},
        },
    }


def _overlay(slug: str, subject: ServedModel, serving: Serving) -> dict[str, Object]:
    assert subject.release is not None
    return _objects(slug, subject.release.version, subject.image, serving)


PLAIN = Backend(
    name="plain",
    main=_DEPLOYMENT,
    writes=(_DEPLOYMENT, _SERVICE),
    settings={("spec", "replicas"): "minReplicas"},
    host_label=lambda slug, namespace: slug,
    choose=lambda release, serving, uri, runtimes: (
        ServingChoice(
            profile="mlflow-image",
            protocol="invocations",
            reason="every model has an image",
            image=f"registry.test/wine:{release.version}@sha256:{release.version:0>64}",
        ),
        [],
    ),
    reads_storage=lambda chosen: False,
    contradictions=lambda serving: iter(()),
    verdict=lambda item, overlay, release, kserve, runtimes: None,
    refused_update=_refused_update,
    health=lambda slug, namespace, serving: (
        {"apiVersion": "v1", "kind": "Endpoints", "name": slug, "namespace": namespace},
    ),
    ingress=lambda target, body: (),
    port_forward=lambda target, body: (f"kubectl port-forward -n {target.namespace} svc/{target.slug} 8080:80",),
)


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    """The second backend is known, as it would be by a line in each of the two registries."""
    BACKENDS[PLAIN.name] = PLAIN
    RENDERERS[PLAIN.name] = Renderer(
        base=lambda slug, name, serving: _objects(slug, "", "registry.test/none", serving), overlay=_overlay
    )
    yield
    del BACKENDS[PLAIN.name], RENDERERS[PLAIN.name]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(start(tmp_path / "fleet"), CONFIG)


def rendered(root: Path, version: str = "1") -> RenderResult:
    return run(root, FakeRegistry([model(champion=version, challenger="2")]))


def built(root: Path, path: str) -> object:
    return ryaml.loads((root / path).read_text())


def test_it_renders_two_patched_objects_and_its_own_health_check(root: Path) -> None:
    outcome = rendered(root)
    assert outcome.findings == ()
    assert {(served.profile, served.reason) for served in outcome.served} == {
        ("mlflow-image", "every model has an image")
    }
    folder = root / "models/wine"
    assert sorted(path.name for path in (folder / "base").iterdir()) == [
        "deployment.yaml",
        "kustomization.yaml",
        "service.yaml",
    ]
    overlay = built(root, "models/wine/overlays/prod/kustomization.yaml")
    assert get_at(overlay, "resources") == ["../../base"]
    assert get_at(overlay, "patches") == [
        {
            "path": "patch.yaml",
            "target": {"group": "apps", "version": "v1", "kind": "Deployment", "name": "wine"},
        },
        {"path": "patch-service.yaml", "target": {"version": "v1", "kind": "Service", "name": "wine"}},
    ]
    # What does not differ needs no patch.
    assert not (folder / "overlays/dev/patch-service.yaml").exists()
    flux = built(root, "fleet/prod/wine.yaml")
    assert get_at(flux, "spec", "healthChecks") == [
        {"apiVersion": "v1", "kind": "Endpoints", "name": "wine", "namespace": "models-prod"}
    ]
    assert run(root, FakeRegistry(), RenderOptions(locked=True, check=True)).files == ()


def test_it_builds_and_validates(root: Path) -> None:
    rendered(root)
    report = validate(root, ValidateOptions())
    assert report.findings == ()
    assert (report.checked.overlays, report.checked.objects) == (2, 4)


def test_validate_checks_its_objects_by_their_schema(root: Path) -> None:
    custom = root / "models/wine/custom/prod"
    custom.mkdir(parents=True)
    component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n"
    patch = '- patch: \'[{"op": "add", "path": "/spec/shards", "value": 2}]\'\n  target: {kind: Deployment}\n'
    (custom / "kustomization.yaml").write_text(component + patch)
    rendered(root)
    (finding,) = validate(root, ValidateOptions()).findings
    assert (finding.rule, finding.path, finding.line) == ("schema", "spec.shards", 4)
    assert finding.file == "models/wine/custom/prod/kustomization.yaml"


def test_a_place_of_its_object_leads_to_the_setting(root: Path) -> None:
    item: Manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "wine"}}
    source = origin.find_source(root, ("wine", "prod"), (), item, ("spec", "replicas"))
    assert source == origin.Source(file="m2g.yaml", line=5)


def test_a_component_that_deletes_its_main_object_is_found(root: Path) -> None:
    custom = root / "models/wine/custom/prod"
    custom.mkdir(parents=True)
    component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n"
    delete = (
        "- patch: |\n    $patch: delete\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: wine}\n"
    )
    (custom / "kustomization.yaml").write_text(component + delete)
    rendered(root)
    (finding,) = validate(root, ValidateOptions()).findings
    assert finding.rule == "service-missing"


def test_policies_without_kinds_are_about_its_main_object(root: Path) -> None:
    rendered(root)
    (root / "policies").mkdir()
    (root / "policies/replicas.yaml").write_text(
        "policies:\n- {id: two-at-most, expression: 'object.spec.replicas < 2', message: too many}\n"
    )
    (finding,) = validate(root, ValidateOptions()).findings
    assert (finding.rule, finding.message, finding.environment) == (
        "policy/two-at-most",
        "Deployment wine: too many",
        "prod",
    )


def test_it_is_reviewed(root: Path) -> None:
    rendered(root)
    commit(root, "first")
    rendered(root, version="3")
    patch = root / "models/wine/base/deployment.yaml"
    base = patch.read_text()
    review = diff(root, "HEAD", Scope())
    (change,) = review.changes
    assert (change.environment, change.before, change.after) == ("prod", "1", "3")
    assert [item.object_kind for item in change.objects] == ["Deployment"]
    assert any("sha256:" + "3".zfill(64) in line for line in change.objects[0].diff)
    # What the cluster refuses is said by the backend's own words.
    patch.write_text(base.replace("    matchLabels:\n      app: wine", "    matchLabels:\n      app: other"))
    concerns = [concern for change in diff(root, "HEAD", Scope()).changes for concern in change.concerns]
    assert {concern.message for concern in concerns if concern.risk is Risk.BREAKING} == {
        "spec.selector changed: it is immutable"
    }


def test_removals_of_its_services_are_counted(root: Path) -> None:
    rendered(root)
    commit(root, "first")
    shutil.rmtree(root / "models/wine")
    shutil.rmtree(root / "fleet")
    report = validate(root, ValidateOptions(against=Against(ref="HEAD", removals=1)))
    assert [finding.rule for finding in report.findings] == ["history-removals"]


def test_it_is_asked_by_its_own_commands(root: Path) -> None:
    rendered(root)
    call = request.prepare_call(request.CallOptions(model="wine", environment="prod"), root)
    assert call.port_forward == ("kubectl port-forward -n models-prod svc/wine 8080:80",)
    card = (root / "models/wine/README.md").read_text()
    assert "kubectl port-forward -n models-prod svc/wine 8080:80" in card
    assert "inferenceservice" not in card


def test_two_backends_live_beside_each_other(root: Path) -> None:
    rendered(root)
    (root / "models/wine/model.yaml").write_text("environments: {prod: {settings: {backend: kserve}}}\n")
    run(root, FakeRegistry(), RenderOptions(locked=True))
    overlay = built(root, "models/wine/overlays/prod/kustomization.yaml")
    assert get_at(overlay, "resources") == ["inferenceservice.yaml"]
    assert not (root / "models/wine/overlays/prod/patch.yaml").exists()
    assert get_at(built(root, "models/wine/overlays/dev/kustomization.yaml"), "resources") == ["../../base"]
    assert validate(root, ValidateOptions()).findings == ()


def test_a_backend_that_nobody_knows_is_a_finding(root: Path) -> None:
    (root / "m2g.yaml").write_text(CONFIG.replace("plain", "torchserve"))
    outcome = rendered(root)
    assert {(finding.file, finding.path, finding.hint) for finding in outcome.findings} == {
        ("m2g.yaml", "defaults.backend", "use one of: kserve, seldon-core-1, seldon-core-2, plain")
    }
    assert "models/wine/base/kustomization.yaml" not in tree(root)


def test_a_target_needs_nothing_of_kserve() -> None:
    assert PLAIN.port_forward(Endpoint(slug="a", namespace="b", path="/"), "f") != ()
