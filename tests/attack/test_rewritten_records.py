"""Facts of a version that somebody changes in its record: m2g finds them, before the merge and after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding, Severity
from m2g.repository import records as releases
from m2g.validation.base import Against
from tests.support.fleet import FakeRegistry, model, run, tree
from tests.support.forged_records import FORGED, Forge, both, fleet, forge, of_mlmodel, of_record
from tests.support.git_repository import commit, follow, git, start

pytestmark = pytest.mark.attack

FACTS: dict[str, Forge] = {
    name: FORGED[name]
    for name in ("another folder", "another MLmodel", "other packages", "another class", "no MLmodel")
} | {
    "no signature": of_mlmodel(signature=None),
    "another function": of_mlmodel(predict_fn="evil"),
    "other formats": of_mlmodel(flavors=()),
    "code": of_mlmodel(code=True),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2G_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize("change", FACTS.values(), ids=FACTS)
def test_an_ordinary_render_repairs_what_its_cache_knows(tmp_path: Path, change: Forge, environment: str) -> None:
    registry, options = FakeRegistry([model(champion="1", challenger="2")]), RenderOptions(cache=tmp_path / "cache")
    root = tmp_path / "r"
    fleet(root)
    run(root, registry, RenderOptions(cache=options.cache, verify=True))
    before = tree(root)
    forge(root, change, environment)
    registry.asked.clear()
    run(root, registry, options)
    assert tree(root) == before
    assert registry.asked == []  # also the facts are in the cache
    assert run(root, registry, options).findings == ()


def test_the_repair_is_named_and_verify_needs_no_cache(tmp_path: Path) -> None:
    registry = fleet(tmp_path)
    before = tree(tmp_path)
    forge(tmp_path, FACTS["other packages"], "prod")
    assert run(tmp_path, registry).findings == ()
    (found,) = run(tmp_path, registry, RenderOptions(verify=True)).findings
    assert (found.rule, found.environment, found.severity) == ("record-differs", "prod", Severity.WARNING)
    assert "mlmodel.requirements" in found.message
    assert tree(tmp_path) == before


def find_rewritten(root: Path) -> list[Finding]:
    found = validate(root, ValidateOptions(against=Against(ref="main"))).findings
    return [one for one in found if one.rule == "record-rewritten"]


REFUSED: dict[str, Forge] = {
    name: change for name, change in FACTS.items() if name not in ("code", "another function")
} | {
    "other metrics": FORGED["other metrics"],
    "two at once": both(of_mlmodel(python_version="3.9.1"), of_record(artifact_uri="s3://mlflow/x")),
}


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_facts_of_a_version_do_not_change(tmp_path: Path, change: Forge, environment: str) -> None:
    root = start(tmp_path / "r")
    fleet(root)
    commit(root)
    git(root, "checkout", "-q", "-b", "pr")
    forge(root, change, environment)
    commit(root)
    (found,) = find_rewritten(root)
    assert (found.file, found.severity) == (f"models/wine/releases/{environment}.json", Severity.ERROR)
    follow(root, found.hint.partition("restore the record: ")[2].partition(";")[0])
    assert find_rewritten(root) == []
    git(root, "add", "-A")
    assert git(root, "diff", "--cached", "--name-only", "main") == ""


@pytest.mark.usefixtures("kustomize")
def test_a_revert_a_correction_and_another_version_are_no_rewriting(tmp_path: Path) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root)
    commit(root)
    forge(root, FACTS["other packages"])
    commit(root, "merged by mistake")
    git(root, "checkout", "-q", "-b", "pr")
    git(root, "revert", "--no-edit", "HEAD")
    assert find_rewritten(root) == []
    git(root, "reset", "-q", "--hard", "main")
    run(root, registry, RenderOptions(verify=True))
    commit(root, "as m2g corrects it")
    assert find_rewritten(root) == []
    git(root, "reset", "-q", "--hard", "main")
    registry.known = [model(champion="2", challenger="3")]
    run(root, registry)
    assert find_rewritten(root) == []


@pytest.mark.usefixtures("kustomize")
def test_a_wrong_first_record_is_removed_and_added_again(tmp_path: Path) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root)
    before = tree(root)
    forge(root, FACTS["other packages"])
    commit(root)
    git(root, "checkout", "-q", "-b", "pr")
    run(root, registry, RenderOptions(verify=True))
    (found,) = find_rewritten(root)
    git(root, "checkout", "-q", "-f", "main")
    follow(root, found.hint.rpartition("m2g adds it again: ")[2])
    commit(root)
    git(root, "checkout", "-q", "-f", "-B", "pr")
    run(root, registry)
    assert releases.read_all(root)[0].keys() == {("wine", "dev"), ("wine", "prod")}
    assert find_rewritten(root) == []
    assert tree(root) == before
