"""`m2g validate PATH`: manifests of any origin, with the same findings, formats and exit codes as in a repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import ryaml

from m2g.validation.manifests import check_manifests, parse_version
from tests.support import corpus
from tests.support.machine import seconds
from tests.support.paths import ROOT

SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: wine}
spec:
  predictor:
    model:
      modelFormat: {name: sklearn}
      storageUri: s3://models/wine
"""
WRONG = SERVICE.replace("predictor:\n", "predictor:\n    minReplicaz: 1\n")
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {a: b}\n"


def validate(folder: Path, *arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[bytes]:
    content = stdin.encode() if isinstance(stdin, str) else stdin
    command = [sys.executable, "-m", "m2g", "validate", *arguments]
    return subprocess.run(command, cwd=folder, input=content, capture_output=True, timeout=seconds(60), check=False)


def find(folder: Path, *paths: str, stdin: str = "", kserve: str = "0.21") -> list[tuple[str, int, str, str]]:
    done = validate(folder, *paths, "--kserve", kserve, "--format", "json", stdin=stdin)
    assert done.returncode in (0, 1), done.stderr
    return [(one["file"], one["line"], one["rule"], one["path"]) for one in json.loads(done.stdout)["findings"]]


def test_a_file_with_several_documents_has_the_lines_of_each(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(f"# words\n---\n{CONFIG_MAP}---\n---\n{WRONG}")
    assert find(tmp_path, "all.yaml") == [("all.yaml", 14, "schema", "spec.predictor.minReplicaz")]


def test_standard_input_is_a_stream(tmp_path: Path) -> None:
    done = validate(tmp_path, "-", stdin=f"{CONFIG_MAP}---\n{SERVICE}")
    assert (done.returncode, done.stdout) == (0, b"valid: 2 objects, 1 file\n")
    assert find(tmp_path, "-", stdin=WRONG)[0][:2] == ("(standard input)", 6)


def test_the_items_of_a_list_are_objects(tmp_path: Path) -> None:
    items = [ryaml.loads(CONFIG_MAP), ryaml.loads(WRONG)]
    (tmp_path / "list.yaml").write_text(ryaml.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    (found,) = find(tmp_path, "list.yaml")
    assert found[3] == "items[1].spec.predictor.minReplicaz"
    lines = (tmp_path / "list.yaml").read_text().splitlines()
    assert "minReplicaz" in lines[found[1] - 1]


def test_a_folder_is_searched_for_manifests(tmp_path: Path) -> None:
    for name, text in {
        "a/one.yaml": SERVICE,
        "a/b/two.yml": WRONG,
        "a/values.yaml": "replicas: 2\n",
        "a/notes.txt": "no\n",
        "a/.git/x.yaml": WRONG,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [found[0] for found in find(tmp_path, "a")] == ["a/b/two.yml"]
    assert find(tmp_path, "a/values.yaml") == [("a/values.yaml", 1, "schema", "apiVersion")]


def test_json_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(ryaml.loads(WRONG), indent=1))
    assert [found[2] for found in find(tmp_path, "one.json")] == ["schema"]


def test_the_version_decides(tmp_path: Path) -> None:
    text = SERVICE.replace("spec:\n", "spec:\n  canary: []\n")
    assert {found[3] for found in find(tmp_path, "-", stdin=text, kserve="0.19")} == {"spec.canary"}
    assert "spec.canary" not in [found[3] for found in find(tmp_path, "-", stdin=text, kserve="0.21.0")]
    assert parse_version("v0.20.1") == "0.20"


def test_a_path_is_never_the_repository(tmp_path: Path) -> None:
    (tmp_path / "m2g.yaml").write_text("not: valid\n")
    (tmp_path / "service.yaml").write_text(SERVICE)
    assert find(tmp_path, "service.yaml") == []
    assert validate(tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("-",), "", "no Kubernetes object in standard input"),
        (("-",), "# nothing\n---\n", "no Kubernetes object"),
        (("empty",), "", "no Kubernetes object in empty"),
        (("nowhere.yaml",), "", "nowhere.yaml: no such file or folder"),
        (("-", "--kserve", "0.9"), SERVICE, "no schemas of KServe '0.9'"),
        (("-", "--model", "wine"), SERVICE, "--model does not work with PATH"),
        (("-", "--against", "main"), SERVICE, "--against does not work with PATH"),
        (("--kserve", "0.20"), "", "--kserve works only with PATH"),
    ],
)
def test_nothing_to_check_is_never_success(tmp_path: Path, arguments: tuple[str, ...], stdin: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    done = validate(tmp_path, *arguments, stdin=stdin)
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert "→" in done.stderr.decode()


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"a: [", b"a: &a [*a]", b"[" * 100_000, b"- 1\n- x", b"\x00", b"{{ .Values.x }}: {"]
)
def test_any_bytes_are_a_finding(tmp_path: Path, content: bytes) -> None:
    done = validate(tmp_path, "-", stdin=content)
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
def test_no_hint_names_a_file_that_only_a_repository_has(tmp_path: Path) -> None:
    for case in corpus.cases():
        (tmp_path / "case.yaml").write_text(case.path.read_text())
        for finding in check_manifests(tmp_path, ["case.yaml"], case.given.kserve).findings:
            assert "m2g.yaml" not in finding.hint, case.name
            assert "model.yaml" not in finding.hint, case.name


def test_what_is_right_for_a_repository_is_right_alone(tmp_path: Path) -> None:
    right = [case for case in corpus.cases() if case.right]
    assert len(right) > 50
    for case in right:
        found = check_manifests(ROOT, [case.path.relative_to(ROOT).as_posix()], case.given.kserve).findings
        assert [finding for finding in found if finding.severity == "error"] == [], case.name
