"""The walls in platform/ and in Git's own files: a change that takes one away is refused."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding, Report, Severity
from m2g.validation.base import Against
from tests.support.git_repository import commit, git, start
from tests.support.handmade_fleet import write
from tests.support.scaffolded import fleet, scaffold

pytestmark = [pytest.mark.attack, pytest.mark.slow]


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = start(tmp_path_factory.mktemp("walls") / "r")
    fleet(scaffold(root, "sync=both", "repository_url=https://git.test/ml.git"))
    commit(root)
    assert errors(validate(root, ValidateOptions())) == []
    return root


@pytest.fixture
def root(scaffolded: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(scaffolded), "r")
    return tmp_path / "r"


def errors(report: Report) -> list[Finding]:
    return [item for item in report.findings if item.severity is Severity.ERROR]


def edit(root: Path, file: str, pattern: str, text: str) -> None:
    before = (root / file).read_text()
    after, count = re.subn(pattern, text, before, count=1, flags=re.DOTALL | re.MULTILINE)
    assert count == 1
    (root / file).write_text(after)


APPLICATIONS = {
    "a patch of the template": (r"^  template:$", "  templatePatch: 'spec: {project: default}'\n  template:"),
    "an empty patch": (r"^  template:$", "  templatePatch: ''\n  template:"),
    "a template of a generator": (
        r"^  generators:$",
        "  generators:\n    - list: {elements: [{}], template: {metadata: {}, spec: {project: default}}}",
    ),
    "a template of a nested generator": (
        r"^  generators:$",
        "  generators:\n    - matrix: {generators: [{git: {template: {spec: {project: default}}}}]}",
    ),
}


@pytest.mark.parametrize(("pattern", "text"), APPLICATIONS.values(), ids=APPLICATIONS)
def test_nothing_changes_applications_after_their_template(root: Path, pattern: str, text: str) -> None:
    edit(root, "platform/argocd/prod.yaml", pattern, text)
    assert any(
        "after their template" in one.message and one.file == "platform/argocd/prod.yaml"
        for one in errors(validate(root, ValidateOptions()))
    )


_PATCHES = r"^  patches:$.*(?=^  # If a model leaves Git)"
FLUX = {
    "no account": (r"^  serviceAccountName: \S+$", ""),
    "the account of Flux itself": (r"^  serviceAccountName: \S+$", "  serviceAccountName: kustomize-controller"),
    "no patch": (_PATCHES, ""),
    "no patches": (_PATCHES, "  patches: []\n"),
    "a patch of some": (
        r"^        kind: Kustomization\n      patch:",
        "        kind: Kustomization\n        name: x\n      patch:",
    ),
    "a patch of another kind": (
        r"^        kind: Kustomization\n      patch:",
        "        kind: HelmRelease\n      patch:",
    ),
    "another patch after it": (
        r"(?=^  # If a model leaves Git)",
        "    - target: {kind: Kustomization}\n      patch: '[{op: remove, path: /spec/serviceAccountName}]'\n",
    ),
    "an account that is nowhere": (
        r"^          serviceAccountName: \S+$",
        "          serviceAccountName: helm-controller",
    ),
    "no account in the patch": (r"^          serviceAccountName: \S+$\n", ""),
    "another cluster stays": (r"^          kubeConfig: null$\n", ""),
    "variables stay": (r"^          postBuild: null$", "          postBuild: {substitute: {a: b}}"),
    "another namespace's source": (r"^            namespace: null$\n", ""),
    "another source": (r"^            name: models$", "            name: theirs"),
    "no YAML": (r"^      patch: \|$", "      patch: '{'\n      x: |"),
    "its own cluster": (r"^  prune: true$", "  prune: true\n  kubeConfig: {secretRef: {name: x}}"),
}


@pytest.mark.parametrize(("pattern", "text"), FLUX.values(), ids=FLUX)
def test_flux_applies_as_the_accounts_of_the_platform(root: Path, pattern: str, text: str) -> None:
    edit(root, "platform/flux/prod.yaml", pattern, text)
    found = [one for one in errors(validate(root, ValidateOptions())) if one.rule == "platform-bounds"]
    assert [one.file for one in found] == ["platform/flux/prod.yaml"] * len(found)
    assert found


NESTED = [
    *("models/wine/custom/dev/.gitattributes", "models/.gitattributes", "models/wine/.gitattributes"),
    *("fleet/.gitattributes", "fleet/prod/namespace/.gitattributes", "models/wine/overlays/prod/.gitattributes"),
    *("platform/.gitattributes", "platform/flux/.gitattributes", "models/wine/custom/dev/.GitAttributes"),
]


@pytest.mark.parametrize("path", NESTED)
def test_no_attributes_lie_beside_what_is_applied(root: Path, path: str) -> None:
    write(root, {path: "kustomization.yaml ident\n"})
    (found,) = errors(validate(root, ValidateOptions()))
    assert (found.rule, found.file) == ("unknown-file", path)
    subprocess.run(shlex.split(found.hint.partition("remove it: ")[2]), cwd=root, check=True)
    assert errors(validate(root, ValidateOptions())) == []


def test_nor_where_a_component_may_take_files_from(root: Path) -> None:
    git(root, "checkout", "-q", "-b", "change")
    write(root, {"shared/.gitattributes": "* ident\n", "docs/readme.md": ""})
    commit(root)
    found = errors(validate(root, ValidateOptions(against=Against(ref="main"))))
    assert [(one.rule, one.file) for one in found] == [("unknown-file", "shared/.gitattributes")]


CONVERTS = [
    *("* ident", "*.yaml filter=x", "models/** working-tree-encoding=UTF-16", "[attr]quiet ident", "*.json filter=lfs"),
    *("* text ident -diff", "models/* filter=lfs", "*.yml\tfilter=lfs diff=lfs", '"a b" ident', "* ident=x"),
]


@pytest.mark.parametrize("line", CONVERTS)
def test_no_attribute_of_the_root_converts(root: Path, line: str) -> None:
    write(root, {".gitattributes": f"# ident\n* text=auto eol=lf\n*.png filter=lfs diff=lfs merge=lfs -text\n{line}\n"})
    (found,) = errors(validate(root, ValidateOptions()))
    assert (found.rule, found.file, found.line) == ("git-attributes", ".gitattributes", 4)


@pytest.mark.parametrize("content", [b"x ident\n" + b"# padding\n" * 1_800_000, None], ids=["17 MB", "a folder"])
def test_attributes_that_cannot_be_read_are_a_finding(root: Path, content: bytes | None) -> None:
    path = root / ".gitattributes"
    path.unlink(missing_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    (found,) = errors(validate(root, ValidateOptions()))
    assert (found.rule, found.file) == ("git-attributes", ".gitattributes")
    assert found.message.startswith("cannot be read: ")


def test_other_attributes_are_fine(root: Path) -> None:
    write(
        root, {".gitattributes": "* -ident !filter\n*.bin binary\nmodels/** linguist-generated\n*.zip filter=lfs\n\n"}
    )
    assert errors(validate(root, ValidateOptions())) == []


def test_bounds_that_became_narrower_count_for_older_changes(root: Path) -> None:
    """On GitLab and on a person's machine, m2g sees the branch as it was when it started."""
    wide = (root / "m2g.yaml").read_text()
    assert "podSecurity" not in wide
    edit(root, "m2g.yaml", r"^sync:$", "sync:\n  bounds: {kinds: [Secret]}")
    commit(root)
    git(root, "checkout", "-q", "-b", "change")
    text = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [secret.yaml]\n"
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: wine-x}\n"
    write(root, {"models/wine/custom/prod/kustomization.yaml": text, "models/wine/custom/prod/secret.yaml": secret})
    subprocess.run(["m2g", "render", "--locked"], cwd=root, check=True, capture_output=True)
    commit(root)

    def outside() -> list[Finding]:
        report = validate(root, ValidateOptions(against=Against(ref="main")))
        return [one for one in errors(report) if one.rule == "outside-bounds"]

    assert outside() == []
    git(root, "checkout", "-q", "main")
    (root / "m2g.yaml").write_text(wide)
    commit(root, "narrower")
    git(root, "checkout", "-q", "change")
    assert outside()
