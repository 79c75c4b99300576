"""`m2g environments rebase`: a new base image, as for a CVE, with the same packages, one environment at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from m2g import cli
from m2g.changes.update import RenderOptions
from m2g.commands.environments import rebase, record
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.repository.load import read_repository
from m2g.repository.state import Scope
from m2g.serving.environment_users import list_users
from tests.support.fleet import FakeRegistry, run, tree
from tests.support.paths import GOLDEN

BASE = "python:3.11-slim@sha256:" + "7e" * 32
DIGEST = "@sha256:" + "5f" * 32


@pytest.fixture
def root(tmp_path: Path, kustomize: Path) -> Path:
    """The golden repository, whose m2g.yaml names a newer base image."""
    assert kustomize.is_file()
    place = tmp_path / "fleet"
    shutil.copytree(GOLDEN / "serving-environment", place)
    config = place / "m2g.yaml"
    text = config.read_text()
    assert text.count("images:\n") == 1
    config.write_text(text.replace("images:\n", f'images:\n  bases: {{"3.11": "{BASE}"}}\n'))
    run(place, FakeRegistry(), RenderOptions(locked=True, migrate=True))  # a record of schema 2 has its environment
    return place


def users(root: Path) -> dict[str, set[tuple[str, str]]]:
    return {name: set(keys) for name, keys in list_users(read_repository(root)).items()}


def test_the_same_packages_are_another_environment_and_nothing_moves(root: Path) -> None:
    before, used = tree(root), users(root)
    assert rebase(root, (), write_files=False).new
    assert tree(root) == before
    made = rebase(root, (), write_files=True)
    after = tree(root)
    assert set(after) - set(before) == set(made.files)
    assert {path: after[path] for path in before} == before
    known = read_repository(root).environments
    locks = {known[name].text for name in used}
    assert {known[one.id].text for one in made.new} == locks
    assert {(one.base, known[one.id].environment.image) for one in made.new} == {(BASE, "")}
    assert users(root) == used
    assert rebase(root, (), write_files=True).new == (), "once is enough"


def test_releases_move_one_environment_at_a_time(root: Path) -> None:
    old = users(root)
    made = rebase(root, (), write_files=True)
    redecide = RenderOptions(locked=True, redecide=True, scope=Scope(environments=frozenset({"dev"})))
    run(root, FakeRegistry(), redecide)
    assert users(root) == old, "without an image, no release leaves its environment"
    for one in made.new:
        image = read_repository(root).config.images.registry
        record(root, one.id, f"{image}/serving.environment{DIGEST}")
    run(root, FakeRegistry(), redecide)
    new = users(root)
    places = {name: {place for _, place in keys} for name, keys in new.items()}
    assert {one.id: places.get(one.id) for one in made.new} == {one.id: {"dev"} for one in made.new}
    assert all("dev" not in places[name] for name in old if name in places)
    found = validate(root, ValidateOptions()).findings
    assert [one for one in found if one.severity is Severity.ERROR] == []
    run(root, FakeRegistry(), msgspec.structs.replace(redecide, scope=Scope()))
    assert set(users(root)) == {one.id for one in made.new}


def test_an_unknown_environment_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="py311-x"):
        rebase(root, ("py311-x",), write_files=True)


def test_the_command_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        given = ["-C", str(root), "environments", "rebase", *arguments]
        assert cli.run(lambda: cli.group.main(given, standalone_mode=False)) == 0
        return capsys.readouterr().out

    assert said().endswith("nothing was written; to add them: m2g environments rebase --write\n")
    assert "m2g render --locked --redecide --env NAME" in said("--write")
    assert said() == "no environment is on another base image than images.bases in m2g.yaml names\n"
