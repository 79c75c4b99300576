"""A first release that a person took back stays away until a person says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run
from tests.support.git_repository import commit, follow, git, start

RECORD = "models/fresh/releases/prod.json"
OWN = "fresh (prod): version 1, new\n\nM2g-Model: fresh\nM2g-Base: {0}\nM2g-Tree: {0}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A fleet with `wine`."""
    root = repository(start(tmp_path / "fleet"))
    (root / ".gitignore").write_text(".m2g/\n")
    run(root, FakeRegistry([model("wine", champion="1")]))
    commit(root, "first")
    return root


def release(root: Path, registry: FakeRegistry, message: str = "Render the fleet") -> None:
    run(root, registry)
    commit(root, message)


@pytest.mark.parametrize("proposed", [True, False])
def test_a_reverted_first_release_does_not_come_back(root: Path, proposed: bool) -> None:
    registry = FakeRegistry([model("wine", champion="1"), model("fresh", champion="1")])
    release(root, registry, OWN.format("0" * 40) if proposed else "Render the fleet")
    git(root, "revert", "--no-edit", "HEAD")
    said = run(root, registry)
    assert not (root / RECORD).exists()
    (finding,) = said.findings
    assert finding.rule == "held-by-revert"
    follow(root, finding.hint.partition(": ")[2])
    assert (root / RECORD).exists()
    registry.known[1] = model("fresh", champion="2")
    assert [one.rule for one in run(root, registry).findings] == []
    assert '"version": "2"' in (root / RECORD).read_text()


def test_after_a_merge_the_hint_reverts_the_merge(root: Path) -> None:
    registry = FakeRegistry([model("wine", champion="1"), model("fresh", champion="1")])
    for branch in ("new", "back"):
        git(root, "switch", "-q", "-c", branch)
        if branch == "new":
            release(root, registry, OWN.format("0" * 40))
        else:
            git(root, "revert", "--no-edit", "-m", "1", "HEAD")
        git(root, "switch", "-q", "main")
        git(root, "merge", "-q", "--no-ff", "--no-edit", branch)
    registry.known[1] = model("fresh", champion="3")  # another version does not matter
    (finding,) = run(root, registry).findings
    assert "git revert --no-edit -m 1 " in finding.hint
    follow(root, finding.hint.partition(": ")[2])
    assert (root / RECORD).exists()


def test_what_m2g_itself_removed_comes_back_with_its_alias(root: Path) -> None:
    """The removal was proposed by m2g, and squashed; or a person took the model out of m2g.yaml for a while."""
    registry = FakeRegistry([model("wine", champion="1"), model("fresh", champion="1")])
    release(root, registry, OWN.format("0" * 40))
    registry.known[1] = model("fresh", challenger="9")
    release(root, registry, f"fresh is removed (#7)\n\n{OWN.format('1' * 40)}")
    assert not (root / RECORD).exists()
    registry.known[1] = model("fresh", champion="1")
    assert run(root, registry).findings == ()
    assert (root / RECORD).exists()
    commit(root, OWN.format("2" * 40))
    (root / "m2g.yaml").write_text(f"{CONFIG}models: {{exclude: [fresh]}}\n")
    release(root, registry, "without fresh")
    assert not (root / RECORD).exists()
    (root / "m2g.yaml").write_text(CONFIG)
    assert run(root, registry).findings == ()
    assert (root / RECORD).exists()


def test_a_pin_is_what_a_person_says_now(root: Path) -> None:
    registry = FakeRegistry([model("wine", champion="1"), model("fresh", champion="1")])
    release(root, registry)
    git(root, "revert", "--no-edit", "HEAD")
    (root / "models/fresh").mkdir(parents=True)
    (root / "models/fresh/model.yaml").write_text("environments: {prod: {version: 2}}\n")
    assert run(root, registry).findings == ()
    assert '"version": "2"' in (root / RECORD).read_text()
