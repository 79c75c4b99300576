"""A: a record that only says which one it replaces. By that, m2g tells a revert of a person from a move of its own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.core.model import Replaced
from m2g.rendering.model_files import render_record
from m2g.repository import records
from m2g.repository.state import Scope
from m2g.review import Risk, review
from m2g.review.compare import build_comparison
from tests.support.fleet import FakeRegistry, model, repository, run
from tests.support.git_repository import commit, git, start

pytestmark = [pytest.mark.attack, pytest.mark.usefixtures("kustomize")]


@pytest.mark.parametrize("quiet", [False, True])
def test_the_end_of_a_revert_is_never_routine(tmp_path: Path, *, quiet: bool) -> None:
    root = start(tmp_path)
    repository(root)
    registry = FakeRegistry([model(champion="1", challenger="1")])
    run(root, registry)
    commit(root)
    registry.known = [model(champion="2", challenger="1")]
    run(root, registry)
    commit(root)
    left = records.read_all(root)[0]["wine", "prod"]
    digest = Replaced(version=left.version, digest="0" * 64)
    git(root, "revert", "--no-edit", "HEAD")
    base = git(root, "rev-parse", "HEAD")
    record = records.read_all(root)[0]["wine", "prod"]
    changed = msgspec.structs.replace(record, replaces=record.replaces if quiet else digest)
    for path, content in render_record("wine", changed).items():
        (root / path).write_bytes(content)
    compared = build_comparison(root, base, Scope())
    found = review(compared.old, compared.new, against="main", notes=compared.notes).changes
    assert [(one.risk, one.concerns[0].message[:40]) for one in found] == (
        [] if quiet else [(Risk.CAUTION, "the record says that it replaced version")]
    )
