"""Variants of rows 1 and 2: files that an engine could read, and objects with power, in other places and other forms.

All of them lie in one repository, and each is named: no finding hides another.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from m2g import kustomize
from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding, Severity
from m2g.core.stamp import stamp
from m2g.repository import config as configuration
from m2g.repository.edit import edit_file
from m2g.repository.yaml_edit import Set
from m2g.validation.platform_bounds import check_platform
from tests.support.fleet import FakeRegistry, release, run, write_record
from tests.support.handmade_fleet import COMPONENT, write
from tests.support.scaffolded import fleet, scaffold

pytestmark = [pytest.mark.attack, pytest.mark.slow]

_POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {hostPID: true, containers: [{name: x, image: x}]}\n"
_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: models-prod}\n"
_RBAC = "rbac.authorization.k8s.io"
_ADMIN = (
    f"apiVersion: {_RBAC}/v1\nkind: ClusterRoleBinding\nmetadata: {{name: x}}\n"
    f"roleRef: {{apiGroup: {_RBAC}, kind: ClusterRole, name: cluster-admin}}\n"
)
_KUSTOMIZE = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
_PODS = "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: x}, spec: {hostPID: true, containers: []}}]\n"

_BINDING = (
    f"apiVersion: {_RBAC}/v1\nkind: RoleBinding\nmetadata: {{name: x, namespace: flux-system}}\n"
    f"roleRef: {{apiGroup: {_RBAC}, kind: Role, name: fleet-prod}}\n"
)

FILES: dict[str, dict[str, str]] = {
    "an overlay in a folder of m2g": {"models/wine/base/overlays/prod/app.json": "{}"},
    "an overlay among the records": {"models/wine/releases/overlays/prod/app.json": "{}"},
    "an overlay among the requests": {"models/wine/requests/x/overlays/prod/app.json": "{}"},
    "an overlay of a model without a record": {
        "models/ghost/overlays/prod/app.json": stamp("app.json", "{\n}\n").decode()
    },
    "an overlay of an environment that is not there": {
        "models/wine/overlays/evil/kustomization.yaml": "resources: []\n"
    },
    "a name that ends in a space": {"models/wine/overlays/prod/app.json ": "{}"},
    "a serving environment without a record": {"environments/evil/overlays/prod/app.json": "{}"},
    "an overlay deep in a serving environment": {"environments/evil/base/overlays/prod/app.json": "{}"},
    "a hidden serving environment": {"environments/.e/overlays/prod/app.json": "{}"},
    "a kustomization of all serving environments": {"environments/kustomization.yaml": "resources: []\n"},
    "a file of Flux for a serving environment": {"fleet/prod/environment.evil.yaml": _ADMIN},
    "the same with m2g's stamp": {"fleet/dev/environment.evil.yaml": stamp("x.yaml", _MAP).decode()},
    "a file of Flux for a model that is not there": {"fleet/prod/nobody.yaml": stamp("nobody.yaml", _MAP).decode()},
    "a file of Flux for a model that has only settings": {
        "models/idea/model.yaml": "settings: {}\n",
        "fleet/prod/idea.yaml": stamp("idea.yaml", _ADMIN).decode(),
    },
    "a file of Flux for a model that has only a component": {
        "models/plan/custom/prod/kustomization.yaml": COMPONENT,
        "fleet/prod/plan.yaml": stamp("plan.yaml", _ADMIN).decode(),
    },
    "a file of Flux for an environment without a release": {"fleet/staging/c0.yaml": stamp("c0.yaml", _ADMIN).decode()},
    "a kustomization deep in fleet": {"fleet/prod/namespace/a/kustomization.yml": "resources: [https://evil.test/x]\n"},
    "a file that is no YAML by its name": {"fleet/prod/namespace/x.json": "{}"},
}
_IN_BASE64 = base64.b64encode(b"ClusterRoleBinding").decode()
OBJECTS = {
    "kind in base64": _ADMIN.replace("kind: C", f"kind: !!binary {_IN_BASE64}\nx: C"),
    "UTF-16": _ADMIN.encode("utf-16").decode("latin-1"),
    "a mark of the byte order": "\ufeff" + _ADMIN,
    "a version of YAML": "%YAML 1.1\n---\n" + _ADMIN,
    "a separator that only kubectl sees": _MAP + "---x:\n" + "".join(f"  {line}\n" for line in _ADMIN.splitlines()),
    "the key twice": "apiVersion: v1\nkind: ConfigMap\nkind: Pod\nmetadata: {name: x}\n",
    "another case": _ADMIN.replace("kind: C", "kind: c") + "Kind: ClusterRoleBinding\n",
    "breaks of Unicode": _MAP + "# \x85---\u2028" + _ADMIN.replace("\n", "\u2028"),
    "breaks of old systems": _MAP + "# \r---\r" + _ADMIN.replace("\n", "\r"),
    "items without a kind": _PODS,
    "the namespace of another environment": _MAP.replace("models-prod", "models-staging"),
    "the namespace of an engine": _MAP.replace("models-prod", "argocd"),
}  # fmt: skip
PLATFORM = {
    "the rights of Argo CD": _MAP.replace("name: x, namespace: models-prod", "name: argocd-rbac-cm, namespace: argocd"),
    "settings without a namespace": _MAP.replace(", namespace: models-prod", ""),
    "objects from elsewhere": f"{_KUSTOMIZE}resources: ['https://evil.test/x.yaml']\n",
    "objects from another folder": f"{_KUSTOMIZE}resources: [../../shared]\n",
    "objects in a file that is not read": f"{_KUSTOMIZE}resources: [x.txt]\n",
    "a Secret that is generated": f"{_KUSTOMIZE}secretGenerator: [{{name: a, literals: [a=b]}}]\n",
    "a patch of a project": f"{_KUSTOMIZE}patches: [{{target: {{kind: AppProject}}, patch: '[]'}}]\n",
    "a chart": f"{_KUSTOMIZE}helmCharts: [{{name: x, repo: 'https://evil.test'}}]\n",
    "a namespace for others": f"{_KUSTOMIZE}namespace: argocd\n",
    "rights for a person": f"{_BINDING}subjects: [{{kind: User, name: eve}}]\n",
    "rights for everybody": f"{_BINDING}subjects: [{{kind: Group, name: 'system:authenticated'}}]\n",
    "rights for another account": f"{_BINDING}subjects: [{{kind: ServiceAccount, name: a, namespace: default}}]\n",
}  # fmt: skip
_REPLACEMENT = (
    "resources: [x.yaml]\nreplacements:\n- source: {kind: ConfigMap, name: x, fieldPath: data.k}\n"
    "  targets: [{select: {kind: ConfigMap, name: x}, fieldPaths: [kind]}]\n"
)
COMPONENTS = {
    "a Secret that is generated": ("secretGenerator: [{name: a, literals: [a=b]}]\n", ""),
    "a kind that a replacement writes": (
        _REPLACEMENT,
        f"{_MAP}data: {{k: Secret}}\n",
    ),
    "items of a ConfigMap": ("resources: [x.yaml]\n", f"{_MAP}items:\n- " + _ADMIN.replace("\n", "\n  ") + "\n"),
    "objects from elsewhere": ("resources: ['https://evil.test/x.yaml']\n", ""),
    "a chart": ("helmCharts: [{name: x, repo: 'https://evil.test', version: 1.0.0}]\n", ""),
    "a folder of platform": ("resources: [../../../../platform/flux]\n", ""),
}


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("variants") / "r"
    return fleet(scaffold(root, "sync=both", "repository_url=https://git.test/ml.git"))


@pytest.fixture(scope="module")
def found(scaffolded: Path) -> list[Finding]:
    """The errors of a repository that has all of it."""
    root = scaffolded
    for number, text in enumerate(OBJECTS.values()):
        content = text.encode("latin-1") if text.startswith("\xff\xfe") else text.encode()
        (root / f"fleet/prod/namespace/o{number}.yaml").write_bytes(content)
    for number, text in enumerate(PLATFORM.values()):
        name = "kustomization" if "kustomize" in text else "x"
        write(root, {f"platform/p{number}/{name}.yaml": text, f"platform/p{number}/x.txt": _ADMIN})
    for number, (text, objects) in enumerate(COMPONENTS.values()):
        write_record(root, f"c{number}", release(f"c{number}", "prod"))
        custom = f"models/c{number}/custom/prod"
        write(
            root,
            {f"{custom}/kustomization.yaml": COMPONENT + text} | ({f"{custom}/x.yaml": objects} if objects else {}),
        )
    run(root, FakeRegistry(), RenderOptions(locked=True))
    for files in FILES.values():
        write(root, files)
    return [one for one in validate(root, ValidateOptions()).findings if one.severity is Severity.ERROR]


@pytest.mark.row(1)
@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_a_file_that_an_engine_could_read_is_an_error(found: list[Finding], files: dict[str, str]) -> None:
    named = [one.file for one in found]
    wanted = [path for path in files if not path.endswith(("model.yaml", "custom/prod/kustomization.yaml"))]
    assert [path for path in wanted if not any(path == name or path.startswith(f"{name}/") for name in named)] == []


@pytest.mark.row(2)
@pytest.mark.parametrize("number", range(len(OBJECTS)), ids=OBJECTS)
def test_an_object_with_power_in_fleet_is_an_error(found: list[Finding], number: int) -> None:
    assert f"fleet/prod/namespace/o{number}.yaml" in {one.file for one in found}


@pytest.mark.row(2)
@pytest.mark.parametrize("number", range(len(PLATFORM)), ids=PLATFORM)
def test_what_platform_brings_from_elsewhere_is_an_error(found: list[Finding], number: int) -> None:
    of_it = [one for one in found if one.file.startswith(f"platform/p{number}/")]
    assert {one.rule for one in of_it} & {"platform-bounds", "outside-bounds"}


@pytest.mark.row(2)
@pytest.mark.parametrize("number", range(len(COMPONENTS)), ids=COMPONENTS)
def test_what_a_component_brings_is_an_error(found: list[Finding], number: int) -> None:
    places = (f"models/c{number}/", "platform/flux") if "platform" in [*COMPONENTS][number] else (f"models/c{number}/",)
    assert any(one.file.startswith(places) for one in found)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return scaffold(tmp_path / "r", "sync=flux", "repository_url=https://git.test/ml.git")


def check_files(root: Path) -> list[Finding]:
    config = configuration.load(root).config
    assert config is not None
    return list(check_platform(config, kustomize.read_folder(root, "platform")))


POLICIES = {
    "any name": ("request.name.endsWith('.prod')", "true"),
    "the names of another environment": ("endsWith('.prod')", "endsWith('d')"),
    "another account": ("flux-system:fleet-prod'", "flux-system:nobody'"),
    "only new objects": ("operations: [CREATE, UPDATE, DELETE]", "operations: [CREATE]"),
    "only some": ('apiVersions: ["*"]', 'apiVersions: ["*"]\n        resourceNames: [x]'),
    "no refusal": ("validationActions: [Deny]", "validationActions: [Audit]"),
    "no failure": ("failurePolicy: Fail", "failurePolicy: Ignore"),
    "another policy": ('policyName: "fleet-models-prod"', 'policyName: "fleet-models-dev"'),
    "a part of the objects": (
        "  validationActions: [Deny]",
        "  matchResources: {namespaceSelector: {matchLabels: {a: b}}}\n  validationActions: [Deny]",
    ),
}


@pytest.mark.row(2)
def test_a_policy_that_holds_an_account_is_not_weakened(root: Path) -> None:
    assert check_files(root) == []
    path = root / "platform/flux/prod.yaml"
    before = path.read_text()
    passed = []
    for name, (old, new) in POLICIES.items():
        assert old in before, name
        path.write_text(before.replace(old, new))
        if "platform-bounds" not in {one.rule for one in check_files(root)}:
            passed.append(name)
    assert passed == []


def test_a_kustomization_of_platform_may_list_what_is_beside_it_and_the_hint_allows_more(root: Path) -> None:
    path = "platform/kustomization.yaml"
    write(root, {path: f"{_KUSTOMIZE}resources: [flux/_source.yaml, ./flux/prod.yaml]\n"})
    assert check_files(root) == []
    write(root, {path: f"{_KUSTOMIZE}resources: [flux/_source.yaml]\nnamePrefix: x-\n"})
    (found,) = check_files(root)
    assert (found.rule, found.file, found.path) == ("platform-bounds", path, "namePrefix")
    edit_file(
        root, "m2g.yaml", [Set(path=("sync", "bounds", "platform"), value=["Kustomization.kustomize.config.k8s.io"])]
    )
    assert found.hint.endswith("sync: {bounds: {platform: [Kustomization.kustomize.config.k8s.io]}}")
    assert check_files(root) == []
