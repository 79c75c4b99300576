"""What auto chooses and what the gate advises ends in a model that answers, as the real servers of .venv-mlserver show.

Their packages are those that the models were saved with: what an image for the version has.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from m2g.core.finding import Finding
from m2g.core.model import ModelVersion, VersionFacts
from tests.support.fleet import FakeRegistry, model, repository, run
from tests.support.machine import whole_seconds
from tests.support.paths import ROOT
from tests.support.smoke_runs import SERVERS, smoke

pytestmark = pytest.mark.slow
_FILES = ("MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml")
STEPS = {
    "skops": "log it with serialization_format='cloudpickle'",
    "one-sided": "log it with infer_signature(inputs, outputs)",
    "dates": "return text",
}
"""Model → the change of its training code that the gate advises, which `<model>-fixed` has."""
SERVED = {"skops": "mlserver-image", "one-sided": "mlflow-image", "dates": "mlflow-image"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    script = str(ROOT / "tests/support/led_zoo.py")
    subprocess.run([str(SERVERS / "bin/python"), script, str(folder)], capture_output=True, check=True)
    return folder


class Saved(FakeRegistry):
    """A registry whose only model is the saved one."""

    def __init__(self, folder: Path) -> None:
        super().__init__([model(folder.name, champion="1")], last=1)
        self.files = {name: (folder / name).read_bytes() for name in _FILES if (folder / name).is_file()}

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        found = super().read_facts(versions)
        return {key: msgspec.structs.replace(facts, files=self.files) for key, facts in found.items()}


def waits(root: Path, folder: Path) -> tuple[str, Finding]:
    """The profile for whose image the version waits, and the finding that says so."""
    (found,) = [one for one in run(root, Saved(folder)).findings if one.rule == "image-missing"]
    named = re.search(r"for the profile ([a-z-]+)", found.message)
    assert named is not None
    return named[1], found


def assert_answers(folder: Path, profile: str) -> None:
    limit = whole_seconds(120)
    done = smoke("--model-dir", str(folder), "--profile", profile, "--venv", str(SERVERS), "--timeout", limit)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVED)
def test_the_image_that_auto_chooses_answers(tmp_path: Path, saved: Path, name: str) -> None:
    profile, _ = waits(repository(tmp_path / "r"), saved / name)
    assert profile == SERVED[name]
    assert_answers(saved / name, profile)


@pytest.mark.parametrize("name", STEPS)
def test_the_lines_and_the_change_that_a_refusal_advises_answer(tmp_path: Path, saved: Path, name: str) -> None:
    """A person chose the stock server: the refusal has the lines to write, or the change to the training code."""
    root = repository(tmp_path / "r")
    (root / f"models/{name}").mkdir(parents=True)
    file = root / f"models/{name}/model.yaml"
    file.write_text("settings: {profile: mlserver}\n")
    (found,) = [one for one in run(root, Saved(saved / name)).findings if one.rule == "runtime-fails"]
    assert STEPS[name] in found.hint
    fixed = saved / f"{name}-fixed"
    assert_answers(fixed, "mlserver")
    lines = re.search(r"write to (\S+): (.*\}), then build its image", found.hint)
    assert lines is not None
    assert (root / lines[1]) == file
    file.write_text(f"{lines[2]}\n")
    profile, _ = waits(root, saved / name)
    assert profile == SERVED[name]  # which answers, as the test above shows
