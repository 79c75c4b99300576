"""`m2g environments`: from models that nothing serves to environments, build contexts and recorded images."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from m2g import cli
from m2g.commands.environments import PlanOptions, list_environments, plan, prepare, record
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.model import Flavor, Mlmodel
from m2g.repository.load import read_repository
from tests.support.fleet import FakeRegistry, release, repository, tree, write_record
from tests.support.images import UV, instructions, wheel

CONFIG = """\
version: 1
registry: {uri: "http://mlflow.test"}
images:
  registry: ghcr.io/acme/models
  sharing:
    groups: {everyone: ["*"]}
    packages: [numpy, scikit-learn, lightgbm]
environments:
  dev: {namespace: models-dev, follow: {alias: challenger}, settings: {profile: mlserver-image}}
  prod: {namespace: models-prod, follow: {alias: champion}, settings: {profile: mlserver-image}}
"""
DIGEST = "@sha256:" + "5f" * 32


def mlmodel(*lines: str) -> Mlmodel:
    return Mlmodel(
        sha256="0" * 64,
        flavors=(Flavor(name="python_function"), Flavor(name="sklearn", version="1.9.1")),
        mlflow_version="3.17.2",
        python_version="3.11.7",
        requirements=("mlflow==3.17.2", *lines),
    )


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real uv, with nothing but an index of small wheels in a folder."""
    if not UV.exists():
        pytest.fail("uv is missing; `make test` installs it", pytrace=False)
    wheels = tmp_path / "wheels"
    for name, version in {
        "mlflow": "3.17.2",
        "mlserver": "1.7.1",
        "mlserver-mlflow": "1.7.1",
        "uvloop": "0.21.0",
        "numpy": "2.4.6",
        "pandas": "2.3.3",
        "scikit-learn": "1.9.1",
        "lightgbm": "4.6.0",
        "own": "1",
    }.items():
        wheel(wheels, name, version)
    given = {"M2G_UV": str(UV), "UV_OFFLINE": "1", "UV_FIND_LINKS": str(wheels), "UV_CACHE_DIR": str(tmp_path / "uv")}
    for name, value in (given | {"M2G_CACHE_DIR": str(tmp_path / "cache")}).items():
        monkeypatch.setenv(name, value)
    return wheels


def world(root: Path, config: str = CONFIG) -> Path:
    repository(root, config)
    for slug, lines in {
        "wine": ("numpy==2.4.6", "scikit-learn==1.9.1"),
        "iris": ("lightgbm==4.6.0", "scikit-learn"),
        "own": ("numpy==2.4.6", "scikit-learn", "own==1"),
    }.items():
        write_record(root, slug, release(slug, "dev", mlmodel=mlmodel(*lines)))
    return root


def nobody(_config: Config) -> FakeRegistry:
    raise AssertionError("the registry was asked")


