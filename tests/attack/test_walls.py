"""Three walls stand between a pull request and a cluster; without any one of them, the two others hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from ruamel.yaml import YAML

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Severity
from m2g.core.manifest import name_kind, read_all
from m2g.validation.platform_bounds import name_resource
from tests.support.codeowners import owners
from tests.support.fleet import FakeRegistry, run
from tests.support.handmade_fleet import write
from tests.support.paths import ROOT
from tests.support.scaffolded import at, documents, fleet, scaffold, sequence

pytestmark = [pytest.mark.attack, pytest.mark.slow]

Wall: TypeAlias = Callable[[Path, Mapping[str, str]], bool]
"""Whether the wall stops these files of a pull request, in this repository."""

_POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: models-prod}\n"
    "spec: {hostPID: true, containers: [{name: x, image: x}]}\n"
)
_DEPLOYMENT = (
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, template: "
    "{metadata: {labels: {a: b}}, spec: {containers: [{name: x, image: x, securityContext: {privileged: true}}]}}}\n"
)
_ADMIN = (
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\n"
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"
)
_SOURCE = (
    "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: x, namespace: flux-system}\n"
    "spec: {interval: 1m, url: 'https://evil.test/x'}\n"
)
_COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [x.yaml]\n"
_NESTED = "models/wine/notes/overlays/prod"
ATTACKS = {
    "a pod in a nested overlay": {
        f"{_NESTED}/app.json": "{}",
        f"{_NESTED}/kustomization.yaml": "resources: [pod.yaml]\n",
        f"{_NESTED}/pod.yaml": _POD,
    },
    "an administrator in fleet": {"fleet/prod/zz.yaml": _ADMIN},
    "an administrator in the other environment": {"fleet/dev/namespace/zz.yaml": _ADMIN},
    "another source in fleet": {"fleet/prod/namespace/zz.yaml": _SOURCE},
    "a privileged component": {
        "models/wine/custom/prod/kustomization.yaml": _COMPONENT,
        "models/wine/custom/prod/x.yaml": _DEPLOYMENT,
    },
}


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = scaffold(tmp_path_factory.mktemp("walls") / "r", "sync=both", "owners=@acme/ml")
    return fleet(root)


@pytest.fixture
def root(scaffolded: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(scaffolded, tmp_path / "r"))


def _validate_stops(root: Path, files: Mapping[str, str]) -> bool:
    write(root, dict(files))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    found = validate(root, ValidateOptions()).findings
    named = {item.file.rpartition("/")[0] for item in found if item.severity is Severity.ERROR}
    return bool(named & {path.rpartition("/")[0] for path in files})


def _engines_stop(root: Path, files: Mapping[str, str]) -> bool:
    """Whether neither the AppProject nor the Role of Flux's account allows the objects."""
    (project, *_) = documents(root / "platform/argocd/prod.yaml")
    allowed = {
        f"{at(entry, 'kind')}.{at(entry, 'group')}".rstrip(".")
        for field in ("clusterResourceWhitelist", "namespaceResourceWhitelist")
        for entry in sequence(project, "spec", field)
    }
    rules = YAML(typ="safe", pure=True).load((ROOT / "template/.parts/allowed-rules-kserve.yaml").read_text())
    resources = {
        f"{resource}.{group}".rstrip(".")
        for rule in rules
        for group in sequence(rule, "apiGroups")
        for resource in sequence(rule, "resources")
    }
    kinds = {name_kind(item) for text in files.values() for item in read_all(text) if isinstance(item, dict)}
    kinds -= {"", "Component.kustomize.config.k8s.io"}
    return "*.*" not in allowed and not kinds & allowed and not {name_resource(kind) for kind in kinds} & resources


def _owners_stop(root: Path, files: Mapping[str, str]) -> bool:
    file = root / "CODEOWNERS"
    return file.exists() and all(any(owners(file, path, forge) for path in files) for forge in ("github", "gitlab"))


WALLS: dict[str, Wall] = {"validate": _validate_stops, "engines": _engines_stop, "owners": _owners_stop}


def _remove_nothing(_: Path) -> None:
    """validate is not run."""


def _open_engines(root: Path) -> None:
    for file in (root / "platform/argocd").glob("[a-z]*.yaml"):
        text = file.read_text()
        start = text.index("  namespaceResourceWhitelist:")
        end = text.index("---", start)
        opened = '  namespaceResourceWhitelist: [{group: "*", kind: "*"}]\n'
        file.write_text(text[:start] + opened + text[end:])


def _remove_owners(root: Path) -> None:
    (root / "CODEOWNERS").unlink()


REMOVALS = {"validate": _remove_nothing, "engines": _open_engines, "owners": _remove_owners}


@pytest.mark.parametrize("removed", WALLS)
@pytest.mark.parametrize("files", ATTACKS.values(), ids=ATTACKS)
def test_without_one_wall_the_others_hold(root: Path, removed: str, files: dict[str, str]) -> None:
    REMOVALS[removed](root)
    assert {name: wall(root, files) for name, wall in WALLS.items() if name != removed} == dict.fromkeys(
        {*WALLS} - {removed}, True
    )


def test_a_wall_that_is_removed_is_named(root: Path) -> None:
    """validate sees an AppProject that allows everything, and a review says first that the owners are gone."""
    _open_engines(root)
    found = validate(root, ValidateOptions()).findings
    assert {item.file for item in found if item.rule == "platform-bounds"} == {
        f"platform/argocd/{environment}.yaml" for environment in ("dev", "staging", "prod")
    }
