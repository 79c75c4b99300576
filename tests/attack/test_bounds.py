"""What a repository may bring into the clusters: kinds, namespaces, sources, and what pods may do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding, Report, Severity
from m2g.report.findings import render_report
from m2g.repository.edit import edit_file
from m2g.repository.yaml_edit import Set
from m2g.validation.base import Against
from tests.support.fleet import FakeRegistry, run
from tests.support.git_repository import commit, git, start
from tests.support.handmade_fleet import write
from tests.support.scaffolded import fleet, scaffold

pytestmark = [pytest.mark.attack, pytest.mark.slow]

_COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
_CUSTOM = "models/wine/custom/prod/kustomization.yaml"
_RBAC = "apiVersion: rbac.authorization.k8s.io/v1\n"
_ADMIN = (
    f"{_RBAC}kind: ClusterRoleBinding\nmetadata: {{name: x}}\n"
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"
    "subjects: [{kind: ServiceAccount, name: default, namespace: models-prod}]\n"
)


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet in a scaffold for both engines, committed on main."""
    root = start(tmp_path_factory.mktemp("bounds") / "r")
    fleet(scaffold(root, "sync=both", "repository_url=https://git.test/ml.git"))
    commit(root)
    return root


@pytest.fixture
def root(scaffolded: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(scaffolded), "r")
    return tmp_path / "r"


def check(root: Path, against: str = "") -> Report:
    return validate(root, ValidateOptions(against=Against(ref=against) if against else None))


def errors(report: Report) -> list[Finding]:
    return [item for item in report.findings if item.severity is Severity.ERROR]


def rules(report: Report) -> set[str]:
    return {item.rule for item in errors(report)}


def add_component(root: Path, objects: str, patches: str = "") -> None:
    write(root, {_CUSTOM: f"{_COMPONENT}resources: [x.yaml]\n{patches}", "models/wine/custom/prod/x.yaml": objects})
    run(root, FakeRegistry(), RenderOptions(locked=True))


def follow_hint(root: Path, finding: Finding) -> None:
    """Write to m2g.yaml what the hint says."""
    text = re.search(r"sync: (\{.*\})$", finding.hint)
    assert text is not None, finding.hint
    (field, value), *_ = YAML(typ="safe", pure=True).load(text[1])["bounds"].items()
    edit_file(root, "m2g.yaml", [Set(path=("sync", "bounds", field), value=value)])


def test_a_scaffold_is_within_its_bounds(root: Path) -> None:
    assert errors(check(root)) == []


OBJECTS = {
    "a pod": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x, image: 'x@sha256:0'}]}\n",
    "a secret": "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n",
    "a role": f"{_RBAC}kind: Role\nmetadata: {{name: x}}\nrules: []\n",
    "an administrator": _ADMIN,
    "a webhook": "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\n"
    "metadata: {name: x}\nwebhooks: []\n",
    "a definition": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x.y.z}\n",
    "another source": "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: x}\n"
    "spec: {interval: 1m, url: 'https://evil.test/x'}\n",
    "a Kustomization of Flux": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: x}\n"
    "spec: {interval: 1m, prune: true, path: ./, sourceRef: {kind: GitRepository, name: x}}\n",
    "an Application": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x, namespace: argocd}\n"
    "spec: {project: default, destination: {}, source: {repoURL: 'https://evil.test/x', path: .}}\n",
    "a kind of no group": "apiVersion: batch/v1\nkind: ConfigMap\nmetadata: {name: x}\n",
}


@pytest.mark.parametrize("text", OBJECTS.values(), ids=OBJECTS)
@pytest.mark.parametrize("place", ["models", "fleet"])
def test_a_powerful_object_is_refused(root: Path, place: str, text: str) -> None:
    if place == "models":
        add_component(root, text)
    else:
        write(root, {"fleet/prod/namespace/x.yaml": text})
    assert "outside-bounds" in rules(check(root))


