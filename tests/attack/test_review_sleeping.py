"""What no overlay builds yet, and what changes no object, is named in a review."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.commands.explain_model import explain_model
from m2g.commands.validate import ValidateOptions, validate
from m2g.report import diff as report
from m2g.review import Risk
from tests.support.fleet import FakeRegistry, model, release
from tests.support.git_repository import commit
from tests.support.handmade_fleet import write
from tests.support.reviewed_fleet import (
    BINDING,
    COMPONENT,
    CRON,
    CUSTOM,
    compare,
    make_fleet,
    patched,
    render,
)

pytestmark = pytest.mark.attack


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_fleet(tmp_path / "r")


SLEEPING = {
    "a component before the release": (
        {
            "models/tea/custom/prod/kustomization.yaml": f"{COMPONENT}resources: [job.yaml]\n",
            "models/tea/custom/prod/job.yaml": CRON,
        },
        "adds CronJob NAME",
    ),
    "of a model that is not there": (
        {"models/new/custom/dev/kustomization.yaml": patched("{op: remove, path: /x}")},
        "adds Component",
    ),
    "a file beside a component": (
        {"models/wine/custom/prod/later.yaml": BINDING + "\n"},
        "adds ClusterRoleBinding everything",
    ),
    "a program": ({"models/wine/custom/prod/run.sh": "x\n"}, "run.sh"),
    "operations of a patch": (
        {"models/wine/custom/prod/patch.yaml": "- {op: remove, path: /x}\n"},
        "cannot be read as YAML objects",
    ),
    "settings before the release": (
        {"models/new/model.yaml": "settings: {image: evil.test/x}\n"},
        "settings.image: none → evil.test/x",
    ),
    "a file of fleet that applies nothing": (
        {"fleet/dev/churn.yaml": BINDING + "\n"},
        "adds ClusterRoleBinding everything",
    ),
}


@pytest.mark.parametrize("case", SLEEPING.values(), ids=SLEEPING)
def test_what_no_overlay_builds_yet_is_named(root: Path, case: tuple[dict[str, str], str]) -> None:
    files, words = case
    write(root, files)
    review = compare(root)
    assert review.changes == ()
    assert any(words in concern.message and concern.risk is Risk.POWERFUL for concern in review.outside)
    for path in files:
        assert any(concern.message.startswith(path) for concern in review.outside)
    assert not report.render(review, "text").startswith("no model changes")


def test_a_release_wakes_a_component_and_validate_warns_before(root: Path) -> None:
    custom = "models/tea/custom/prod/kustomization.yaml"
    write(
        root,
        {
            custom: f"{COMPONENT}resources: [job.yaml]\n",
            "models/tea/custom/prod/job.yaml": CRON.replace("NAME", "tea-x"),
        },
    )
    (finding,) = (one for one in validate(root, ValidateOptions()).findings if one.rule == "component-unused")
    assert (finding.file, finding.environment, str(finding.severity)) == (custom, "prod", "warning")
    assert "m2g explain --model tea;" in finding.hint
    registry = FakeRegistry([model("tea", challenger="1")])
    reasons = explain_model(root, "tea", (), open_registry=lambda config: registry)
    assert any("alias champion" in text for one in reasons.environments for text in one.reasons)
    commit(root)
    render(root, release("tea", "prod"))
    (change,) = compare(root).changes
    assert (change.slug, change.risk) == ("tea", Risk.POWERFUL)
    assert "adds CronJob models-prod/tea-x" in change.concerns[0].message
    assert not [one for one in validate(root, ValidateOptions()).findings if one.rule == "component-unused"]


@pytest.mark.parametrize(
    "addition",
    ["# a comment\n", "namespace: kube-system\n", "openapi: {path: schema.json}\n", "metadata: {name: x}\n"],
)
def test_a_file_of_people_that_changes_no_object_has_a_line(root: Path, addition: str) -> None:
    write(root, {CUSTOM: (root / CUSTOM).read_text() + addition, "models/wine/custom/prod/schema.json": "{}"})
    render(root, release("wine", "prod", "2"))
    review = compare(root)
    assert [change.risk for change in review.changes] == [Risk.ROUTINE]
    assert any(concern.message.startswith(f"{CUSTOM}: overlays build it") for concern in review.outside)
    assert not report.render(review, "text").startswith("1 change")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("models/wine/overlays/prod", "models/tea/overlays/dev"),
        ('"namespace": "models-prod"', '"namespace": "kube-system"'),
        ("{", "["),
    ],
)
def test_what_argo_cd_deploys_is_not_hidden_by_a_new_version(root: Path, old: str, new: str) -> None:
    render(root, release("wine", "prod", "2"))
    assert compare(root).outside == ()
    path = root / "models/wine/overlays/prod/app.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    (concern,) = compare(root).outside
    assert (concern.risk, concern.message.split(":")[0]) == (Risk.POWERFUL, "models/wine/overlays/prod/app.json")


def test_a_file_of_m2g_without_a_change_is_listed(root: Path) -> None:
    write(root, {"models/wine/README.md": "x\n"})
    assert compare(root).files == ("models/wine/README.md",)
