"""Flux: which Kustomizations a scaffolded environment makes of a rendered fleet, and what the cluster then gets.

What Flux does is done here by the real kustomize: a folder without kustomization.yaml is taken as one that lists all
YAML files in it, and the patches of the Kustomization are appended. tests/cluster asks the real Flux.
"""

from __future__ import annotations

import json
from pathlib import Path

import cel
import pytest
from ruamel.yaml import YAML

from tests.support.scaffolded import at, documents, fleet, mapping, program, scaffold

pytestmark = pytest.mark.slow

FLUX = "kustomize.toolkit.fluxcd.io/v1"


def reconcile(root: Path, kustomize: Path, kustomization: object) -> list[object]:
    """The objects that one Flux Kustomization applies."""
    folder = root / str(at(kustomization, "spec", "path"))
    assert folder.is_dir(), "Flux: kustomization path not found"
    listed = folder / "kustomization.yaml"
    made = not listed.exists()
    if made:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.y*ml"))
        content = {"resources": names, "patches": mapping(kustomization, "spec").get("patches", [])}
        listed.write_text(json.dumps(content))
    done = program([kustomize, "build", folder], root)
    if made:
        listed.unlink()
    assert done.returncode == 0, done.stderr
    return list(YAML(typ="safe", pure=True).load_all(done.stdout))


def by_kind(objects: list[object], kind: str) -> dict[str, object]:
    return {str(at(obj, "metadata", "name")): obj for obj in objects if at(obj, "kind") == kind}


def parent(root: Path, environment: str) -> object:
    source = documents(root / "platform/flux/_source.yaml")
    kustomization = documents(root / f"platform/flux/{environment}.yaml")[0]
    assert at(kustomization, "spec", "sourceRef", "name") == at(source[0], "metadata", "name")
    return kustomization


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return scaffold(tmp_path / "r", "sync=flux")


@pytest.fixture
def root(empty: Path) -> Path:
    return fleet(empty)


def test_a_kustomization_for_each_model(root: Path, kustomize: Path) -> None:
    made = {
        environment: sorted(by_kind(reconcile(root, kustomize, parent(root, environment)), "Kustomization"))
        for environment in ("dev", "staging", "prod")
    }
    assert made == {
        "dev": ["fraud-detection.dev", "wine.dev"],
        "staging": ["fraud-detection.staging", "wine.staging"],
        "prod": ["churn.prod", "wine.prod"],
    }


def test_each_kustomization_applies_its_overlay(root: Path, kustomize: Path) -> None:
    source = documents(root / "platform/flux/_source.yaml")[0]
    applied = reconcile(root, kustomize, parent(root, "prod"))
    (namespace,) = by_kind(applied, "Namespace")
    for name, child in by_kind(applied, "Kustomization").items():
        assert at(child, "metadata", "namespace") == at(source, "metadata", "namespace")
        assert at(child, "spec", "sourceRef") == {"kind": "GitRepository", "name": at(source, "metadata", "name")}
        (service,) = by_kind(reconcile(root, kustomize, child), "InferenceService").values()
        assert f"{at(service, 'metadata', 'name')}.prod" == name
        assert at(service, "metadata", "namespace") == namespace
        (account,) = by_kind(applied, "ServiceAccount").values()
        assert at(service, "spec", "predictor", "serviceAccountName") == at(account, "metadata", "name")


def test_an_environment_without_models_reconciles(empty: Path, kustomize: Path) -> None:
    applied = reconcile(empty, kustomize, parent(empty, "prod"))
    assert [at(obj, "kind") for obj in applied] == ["Namespace", "ServiceAccount"]


def test_one_slow_model_does_not_hold_up_the_others(root: Path) -> None:
    """kserve#6081: `wait` on an InferenceService may never end."""
    for environment in ("dev", "staging", "prod"):
        assert at(parent(root, environment), "spec", "wait") is False


