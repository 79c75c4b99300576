"""A fleet with a component of people, and its review in every format."""

from __future__ import annotations

from pathlib import Path

from m2g.changes.update import RenderOptions
from m2g.commands.diff import diff
from m2g.core.model import Release
from m2g.report import diff as report
from m2g.repository.state import Scope
from m2g.review import Review
from tests.support.fleet import FakeRegistry, release, repository, run, write_record
from tests.support.git_repository import commit, start
from tests.support.handmade_fleet import write

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
CUSTOM = "models/wine/custom/prod/kustomization.yaml"
BINDING = (
    "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: everything}, "
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}"
)
CRON = (
    "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: NAME}\nspec: {schedule: '* * * * *', jobTemplate: {spec: "
    "{template: {spec: {restartPolicy: Never, containers: [{name: x, image: evil.example/x}]}}}}}\n"
)
POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: wall}\nspec: {podSelector: {}}\n"
DIGEST = "sha256:" + "5f" * 32


def config_map(code: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{score.py: '{code}'}}\n"


def patched(*operations: str) -> str:
    body = "".join(f"    - {operation}\n" for operation in operations)
    return f"{COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n{body}"


def render(root: Path, *records: Release) -> None:
    for record in records:
        write_record(root, record.model, record)
    run(root, FakeRegistry(), RenderOptions(locked=True))


def make_fleet(folder: Path) -> Path:
    """wine in prod, cluster-local, with a component that adds an object of its own; tea in dev."""
    root = start(repository(folder))
    write(
        root,
        {
            ".gitignore": ".m2g/\n",
            CUSTOM: f"{COMPONENT}resources: [x.yaml, wall.yaml]\n",
            "models/wine/custom/prod/x.yaml": config_map("1"),
            "models/wine/custom/prod/wall.yaml": POLICY,
            "models/wine/model.yaml": "settings: {visibility: cluster-local}\n",
        },
    )
    render(root, release("wine", "prod"), release("tea", "dev"))
    commit(root)
    return root


def compare(root: Path) -> Review:
    review = diff(root, "", Scope())
    for form in ("text", "markdown", "json"):  # a review that cannot be shown protects nobody
        assert report.render(review, form)
    return review
