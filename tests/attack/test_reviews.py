"""A review cannot be fooled: what changes what runs, who may do what, or how m2g decides heads it, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.core.stamp import stamp
from m2g.report import diff as report
from m2g.review import Review, Risk
from tests.support.fleet import release, repository, write_record
from tests.support.git_repository import commit, start
from tests.support.handmade_fleet import write
from tests.support.reviewed_fleet import COMPONENT, CUSTOM, compare, render

pytestmark = pytest.mark.attack

_BINDING = (
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: everything}\n"
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"
)
_DEPLOYMENT = (
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: miner}\n"
    "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: "
    "[{name: x, image: x, securityContext: {privileged: true}}], volumes: [{name: x, hostPath: {path: /}}]}}}\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """wine in dev and prod, committed, with a component in prod."""
    root = start(repository(tmp_path / "r"))
    write(
        root,
        {
            ".gitignore": ".m2g/\n",
            CUSTOM: f"{COMPONENT}labels: [{{pairs: {{team: a}}}}]\n",
            "platform/argocd/prod.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\n"
            "metadata: {name: models, namespace: argocd}\nspec: {sourceRepos: [a]}\n",
        },
    )
    for environment in ("dev", "prod"):
        write_record(root, "wine", release("wine", environment))
    render(root)
    commit(root)
    return root


def check_headline(review: Review, risk: Risk) -> None:
    """The first line of each format says the risk, and nothing calls the change routine or none."""
    text, markdown = (report.render(review, form) for form in ("text", "markdown"))
    for line in (text.splitlines()[0], markdown.splitlines()[1]):
        assert str(risk) in line
        assert "no model changes" not in line
    assert '"verdict"' in report.render(review, "json")


@pytest.mark.parametrize("text", [_BINDING, _DEPLOYMENT], ids=["administrator", "node"])
def test_a_component_that_adds_power_heads_the_review(root: Path, text: str) -> None:
    write(root, {CUSTOM: f"{COMPONENT}resources: [x.yaml]\n", "models/wine/custom/prod/x.yaml": text})
    render(root)
    review = compare(root)
    assert review.changes[0].risk is Risk.POWERFUL
    assert any(item.object_kind in text for item in review.changes[0].objects)
    check_headline(review, Risk.POWERFUL)


def test_power_is_not_hidden_by_a_new_version(root: Path) -> None:
    write_record(root, "wine", release("wine", "prod", "2"))
    write(root, {CUSTOM: f"{COMPONENT}resources: [x.yaml]\n", "models/wine/custom/prod/x.yaml": _BINDING})
    render(root)
    (change,) = compare(root).changes
    assert (change.before, change.after, change.risk) == ("1", "2", Risk.POWERFUL)
    assert "ClusterRoleBinding" in change.concerns[0].message


def test_a_service_beside_the_model_s_is_not_routine(root: Path) -> None:
    service = (
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: other}\n"
        "spec: {predictor: {containers: [{name: x, image: evil}]}}\n"
    )
    write(root, {CUSTOM: f"{COMPONENT}resources: [x.yaml]\n", "models/wine/custom/prod/x.yaml": service})
    render(root)
    (change,) = compare(root).changes
    assert (change.risk, change.concerns[0].message) == (
        Risk.POWERFUL,
        "adds InferenceService models-prod/other, which m2g does not write",
    )


PATCHES = {
    "another place of the model": (
        "{op: replace, path: /spec/predictor/model/storageUri, value: s3://x/}",
        "storageUri",
    ),
    "another account": ("{op: add, path: /spec/predictor/serviceAccountName, value: admin}", "serviceAccountName"),
    "a secret of another": (
        "{op: add, path: /spec/predictor/model/env, value: [{name: A, valueFrom: {secretKeyRef: {name: b, key: c}}}]}",
        "env",
    ),
    "a role of the cloud": (
        "{op: add, path: /metadata/annotations/iam.amazonaws.com~1role, value: admin}",
        "iam.amazonaws.com/role",
    ),
    "annotations of the pods": (
        "{op: add, path: /spec/predictor/annotations, value: {sidecar.istio.io/proxyImage: evil}}",
        "sidecar.istio.io/proxyImage",
    ),
    "a label that opens the service": (
        "{op: add, path: /metadata/labels/networking.kserve.io~1visibility, value: public}",
        "networking.kserve.io/visibility",
    ),
    "a service before the model": (
        "{op: add, path: /spec/transformer, value: {containers: [{name: kserve-container, image: evil}]}}",
        "image",
    ),
    "another node": ("{op: add, path: /spec/predictor/nodeName, value: control-plane}", "nodeName"),
    "another address of the storage": (
        "{op: add, path: /spec/predictor/hostAliases, value: [{ip: 1.2.3.4, hostnames: [s3.amazonaws.com]}]}",
        "hostAliases",
    ),
    "other storage": ("{op: add, path: /spec/predictor/model/storage, value: {key: a, path: b}}", "storage"),
    "other code": ("{op: add, path: /spec/predictor/model/args, value: [x]}", "args"),
}


@pytest.mark.parametrize("case", PATCHES.values(), ids=PATCHES)
def test_what_decides_what_runs_is_not_routine(root: Path, case: tuple[str, str]) -> None:
    patch, field = case
    write(root, {CUSTOM: f"{COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    - {patch}\n"})
    render(root)
    (change,) = compare(root).changes
    assert change.risk is Risk.POWERFUL
    assert field in change.concerns[0].message


OUTSIDE = {
    "a nested overlay": ({"models/wine/notes/overlays/prod/app.json": "{}"}, Risk.POWERFUL, "neither m2g nor people"),
    "a binding in fleet": ({"fleet/dev/x.yaml": _BINDING}, Risk.POWERFUL, "adds ClusterRoleBinding everything"),
    "a forged file in fleet": (
        {"fleet/dev/x.yaml": stamp("x.yaml", _BINDING).decode()},
        Risk.POWERFUL,
        "adds ClusterRoleBinding everything",
    ),
    "a project": (
        {
            "platform/argocd/prod.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\n"
            "metadata: {name: models, namespace: argocd}\nspec: {sourceRepos: ['*']}\n"
        },
        Risk.POWERFUL,
        "changes AppProject argocd/models: spec.sourceRepos[0]",
    ),
    "a broken file": ({"platform/argocd/prod.yaml": "a: [\n"}, Risk.POWERFUL, "cannot be read"),
    "a workflow": ({".github/workflows/check.yml": "on: push\n"}, Risk.POWERFUL, "what CI runs"),
    "the other forge": ({".gitlab-ci.yml": "x: {}\n"}, Risk.POWERFUL, "what CI runs"),
    "owners": ({"CODEOWNERS": "* @me\n"}, Risk.POWERFUL, "who must approve"),
    "owners elsewhere": ({".github/CODEOWNERS": "* @me\n"}, Risk.POWERFUL, "CODEOWNERS"),
    "a policy": ({"policies/overrides.yaml": "overrides: []\n"}, Risk.POWERFUL, "what m2g validate reports"),
    "a runtime": ({"runtimes/x.json": "{}\n"}, Risk.CAUTION, "a runtime is said to load"),
    "a schema": ({"schemas/x.y/z_v1.json": "{}\n"}, Risk.CAUTION, "fields m2g validate accepts"),
    "hooks": ({".pre-commit-config.yaml": "repos: []\n"}, Risk.POWERFUL, "which programs"),
    "attributes": ({".gitattributes": "* -text\n"}, Risk.POWERFUL, "which bytes Git"),
    "a module in the root": ({"json.py": "import os\n"}, Risk.CAUTION, "no file of m2g"),
    "a submodule": ({".gitmodules": "[submodule]\n"}, Risk.POWERFUL, "neither m2g nor people"),
}


@pytest.mark.parametrize("case", OUTSIDE.values(), ids=OUTSIDE)
def test_what_changes_outside_of_models_is_said_first(root: Path, case: tuple[dict[str, str], Risk, str]) -> None:
    files, risk, words = case
    write(root, files)
    review = compare(root)
    assert (review.outside[0].risk, review.changes) == (risk, ())
    assert words in review.outside[0].message
    check_headline(review, risk)
    assert words in report.render(review, "text")
    assert words.split("[")[0] in report.render(review, "markdown")


FIELDS = {
    "registry: {uri": ("http://mlflow.test", "https://evil.test", "registry.uri: http://mlflow.test → https://evil.test"),
    "namespace": ("models-prod", "kube-system", "environments.prod.namespace: models-prod → kube-system"),
    "bounds": ("sync: {argocd: {}", "sync: {bounds: {podSecurity: privileged}, argocd: {}", "sync.bounds"),
    "storage": ("version: 1\n", "version: 1\nstorage: {allow: ['s3://x/']}\n", "storage.allow: none → "),
}  # fmt: skip


@pytest.mark.parametrize("case", FIELDS.values(), ids=FIELDS)
def test_m2g_yaml_is_summed_up_by_field(root: Path, case: tuple[str, str, str]) -> None:
    old, new, words = case
    path = root / "m2g.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    review = compare(root)
    assert review.outside[0].risk is Risk.POWERFUL
    assert words in review.outside[0].message
    check_headline(review, Risk.POWERFUL)


def test_a_default_is_caution_and_a_page_is_nothing(root: Path) -> None:
    write(root, {"docs/notes.md": "x\n"})
    review = compare(root)
    assert (review.outside, review.files) == ((), ("docs/notes.md",))
    write(root, {"m2g.yaml": (root / "m2g.yaml").read_text() + "defaults: {maxReplicas: 3}\n"})
    (concern,) = compare(root).outside
    assert (concern.risk, concern.message) == (
        Risk.CAUTION,
        "m2g.yaml: defaults.maxReplicas: none → 3; it decides how many pods run",
    )


def test_hostile_text_in_a_summary_is_data(root: Path) -> None:
    write(root, {"platform/x.yaml": 'apiVersion: v1\nkind: "\\n::error::x\\u202e`|<b>"\nmetadata: {name: "@all"}\n'})
    review = compare(root)
    assert "\n::error::" not in report.render(review, "text")
    markdown = report.render(review, "markdown")
    assert "<b>" not in markdown.replace("`", "") or "``" in markdown
    assert "@all" not in markdown
