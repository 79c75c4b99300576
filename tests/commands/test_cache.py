"""With and without what earlier runs found out: the same findings and the same tree, after any edit."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import M2gError
from m2g.core.finding import Report
from m2g.core.shard import Shard
from tests.support.cached_fleet import MODELS, POLICY, SHARED, cached_fleet, rendered, report
from tests.support.examples import SHARED_FIXTURES
from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run, tree
from tests.support.handmade_fleet import COMPONENT, write

pytestmark = pytest.mark.slow
PLUGIN = """apiVersion: builtin
kind: PatchTransformer
metadata: {name: x}
path: patch.yaml
target: {kind: InferenceService}
"""
_TEXTS = (
    "",
    "kind: Component\n",
    SHARED,
    SHARED.replace("team", "other").replace("/metadata/annotations/", "/spec/predictor/"),
    f"{COMPONENT}components: [../../../../shared]\n",
    f"{COMPONENT}components: [../../../../shared/current]\n",
    f"{COMPONENT}transformers: [t.yaml]\n",
    PLUGIN,
    '[{"op": "add", "path": "/spec/predictor/nonsense", "value": 1}]\n',
    '[{"op": "add", "path": "/spec/predictor/minReplicas", "value": 1}]\n',
    "settings: {minReplicas: 2, maxReplicas: 3}\n",
    "settings: {minReplicas: 9}\n",
    "settings: {nonsense: 1}\n",
    'settings: {env: {A: "\\ud800"}}\n',
    "environments: {prod: {version: 2, reason: held}}\n",
    POLICY,
    POLICY.replace("< 3", "< 9"),
    POLICY.replace("maxReplicas", "maxReplicaz"),
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    CONFIG,
    CONFIG.replace("minReplicas: 2", "minReplicas: 3"),
    CONFIG.replace("models-prod", "models-live"),
    "<<<<<<< ours\n",
    "\x00",
)
_PATHS = (
    "m2g.yaml",
    "policies/a.yaml",
    "shared/kustomization.yaml",
    "shared/kustomization.yml",
    "shared/t.yaml",
    "shared/patch.yaml",
    "shared/current",
    "policies",
    "schemas",
    "models/wine/base/Kustomization",
    "platform/a.yaml",
    *(f"models/{name}/model.yaml" for name in MODELS),
    *(f"models/{name}/custom/prod/kustomization.yaml" for name in MODELS),
    "models/wine/overlays/prod/patch.yaml",
    "models/wine/overlays/prod/kustomization.yaml",
    "models/wine/base/inferenceservice.yaml",
    "models/wine/base/kustomization.yml",
    "models/wine/releases/dev.json",
    "models/wine/README.md",
    "models/wine/notes.txt",
    "models/rum/overlays/prod/kustomization.yaml",
    "fleet/prod/wine.yaml",
    "fleet/prod/nobody.yaml",
)
EDITS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(_PATHS), st.sampled_from(_TEXTS)),
    st.tuples(st.just("remove"), st.sampled_from(_PATHS), st.just("")),
    st.tuples(
        st.just("link"),
        st.sampled_from(_PATHS),
        st.sampled_from(("shared/kustomization.yaml", "shared", "models/wine/base", "/etc/hostname", "/dev/zero")),
    ),
    st.tuples(st.just("copy"), st.sampled_from(_PATHS), st.sampled_from(_PATHS)),
    st.tuples(st.just("mkdir"), st.sampled_from(_PATHS), st.just("")),
    st.tuples(st.just("render"), st.just(""), st.just("")),
    st.tuples(st.just("move"), st.just(""), st.sampled_from(("1", "2", "3"))),
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, kustomize: Path) -> Path:
    assert kustomize.is_file()
    return cached_fleet(tmp_path_factory.mktemp("start"))


def edit(root: Path, cache: Path, what: str, path: str, value: str) -> None:
    """One edit of a person, or one run of m2g. What the disk does not allow (below a file, say) is not done."""
    if what == "render":
        rendered(root, cache)
    elif what == "move":
        known = [model(name, champion=value, challenger="3") for name in MODELS]
        with contextlib.suppress(M2gError, FileNotFoundError):
            run(root, FakeRegistry(known), RenderOptions(cache=cache))
    elif what != "nothing":
        with contextlib.suppress(OSError):
            _person(root, what, root / path, value)


def _person(root: Path, what: str, place: Path, value: str) -> None:
    if what == "copy":
        if (root / value).is_file() and root / value != place and not place.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / value, place)
        return
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    if what != "remove":
        place.parent.mkdir(parents=True, exist_ok=True)
    if what == "write":
        place.write_text(value)
    elif what == "mkdir":
        place.mkdir()
    elif what == "link":
        place.symlink_to(value if value.startswith("/") else os.path.relpath(root / value, place.parent))


@settings(max_examples=25, suppress_health_check=SHARED_FIXTURES)
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
def test_the_same_with_and_without(
    start: Path, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str, str]]
) -> None:
    place = tmp_path_factory.mktemp("case")
    root, cache = place / "repository", place / "cache"
    shutil.copytree(start, root, symlinks=True)
    for one in (("nothing", "", ""), *edits):
        edit(root, cache, *one)
        assert report(root, cache) == report(root, None), one
        assert rendered(root, cache, check=True) == rendered(root, None, check=True), one
    shutil.rmtree(place)


def test_what_is_known_is_not_built_again(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    shutil.copytree(start, root, symlinks=True)
    first = validate(root, ValidateOptions(cache=cache))
    counted = tmp_path / "counted"
    wrapper = tmp_path / "kustomize"
    wrapper.write_text(f'#!/bin/sh\necho "$1" >> {counted}\nexec {shutil.which("kustomize")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("M2G_KUSTOMIZE", str(wrapper))

    def builds() -> int:
        found = counted.read_text().split() if counted.exists() else []
        counted.unlink(missing_ok=True)
        return found.count("build")

    assert validate(root, ValidateOptions(cache=cache)) == first
    assert builds() > 0  # another kustomize: nothing that is known counts
    assert validate(root, ValidateOptions(cache=cache)) == first
    assert builds() == 0
    (root / "models/gin/custom/dev").mkdir(parents=True)
    (root / "models/gin/custom/dev/kustomization.yaml").write_text(SHARED)
    validate(root, ValidateOptions(cache=cache))
    assert builds() == 1  # gin alone, both environments in one process
    assert validate(root, ValidateOptions()) == validate(root, ValidateOptions(cache=cache))


def test_a_settled_model_is_neither_rendered_nor_written(start: Path, tmp_path: Path) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    shutil.copytree(start, root, symlinks=True)
    run(root, FakeRegistry(), RenderOptions(locked=True, cache=cache))
    before = {path: os.stat(root / path).st_mtime_ns for path in tree(root)}
    assert run(root, FakeRegistry(), RenderOptions(locked=True, cache=cache)).files == ()
    assert {path: os.stat(root / path).st_mtime_ns for path in tree(root)} == before
    (root / "models/wine/base/inferenceservice.yaml").unlink()
    (changed,) = run(root, FakeRegistry(), RenderOptions(locked=True, cache=cache)).files
    assert changed.path == "models/wine/base/inferenceservice.yaml"
    assert run(root, FakeRegistry(), RenderOptions(locked=True, cache=cache)).files == ()


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("settings: {minReplicas: 2, maxReplicas: 3}\n", True),
        ("settings: {resources: {limits: {example.com/dust: 9223372036854775807}}}\n", True),
        ("settings: {minReplicas: many}\n", False),
        ("environments: {prod: {version: 2}}\n# a comment\n", True),
        ('settings: {env: {A: "\\ud800"}}\n', False),
    ],
)
def test_a_model_yaml_says_the_same_each_time(start: Path, tmp_path: Path, text: str, good: bool) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    shutil.copytree(start, root, symlinks=True)
    for other in (text, "settings: {minReplicas: 2}\n", text):
        (root / "models/wine/model.yaml").write_text(other)
        (root / "models/beer/model.yaml").write_text(other)
        for _ in range(2):
            assert rendered(root, cache, check=True) == rendered(root, None, check=True)
            assert isinstance(rendered(root, cache), dict) == (good or other != text)


def test_m2g_yaml_says_the_same_each_time(start: Path, tmp_path: Path) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    shutil.copytree(start, root, symlinks=True)
    good = (root / "m2g.yaml").read_text()
    for text in (
        good,
        good.replace("models-prod", "models-dev"),
        good + "surplus: 1\n",
        good + 'defaults: {env: {A: "\\ud800"}}\n',
        good + "kserve: {version: '0.19'}\n",
        good,
    ):
        (root / "m2g.yaml").write_text(text)
        for _ in range(2):
            assert validate(root, ValidateOptions(cache=cache)) == validate(root, ValidateOptions())
            assert rendered(root, cache, check=True) == rendered(root, None, check=True)


def test_facts_of_a_version_are_asked_for_once(tmp_path: Path) -> None:
    registry, cache = FakeRegistry([model(champion="2", challenger="3")]), tmp_path / "cache"
    registry.problems["wine", "3"] = "no access today"
    run(repository(tmp_path / "one"), registry, RenderOptions(cache=cache))
    assert sorted(registry.asked) == [("wine", "2"), ("wine", "3")]
    run(repository(tmp_path / "two"), registry, RenderOptions(cache=cache))
    assert registry.asked[2:] == [("wine", "3")]  # what could not be read is asked for again
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    again = registry.list_versions()[1]
    registry.changes["wine", "2"] = msgspec.structs.replace(again, created_at=again.created_at + 1)
    run(repository(tmp_path / "three"), registry, RenderOptions(cache=cache))
    assert ("wine", "2") in registry.asked[3:]  # a model that was deleted and made anew


def test_what_met_a_bound_on_time_is_asked_again(start: Path, tmp_path: Path) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    shutil.copytree(start, root, symlinks=True)
    big = "[" + ",".join(["1"] * 60) + "]"
    slow = f"{big}.all(a, {big}.all(b, {big}.all(c, {big}.all(d, {big}.all(e, a + b + c + d + e > 0)))))"
    (root / "policies/slow.yaml").write_text(f"policies: [{{id: slow, expression: '{slow}'}}]\n")
    first = validate(root, ValidateOptions(cache=cache))
    assert {f.rule for f in first.findings} >= {"policy/slow"}
    with sqlite3.connect(cache / "found.db") as database:
        values = [value for (value,) in database.execute("SELECT value FROM results")]
    assert values
    assert not any(b"policy/slow" in value for value in values)


def plugged(kind: str) -> dict[str, str]:
    """A shared component with a plugin, by the name of the file that only its configuration names."""
    about = "apiVersion: builtin\nmetadata: {name: x}\n"
    patching = f"{about}kind: PatchTransformer\npath: patch.yaml\ntarget: {{kind: InferenceService}}\n"
    making = f"{about}kind: ConfigMapGenerator\nfiles: [patch.yaml]\n"
    inline = "".join(f"  {line}\n" for line in patching.splitlines())
    return {
        "transformer": {"kustomization.yaml": f"{COMPONENT}transformers: [t.yaml]\n", "t.yaml": patching},
        "generator": {"kustomization.yaml": f"{COMPONENT}generators: [t.yaml]\n", "t.yaml": making},
        "inline": {"kustomization.yaml": f"{COMPONENT}transformers:\n- |-\n{inline}"},
    }[kind]


def patch(field: str) -> str:
    return f'[{{"op": "add", "path": "/spec/predictor/{field}", "value": 1}}]\n'


@pytest.mark.parametrize("kind", ["transformer", "generator", "inline"])
def test_what_only_a_plugin_names_is_read_each_time(start: Path, tmp_path: Path, kind: str) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    shutil.copytree(start, root, symlinks=True)
    write(root, {f"shared/{name}": text for name, text in plugged(kind).items()})
    for content in (patch("minReplicas"), patch("nonsense"), "[\n", patch("minReplicas")):
        (root / "shared/patch.yaml").write_text(content)
        assert report(root, cache) == report(root, None)


@pytest.mark.parametrize("link", ["current", "v1/patch.yaml"])
def test_a_link_that_leads_elsewhere_now_is_seen(start: Path, tmp_path: Path, link: str) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    shutil.copytree(start, root, symlinks=True)
    named = f"{COMPONENT}patches:\n- {{path: patch.yaml, target: {{kind: InferenceService}}}}\n"
    write(root, {f"shared/v{n}/kustomization.yaml": named for n in (1, 2)})
    write(root, {"shared/v1/good.yaml": patch("minReplicas"), "shared/v2/bad.yaml": patch("nonsense")})
    write(
        root, {"models/beer/custom/prod/kustomization.yaml": f"{COMPONENT}components: [../../../../shared/current]\n"}
    )
    (root / "shared/current").symlink_to("v1")
    (root / "shared/v1/patch.yaml").symlink_to("good.yaml")
    (root / "shared/v2/patch.yaml").symlink_to("bad.yaml")
    before = report(root, cache)
    assert before == report(root, cache) == report(root, None)
    place = root / "shared" / link
    place.unlink()
    place.symlink_to("v2" if link == "current" else "../v2/bad.yaml")
    assert report(root, cache) == report(root, None) != before


@settings(max_examples=15, suppress_health_check=SHARED_FIXTURES)
@given(edits=st.lists(EDITS, min_size=1, max_size=4), count=st.integers(1, 3))
def test_parts_together_say_the_same(
    start: Path, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str, str]], count: int
) -> None:
    folder = tmp_path_factory.mktemp("edited")
    root, cache = folder / "repository", folder / "cache"
    shutil.copytree(start, root, symlinks=True)
    for what, path, value in edits:
        edit(root, cache, what, path, value)
    one = report(root, None)
    parts = [report(root, cache, Shard(index=index, count=count)) for index in range(1, count + 1)]
    if isinstance(one, str):
        assert {*parts} == {one}
        return
    reports = [part for part in parts if isinstance(part, Report)]
    found = {finding for part in reports for finding in part.findings}
    # Whether an override is needed, one part of several cannot tell.
    assert found == {finding for finding in one.findings if count == 1 or finding.rule != "override-unused"}
    assert sorted(place for part in reports for place in part.built) == sorted(one.built)
    shutil.rmtree(folder)
