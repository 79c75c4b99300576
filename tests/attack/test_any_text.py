"""Any text of a document is data: no exit 4, and one broken file hides no other finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.cli import group
from m2g.cli import run as run_command
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.manifest import name_kind
from m2g.report import findings
from m2g.report.findings import render_report
from m2g.validation.schemas import Catalogue
from tests.support.fleet import FakeRegistry, release, repository, run, write_record
from tests.support.git_repository import commit, start
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.attack

_LONG = "a" * 300
TEXTS = {
    "a long kind": f"apiVersion: v1\nkind: {_LONG}\n",
    "a long version": f"apiVersion: {_LONG}\nkind: Pod\n",
    "a long group": f"apiVersion: {_LONG}.io/v1\nkind: Pod\n",
    "a group of a DNS name's length": f"apiVersion: {'.'.join(['a' * 62] * 4)}/v1\nkind: Pod\n",
    "a very long kind": f"apiVersion: v1\nkind: {'Z' * 200_000}\n",
    "a path": "apiVersion: ../../../etc/v1\nkind: passwd\n",
    "no text": "apiVersion: [1]\nkind: {a: b}\n",
    "a NUL": 'apiVersion: "v1\\0"\nkind: "Pod\\0"\n',
    "a command": 'apiVersion: v1\nkind: "\\n::error::x ##[add-mask]y"\n',
    "half a character": 'apiVersion: v1\nkind: "\\ud800"\n',
    "fields of other types": "apiVersion: v1\nkind: Pod\nmetadata: [1]\nspec: {volumes: 1, hostPort: {a: [b]}}\n",
    "metadata of other types": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [1], namespace: {a: b}, labels: 3}\n",
    "odd capabilities": "apiVersion: v1\nkind: X\ns: {capabilities: {add: [{a: b}, [1]]}, sysctls: [1], "
    "seLinuxOptions: {type: [1]}}\n",
    "an odd project": "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: 1}\nspec: {destinations: "
    "[1, {namespace: [a]}], namespaceResourceWhitelist: [1, {kind: [a]}], sourceRepos: [{a: b}]}\n",
    "an odd role": "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: {}}\nrules: "
    "[1, {apiGroups: [[1]], resources: 3, verbs: [{}]}]\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = start(repository(tmp_path / "r"))
    write_record(root, "wine", release("wine", "prod"))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    commit(root)
    return root


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_is_a_finding_beside_the_others(root: Path, text: str) -> None:
    component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [x.yaml]\n"
    write(
        root,
        {
            "platform/a.yaml": text,
            "platform/b.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n",
            "fleet/prod/namespace/x.yaml": text,
            "models/wine/custom/prod/kustomization.yaml": component,
            "models/wine/custom/prod/x.yaml": f"{text}{'' if 'metadata' in text else 'metadata: {name: x}'}\n",
        },
    )
    run(root, FakeRegistry(), RenderOptions(locked=True))
    report = validate(root, ValidateOptions())
    found = {item.file for item in report.findings}
    assert {"platform/a.yaml", "platform/b.yaml", "fleet/prod/namespace/x.yaml"} <= found
    assert any(file.startswith("models/wine/") for file in found)
    for form in findings.FORMATS:
        assert len(render_report(report, form)) < 40_000


@pytest.mark.parametrize("verb", [("validate", "--format", "github"), ("diff",), ("render", "--locked", "--check")])
@pytest.mark.parametrize("text", [TEXTS["a long kind"], TEXTS["a command"], TEXTS["fields of other types"]])
def test_no_verb_ends_as_a_bug(root: Path, verb: tuple[str, ...], text: str) -> None:
    write(root, {"platform/a.yaml": text, "fleet/prod/x.yaml": text, "models/wine/model.yaml": text, "m2g.yml": text})
    code = run_command(lambda: group.main(["-C", str(root), *verb], standalone_mode=False))
    assert code in (0, 1, 2)


def test_names_at_the_limits_of_a_file_system() -> None:
    for length in (199, 200, 201, 250, 255, 256, 4_096):
        for item in (
            {"apiVersion": f"{'a' * (length - 3)}.io/v1", "kind": "X"},
            {"apiVersion": "v1", "kind": "X" * length},
            {"apiVersion": "v" * length, "kind": "Pod"},
        ):
            (violation,) = Catalogue().find_violations(item, kserve="0.21")
            assert "no schema" in violation.message
            assert len(violation.message) < 300
            assert name_kind(item)
