"""CRDs of a user's own: imported, strict, first to be asked; and what hostile ones do, which is nothing."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import ryaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from m2g.commands import schemas as verb
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.finding import Report
from m2g.repository.edit import edit_file
from m2g.repository.yaml_edit import Set
from m2g.validation.schemas import Catalogue, crd, repository_schemas
from tests.support.machine import seconds
from tests.support.paths import ROOT

GOLDEN = ROOT / "tests/golden/standard-storage"
SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "format": "int32", "default": 1},
        "ratio": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        "port": {"x-kubernetes-int-or-string": True},
        "memory": {"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+([KMGTPE]i|[numkMGTPE])?$"},
        "note": {"type": "string", "nullable": True, "enum": ["a", "b"]},
        "at": {"type": "string", "format": "date-time"},
        "wait": {"type": "string", "format": "duration"},
        "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "inner": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "empty": {"type": "object"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "choice": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "protocol"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "protocol": {"type": "string", "default": "TCP"},
                    "a-b": {"type": "integer"},
                },
                "x-kubernetes-validations": [{"rule": "!has(self.a__dash__b) || self.a__dash__b > 0"}],
            },
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    },
    "x-kubernetes-validations": [
        {"rule": "self.size < 10", "message": "size must be below 10"},
        {"rule": "self.size != 7", "messageExpression": "'size is ' + string(self.size)"},
        {"rule": "self.size == oldSelf.size", "message": "size is fixed"},
        {"rule": "!has(self.at) || self.at < timestamp('2030-01-01T00:00:00Z')"},
        {"rule": "self.?note.orValue('') != 'z'"},
    ],
}


def definition(spec: object = None, **changes: object) -> dict[str, Any]:
    """A CRD of example.com/v1 Widget."""
    whole = {"type": "object", "properties": {"spec": SPEC if spec is None else spec, "status": {"type": "object"}}}
    said = {"group": "example.com", "names": {"kind": "Widget", "plural": "widgets"}, "scope": "Namespaced"}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}}]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {**said, "versions": versions, **changes},
    }


def widget(**spec: object) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1, **spec}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "r"))


def imported(root: Path, *crds: object, **options: Any) -> verb.Import:
    (root / "crds.yaml").write_text("---\n".join(ryaml.dumps(each) for each in crds))
    return verb.import_files(root, root, [Path("crds.yaml")], **options)


def catalogue(root: Path) -> Catalogue:
    return Catalogue(repository=repository_schemas.read(root))


def paths(root: Path, **spec: object) -> list[str]:
    return [found.path for found in catalogue(root).find_violations(widget(**spec), kserve="0.21")]


def test_an_import_writes_one_file_a_kind_and_the_same_bytes_again(root: Path) -> None:
    (done,) = imported(root, definition()).imported
    assert (done.file, done.change, done.left_out) == ("schemas/example.com/widget_v1.json", "added", ())
    before = (root / done.file).read_bytes()
    assert imported(root, definition()).imported[0].change == "same"
    assert (root / done.file).read_bytes() == before
    assert imported(root, definition({"type": "object"})).imported[0].change == "changed"


RIGHT: list[dict[str, object]] = [
    {},
    {"ratio": 0.5, "port": "http", "memory": "2Gi", "note": None, "at": "2026-01-01T00:00:00Z", "wait": "1h30m"},
    {"port": 80, "memory": 2, "raw": {"a": [1]}, "inner": {"apiVersion": "v1", "kind": "A", "x": 1}, "empty": {}},
    {"labels": {"a": "b"}, "choice": {"a": "x"}, "tags": ["a", "b"]},
    {"ports": [{"name": "a"}, {"name": "a", "protocol": "UDP"}, {"name": "b", "a-b": 1}]},
]
WRONG: list[tuple[dict[str, object], str]] = [
    ({"sise": 1}, "spec.sise"),
    ({"size": "1"}, "spec.size"),
    ({"size": 2**31}, "spec.size"),
    ({"ratio": 0}, "spec.ratio"),
    ({"port": 1.5}, "spec.port"),
    ({"memory": "1 GB"}, "spec.memory"),
    ({"note": "c"}, "spec.note"),
    ({"at": "soon"}, "spec.at"),
    ({"wait": "1 hour"}, "spec.wait"),
    ({"inner": {"x": 1}}, "spec.inner.apiVersion"),
    ({"empty": {"x": 1}}, "spec.empty.x"),
    ({"labels": {"a": 1}}, "spec.labels.a"),
    ({"choice": {"a": "x", "b": "y"}}, "spec.choice"),
    ({"tags": ["a", "a"]}, "spec.tags[1]"),
    ({"ports": [{"name": "a"}, {"name": "a", "protocol": "TCP"}]}, "spec.ports[1]"),
    ({"ports": [{"protocol": "TCP"}]}, "spec.ports[0].name"),
]


def test_an_imported_kind_is_strict(root: Path) -> None:
    imported(root, definition())
    for spec in RIGHT:
        assert paths(root, **spec) == [], spec
    for spec, path in WRONG:
        assert path in paths(root, **spec), spec
    bad = {**widget(), "metadata": {"name": "A_b"}, "extra": 1}
    assert [found.path for found in catalogue(root).find_violations(bad, kserve="0.21")] == ["extra", "metadata.name"]


def test_what_is_imported_comes_before_ours(root: Path) -> None:
    changed = definition({"type": "object", "properties": {"own": {"type": "string"}}}, group="keda.sh")
    changed["spec"]["names"]["kind"] = "ScaledObject"
    changed["spec"]["versions"][0]["name"] = "v1alpha1"
    imported(root, changed)
    item = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "a"}, "spec": {"own": "x"}}
    assert catalogue(root).find_violations(item, kserve="0.21") == []
    assert Catalogue().find_violations(item, kserve="0.21") != []
    (row,) = (row for row in verb.list_schemas(root) if row.kind == "ScaledObject")
    assert (row.version, row.file) == ("imported", "schemas/keda.sh/scaledobject_v1alpha1.json")


def with_widget(root: Path, **spec: object) -> Report:
    imported(root, definition())
    edit_file(root, "m2g.yaml", [Set(path=("sync", "bounds", "platform"), value=["Widget.example.com"])])
    (root / "platform").mkdir()
    (root / "platform/widget.yaml").write_text(ryaml.dumps(widget(**spec)))
    bounds = Set(path=("sync", "bounds", "platform"), value=["Widget.example.com"])
    edit_file(root, "m2g.yaml", [bounds])
    return validate(root, ValidateOptions())


def test_rules_of_a_crd_are_evaluated_and_the_rest_is_counted(root: Path) -> None:
    report = with_widget(root, size=12, at="2026-01-01T00:00:00Z", ports=[{"name": "a", "a-b": 0}])
    found = {finding.path: finding for finding in report.findings}
    assert set(found) == {"spec", "spec.ports[0]"}
    assert found["spec"].message == "size must be below 10"
    assert (found["spec"].rule, found["spec"].file) == ("schema-rule", "platform/widget.yaml")
    assert "does not comply with !has(self.a__dash__b)" in found["spec.ports[0]"].message
    undecided = " ".join(report.checked.undecided)
    assert len(report.checked.undecided) == 3
    assert "oldSelf" in undecided
    assert ".?" in undecided
    assert "timestamp" in undecided


def test_a_message_expression_speaks_and_the_line_is_named(root: Path) -> None:
    (finding,) = with_widget(root, size=7).findings
    assert (finding.message, finding.line) == ("size is 7", 5)


def test_rules_see_defaults(root: Path) -> None:
    spec = {
        "type": "object",
        "properties": SPEC["properties"],
        "x-kubernetes-validations": [{"rule": "self.size == 1"}],
    }
    imported(root, definition(spec))
    (demand,) = catalogue(root).find_cel_rules({**widget(), "spec": {}}, kserve="0.21")
    assert demand.self_ == {"size": 1}


def test_a_list_a_stream_and_a_choice_are_read(root: Path) -> None:
    other = definition(group="other.example.com")
    done = imported(root, {"kind": "List", "items": [definition(), {"kind": "Pod"}]}, {"kind": "Service"}, other)
    assert [item.kind for item in done.imported] == ["example.com/v1 Widget", "other.example.com/v1 Widget"]
    assert [item.change for item in imported(root, definition(), other, only=["other.*/W*"]).imported] == ["same"]


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


LOOP = {"type": "object", "properties": {"a": {"$ref": "#/spec"}}}
REFUSED: list[tuple[object, str]] = [
    (definition(LOOP), "$ref"),
    (definition({"type": "map"}), "type 'map'"),
    (definition([]), "is not a mapping"),
    (definition(group="../../etc"), "is not a valid Kubernetes name"),
    (definition(names={"kind": "../Widget"}), "is not a valid Kubernetes name"),
    (definition(versions=[{"name": "../v1", "schema": {"openAPIV3Schema": {}}}]), "is not a valid Kubernetes name"),
    (definition(versions="v1"), "CustomResourceDefinition"),
    ({"kind": "CustomResourceDefinition", "spec": None}, "CustomResourceDefinition"),
]


@pytest.mark.parametrize(("crd_", "words"), REFUSED)
def test_a_crd_that_no_server_takes_is_refused_and_the_others_are_imported(
    root: Path, crd_: object, words: str
) -> None:
    done = imported(root, crd_, definition(group="fine.example.com"))
    assert [item.kind for item in done.imported] == ["fine.example.com/v1 Widget"]
    assert words in done.refused[0]
    assert not (root.parent / "etc").exists()


def test_a_crd_without_end_is_refused() -> None:
    with pytest.raises(InputError, match="deeper than 64 levels"):
        crd.read_kinds(definition(nested(70)))
    wide = {"type": "object", "properties": {str(number): {"type": "object"} for number in range(201_000)}}
    with pytest.raises(InputError, match="larger than 200,000 parts"):
        crd.read_kinds(definition(wide))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in itertools.pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: b\n", "has no CustomResourceDefinition"),
        ("", "has no CustomResourceDefinition"),
        ("a: [", "neither YAML nor JSON"),
        ("{", "neither YAML nor JSON"),
        ("[" * 100_000, "neither YAML nor JSON"),
        ('{"a":' * 100_000, "neither YAML nor JSON"),
        (BOMB, "neither YAML nor JSON"),
        ("\udcff", "neither YAML nor JSON"),
    ],
)
def test_a_hostile_file_is_refused(root: Path, content: str, words: str) -> None:
    (root / "crds.yaml").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as raised:
        verb.import_files(root, root, [Path("crds.yaml")])
    assert words in raised.value.message


def test_nothing_is_written_through_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (root / "schemas").mkdir()
    (root / "schemas/example.com").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="behind the symlink"):
        imported(root, definition())
    assert list((tmp_path / "outside").iterdir()) == []


def test_no_file_is_said(root: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        verb.import_files(root, root, [Path("nowhere.yaml")])


def test_a_pattern_that_may_explode_is_bounded_or_left_out(root: Path) -> None:
    patterns = {"slow": "^(a+)+$", "look": "^(?=a)a$", "back": r"(a)\1", "huge": "(a{1000}){1000}", "not": "(", "no": 7}
    fields = {name: {"type": "string", "pattern": pattern} for name, pattern in patterns.items()}
    (done,) = imported(root, definition({"type": "object", "properties": fields})).imported
    assert [words.partition(":")[0] for words in done.left_out] == [f"spec.{name}" for name in list(patterns)[1:]]
    start = time.monotonic()
    assert paths(root, size=None, slow="a" * 50_000 + "!") == ["spec.size", "spec.slow"]
    assert time.monotonic() - start < seconds(5)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"x-kinds": {}, "$defs": 1}',
        '{"x-kinds": {"v1": "a"}, "$defs": {"a": {}}}',
        '{"x-kinds": {"example.com/v1 A": "b"}, "$defs": {"a": {}}}',
        '{"x-kinds": {"example.com/v1 A": "a"}, "$defs": {"a": {"$ref": "https://example.com/x.json"}}}',
        '{"x-kinds": {"example.com/v1 A": "a"}, "$defs": {"a": {"$ref": "#/$defs/b"}}}',
        '{"x-kinds": {"example.com/v1 A": "a"}, "$defs": {"a": {"pattern": "("}}}',
        '{"x-kinds": {"example.com/v1 A": "a"}, "$defs": {"a": {"type": "none"}}}',
        '{"a":' * 50_000,
    ],
)
def test_a_broken_schema_file_is_a_finding(root: Path, content: str) -> None:
    path = root / "schemas/example.com/a_v1.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    (finding,) = validate(root, ValidateOptions()).findings
    assert (finding.rule, finding.file) == ("schema-invalid", "schemas/example.com/a_v1.json")


def test_a_schema_that_refers_to_itself_ends(root: Path) -> None:
    path = root / "schemas/example.com/widget_v1.json"
    path.parent.mkdir(parents=True)
    loop = {"a": {"$ref": "#/$defs/a", "x-kubernetes-validations": [{"rule": "true"}]}}
    path.write_text(json.dumps({"x-kinds": {"example.com/v1 Widget": "a"}, "$defs": loop}))
    assert catalogue(root).find_violations(widget(), kserve="0.21") == []


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "bin/kubectl"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


def test_a_cluster_is_asked_through_kubectl(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crds.json").write_bytes(msgspec.json.encode({"kind": "List", "items": [definition()]}))
    kubectl(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked; cat {tmp_path}/crds.json')
    (done,) = verb.import_cluster(root, "lab; rm -rf /").imported
    assert done.kind == "example.com/v1 Widget"
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("--context=lab; rm -rf / get customresourcedefinitions.apiextensions.k8s.io")


def test_a_cluster_that_refuses_is_an_error_with_its_words(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl(tmp_path, monkeypatch, "echo 'Unauthorized' >&2; exit 1")
    with pytest.raises(OutsideError, match="cannot list the CRDs: Unauthorized"):
        verb.import_cluster(root)


def test_without_kubectl_the_error_says_so(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutsideError, match="kubectl is not installed"):
        verb.import_cluster(root)


def test_show_knows_kinds_by_short_and_by_whole_name(root: Path) -> None:
    imported(root, definition())
    assert verb.show_schema(root, "Widget", "") == verb.show_schema(root, "example.com/v1/Widget", "")
    assert verb.show_schema(None, "HTTPRoute", "")["$ref"] == "#/$defs/v1.HTTPRoute"
    assert verb.show_schema(None, "v1/ConfigMap", "")
    for kind, words in (
        ("Wiget", "no schema"),
        ("Kustomization", "several API groups"),
        ("", "no schema"),
        ("/", "no"),
    ):
        with pytest.raises(InputError, match=words):
            verb.show_schema(root, kind, "")


WORDS = """type properties items pattern enum required format minimum default oneOf not additionalProperties nullable
x-kubernetes-validations x-kubernetes-list-type x-kubernetes-list-map-keys x-kubernetes-int-or-string rule
exclusiveMinimum maxLength a""".split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["object", "string", "^a$"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
@example({"required": [None]})
@example({"required": ["a", "a"]})
def test_any_schema_is_taken_or_refused(schema: object) -> None:
    try:
        (kind,) = crd.read_kinds(definition(schema))
    except M2gError:
        return
    _, content = repository_schemas.render_file(kind, "x", "0")
    repository_schemas._decode(content)


def test_the_verbs_on_the_command_line(root: Path) -> None:
    """Text and JSON, exit codes, and that nothing needs a repository but an import."""
    (root / "crds.yaml").write_text(ryaml.dumps(definition()))

    def m2g(*arguments: str, folder: Path = root) -> tuple[int, str]:
        command = [sys.executable, "-m", "m2g", "schemas", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    code, text = m2g("import", "crds.yaml")
    assert (code, text.splitlines()[-1]) == (0, "1 schema imported")
    assert "added    schemas/example.com/widget_v1.json  example.com/v1 Widget" in text
    code, text = m2g("list")
    assert code == 0
    assert re.search(
        r"^Widget +example.com/v1 +imported +crds.yaml +open in 2 places, 6 CEL rules$", text, re.MULTILINE
    )
    rows = json.loads(m2g("list", "--format", "json", folder=root.parent)[1])["schemas"]
    assert {"kind", "apiVersion", "source", "version", "openParts", "rules", "file"} == set(rows[0])
    assert json.loads(m2g("show", "Widget")[1])["$ref"] == "#/$defs/v1.Widget"
    assert m2g("show", "Nothing")[0] == 2
    assert m2g("import")[0] == 2
    assert m2g("import", "crds.yaml", "--from-cluster")[0] == 2
    assert m2g("import", "crds.yaml", folder=root.parent)[0] == 2
    (root / "crds.yaml").write_text(ryaml.dumps(definition(LOOP)))
    code, text = m2g("import", "crds.yaml", "--format", "json")
    assert (code, json.loads(text)["imported"]) == (1, [])
