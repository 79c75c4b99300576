"""`m2g validate --against`: what must not change for what exists, in real Git histories."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.validation.base import Against
from tests.support.fleet import CONFIG, FakeRegistry, narrowed, release, repository, run, write_record
from tests.support.git_repository import commit, git, start
from tests.support.handmade_fleet import COMPONENT, write

NAMES = ("ale", "beer", "cider", "wine")
CUSTOM = "models/wine/custom/prod/kustomization.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four models in two environments, committed on main; a branch is checked out."""
    root = start(repository(tmp_path / "repository"))
    for name in NAMES:
        for environment in ("dev", "prod"):
            write_record(root, name, release(name, environment))
    rendered(root)
    commit(root)
    git(root, "checkout", "-q", "-b", "change")
    return root


def rendered(root: Path) -> None:
    run(root, FakeRegistry(), RenderOptions(locked=True, discard_edits=True, allow_removals=99))


def check(root: Path, ref: str = "main", removals: int | None = None, **scope: str) -> tuple[Finding, ...]:
    about = narrowed(scope)
    return validate(root, ValidateOptions(scope=about, against=Against(ref=ref, removals=removals))).findings


def configured(root: Path, old: str, new: str) -> None:
    """m2g.yaml with a change, rendered and committed."""
    assert old in CONFIG
    (root / "m2g.yaml").write_text(CONFIG.replace(old, new))
    rendered(root)
    commit(root)


def named(root: Path, name: str) -> None:
    """A person's component that names wine's predictor in prod."""
    patch = f"- {{op: add, path: /spec/predictor/name, value: {name}}}"
    write(root, {CUSTOM: f"{COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    {patch}\n"})
    rendered(root)


def test_nothing_changed_and_a_new_version_are_fine(root: Path) -> None:
    assert check(root) == ()
    write_record(root, "wine", release("wine", "prod", "2"))
    rendered(root)
    assert check(root) == ()


def test_another_mode_for_a_name_that_exists(root: Path) -> None:
    configured(root, "sync:", "kserve: {mode: Knative}\nsync:")
    found = check(root)
    assert {(item.rule, item.environment) for item in found} == {("history-mode", "dev"), ("history-mode", "prod")}
    assert len(found) == 2, "one place to change, one finding an environment"
    assert {item.file for item in found} == {"m2g.yaml"}
    assert found[0].line > 0
    assert validate(root, ValidateOptions()).findings == ()


def test_the_new_word_for_the_same_mode(root: Path) -> None:
    git(root, "checkout", "-q", "main")
    configured(root, "sync:", "kserve: {version: '0.15'}\nsync:")
    git(root, "checkout", "-q", "-B", "change")
    configured(root, "sync:", "kserve: {version: '0.16'}\nsync:")
    assert {item.rule for item in check(root)} == {"runtime-unsure"}  # its MLServer has an older scikit-learn
    configured(root, "sync:", "kserve: {version: '0.16', mode: Knative}\nsync:")
    assert {item.rule for item in check(root)} == {"history-mode", "runtime-unsure"}


def test_a_predictor_s_name_changes_with_its_model_only(root: Path) -> None:
    named(root, "v2")
    finding = next(iter(check(root)))
    assert (finding.rule, finding.file, finding.line) == ("history-predictor-name", CUSTOM, 4)
    write_record(root, "wine", release("wine", "prod", "2"))
    rendered(root)
    assert check(root) == ()


def test_more_services_go_than_m2g_yaml_allows(root: Path) -> None:
    for name in NAMES[:2]:
        shutil.rmtree(root / "models" / name)
    found = [item for item in check(root) if item.rule == "history-removals"]
    assert (found[0].file, found[0].path, len(found)) == ("m2g.yaml", "removals", 1)
    assert "4 InferenceServices" in found[0].message
    assert "beer (prod)" in found[0].message
    assert "--allow-removals" in found[0].hint
    assert not any(item.rule == "history-removals" for item in check(root, removals=4))
    assert not any(item.rule == "history-removals" for item in check(root, environments="prod"))


def test_the_share_of_the_fleet_counts_where_it_is_larger(root: Path) -> None:
    (root / "m2g.yaml").write_text(f"{CONFIG}removals: {{maxCount: 0, maxPercent: 25}}\n")
    shutil.rmtree(root / "models/ale")
    assert not any(item.rule == "history-removals" for item in check(root))
    (root / "m2g.yaml").write_text(f"{CONFIG}removals: {{maxCount: 0, maxPercent: 24}}\n")
    assert any(item.rule == "history-removals" for item in check(root))


def test_an_overlay_that_does_not_build_is_not_called_removed(root: Path) -> None:
    (root / "m2g.yaml").write_text(f"{CONFIG}removals: {{maxCount: 0, maxPercent: 0}}\n")
    (root / "models/wine/overlays/prod/patch.yaml").write_text("- {op: remove, path: /spec/nothing}\n")
    rules = {item.rule for item in check(root)}
    assert "overlay-build" in rules
    assert "history-removals" not in rules


def test_a_model_that_moved_is_compared_by_its_object(root: Path) -> None:
    """Another slug is another object: its mode is its own."""
    git(root, "mv", "models/wine", "models/port")
    assert not any(item.rule.startswith("history-mode") for item in check(root))


def test_a_ref_that_is_not_there(root: Path) -> None:
    with pytest.raises(InputError, match="Git does not find a commit"):
        check(root, ref="nothing")
