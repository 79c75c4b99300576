"""Argo CD: which Applications a scaffolded ApplicationSet makes of a rendered fleet, and what its project allows.

The evaluator knows what we use of it: a matrix of git files and clusters, and `{{ .field }}`; it refuses all else.
tests/cluster asks the real Argo CD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from m2g.kustomize import build_overlays
from m2g.validation.schemas import Catalogue
from tests.support.environments import recorded, write_environment
from tests.support.scaffolded import at, documents, fleet, mapping, scaffold, sequence

pytestmark = pytest.mark.slow

# The clusters' Secrets as the clusters generator sees them: name, server, and the label of ours, if it has one.
CLUSTERS = [
    ("arn:aws:eks:eu-west-1:42:cluster/Prod_A", "https://a.test", "prod"),
    ("prod-b", "https://b.test", "prod"),
    ("staging", "https://s.test", "staging"),
    ("other", "https://o.test", ""),
]
_PROD = ("arn-aws-eks-eu-west-1-42-cluster-prod-a", "prod-b")
_RESERVED = {"name", "nameNormalized", "server", "metadata", "values", "path", "project"}
"""What the generators inject themselves; a key of app.json with such a name would be lost or fail."""


def applications(root: Path, environment: str) -> dict[str, dict[str, object]]:
    """The Applications of one ApplicationSet, by name; a name twice is an error."""
    _, appset = documents(root / f"platform/argocd/{environment}.yaml")
    assert at(appset, "spec", "goTemplate") is True
    assert at(appset, "spec", "goTemplateOptions") == ["missingkey=error"]
    files, clusters = sequence(appset, "spec", "generators", 0, "matrix", "generators")
    made: dict[str, dict[str, object]] = {}
    for parameters in matrix(root, files, clusters):
        application = render(at(appset, "spec", "template"), parameters)
        name = str(at(application, "metadata", "name"))
        assert name not in made
        made[name] = mapping(application)
    return made


def matrix(root: Path, files: object, clusters: object) -> Iterator[dict[str, object]]:
    patterns = sequence(files, "git", "files")
    wanted, deeper = patterns[::2], patterns[1::2]
    assert deeper == [{"path": str(at(one, "path")).replace("*", "*/*"), "exclude": True} for one in wanted]
    selector = mapping(clusters, "clusters", "selector", "matchLabels")
    for path in sorted(path for one in wanted for path in root.glob(str(at(one, "path")))):
        content = json.loads(path.read_text())
        assert not _RESERVED & set(content)
        folder = path.parent.relative_to(root).as_posix()
        for name, server, environment in CLUSTERS:
            if selector == {f"environment.m2g.dev/{environment}": "true"}:
                yield content | {
                    "path": {"path": folder, "basename": path.parent.name, "filename": path.name},
                    "name": name,
                    "nameNormalized": re.sub(r"[^a-z0-9.-]", "-", name.lower()).strip("-."),
                    "server": server,
                }


def render(template: object, parameters: Mapping[str, object]) -> object:
    if isinstance(template, dict):
        return {key: render(value, parameters) for key, value in template.items()}
    if isinstance(template, list):
        return [render(value, parameters) for value in template]
    if not isinstance(template, str):
        return template
    rendered = re.sub(
        r"\{\{ \.([A-Za-z.]+) \}\}", lambda found: str(at(dict(parameters), *found[1].split("."))), template
    )
    assert "{{" not in rendered, f"this evaluator does not know {template!r}"
    return rendered


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fleet(scaffold(tmp_path / "r", "sync=both", "repository_url=https://git.test/ml.git"))


def test_an_application_for_each_model_and_cluster(root: Path) -> None:
    assert sorted(applications(root, "prod")) == [
        "churn.prod.arn-aws-eks-eu-west-1-42-cluster-prod-a",
        "churn.prod.prod-b",
        "wine.prod.arn-aws-eks-eu-west-1-42-cluster-prod-a",
        "wine.prod.prod-b",
    ]
    assert sorted(applications(root, "staging")) == ["fraud-detection.staging.staging", "wine.staging.staging"]
    assert applications(root, "dev") == {}, "no cluster has the label"


def test_an_application_says_where_from_and_where_to(root: Path) -> None:
    application = applications(root, "prod")["wine.prod.prod-b"]
    assert at(application, "spec", "project") == "models-prod"
    assert at(application, "spec", "source") == {
        "repoURL": "https://git.test/ml.git", "targetRevision": "main", "path": "models/wine/overlays/prod",
    }  # fmt: skip
    assert at(application, "spec", "destination") == {"server": "https://b.test", "namespace": "models-prod"}
    assert at(application, "metadata", "labels") == {"m2g.dev/model": "wine", "m2g.dev/environment": "prod"}
    paths = str(at(application, "metadata", "annotations", "argocd.argoproj.io/manifest-generate-paths")).split(";")
    assert paths == ["/models/wine/overlays/prod", "/models/wine/base"]


@pytest.mark.parametrize(
    ("reference", "paths"),
    [
        ("../common", "/models/wine/overlays/prod;/models/wine/base;/models/wine/custom"),
        ("../../../../shared", "/"),
    ],
)
def test_an_application_with_a_component_is_refreshed_by_what_it_refers_to(
    root: Path, reference: str, paths: str
) -> None:
    head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    component = root / "models/wine/custom/prod/kustomization.yaml"
    referred = component.parent / reference / "kustomization.yaml"
    for path, text in ((component, f"{head}components: [{reference}]\n"), (referred, head)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    fleet(root)
    annotations = mapping(applications(root, "prod")["wine.prod.prod-b"], "metadata", "annotations")
    assert annotations["argocd.argoproj.io/manifest-generate-paths"] == paths


def test_a_serving_environment_has_an_application_of_its_own(root: Path) -> None:
    image = "ghcr.io/acme/models/serving.environment@sha256:" + "5f" * 32
    one = write_environment(root, recorded({"numpy": "2.4.6"}, group="everyone", image=image))
    before = applications(root, "prod")
    fleet(root)
    after = applications(root, "prod")
    assert set(after) - set(before) == {f"environment.{one.id}.prod.{cluster}" for cluster in _PROD}
    application = after[f"environment.{one.id}.prod.prod-b"]
    assert at(application, "spec", "source", "path") == f"environments/{one.id}/overlays/prod"
    assert at(application, "spec", "project") == at(after["wine.prod.prod-b"], "spec", "project")
    assert {name: after[name] for name in before} == before, "no model's Application changes"


def test_applications_are_what_argo_cd_accepts(root: Path) -> None:
    catalogue = Catalogue()
    for environment in ("dev", "staging", "prod"):
        for application in applications(root, environment).values():
            whole = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"} | application
            assert catalogue.find_violations(whole, kserve="0.21") == []


def test_a_lost_parameter_is_an_error_and_not_an_empty_namespace(root: Path) -> None:
    path = root / "models/wine/overlays/prod/app.json"
    content = json.loads(path.read_text())
    del content["namespace"]
    path.write_text(json.dumps(content))
    with pytest.raises(KeyError, match="namespace"):
        applications(root, "prod")


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_no_fleet_is_deleted_by_accident(root: Path, environment: str) -> None:
    _, appset = documents(root / f"platform/argocd/{environment}.yaml")
    assert at(appset, "spec", "syncPolicy") == {
        "applicationsSync": "create-update", "preserveResourcesOnDeletion": True,
    }  # fmt: skip
    assert at(appset, "metadata", "finalizers") == ["resources-finalizer.argocd.argoproj.io"], "or garbage collection"
    template = mapping(appset, "spec", "template")
    assert "finalizers" not in mapping(template, "metadata")
    automated = mapping(template, "spec", "syncPolicy", "automated")
    assert automated == {"prune": environment != "prod", "selfHeal": True}


@pytest.mark.usefixtures("kustomize")
def test_the_project_allows_what_m2g_renders_and_no_more(root: Path) -> None:
    project, appset = documents(root / "platform/argocd/prod.yaml")
    assert at(appset, "spec", "template", "spec", "project") == at(project, "metadata", "name")
    assert "{{" not in str(at(project, "metadata", "name"))
    assert at(project, "spec", "clusterResourceWhitelist") == []
    assert at(project, "spec", "destinations") == [{"server": "*", "namespace": "models-prod"}]
    allowed = {
        (at(kind, "group"), at(kind, "kind")) for kind in sequence(project, "spec", "namespaceResourceWhitelist")
    }
    assert not {kind for _, kind in allowed} & {"Secret", "ServiceAccount", "Role", "RoleBinding", "*"}
    built = build_overlays(root, ["models/wine/overlays/prod", "models/churn/overlays/prod"])
    kinds = {
        (str(obj["apiVersion"]).rpartition("/")[0], obj["kind"])
        for overlay in built.values()
        for obj in overlay.objects
    }
    assert kinds
    assert kinds <= allowed
    # What other profiles and batches are made of.
    assert {("serving.kserve.io", "ServingRuntime"), ("batch", "Job"), ("batch", "CronJob")} <= allowed
