"""m2g.yaml and model.yaml: every mistake is named with its line and a way out; hostile YAML costs nothing."""

from __future__ import annotations

import json
import runpy
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2g.core import resources, yaml_reader
from m2g.core.errors import InputError
from m2g.core.settings import Settings
from m2g.repository import config
from m2g.repository.model_folder import ModelFolder
from tests.support.fleet import CONFIG, repository


def problems(root: Path, text: str) -> list[tuple[int, str]]:
    return [(f.line, f.path) for f in config.load(repository(root, text)).findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONFIG + "defualts: {}\n", (7, "defualts")),
        (CONFIG.replace("version: 1", "version: 2"), (1, "version")),
        (CONFIG.replace("alias: challenger", "alais: challenger"), (4, "environments.dev.follow.alais")),
        (CONFIG.replace("alias: challenger", "alias: a, stage: Staging"), (4, "environments.dev.follow")),
        (CONFIG.replace("minReplicas: 2", "minReplicas: two"), (5, "environments.prod.settings.minReplicas")),
        (CONFIG.replace("minReplicas: 2", "minReplicas: -2"), (5, "environments.prod.settings.minReplicas")),
        (CONFIG.replace("namespace: models-dev, ", ""), (4, "environments.dev.namespace")),
        (CONFIG.replace("models-dev", "Models_Dev"), (4, "environments.dev.namespace")),
        (CONFIG.replace("  dev:", "  Dev Env:"), (4, 'environments["Dev Env"]')),
        (CONFIG + "tags: {x: minReplicas}\n", (7, "tags.x")),
        (CONFIG + "tags: {x: nothing}\n", (7, "tags.x")),
        (CONFIG + "bounds: {nothing: {max: 1}}\n", (7, "bounds.nothing")),
        (CONFIG + "models:\n  slugs:\n    a: wine\n    b: wine\n", (10, "models.slugs.b")),
        (CONFIG + "bounds: {minReplicas: {min: 5, max: 1}}\n", (7, "bounds.minReplicas")),
        (CONFIG + "bounds: {minReplicas: {min: lots}}\n", (7, "bounds.minReplicas")),
        (CONFIG.replace("challenger", "latest"), (4, "environments.dev.follow.alias")),
        (CONFIG.replace("challenger", '"prod\\n"'), (4, "environments.dev.follow.alias")),
        (CONFIG.replace("alias: challenger", 'tag: "=x"'), (4, "environments.dev.follow.tag")),
        (CONFIG.replace("http://mlflow", "http://me:secret@mlflow"), (2, "registry.uri")),
        (CONFIG + "models: {slugs: {a: kustomization}}\n", (7, "models.slugs.a")),
        ("version: 1\nenvironments: {}\n", (2, "environments")),
        ("", (1, "")),
        ("- a\n", (1, "")),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, expected: tuple[int, str]) -> None:
    assert expected in problems(tmp_path, text)


@pytest.mark.parametrize("number", ["2.0", "2e0", "0.2e1"])
def test_a_whole_number_may_be_written_as_editors_allow(tmp_path: Path, number: str) -> None:
    (tmp_path / "m2g.yaml").write_text(CONFIG.replace("minReplicas: 2", f"minReplicas: {number}"))
    found = config.load(tmp_path).config
    assert found is not None
    assert repr(found.environments["prod"].settings.min_replicas) == "2"


_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.sampled_from((1.0, 1e3, 2.0**63, 1e300)) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner, max_size=2),
    max_leaves=3,
)
_FIELDS = ("version", *(f"settings.{field.encode_name}" for field in msgspec.structs.fields(Settings)))


@pytest.mark.parametrize("field", _FIELDS)
@given(value=_VALUES)
def test_whatever_stands_at_a_field_it_is_taken_or_named(field: str, value: object) -> None:
    outer, _, inner = field.partition(".")
    pinned = {"environments": {"prod": {outer: {inner: value} if inner else value}}}
    folder = ModelFolder(slug="wine", files={"models/wine/model.yaml": json.dumps(pinned).encode()})
    intent, findings = config.read_intent(Path(), folder)
    assert (intent is None) == bool(findings)
    assert all(finding.message and finding.line == 1 for finding in findings if finding.rule != "yaml-invalid")


def test_all_mistakes_are_named_in_one_run(tmp_path: Path) -> None:
    text = CONFIG.replace("models-dev", "X").replace("minReplicas: 2", "minReplica: 2") + "extra: 1\n"
    assert len(problems(tmp_path, text)) == 3
    findings = config.load(tmp_path).findings
    assert any(finding.hint == "did you mean minReplicas?" for finding in findings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: [", "m2g.yaml:1"),
        (b"version: 1\nversion: 1\n", "m2g.yaml:2"),
        (b"a: &x 1\nb: *x\n", "aliases"),
        (b"a:\n  <<: {b: 1}\n", "m2g.yaml:2: YAML merge keys"),
        (b"1: 2\n", "not text"),
        (b"a: 1\n---\nb: 2\n", "single document"),
        (b"\xff\xfe", "UTF-8"),
        (b"a: \x00\n", "not valid YAML"),
        (b"[" * 500, "levels deep"),
        (b"a: " + b"x" * (1 << 21), "larger than"),
        (b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> x\n", "merge-conflict"),
        (b"a: !!python/object:os.system x\n", "YAML tags"),
        (b"a: 2024-01-01\n", "not plain data"),
        (b"a: .nan\n", "not a finite number"),
        (b"a: -1e999\n", "not a finite number"),
        (b'a:\n- "\\ud83d\\ude00"\n', "m2g.yaml:2: half of a surrogate pair"),
        (b'a:\n  "\\ud800": 1\n', "m2g.yaml:2: half of a surrogate pair"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_by_name(tmp_path: Path, text: bytes, words: str) -> None:
    (tmp_path / "m2g.yaml").write_bytes(text)
    with pytest.raises(InputError, match=words):
        config.load(tmp_path)


def test_a_billion_laughs_cost_nothing() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    started = time.process_time()
    with pytest.raises(InputError):
        yaml_reader.read("m2g.yaml", bomb.encode())
    assert time.process_time() - started < 5


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_document_or_a_clear_error(content: bytes) -> None:
    message = "m2g.yaml"
    try:
        yaml_reader.read("m2g.yaml", content)
    except InputError as error:
        message = error.message
    assert message.startswith("m2g.yaml")


def test_model_yaml_findings_name_file_and_line(tmp_path: Path) -> None:
    root = repository(tmp_path)
    path = root / "models/wine/model.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("settings:\n  minReplicas: 1\n  minReplica: 2\nenvironments:\n  prod: {version: latest}\n")
    found, findings = config.read_intents(root)
    assert found == {}
    assert [(f.file, f.line, f.path) for f in findings] == [
        ("models/wine/model.yaml", 5, "environments.prod.version"),
        ("models/wine/model.yaml", 3, "settings.minReplica"),
    ]


def test_an_unknown_environment_in_model_yaml_is_named(tmp_path: Path) -> None:
    root = repository(tmp_path)
    path = root / "models/wine/model.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("environments: {production: {version: 1}}\n")
    loaded = config.load(root)
    assert loaded.config is not None
    (finding,) = config.find_unknown_environments(loaded.config, config.read_intents(root)[0])
    assert "dev, prod" in finding.hint


def test_the_schemas_for_editors_are_what_the_types_say() -> None:
    derive = runpy.run_path(str(resources.find_root() / "schemas/derive/intent.py"))
    for path, text in derive["documents"]().items():
        assert path.read_text() == text
