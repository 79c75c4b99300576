"""A fleet in parts: each builds and judges its own models, and together they say what one run says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.cli import group, run
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import Exit, InputError
from m2g.core.finding import Finding, Report
from m2g.core.shard import Shard, parse
from m2g.repository.state import Scope
from m2g.validation.base import Against
from tests.support.fleet import CONFIG, FakeRegistry, release, repository, write_record
from tests.support.fleet import run as render
from tests.support.git_repository import commit, git, start
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.slow

NAMES = ("a", "a-b", "ale", "beer", "cider", "wine")
BROKEN = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: x-\n"
NEVER_NEEDED = """policies:
- {id: named, expression: object.metadata.name != 'beer', message: is beer}
overrides:
- {policy: named, model: beer, environment: dev, reason: old, expires: '2999-01-01'}
- {policy: named, model: wine, environment: dev, reason: none, expires: '2999-01-01'}
"""


@pytest.fixture
def root(tmp_path: Path, kustomize: Path) -> Path:
    """Six models in two environments, committed on main; a branch is checked out."""
    assert kustomize.is_file()
    root = start(repository(tmp_path / "repository", f"{CONFIG}removals: {{maxCount: 2, maxPercent: 0}}\n"))
    for name in NAMES:
        for environment in ("dev", "prod"):
            write_record(root, name, release(name, environment))
    rendered(root)
    commit(root)
    git(root, "checkout", "-q", "-b", "change")
    return root


def rendered(root: Path) -> None:
    render(root, FakeRegistry(), RenderOptions(locked=True))


def parts(root: Path, count: int, against: Against | None = None) -> list[Report]:
    scopes = [Scope(shard=Shard(index=index, count=count)) for index in range(1, count + 1)]
    return [validate(root, ValidateOptions(scope=scope, against=against)) for scope in scopes]


def together(reports: Sequence[Report]) -> set[Finding]:
    return {finding for report in reports for finding in report.findings}


def agrees(root: Path, against: Against | None = None) -> Report:
    """What one run says, once it is known that any parts say the same."""
    whole = validate(root, ValidateOptions(against=against))
    for count in (1, 3):
        reports = parts(root, count, against)
        assert together(reports) == set(whole.findings)
        assert sorted(folder for report in reports for folder in report.built) == sorted(whole.built)
        for counted in ("models", "overlays", "objects", "files"):
            assert sum(getattr(r.checked, counted) for r in reports) == getattr(whole.checked, counted)
    return whole


def rules(report: Report) -> list[str]:
    return sorted(finding.rule for finding in report.findings)


def test_each_part_builds_its_own_models_only(root: Path) -> None:
    write(root, {f"models/{name}/custom/prod/kustomization.yaml": BROKEN for name in NAMES[:3]})
    write(root, {"platform/a.yaml": "kind: Nonsense\n", "policies/a.yaml": "policies: [{id: a, expression: nope}]\n"})
    rendered(root)
    agrees(root)
    built = [report.built for report in parts(root, 2)]
    assert all(built)
    assert not set(built[0]) & set(built[1])


def test_every_part_says_that_too_much_is_removed(root: Path) -> None:
    for name in ("ale", "beer", "wine"):
        shutil.rmtree(root / f"models/{name}/overlays/dev")
        (root / f"models/{name}/releases/dev.json").unlink()
    rendered(root)
    commit(root)
    assert rules(agrees(root, Against(ref="main"))) == ["history-removals"]
    for report in parts(root, 3, Against(ref="main")):
        assert rules(report) == ["history-removals"], "nobody waits for another part"
    assert rules(agrees(root, Against(ref="main", removals=3))) == []


def test_two_folders_of_one_model(root: Path) -> None:
    """A new slug leaves the old folder behind."""
    shutil.copytree(root / "models/a-b", root / "models/d")
    for slug in ("a-b", "d"):
        with (root / f"models/{slug}/overlays/prod/patch.yaml").open("a") as file:
            file.write("# by hand\n")
    (root / "m2g.yaml").write_text(CONFIG + "models: {slugs: {a-b: d}}\n")
    files = {finding.file for finding in agrees(root).findings if finding.rule == "hand-edit"}
    assert files == {"models/a-b/overlays/prod/patch.yaml", "models/d/overlays/prod/patch.yaml"}


def test_what_is_wrong_in_the_file_of_another_model(root: Path) -> None:
    wrong = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnonsense: true\n"
    write(root, {"models/wine/shared/kustomization.yaml": wrong})
    for name in ("a", "beer"):
        own = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../../../wine/shared]\n"
        write(root, {f"models/{name}/custom/dev/kustomization.yaml": own})
    rendered(root)
    assert rules(agrees(root))


def test_whether_an_override_is_needed_one_run_alone_says(root: Path) -> None:
    write(root, {"policies/names.yaml": NEVER_NEEDED})
    (unused,) = [finding for finding in validate(root, ValidateOptions()).findings if finding.rule == "override-unused"]
    assert unused in together(parts(root, 1))
    assert {finding.rule for finding in together(parts(root, 3))} == {"policy/named"}
    (root / "models/cider/overlays/prod/patch.yaml").write_text("- {op: remove, path: /spec/nothing}\n")
    assert "override-unused" not in rules(validate(root, ValidateOptions())), "what does not build may need it"


def test_models_whose_name_begins_alike_are_in_order(root: Path) -> None:
    assert validate(root, ValidateOptions()).built[:3] == (
        "models/a/overlays/dev",
        "models/a/overlays/prod",
        "models/a-b/overlays/dev",
    )


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b", "1/100000", "１/３"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(InputError, match="not a valid shard"):
        parse(text)


def test_a_part_fails_by_its_own_exit_code(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"models/wine/custom/prod/kustomization.yaml": BROKEN})
    rendered(root)

    def m2g(shard: str) -> Exit:
        arguments = ["-C", str(root), "validate", "--no-cache", "--shard", shard, "--format", "json"]
        return run(lambda: group.main(arguments, standalone_mode=False))

    for index in (1, 2):
        capsys.readouterr()
        wrong = Shard(index=index, count=2).contains("wine")
        assert m2g(f"{index}/2") is (Exit.NO if wrong else Exit.DONE)
        assert json.loads(capsys.readouterr().out)["shard"] == f"{index}/2"