def test_no_fleet_is_deleted_by_accident(root: Path, kustomize: Path) -> None:
    """The parent orphans; a removed model's objects stay in prod alone; namespaces are never pruned."""
    policies = {}
    for environment in ("dev", "staging", "prod"):
        assert at(parent(root, environment), "spec", "deletionPolicy") == "Orphan"
        applied = reconcile(root, kustomize, parent(root, environment))
        policies[environment] = {
            at(child, "spec", "deletionPolicy") for child in by_kind(applied, "Kustomization").values()
        }
        for obj in applied:
            if at(obj, "apiVersion") != FLUX:
                assert mapping(obj, "metadata", "annotations")["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    assert policies == {"dev": {"MirrorPrune"}, "staging": {"MirrorPrune"}, "prod": {"Orphan"}}


def test_no_model_can_take_the_name_of_a_parent(root: Path) -> None:
    """A model's Kustomization is `<slug>.<environment>`."""
    names = [str(at(parent(root, environment), "metadata", "name")) for environment in ("dev", "staging", "prod")]
    assert names == ["fleet-dev", "fleet-staging", "fleet-prod"]


@pytest.mark.attack
def test_a_kustomization_of_somebodys_gets_no_rights(root: Path, kustomize: Path) -> None:
    """Whatever its file says, it runs as the models' account, from this repository, in this cluster."""
    text = (root / "fleet/dev/wine.yaml").read_text()
    more = (
        "  kubeConfig: {secretRef: {name: prod}}\n  postBuild: {substituteFrom: [{kind: Secret, name: deploy-key}]}\n"
    )
    text = text.replace("name: wine.dev", "name: zz").replace(
        "name: models\n", "name: other\n    namespace: elsewhere\n"
    )
    (root / "fleet/dev/zz.yaml").write_text(f"{text}{more}  serviceAccountName: flux-admin\n")
    children = by_kind(reconcile(root, kustomize, parent(root, "dev")), "Kustomization")
    assert sorted(children) == ["fraud-detection.dev", "wine.dev", "zz"]
    for child in children.values():
        spec = mapping(child, "spec")
        assert spec["serviceAccountName"] == "fleet-dev-models"
        assert spec["sourceRef"] == {"kind": "GitRepository", "name": "models"}
        assert not {"kubeConfig", "postBuild", "decryption"} & set(spec)


@pytest.mark.attack
def test_an_environment_writes_only_kustomizations_with_its_name(root: Path) -> None:
    """All environments, and often the platform's own, are in one namespace. tests/cluster asks a real API server."""
    for environment in ("dev", "prod"):
        objects = documents(root / f"platform/flux/{environment}.yaml")
        (policy,) = by_kind(objects, "ValidatingAdmissionPolicy").values()
        (binding,) = by_kind(objects, "ValidatingAdmissionPolicyBinding").values()
        assert at(binding, "spec", "policyName") == at(policy, "metadata", "name")
        assert at(binding, "spec", "validationActions") == ["Deny"]

        def holds(expression: object, account: str, name: str) -> object:
            user = {"username": f"system:serviceaccount:flux-system:{account}"}
            return cel.evaluate(str(expression), {"request": {"userInfo": user, "name": name}})

        asked = at(policy, "spec", "matchConditions", 0, "expression")
        own = f"fleet-{environment}"
        assert holds(asked, own, "x")
        assert not holds(asked, "kustomize-controller", "x")
        allowed = at(policy, "spec", "validations", 0, "expression")
        assert holds(allowed, own, f"wine.{environment}")
        for other in ("wine.staging", own, "flux-system", environment, ""):
            assert not holds(allowed, own, other), other


def test_the_source_has_what_the_overlays_need(root: Path) -> None:
    (source,) = documents(root / "platform/flux/_source.yaml")
    assert str(at(source, "spec", "ignore")).split() == ["/*", "!/models", "!/fleet", "!/environments"]
