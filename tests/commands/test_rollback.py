"""`m2g rollback` restores a record of Git's history and holds it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from m2g.commands.rollback import RollbackOptions, rollback
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.config_types import Config
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import VersionFacts
from m2g.core.results import HoldResult
from m2g.registry import Registry
from tests.support.fleet import CONFIG, FakeRegistry, model, run, tree
from tests.support.git_repository import git
from tests.support.releases import Line, tell


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Versions 1, 2 and 3 ran."""
    line = Line(tmp_path / "fleet")
    for version in ("2", "3"):
        line.follow(version)
    return line


def call(line: Line, root: Path | None = None, **options: object) -> HoldResult:
    """`m2g rollback wine --env prod`."""
    given = msgspec.structs.replace(RollbackOptions(model="wine", environment="prod"), **options)
    return rollback(root or line.root, given, open_registry=lambda _: line.registry)


def show(line: Line, commit: str, slug: str = "wine") -> bytes:
    """The record in a commit."""
    return (line.git("show", f"{commit}:models/{slug}/releases/prod.json") + "\n").encode()


def test_the_version_before_comes_back_to_the_byte_and_stays(line: Line) -> None:
    wanted = show(line, "HEAD~1")
    result = call(line)
    assert tell(result) == ("rolled-back", "3", "2")
    assert line.record == wanted
    assert result.origin.endswith("wine 2")
    assert "models/wine/overlays/prod/patch.yaml" in result.files
    assert (
        (line.root / "models/wine/model.yaml")
        .read_text()
        .endswith('    version: 2\n    reason: "rolled back from version 3"\n')
    )
    assert not validate(line.root, ValidateOptions()).findings
    line.commit()
    line.registry.known[0] = model(champion="4")
    assert line.render() == []
    assert line.version == "2"


def test_a_second_rollback_does_not_return_to_what_was_bad(line: Line) -> None:
    call(line)
    line.commit()
    assert tell(call(line)) == ("rolled-back", "2", "1")


def test_before_the_first_one_there_is_nothing(line: Line) -> None:
    before = tree(line.root)
    call(line, to="1")
    line.commit()
    with pytest.raises(InputError, match="no earlier record of wine in prod; it has the versions 1, 2, 3"):
        call(line)
    line.git("reset", "-q", "--hard", "HEAD~1")
    with pytest.raises(InputError, match="no record of version 9 of wine in prod"):
        call(line, to="9")
    assert tree(line.root) == before


def test_a_version_that_is_known_to_be_bad_is_left_out(line: Line) -> None:
    (line.root / "models/wine/model.yaml").write_text("environments: {prod: {knownBad: [2]}}\n")
    assert tell(call(line)) == ("rolled-back", "3", "1")


def test_to_the_version_that_runs_only_holds(line: Line) -> None:
    result = call(line, to="3")
    assert (tell(result), result.files) == (("held", "", "3"), ("models/wine/model.yaml",))


def test_squash_merges_of_the_bot_are_history_too(tmp_path: Path) -> None:
    line = Line(tmp_path / "fleet")
    for version in ("2", "3"):
        line.git("switch", "-q", "-C", "m2g/render")
        line.follow(version)
        line.git("switch", "-q", "main")
        line.git("merge", "-q", "--squash", "m2g/render")
        line.commit("Render the fleet (#3)")
        line.git("branch", "-q", "-D", "m2g/render")
    wanted = show(line, "HEAD~1")
    assert tell(call(line)) == ("rolled-back", "3", "2")
    assert line.record == wanted


def test_a_model_with_a_new_slug_keeps_its_history(line: Line) -> None:
    wanted = show(line, "HEAD~1")
    (line.root / "m2g.yaml").write_text(CONFIG + "models: {slugs: {wine: red-wine}}\n")
    line.git("mv", "models/wine", "models/red-wine")
    run(line.root, line.registry)
    line.commit("a new slug")
    result = call(line, model="wine")
    assert (tell(result), result.slug) == (("rolled-back", "3", "2"), "red-wine")
    restored, earlier = (line.root / "models/red-wine/releases/prod.json").read_bytes(), wanted
    assert _drop_name(restored) == _drop_name(earlier), "only the name of the service is that of the new slug"


def _drop_name(record: bytes) -> dict[str, object]:
    """A record without its stamp and the name of its service."""
    data: dict[str, object] = json.loads(record)
    serving = data["serving"]
    assert isinstance(serving, dict)
    del data["generated"], serving["name"]
    return data


