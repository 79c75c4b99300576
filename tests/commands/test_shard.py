"""A fleet in parts: together they say what one run says of all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.cli import group, run
from m2g.commands.merge import merge
from m2g.commands.validate import Options, validate
from m2g.core.errors import Exit, InputError
from m2g.core.shard import Shard, parse
from m2g.report.findings import whole
from m2g.repository.state import Scope
from tests.support.fleet import CONFIG, FakeRegistry, model, release, repository, tree, write_record
from tests.support.fleet import run as render
from tests.support.handmade_fleet import write

NAMES = tuple(f"model-{number}" for number in range(12))
BROKEN = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: x-\n"


@pytest.fixture
def fleet(tmp_path: Path, kustomize: Path) -> Path:
    assert kustomize.is_file()
    root = repository(tmp_path / "repository")
    write(root, {f"models/{name}/custom/prod/kustomization.yaml": BROKEN for name in NAMES[:5]})
    write(root, {"platform/a.yaml": "kind: Nonsense\n", "policies/a.yaml": "policies: [{id: a, expression: nope}]\n"})
    for name in NAMES:
        for environment in ("dev", "prod"):
            write_record(root, name, release(name, environment))
    render(root, FakeRegistry(), RenderOptions(locked=True))
    return root


def part(index: int, count: int) -> Scope:
    return Scope(shard=Shard(index=index, count=count))


def reports(root: Path, folder: Path, count: int) -> list[Path]:
    files = [folder / f"{index}.json" for index in range(1, count + 1)]
    for index, file in enumerate(files, 1):
        file.write_text(whole(validate(root, Options(scope=part(index, count))), "json"))
    return files


@pytest.mark.parametrize("count", [1, 3, 20])
def test_all_parts_together_are_the_whole(fleet: Path, tmp_path: Path, count: int) -> None:
    assert merge(reports(fleet, tmp_path, count)) == validate(fleet, Options())


def test_each_part_builds_its_own_models_only(fleet: Path) -> None:
    parts = [validate(fleet, Options(scope=part(index, 3))).built for index in (1, 2, 3)]
    assert all(parts)
    assert sorted(folder for built in parts for folder in built) == sorted(validate(fleet, Options()).built)


def test_what_render_writes_in_parts_is_what_it_writes_at_once(tmp_path: Path) -> None:
    known = [model(name, champion="2", challenger="3") for name in NAMES]
    one, many = repository(tmp_path / "one"), repository(tmp_path / "many")
    render(one, FakeRegistry(known))
    for index in (3, 1, 2):
        render(many, FakeRegistry(known), RenderOptions(scope=part(index, 3)))
    assert tree(one) == tree(many)


CAPPED = CONFIG + "removals: {maxCount: 3, maxPercent: 0}\n"


def test_parts_together_remove_no_more_than_one_run_may(tmp_path: Path) -> None:
    root = repository(tmp_path, CAPPED)
    render(root, FakeRegistry([model(name, champion="1") for name in NAMES]))
    gone = FakeRegistry([model(name, champion="1") for name in NAMES[4:]])
    before = tree(root)
    for index in (1, 2, 3, 4):
        with pytest.raises(InputError, match="all parts of this run together would remove 4 of 12"):
            render(root, gone, RenderOptions(scope=part(index, 4)))
    assert tree(root) == before


def test_parts_together_remove_what_one_run_may(tmp_path: Path) -> None:
    one, many = repository(tmp_path / "one", CAPPED), repository(tmp_path / "many", CAPPED)
    gone = FakeRegistry([model(name, champion="1") for name in NAMES[3:]])
    for root in (one, many):
        render(root, FakeRegistry([model(name, champion="1") for name in NAMES]))
    render(one, gone)
    for index in (1, 2, 3, 4):
        render(many, gone, RenderOptions(scope=part(index, 4)))
    assert tree(one) == tree(many)


def test_lost_records_count_in_every_part(tmp_path: Path) -> None:
    root = repository(tmp_path, CAPPED)
    render(root, FakeRegistry([model(name, champion="1") for name in NAMES]))
    for name in NAMES[:4]:
        shutil.rmtree(root / f"models/{name}/releases")
    before = tree(root)
    for index in (1, 2, 3, 4):
        options = RenderOptions(locked=True, scope=part(index, 4))
        with pytest.raises(InputError, match="all parts of this run together would remove 4 of 12"):
            render(root, FakeRegistry(), options)
        with pytest.raises(InputError, match="would remove"):
            render(root, FakeRegistry(), msgspec.structs.replace(options, allow_removals=3))
    assert tree(root) == before
    for index in (1, 2, 3, 4):
        render(root, FakeRegistry(), RenderOptions(locked=True, allow_removals=4, scope=part(index, 4)))
    assert not (root / "models" / NAMES[0] / "overlays").exists()


def test_what_is_missing_twice_or_foreign_is_refused(fleet: Path, tmp_path: Path) -> None:
    files = reports(fleet, tmp_path, 3)
    for wrong, words in (
        (files[:2], "part 3/3 is missing"),
        ([*files, files[0]], "part 1/3 is there twice"),
        ([tmp_path / "none.json"], "cannot be read"),
    ):
        with pytest.raises(InputError, match=words):
            merge(wrong)
    other = json.loads(files[0].read_text())
    for change, words in (
        (("shard", "1/4"), "different splits"),
        (("version", 2), "version 2"),
        (("x", 1), "no report"),
    ):
        (tmp_path / "other.json").write_text(json.dumps({**other, change[0]: change[1]}))
        with pytest.raises(InputError, match=words):
            merge([tmp_path / "other.json", *files[1:]])


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b", "1/100000", "１/３"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(InputError, match="no part of a fleet"):
        parse(text)


def test_the_command_line(fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def m2g(*arguments: str) -> Exit:
        return run(lambda: group.main(["-C", str(fleet), *arguments], standalone_mode=False))

    for index in ("1", "2"):
        m2g("validate", "--no-cache", "--shard", f"{index}/2", "--output", "json", str(tmp_path / f"{index}.json"))
    capsys.readouterr()
    assert m2g("merge", str(tmp_path / "1.json"), str(tmp_path / "2.json")) == Exit.NO
    merged = capsys.readouterr().out
    assert m2g("validate", "--no-cache") == Exit.NO
    assert capsys.readouterr().out == merged
    assert m2g("merge", str(tmp_path / "1.json")) == Exit.INPUT
