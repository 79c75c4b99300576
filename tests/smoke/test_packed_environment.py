"""A model with environment.tar.gz: m2g smoke proves nothing with other packages, and says how to test with these."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.machine import whole_seconds
from tests.support.smoke_runs import SERVERS, WITHOUT_NAMESPACES, models, smoke

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def pack(model: Path) -> None:
    """An environment as conda-pack lays it out. Its packages are a symlink, whose target walls would hide."""
    with tarfile.open(model / "environment.tar.gz", "w:gz") as archive:
        archive.add((SERVERS / "bin/python").resolve(), "bin/python")
        archive.add(SERVERS / "pyvenv.cfg", "pyvenv.cfg")
        site = next(SERVERS.glob("lib/python3*/site-packages"))
        place = archive.gettarinfo(str(site), site.relative_to(SERVERS).as_posix())
        place.type, place.linkname = tarfile.SYMTYPE, str(site)
        archive.addfile(place)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    saved = models(tmp_path / "saved", "booster") / "booster"
    pack(saved)
    return saved


def test_it_is_refused_and_the_hint_tests_with_it(model: Path, tmp_path: Path) -> None:
    done = smoke("--model-dir", str(model), "--profile", "mlserver", "--format", "json")
    assert done.returncode == 2
    (one,) = json.loads(done.stdout)["tests"]
    assert "brings environment.tar.gz" in one["problem"]
    prepare, _, command = one["hint"].removeprefix("test it with that environment: ").rpartition(" && ")
    subprocess.run(["sh", "-c", prepare], cwd=tmp_path, check=True)
    arguments = command.removeprefix("m2g smoke ").split()
    assert arguments[-1] == "environment"
    again = smoke(
        *arguments, "--timeout", whole_seconds(120), "--requests", "3", "--format", "json",
        place=("-C", str(tmp_path)), under=WITHOUT_NAMESPACES,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    (one,) = json.loads(again.stdout)["tests"]
    assert one["passed"]


def test_without_it_the_same_model_is_tested_as_before(model: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(model, plain, ignore=shutil.ignore_patterns("environment.tar.gz"))
    done = smoke("--model-dir", str(plain), "--profile", "mlserver", "--venv", str(SERVERS), "--format", "json")
    assert "environment.tar.gz" not in done.stdout
