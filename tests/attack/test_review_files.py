"""What m2g.yaml and other files decide is named in a review, the riskiest first."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.commands.validate import ValidateOptions, validate
from m2g.report import diff as report
from m2g.review import Risk
from tests.support.fleet import CONFIG
from tests.support.git_repository import commit
from tests.support.handmade_fleet import write
from tests.support.reviewed_fleet import (
    BINDING,
    COMPONENT,
    CUSTOM,
    compare,
    make_fleet,
    render,
)

pytestmark = pytest.mark.attack


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_fleet(tmp_path / "r")


CONFIGS = {
    "behind harmless fields": (
        "models: {slugs: {"
        + ", ".join(f"m{n}: s{n}" for n in range(60))
        + "}}\nsync: {bounds: {podSecurity: privileged}, ",
        "sync.bounds.podSecurity",
    ),
    "a new environment": ("sync: {", ""),
    "the place of images": (
        "images: {registry: evil.test/x, bases: {'3.12': evil.test/base}}\nsync: {",
        "images.registry: none → evil.test/x",
    ),
    "the image of all models": ("defaults: {image: evil.test/x}\nsync: {", "defaults.image: none → evil.test/x"),
    "what is no secret": ("secrets: {allow: [{text: x, reason: y}]}\nsync: {", "secrets.allow"),
}


@pytest.mark.parametrize("case", CONFIGS.values(), ids=CONFIGS)
def test_fields_of_m2g_yaml_are_ranked_before_they_are_cut(root: Path, case: tuple[str, str]) -> None:
    text, words = case
    new = "environments:\n  staging: {namespace: kube-system, follow: {alias: a}, storage: {allow: ['s3://evil/']}}\n"
    config = CONFIG.replace("sync: {", text) if words else CONFIG.replace("environments:\n", new)
    write(root, {"m2g.yaml": config})
    review = compare(root)
    assert review.outside[0].risk is Risk.POWERFUL
    powerful = [concern.message for concern in review.outside if concern.risk is Risk.POWERFUL]
    for field in [words] if words else ["staging.namespace: none → kube-system", "staging.storage.allow"]:
        assert any(field in message for message in powerful)
    if "60" in text or "m59" in text:
        assert review.outside[-1].message == "m2g.yaml: 11 more fields changed: 11 caution"


def test_lines_that_are_left_out_are_counted_by_risk(root: Path) -> None:
    write(root, {f"platform/{n}.yaml": BINDING.replace("everything", f"b{n}") + "\n" for n in range(120)})
    review = compare(root)
    assert "… and 20 more: 20 powerful" in report.render(review, "text")
    assert "… and 60 more: 60 powerful" in report.render(review, "markdown")


FILES = {
    "packages of CI": ({"ci/requirements.txt": "evil==1\n"}, Risk.POWERFUL),
    "packages of models in CI": ({"ci/requirements-models.txt": "evil==1\n"}, Risk.POWERFUL),
    "a page in ci": ({"ci/notes.md": "x\n"}, Risk.POWERFUL),
    "packages of somebody": ({"requirements.txt": "evil==1\n"}, Risk.CAUTION),
    "a page that may be a program": ({"tools/run.md": "x\n"}, Risk.CAUTION),
    "what Argo CD evaluates": ({"platform/argocd/x.jsonnet": "{}\n"}, Risk.POWERFUL),
}


@pytest.mark.parametrize("case", FILES.values(), ids=FILES)
def test_a_suffix_makes_nothing_harmless(root: Path, case: tuple[dict[str, str], Risk]) -> None:
    files, risk = case
    write(root, files)
    assert [concern.risk for concern in compare(root).outside] == [risk]


def test_a_page_that_an_overlay_builds_is_not_a_page(root: Path) -> None:
    text = f"{COMPONENT}configMapGenerator: [{{name: c2, files: [code.md]}}]\nresources: [x.yaml, wall.yaml]\n"
    write(root, {CUSTOM: text, "models/wine/custom/prod/code.md": "1\n"})
    render(root)
    commit(root)
    write(root, {"models/wine/custom/prod/code.md": "2\n"})
    (change,) = compare(root).changes
    assert change.risk is Risk.POWERFUL
    (root / "docs").mkdir()
    (root / "docs/code.md").symlink_to("../models/wine/custom/prod/code.md")
    assert any(concern.message.startswith("docs/code.md") for concern in compare(root).outside)


LISTS = {
    "a List": f"{{apiVersion: v1, kind: List, items: [{BINDING}]}}",
    "the first List": f"{{apiVersion: v1, kind: List, items: [{BINDING}]}}\n---\n{{apiVersion: v1, kind: List}}",
    "a List in a List": f"{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: List, items: [{BINDING}]}}]}}",
    "a list of one kind": "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBindingList, "
    "items: [{metadata: {name: everything}}]}",
    "a list of any name": f"{{apiVersion: x.test/v1, kind: Harmless, items: [{BINDING}]}}",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("path", ["platform/x.yaml", "fleet/dev/namespace/x.yaml"])
def test_objects_in_lists_have_names(root: Path, text: str, path: str) -> None:
    write(root, {path: text + "\n"})
    review = compare(root)
    assert review.outside[0].risk is Risk.POWERFUL
    assert "adds ClusterRoleBinding everything" in review.outside[0].message


@pytest.mark.parametrize("before", ["", "{apiVersion: v1, kind: List, items: [{}]}\n---\n".replace("{}", BINDING)])
def test_two_objects_of_one_identity_hide_nothing(root: Path, before: str) -> None:
    write(root, {"platform/x.yaml": (before or BINDING + "\n---\n") + BINDING + "\n"})
    review = compare(root)
    assert any("has ClusterRoleBinding everything twice" in concern.message for concern in review.outside)
    assert {concern.risk for concern in review.outside} == {Risk.POWERFUL}
    (finding,) = (one for one in validate(root, ValidateOptions()).findings if one.rule == "object-twice")
    assert (finding.file, finding.line) == ("platform/x.yaml", 3)
    assert "ClusterRoleBinding everything is in this file twice" in finding.message
