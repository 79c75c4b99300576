"""What is touched while a run looks at it, and what another m2g has left: neither is ever taken for an answer."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.cache import Cache
from m2g.core.finding import Report
from m2g.core.model import ModelVersion
from m2g.repository import fingerprint
from m2g.resolution import version_facts
from tests.support.cached_fleet import POLICY, SHARED, cached_fleet, rendered, report
from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.slow
BAD = SHARED.replace("team", "other").replace("/metadata/annotations/", "/spec/predictor/")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, kustomize: Path) -> Path:
    assert kustomize.is_file()
    return cached_fleet(tmp_path_factory.mktemp("start"))


@pytest.fixture
def root(start: Path, tmp_path: Path) -> Path:
    shutil.copytree(start, tmp_path / "repository", symlinks=True)
    return tmp_path / "repository"


@pytest.fixture
def during(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell script that a build starts with, and `after` beside it that it ends with, where they are there."""
    before, after = tmp_path / "during", tmp_path / "after"
    wrapper = tmp_path / "kustomize"
    wrapper.write_text(
        f'#!/bin/sh\n[ "$1" = build ] && [ -e {before} ] && sh {before} >&2\n'
        f'{shutil.which("kustomize")} "$@"\ncode=$?\n[ "$1" = build ] && [ -e {after} ] && sh {after} >&2\nexit $code\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("M2G_KUSTOMIZE", str(wrapper))
    return before


@pytest.mark.parametrize(
    ("file", "other"),
    [
        ("models/beer/custom/prod/kustomization.yaml", BAD),
        ("models/gin/base/inferenceservice.yaml", "kind: ConfigMap\n"),
        ("shared/kustomization.yaml", BAD),
        ("m2g.yaml", CONFIG.replace("models-prod", "models-live")),
        ("policies/a.yaml", POLICY.replace("< 3", "< 1")),
    ],
)
@pytest.mark.parametrize("back", [False, True])
def test_what_changes_under_a_run_is_not_remembered(
    root: Path, tmp_path: Path, during: Path, file: str, other: str, back: bool
) -> None:
    """Each state is asked for again afterwards, with what the disturbed run has left."""
    cache, place = tmp_path / "cache", root / file
    shutil.copyfile(place, tmp_path / "one")
    (tmp_path / "two").write_text(other)
    during.write_text(f"cp {tmp_path}/two {place}\n")
    if back:
        (tmp_path / "after").write_text(f"cp {tmp_path}/one {place}\n")
    report(root, cache)
    during.unlink()
    (tmp_path / "after").unlink(missing_ok=True)
    for content in ("one", "two", "one"):
        shutil.copyfile(tmp_path / content, place)
        assert report(root, cache) == report(root, None)


def test_a_name_that_becomes_a_kustomization_under_a_run(root: Path, tmp_path: Path, during: Path) -> None:
    during.write_text(f"cp {root}/shared/kustomization.yaml {root}/shared/Kustomization\n")
    report(root, tmp_path / "cache")
    during.unlink()
    assert report(root, tmp_path / "cache") == report(root, None)


class Busy(FakeRegistry):
    """While it is asked, a person writes."""

    def __init__(self, file: Path, text: str) -> None:
        super().__init__([model(name, champion="1", challenger="3") for name in ("wine", "beer", "gin")])
        self._file, self._text = file, text

    def list_versions(self, name: str | None = None) -> list[ModelVersion]:
        self._file.write_text(self._text)
        return super().list_versions(name)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("models/wine/model.yaml", "settings: {minReplicas: 2, maxReplicas: 3}\n"),
        ("m2g.yaml", CONFIG.replace("minReplicas: 2", "minReplicas: 3")),
    ],
)
def test_what_a_person_writes_under_render_is_rendered_next(root: Path, tmp_path: Path, file: str, text: str) -> None:
    cache = tmp_path / "cache"
    before = (root / file).read_text() if (root / file).exists() else ""
    run(root, Busy(root / file, text), RenderOptions(cache=cache))
    for content in (text, before):
        (root / file).write_text(content)
        seen = run(root, FakeRegistry(), RenderOptions(locked=True, check=True, cache=cache)).files
        assert seen == run(root, FakeRegistry(), RenderOptions(locked=True, check=True)).files
    assert content == before