def test_a_record_that_somebody_edited_or_removed_is_replaced_by_the_last_good_one(line: Line) -> None:
    wanted = show(line, "HEAD")
    file = line.root / "models/wine/releases/prod.json"
    file.write_bytes(wanted.replace(b"m-3", b"m-9"))
    assert tell(call(line)) == ("rolled-back", "", "3")
    assert line.record == wanted
    line.git("checkout", "-q", ".")
    line.git("rm", "-q", "-r", "models/wine")
    line.commit("removed")
    assert tell(call(line)) == ("rolled-back", "", "3")
    assert line.record == wanted


def test_a_shallow_clone_says_that_it_is_too_short_and_what_to_run(line: Line, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{line.root}", str(clone))
    before = tree(clone)
    with pytest.raises(InputError, match="too short to know: this clone is shallow") as caught:
        call(line, clone)
    assert tree(clone) == before
    command = caught.value.hint.partition(": ")[2]
    assert command == "git fetch --unshallow"
    git(clone, *command.split()[1:])
    assert tell(call(line, clone)) == ("rolled-back", "3", "2")


class _Down(FakeRegistry):
    def list_versions(self, name: str | None = None) -> list[object]:  # type: ignore[override]  # it never answers
        raise OutsideError("the registry does not answer")


class _Emptied(FakeRegistry):
    """The files of every version are gone."""

    def read_facts(self, versions: object) -> dict[tuple[str, str], VersionFacts]:
        return {("wine", str(number)): VersionFacts(artifact_uri=f"s3://mlflow/{number}") for number in range(1, 6)}


def test_a_registry_that_is_down_stops_nobody(line: Line) -> None:
    line.registry = _Down()
    result = call(line)
    assert tell(result) == ("rolled-back", "3", "2")
    assert result.notes == (
        "not checked whether the files of version 2 of wine still exist: the registry does not answer",
    )


def test_without_a_registry_nothing_is_asked(line: Line) -> None:
    def refuse(_: Config) -> Registry:
        raise AssertionError("asked")

    options = RollbackOptions(model="wine", environment="prod", offline=True)
    assert tell(rollback(line.root, options, open_registry=refuse)) == ("rolled-back", "3", "2")


def test_files_that_are_gone_stop_it_unless_somebody_insists(line: Line) -> None:
    before = tree(line.root)
    line.registry = _Emptied([model(champion="3")])
    with pytest.raises(InputError, match="there is no MLmodel at s3://mlflow/2") as caught:
        call(line)
    assert tree(line.root) == before
    assert "--offline" in caught.value.hint
    assert tell(call(line, offline=True)) == ("rolled-back", "3", "2")


def test_a_version_that_the_registry_lost_is_said(line: Line) -> None:
    line.registry = FakeRegistry([model(champion="3")], last=1)
    assert "does not have version 2 of wine any more" in call(line).notes[0]


def test_a_dry_run_writes_nothing(line: Line) -> None:
    before = tree(line.root)
    result = call(line, dry_run=True)
    assert tell(result) == ("rolled-back", "3", "2")
    assert result.files == ("models/wine/model.yaml", "models/wine/releases/prod.json")
    assert tree(line.root) == before


def test_what_render_refuses_is_undone(line: Line) -> None:
    patch = line.root / "models/wine/overlays/prod/patch.yaml"
    patch.write_text(patch.read_text() + "# mine\n")
    before = tree(line.root)
    with pytest.raises(InputError, match="edited by hand"):
        call(line)
    assert tree(line.root) == before


@pytest.mark.parametrize("name", ["../wine", "-rf", "wine\n", "", "models/wine"])
@pytest.mark.attack
def test_a_name_that_is_no_model_reaches_no_path(line: Line, name: str) -> None:
    before = tree(line.root)
    with pytest.raises(InputError):
        call(line, model=name)
    assert tree(line.root) == before


@pytest.mark.attack
def test_only_records_of_this_branch_come_back(line: Line) -> None:
    line.git("switch", "-q", "-c", "mallory", "HEAD~1")
    line.follow("4")
    line.follow("2")
    line.git("switch", "-q", "main")
    line.git("merge", "-q", "--no-edit", "-s", "ours", "mallory")
    with pytest.raises(InputError, match="no record of version 4"):
        call(line, to="4")
    assert tell(call(line)) == ("rolled-back", "3", "2")