def test_a_plan_writes_environments_and_a_second_one_nothing(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    before = tree(root)
    planned = plan(root, PlanOptions(locked=True), nobody)
    assert [one.versions for one in planned.new] == [("iris/1", "wine/1"), ("own/1",)]
    assert (planned.new[1].alone, planned.written) == ("images.sharing.packages does not have own", False)
    assert tree(root) == before
    written = plan(root, PlanOptions(locked=True, write=True), nobody)
    assert set(tree(root)) - set(before) == set(written.files)
    assert sorted(one.rpartition("/")[2] for one in written.files) == [
        *("environment.json", "environment.json", "requirements.txt", "requirements.txt")
    ]
    again = plan(root, PlanOptions(locked=True, write=True), nobody)
    assert (again.new, again.files, again.unplanned) == ((), (), ())
    assert {one.id: one.versions for one in again.joins} == {one.id: one.versions for one in written.new}


def test_a_newer_package_in_the_index_makes_no_other_environment_until_the_proposal_is_merged(
    tmp_path: Path, index: Path
) -> None:
    root = world(tmp_path / "r")
    first = plan(root, PlanOptions(locked=True), nobody)
    wheel(index, "lightgbm", "4.7.0")
    wheel(index, "pandas", "2.3.4")
    assert plan(root, PlanOptions(locked=True), nobody) == first
    other = plan(root, PlanOptions(locked=True, before="2026-11-25"), nobody)
    assert {one.id for one in other.new}.isdisjoint(one.id for one in first.new), "another question is asked again"


def test_the_list_says_who_uses_what(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    plan(root, PlanOptions(locked=True, write=True), nobody)
    rows = {row.group or row.model: row for row in list_environments(root, missing=True)}
    assert {name: row.releases for name, row in rows.items()} == {
        "everyone": ("iris (dev)", "wine (dev)"),
        "own": ("own (dev)",),
    }
    shared = rows["everyone"]
    record(root, shared.id, f"ghcr.io/acme/models/serving.environment{DIGEST}")
    assert [row.id for row in list_environments(root, missing=True)] == [rows["own"].id]
    assert read_repository(root).environments[shared.id].environment.image.endswith(DIGEST)


def test_a_context_has_the_lock_and_no_model(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    new = plan(root, PlanOptions(locked=True, write=True), nobody).new[0]
    made = prepare(root, new.id, tmp_path / "out")
    assert made.image == f"ghcr.io/acme/models/serving.environment:{new.id}"
    assert sorted(tree(tmp_path / "out")) == [".dockerignore", "Dockerfile", "m2g-environment.json", "requirements.txt"]
    text = (tmp_path / "out/Dockerfile").read_text()
    read = instructions(text)
    assert (read.cmd, read.user) == (["mlserver", "start", "/opt/m2g"], "1000:1000")
    assert "COPY model" not in text
    assert "libgomp1" in text
    first = tree(tmp_path / "out")
    prepare(root, new.id, tmp_path / "out")
    assert tree(tmp_path / "out") == first


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("ghcr.io/acme/models/serving.environment:latest" + DIGEST, "is not the image of"),
        ("ghcr.io/acme/models/wine" + DIGEST, "is not the image of"),
        ("evil.test/serving.environment" + DIGEST, "is not the image of"),
        ("ghcr.io/acme/models/serving.environment", "is not the image of"),
    ],
)
@pytest.mark.attack
def test_only_its_own_image_is_recorded(tmp_path: Path, image: str, words: str) -> None:
    root = world(tmp_path / "r")
    new = plan(root, PlanOptions(locked=True, write=True), nobody).new[0]
    with pytest.raises(InputError, match=words):
        record(root, new.id, image)


@pytest.mark.attack
def test_the_first_image_counts(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    new = plan(root, PlanOptions(locked=True, write=True), nobody).new[0]
    name = f"ghcr.io/acme/models/serving.environment:{new.id}"
    assert record(root, new.id, name + DIGEST).files
    assert record(root, new.id, name + DIGEST).files == ()
    with pytest.raises(InputError, match="never changes"):
        record(root, new.id, f"{name}@sha256:{'a' * 64}")


@pytest.mark.attack
def test_a_model_may_not_choose_the_index(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", CONFIG)
    line = "--extra-index-url https://evil.test/simple"
    write_record(root, "wine", release("wine", "dev", mlmodel=mlmodel("numpy==2.4.6", "scikit-learn", line)))
    planned = plan(root, PlanOptions(locked=True, write=True), nobody)
    assert (planned.new, planned.files) == ((), ())
    assert "a model may not choose its index" in planned.unplanned[0].message


def test_what_has_a_bad_requirement_holds_nobody(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    write_record(root, "bad", release("bad", "dev", mlmodel=mlmodel("own @ https://evil.test/own.whl", "scikit-learn")))
    planned = plan(root, PlanOptions(locked=True), nobody)
    assert len(planned.new) == 2
    assert [one.versions for one in planned.unplanned] == [("bad/1",)]


def test_a_repack_is_a_proposal_of_its_own(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    first = {one.group: one.id for one in plan(root, PlanOptions(locked=True, write=True), nobody).new}
    write_record(root, "iris", release("iris", "dev", mlmodel=mlmodel("numpy==2.4.6", "scikit-learn==1.9.1")))
    added = plan(root, PlanOptions(locked=True), nobody)
    assert (added.new, added.unused) == ((), ())
    repacked = plan(root, PlanOptions(locked=True, repack=True), nobody)
    assert [(one.versions, one.packages) for one in repacked.new] == [(("iris/1", "wine/1"), 7)]
    assert [one.id for one in repacked.joins] == [first[""]], "the same lock has the same image"
    assert repacked.unused == (first["everyone"],)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = world(tmp_path / "r")

    def m2g(*arguments: str) -> int:
        given = ["-C", str(root), "environments", *arguments]
        return int(cli.run(lambda: cli.group.main(given, standalone_mode=False)))

    def said(*arguments: str) -> str:
        assert m2g(*arguments) == 0
        return capsys.readouterr().out

    assert "there is no serving environment; plan some: m2g environments plan" in said()
    text = said("plan", "--locked")
    assert "new py311-mlserver-" in text
    assert "alone, because images.sharing.packages does not have own" in text
    assert text.endswith("to add the new ones: m2g environments plan --write\n")
    planned = json.loads(said("plan", "--locked", "--write", "--format", "json"))
    assert (planned["version"], planned["written"]) == (1, True)
    one = planned["new"][0]["id"]
    assert "missing" in said()
    assert "push it as ghcr.io" in said("context", one, "-o", str(tmp_path / "out"))
    place = f"ghcr.io/acme/models/serving.environment:{one}{DIGEST}"
    assert said("record", one, place).endswith("next: m2g render\n")
    listed = json.loads(said("--format", "json"))
    assert [row["image"] for row in listed["environments"] if row["id"] == one] == [place]
    assert m2g("context", "py311-x", "-o", str(tmp_path / "o")) == 2
    assert "this repository has no serving environment 'py311-x'" in capsys.readouterr().err


def test_a_version_with_the_packages_of_an_environment_needs_no_build(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    plan(root, PlanOptions(locked=True, write=True), nobody)
    for row in list_environments(root):
        record(root, row.id, f"ghcr.io/acme/models/serving.environment:{row.id}{DIGEST}")
    again = release("wine", "dev", mlmodel=mlmodel("numpy==2.4.6", "scikit-learn==1.9.1"))
    write_record(root, "wine", msgspec.structs.replace(again, version="2"))
    planned = plan(root, PlanOptions(locked=True), nobody)
    assert planned.new == ()
    assert all(one.image for one in planned.joins)
