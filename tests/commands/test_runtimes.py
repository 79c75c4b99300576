"""`m2g runtimes`: what KServe's images contain, and descriptions of one's own."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from m2g.cli import group
from m2g.compat import catalogue, package_list, runtime
from m2g.compat.check import check_runtime
from m2g.compat.runtime import Runtime
from m2g.core.errors import InputError
from m2g.core.model import Flavor, Mlmodel
from m2g.repository import runtimes

FREEZE = """\
mlserver==1.7.1
MLflow==3.17.2 ; python_version > '3'
Scikit_Learn[x]==1.9.1
-e git+https://a@b/c#egg=d
own @ file:///x
# note
"""
CYCLONE = {
    "bomFormat": "CycloneDX",
    "components": [
        {"purl": "pkg:pypi/mlflow@3.17.2"},
        {"purl": "pkg:pypi/scikit-learn@1.9.1?file_name=x.whl"},
        {"purl": "pkg:deb/debian/libc6@2.36"},
        {"purl": "pkg:generic/python@3.12.4"},
        {"name": "no purl"},
    ],
}
SPDX = {
    "spdxVersion": "SPDX-2.3",
    "packages": [{"externalRefs": [{"referenceLocator": "pkg:pypi/mlflow@3.17.2"}]}, {"name": "none"}],
}


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    (tmp_path / "m2g.yaml").write_text("registry: {uri: 'http://mlflow.test'}\n")

    def run(*arguments: str) -> tuple[int, str]:
        there = os.getcwd()
        try:
            done = CliRunner().invoke(group, ["-C", str(tmp_path), "runtimes", *arguments])
        finally:
            os.chdir(there)
        return done.exit_code, done.output if done.exception is None else str(done.exception)

    return run


def test_every_kserve_has_its_runtimes() -> None:
    for version in ("0.15", "0.16", "0.17", "0.18", "0.19", "0.20", "0.21"):
        for name in ("mlserver", "sklearnserver", "xgbserver", "lgbserver", "huggingfaceserver"):
            assert runtime.find_runtime(catalogue.read_stock(), f"kserve-{name}", version) is not None
    old, new = (
        runtime.find_runtime(catalogue.read_stock(), "kserve-mlserver", version) for version in ("0.17", "0.18")
    )
    assert old is not None
    assert new is not None
    assert (old.version("mlflow"), new.version("mlflow"), new.python) == ("2.10.2", "2.19.0", "3.10.12")


def test_a_freeze_becomes_a_description(ask: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "freeze.txt").write_text(FREEZE)
    code, text = ask("import", "freeze.txt", "--name", "own-py312", "--python", "3.12.4", "--format", "json")
    assert (code, json.loads(text)["change"], json.loads(text)["packages"]) == (0, "added", 4)
    made = runtimes.read(tmp_path)[0][0]
    assert made.packages == {"mlflow": "3.17.2", "mlserver": "1.7.1", "own": "", "scikit-learn": "1.9.1"}
    assert (made.complete, made.has("xgboost"), made.protocols) == (True, False, ("v2", "invocations"))
    assert "same" in ask("import", "freeze.txt", "--name", "own-py312", "--python", "3.12.4")[1]
    assert "own-py312" in ask("list")[1]
    assert json.loads(ask("show", "own-py312")[1])["python"] == "3.12.4"
    assert "not described for KServe 9" in ask("show", "kserve-mlserver", "--kserve", "9")[1]


@pytest.mark.parametrize("document", [CYCLONE, SPDX])
def test_an_sbom_becomes_a_description(document: object) -> None:
    found = package_list.read("sbom.json", json.dumps(document).encode())
    assert found.packages["mlflow"] == "3.17.2"
    assert found.python == ("3.12.4" if document is CYCLONE else "")


BAD = {
    "nothing": b"",
    "a page": b"<!doctype html>",
    "other JSON": b'{"a": 1}',
    "broken JSON": b"{",
    "deep JSON": b'{"bomFormat": "CycloneDX", "components": ' + b"[" * 50_000,
    "another SBOM": b'{"bomFormat": "CycloneDX", "components": [{"purl": 3}]}',
    "no Python": b'{"bomFormat": "CycloneDX", "components": []}',
    "not UTF-8": b"\xff\xfem\x00",
    "too many": b"\n".join(b"p%d==1" % n for n in range(10_001)),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_nonsense_is_refused_with_the_file_s_name(content: bytes) -> None:
    with pytest.raises(InputError, match="sbom") as raised:
        package_list.read("sbom", content)
    assert raised.value.hint


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for start in (b"", b'{"bomFormat": "CycloneDX", "components": '):
        with contextlib.suppress(InputError):
            assert package_list.read("x", start + content).packages
    with contextlib.suppress(InputError):
        assert catalogue.decode(content).name


def test_what_is_refused_leaves_nothing(ask: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "freeze.txt").write_text(FREEZE)
    (tmp_path / "numpy.txt").write_text("numpy==1.0\n")
    assert "not a valid name of a ServingRuntime" in ask("import", "freeze.txt", "--name", "../x")[1]
    assert "not a Python version" in ask("import", "freeze.txt", "--name", "x", "--python", "latest")[1]
    assert "neither mlserver nor mlflow" in ask("import", "numpy.txt", "--name", "x")[1]
    assert "is not a file" in ask("import", "none.txt", "--name", "x")[1]
    assert not (tmp_path / "runtimes").exists()
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (tmp_path / "runtimes").symlink_to(elsewhere)
    assert "symlink" in ask("import", "freeze.txt", "--name", "x")[1]
    assert list(elsewhere.iterdir()) == []


def test_the_repository_s_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "runtimes").mkdir()
    own = Runtime(name="kserve-mlserver", packages={"Scikit_Learn": "1.9.1"})
    (tmp_path / "runtimes/a.json").write_bytes(msgspec.json.encode(own))
    (tmp_path / "runtimes/b.json").write_text("[]")
    known, findings = runtimes.read(tmp_path)
    found = runtime.find_runtime(known, "kserve-mlserver", "0.21")
    assert found is not None
    assert found.version("scikit-learn") == "1.9.1"
    assert [(finding.rule, finding.file) for finding in findings] == [("runtime-invalid", "runtimes/b.json")]


def test_xgbserver_takes_an_example_for_another_model() -> None:
    described, _ = runtimes.read(None)
    server = runtime.find_runtime(described, "kserve-xgbserver", "0.21")
    assert server is not None
    flavors = (Flavor(name="xgboost", version=server.version("xgboost"), file="model.ubj"),)
    made = Mlmodel(sha256="0" * 64, flavors=flavors, python_version="3.11.7", requirements=())
    assert check_runtime(made, server, {}).answer != "fails"
    answer = check_runtime(msgspec.structs.replace(made, with_example=True), server, {})
    assert answer.answer == "fails"
    assert "input example" in answer.reasons[0].text


def test_versions_that_differ_in_digest_and_example_alone_have_one_verdict_and_a_size_is_its_own() -> None:
    described, _ = runtimes.read(None)
    flavors = (Flavor(name="python_function"), Flavor(name="sklearn", version="1.5.2", file="model.pkl"))
    made = Mlmodel(sha256="0" * 64, flavors=flavors, python_version="3.10.12", requirements=(), size_bytes=1 << 20)
    other = msgspec.structs.replace(made, sha256="1" * 64, example='{"inputs": [1]}', with_example=True)
    bare = msgspec.structs.replace(made, sha256="2" * 64, with_example=True)
    for server in described:
        assert check_runtime(other, server, {}) == check_runtime(bare, server, {})
    server = next(one for one in described if one.name == "kserve-mlserver")
    huge = msgspec.structs.replace(made, size_bytes=5 << 30)
    answers = [check_runtime(one, server, {"memory": "2Gi"}).answer for one in (made, huge)]
    assert answers[0] != "fails"
    assert answers[1] == "fails"
