"""The image of a serving environment serves many models: it is the one that CI pushed first, and no other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding, Severity
from m2g.core.serving_environment import RecordedEnvironment
from m2g.review import Risk
from m2g.validation.base import Against
from tests.support.environments import recorded, write_environment
from tests.support.fleet import CONFIG
from tests.support.forged_records import DIGEST, PLACE, WITH_IMAGES, fleet
from tests.support.git_repository import commit, follow, git, start
from tests.support.reviewed_fleet import compare

pytestmark = [pytest.mark.attack, pytest.mark.usefixtures("kustomize")]

OURS = f"{PLACE}/serving.environment{DIGEST}"


def change(root: Path, one: RecordedEnvironment, image: str) -> None:
    environment = msgspec.structs.replace(one.environment, image=image)
    write_environment(root, msgspec.structs.replace(one, environment=environment))
    commit(root)


def find(root: Path) -> list[Finding]:
    found = validate(root, ValidateOptions(against=Against(ref="main"))).findings
    return [one for one in found if one.rule == "image-elsewhere"]


def begin(root: Path, image: str | None, config: str = WITH_IMAGES) -> RecordedEnvironment:
    """main with an environment that has this image, or without one; on a branch."""
    fleet(start(root), config)
    one = recorded({"scikit-learn": "1.5.2"}, image=image or "")
    if image is not None:
        write_environment(root, one)
    commit(root)
    git(root, "checkout", "-q", "-b", "pr")
    return one


FOREIGN = {
    "another host": f"evil.example/serving.environment{DIGEST}",
    "beside our place": f"{PLACE}-evil/serving.environment{DIGEST}",
    "of a model": f"{PLACE}/wine{DIGEST}",
    "a longer name": f"{PLACE}/serving.environment-evil{DIGEST}",
    "another tag": f"{PLACE}/serving.environment:py311-evil{DIGEST}",
    "no digest": f"{PLACE}/serving.environment",
}


@pytest.mark.parametrize("before", [None, ""], ids=["new", "not built yet"])
@pytest.mark.parametrize("image", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_image_is_refused(tmp_path: Path, image: str, before: str | None) -> None:
    root = tmp_path / "r"
    one = begin(root, before)
    change(root, one, image)
    (found,) = find(root)
    assert (found.severity, found.file) == (Severity.ERROR, f"environments/{one.id}/environment.json")
    assert any(image in one.message and one.risk is not Risk.ROUTINE for one in compare(root).outside)
    follow(root, found.hint.partition("restore the environment: ")[2].partition(";")[0])
    assert find(root) == []
    change(root, one, OURS)
    assert find(root) == []


@pytest.mark.parametrize("image", [f"{OURS[:-1]}0", "", FOREIGN["another host"]])
def test_an_image_that_is_there_does_not_change(tmp_path: Path, image: str) -> None:
    root = tmp_path / "r"
    change(root, begin(root, OURS), image)
    (found,) = find(root)
    follow(root, found.hint.partition("restore the environment: ")[2].partition(";")[0])
    assert find(root) == []


def test_without_a_place_of_images_none_is_accepted(tmp_path: Path) -> None:
    root = tmp_path / "r"
    one = begin(root, "", CONFIG)
    (root / "m2g.yaml").write_text(WITH_IMAGES)
    change(root, one, OURS)
    (found,) = find(root)
    assert "which m2g.yaml does not name" in found.message


@pytest.mark.parametrize("image", ["evil.example/base", "python:3.11-slim@sha256:" + "0" * 64, "python:3.11-slim-evil"])
def test_a_new_environment_on_a_foreign_base_is_refused(tmp_path: Path, image: str) -> None:
    """Its identity is right for its content, so only the base branch can tell who chose the base image."""
    begin(tmp_path, None)
    made = recorded({"scikit-learn": "1.5.2"})
    environment = msgspec.structs.replace(made.environment, base=image)
    write_environment(tmp_path, msgspec.structs.replace(made, id=environment.id, environment=environment))
    commit(tmp_path)
    (finding,) = find(tmp_path)
    assert finding.message == f"is built on {image}, which m2g.yaml does not name"
    follow(tmp_path, finding.hint.partition("environment: ")[2].partition("; or")[0])
    assert find(tmp_path) == []