def left(root: Path, cache: Path, value: bytes) -> None:
    """Another m2g was here: what it found is in the same places, and means something else."""
    with sqlite3.connect(cache / "found.db") as database:
        keys = [key for (key,) in database.execute("SELECT key FROM results")]
    assert keys
    with Cache(cache) as found:
        found.put_all(dict.fromkeys(keys, value))


@pytest.mark.parametrize("value", [b"", b"\xc1", msgspec.msgpack.encode({"unknown": 1}), b"\x91" * 100_000])
def test_what_another_m2g_has_left_is_not_there(root: Path, tmp_path: Path, value: bytes) -> None:
    cache, registry = tmp_path / "cache", FakeRegistry([model(champion="2", challenger="3")])
    validate(root, ValidateOptions(cache=cache))
    left(root, cache, value)
    assert report(root, cache) == report(root, None)
    facts_only = tmp_path / "facts"
    run(repository(tmp_path / "a"), registry, RenderOptions(cache=facts_only))
    left(root, facts_only, value)
    assert run(repository(tmp_path / "b"), registry, RenderOptions(cache=facts_only)).releases
    known = list(version_facts.read_version_facts(registry, registry.list_versions("wine")[:1], Cache(None)))
    assert known[0][1].files


def test_the_form_of_facts_is_told_by_what_they_are() -> None:
    assert fingerprint.digest_facts_code() == fingerprint.digest_facts_code() != fingerprint.digest_m2g()


def odd(path: Path, what: str) -> None:
    """Something in the place of a file that is none to be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "device":
        path.symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "loop":
        path.symlink_to(path.name)
    else:
        with path.open("wb") as file:
            file.truncate(300 << 20)


@pytest.mark.parametrize("what", ["device", "pipe", "folder", "loop", "large"])
@pytest.mark.parametrize("file", ["policies/x.yaml", "runtimes/x.json", "schemas/a/x.json", "schemas/big.bin"])
def test_what_is_no_file_of_bounded_size_is_not_read(root: Path, tmp_path: Path, file: str, what: str) -> None:
    odd(root / file, what)
    cache = tmp_path / "cache"
    assert report(root, cache) == report(root, cache) == report(root, None)
    assert isinstance(report(root, None), Report)
    assert rendered(root, cache, check=True) == rendered(root, None, check=True)
    assert stat.S_ISFIFO(os.lstat(root / file).st_mode) == (what == "pipe")


def moved(root: Path, away: Path, file: str) -> None:
    shutil.move(root / file, away)
    (root / file).symlink_to(away)


@pytest.mark.parametrize("file", ["policies", "policies/a.yaml", "m2g.yaml"])
@pytest.mark.parametrize("outside", [False, True])
def test_a_shared_file_that_became_a_link(root: Path, tmp_path: Path, file: str, outside: bool) -> None:
    cache = tmp_path / "cache"
    validate(root, ValidateOptions(cache=cache))
    moved(root, (tmp_path if outside else root) / "away", file)
    assert report(root, cache) == report(root, None)


def test_schemas_in_a_linked_folder(root: Path, tmp_path: Path) -> None:
    cache, kind = tmp_path / "cache", "serving.kserve.io/v1beta1 InferenceService"
    schema = {"x-kinds": {kind: "v1beta1.InferenceService"}, "$defs": {"v1beta1.InferenceService": {"type": "object"}}}
    write(root, {"elsewhere/a_v1.json": msgspec.json.encode(schema).decode()})
    (root / "schemas").mkdir()
    (root / "schemas/linked").symlink_to("../elsewhere")
    reports: Sequence[object] = []
    for wanted in ("object", "string", "object"):
        schema["$defs"] = {"v1beta1.InferenceService": {"type": wanted}}
        write(root, {"elsewhere/a_v1.json": msgspec.json.encode(schema).decode()})
        reports = [*reports, report(root, cache)]
        assert reports[-1] == report(root, None)
    assert reports[0] == reports[2] != reports[1]


def test_an_empty_folder_of_a_kustomizations_name(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = report(root, cache)
    (root / "models/gin/base/Kustomization").mkdir()
    assert report(root, cache) == report(root, None) != before
    (root / "models/gin/base/Kustomization").rmdir()
    assert report(root, cache) == before
    (root / "shared/kustomization.yml").mkdir()
    assert report(root, cache) == report(root, None) != before