@pytest.mark.parametrize("text", [OBJECTS["a secret"], OBJECTS["a webhook"], OBJECTS["an Application"]])
def test_platform_is_bounded_too_and_the_hint_allows_it(root: Path, text: str) -> None:
    write(root, {"platform/install/x.yaml": text})
    (found,) = (item for item in errors(check(root)) if item.rule == "outside-bounds")
    follow_hint(root, found)
    assert "outside-bounds" not in rules(check(root))


def test_kubectl_applies_json_too(root: Path) -> None:
    text = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}'
    write(root, {"platform/argocd/prod.json": text})
    (found,) = errors(check(root))
    assert (found.rule, found.file) == ("outside-bounds", "platform/argocd/prod.json")


_ITEM = _ADMIN.replace("\n", "\n  ")
_CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
HIDDEN = {
    "a list": f"apiVersion: v1\nkind: List\nitems:\n- {_ITEM}",
    "a list of its kind": f"{_RBAC}kind: ClusterRoleBindingList\nitems:\n- {_ITEM}",
    "a list of another kind": f"apiVersion: v1\nkind: ConfigMapList\nitems:\n- {_ITEM}",
    "a list in a list": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - "
    + _ADMIN.replace("\n", "\n    "),
    "a second document": f"{_CONFIG_MAP}---\n{_ADMIN}",
    "after the end": f"{_CONFIG_MAP}...\n---\n{_ADMIN}",
    "a key that is written in another way": _ADMIN.replace("kind: C", '"ki\\u006ed": C'),
    "a tag": _ADMIN.replace("kind: C", "kind: !!str C"),
    "a group in capital letters": _ADMIN.replace("rbac.", "RBAC."),
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_nothing_hides_an_object(root: Path, text: str) -> None:
    write(root, {"fleet/prod/namespace/x.yaml": text})
    assert "outside-bounds" in rules(check(root))


def test_a_kind_that_comes_by_a_merge_is_refused(root: Path) -> None:
    """Some readers of YAML merge and others do not."""
    write(
        root,
        {"fleet/prod/namespace/x.yaml": f"x: &a {{kind: ClusterRoleBinding}}\n<<: *a\n{_RBAC}metadata: {{name: x}}\n"},
    )
    assert rules(check(root)) == {"yaml-invalid"}


@pytest.mark.parametrize("place", ["fleet/prod/namespace/x.yaml", "platform/install/x.yaml"])
def test_another_namespace_is_refused_and_the_hint_allows_it(root: Path, place: str) -> None:
    write(root, {place: "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x, namespace: kube-system}\n"})
    (found,) = errors(check(root))
    assert found.path == "metadata.namespace"
    follow_hint(root, found)
    assert errors(check(root)) == []


PATCHES = {
    "host path": "{op: add, path: /spec/predictor/volumes, value: [{name: x, hostPath: {path: /}}]}",
    "host network": "{op: add, path: /spec/predictor/hostNetwork, value: true}",
    "host processes": "{op: add, path: /spec/predictor/hostPID, value: true}",
    "privileged": "{op: add, path: /spec/predictor/model/securityContext, value: {privileged: true}}",
    "a capability": "{op: add, path: /spec/predictor/model/securityContext, value: {capabilities: {add: [BPF]}}}",
    "files": "{op: add, path: /metadata/annotations/container.apparmor.security.beta.kubernetes.io~1kserve-container, "
    "value: unconfined}",
    "a container before": "{op: add, path: /spec/predictor/initContainers, value: [{name: a, image: 'x@sha256:0', "
    "securityContext: {privileged: true}}]}",
    "a port of the node": "{op: add, path: /spec/predictor/model/ports, value: [{containerPort: 1, hostPort: 80}]}",
    "system calls": "{op: add, path: /spec/predictor/securityContext, value: {seccompProfile: {type: Unconfined}}}",
}


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_a_patch_gives_a_pod_no_power(root: Path, patch: str) -> None:
    write(root, {_CUSTOM: f"{_COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    - {patch}\n"})
    run(root, FakeRegistry(), RenderOptions(locked=True))
    found = [item for item in errors(check(root)) if item.rule == "outside-bounds"]
    assert [item.file for item in found] == [_CUSTOM]


@pytest.mark.parametrize("place", ["fleet/prod/namespace/x.yaml", "platform/install/x.yaml"])
def test_a_namespace_keeps_its_pod_security(root: Path, place: str) -> None:
    """Without it, the cluster itself would refuse no pod."""
    labels = "{pod-security.kubernetes.io/enforce: privileged}"
    write(root, {place: f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: models-prod, labels: {labels}}}\n"})
    (found,) = errors(check(root))
    assert found.rule == "outside-bounds"
    follow_hint(root, found)
    assert errors(check(root)) == []


@pytest.mark.parametrize("uri", ["s3://elsewhere/x/", "s3://mlflow-2/x/", "s3://mlflow/../x/"])
def test_a_patch_reads_no_other_storage(root: Path, uri: str) -> None:
    patch = f"{{op: replace, path: /spec/predictor/model/storageUri, value: '{uri}'}}"
    write(root, {_CUSTOM: f"{_COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    - {patch}\n"})
    run(root, FakeRegistry(), RenderOptions(locked=True))
    found = [item for item in errors(check(root)) if item.rule == "outside-bounds"]
    assert [(item.file, item.path) for item in found] == [(_CUSTOM, "spec.predictor.model.storageUri")]


def test_a_patch_names_no_storage_by_a_key(root: Path) -> None:
    patch = "{op: add, path: /spec/predictor/model/storage, value: {key: x, path: y}}"
    write(root, {_CUSTOM: f"{_COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    - {patch}\n"})
    run(root, FakeRegistry(), RenderOptions(locked=True))
    (found,) = (item for item in errors(check(root)) if item.rule == "outside-bounds")
    assert (found.path, found.hint) == ("spec.predictor.model.storage", "use storageUri; storage may only have its key")


def test_a_change_cannot_use_the_bounds_that_it_widens(root: Path) -> None:
    policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {podSelector: {}}\n"
    git(root, "checkout", "-q", "-b", "change")
    add_component(root, policy)
    (found,) = errors(check(root, "origin/main"))
    follow_hint(root, found)
    for project in (root / "platform/argocd").glob("[a-z]*.yaml"):
        text = project.read_text().replace(
            "clusterResourceWhitelist: []\n  namespaceResourceWhitelist:\n",
            "clusterResourceWhitelist: []\n  namespaceResourceWhitelist:\n"
            "    - {group: networking.k8s.io, kind: NetworkPolicy}\n",
        )
        project.write_text(text)
    assert errors(check(root)) == []
    (found,) = errors(check(root, "origin/main"))
    assert "only the bounds of origin/main" in found.hint
    assert "merge that first" in found.hint
    # The next step: the bounds alone, merged; then the change.
    changed = commit(root, "all at once")
    git(root, "checkout", "-q", "main")
    git(root, "checkout", changed, "--", "m2g.yaml", "platform")
    commit(root, "widen the bounds")
    assert errors(check(root, "origin/main")) == []
    git(root, "checkout", "-q", "change")
    assert errors(check(root, "main")) == [], "the bounds at the tip of main count"


def test_the_verdict_says_whose_bounds_applied(root: Path) -> None:
    assert "bounds" not in render_report(check(root), "text").splitlines()[-1]
    edit_file(root, "m2g.yaml", [Set(path=("sync", "bounds", "podSecurity"), value="privileged")])
    assert "; bounds: those of m2g.yaml here; use --against" in render_report(check(root), "text")
    assert "; bounds: those of m2g.yaml at origin/main" in render_report(check(root, "origin/main"), "github")


def replaced(root: Path, file: str, old: str, new: str) -> Report:
    path = root / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return check(root)


_JOB = "- {group: batch, kind: Job}"
PLATFORM = {
    "a kind too many": ("platform/argocd/prod.yaml", _JOB, f'{_JOB}\n    - {{group: "", kind: Pod}}', "allows Pod"),
    "every kind": ("platform/argocd/prod.yaml", _JOB, '- {group: "*", kind: "*"}', "allows *.*"),
    "no list": ("platform/argocd/prod.yaml", "namespaceResourceWhitelist", "namespaceResourceBlacklist", "every kind"),
    "a kind too few": ("platform/argocd/prod.yaml", f"    {_JOB}\n", "", "does not allow Job.batch"),
    "a cluster kind": (
        "platform/argocd/prod.yaml",
        "clusterResourceWhitelist: []",
        "clusterResourceWhitelist: [{group: rbac.authorization.k8s.io, kind: ClusterRoleBinding}]",
        "allows ClusterRoleBinding",
    ),
    "every namespace": ("platform/argocd/prod.yaml", 'namespace: "models-prod"', 'namespace: "*"', "the namespace *"),
    "another project": ("platform/argocd/prod.yaml", 'project: "models-prod"', "project: default", "project default"),
    "another source": ("platform/argocd/dev.yaml", "https://git.test/ml.git", "https://evil.test/ml.git", "evil.test"),
    "another source of Flux": ("platform/flux/_source.yaml", "https://git.test/ml.git", "https://evil.test/x", "evil"),
    "the whole repository": ("platform/flux/prod.yaml", '"./fleet/prod"', '"./"', "applies ./"),
}


@pytest.mark.parametrize("case", PLATFORM.values(), ids=PLATFORM)
def test_platform_says_what_the_bounds_say(root: Path, case: tuple[str, str, str, str]) -> None:
    file, old, new, message = case
    found = [item for item in errors(replaced(root, file, old, new)) if item.rule == "platform-bounds"]
    assert any(message in item.message for item in found), found


def test_a_namespace_that_only_m2g_yaml_has_is_named(root: Path) -> None:
    found = {item.rule: item for item in replaced(root, "m2g.yaml", "models-prod", "models-live").findings}
    assert "allows models-live" in found["project-missing"].message
    assert "platform-bounds" in found, "the project still allows the old one"


ROLES = {
    "a binding to an administrator": _ADMIN,
    "everything": f"{_RBAC}kind: ClusterRole\nmetadata: {{name: x}}\n"
    "rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n",
    "secrets": f"{_RBAC}kind: Role\nmetadata: {{name: x, namespace: models-prod}}\n"
    "rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]\n",
    "pods": f"{_RBAC}kind: Role\nmetadata: {{name: x, namespace: models-prod}}\n"
    "rules: [{apiGroups: [''], resources: [pods], verbs: [create]}]\n",
    "every namespace": f"{_RBAC}kind: ClusterRole\nmetadata: {{name: x}}\n"
    "rules: [{apiGroups: [''], resources: [namespaces], verbs: [patch]}]\n",
    "roles of others": f"{_RBAC}kind: ClusterRole\nmetadata: {{name: x}}\n"
    "aggregationRule: {clusterRoleSelectors: []}\nrules: []\n",
    "another's rights": f"{_RBAC}kind: ClusterRole\nmetadata: {{name: x}}\n"
    "rules: [{apiGroups: [''], resources: [users], verbs: [impersonate]}]\n",
}


@pytest.mark.parametrize("text", ROLES.values(), ids=ROLES)
def test_an_account_gets_no_right_beyond_the_bounds(root: Path, text: str) -> None:
    write(root, {"platform/flux/x.yaml": text})
    assert "platform-bounds" in rules(check(root))


def test_a_project_of_its_own_is_for_something_else(root: Path) -> None:
    """Installs of the platform have a project that reaches no namespace of models."""
    text = (root / "platform/argocd/prod.yaml").read_text().partition("---")[0]
    own = text.replace("models-prod", "kserve").replace("clusterResourceWhitelist: []", "clusterResourceWhitelist: "
                                                        "[{group: '*', kind: '*'}]")  # fmt: skip
    write(root, {"platform/install/project.yaml": own})
    assert rules(check(root)) <= {"outside-bounds"}
