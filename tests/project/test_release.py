"""A release: its version is the tag, its bytes can be built again, and what publishes and installs it is pinned."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from release.build import ODD, build, find_stale
from release.version import find_named, find_version

from tests.support.git_repository import commit, git, start
from tests.support.paths import ROOT
from tests.support.scaffolded import documents

INSTALL = re.compile(r"pip install .*")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout that has what a version needs."""
    root = start(tmp_path / "source")
    (root / "copier.yml").write_text((ROOT / "copier.yml").read_text())
    (root / "release").mkdir()
    (root / "release/archive.txt").write_text((ROOT / "release/archive.txt").read_text())
    (root / ".gitattributes").write_text((ROOT / ".gitattributes").read_text())
    commit(root)
    return root


def test_the_tag_is_the_version(source: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\.dev0", find_version(source)), "before the first tag"
    git(source, "tag", "v1.2.3")
    git(source, "tag", "very-other")
    assert find_version(source) == "1.2.3"
    commit(source)
    assert re.fullmatch(r"1\.2\.4\.dev1\+g[0-9a-f]{7,}", find_version(source))


def test_an_archive_of_a_forge_knows_its_tag(source: Path, tmp_path: Path) -> None:
    git(source, "tag", "-a", "v2.0.1", "-m", "release")
    git(source, "archive", "--output", str(tmp_path / "a.tar"), "HEAD")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "a.tar"], cwd=unpacked, check=True)
    assert find_version(unpacked) == "2.0.1"


def test_a_source_distribution_keeps_its_version(source: Path) -> None:
    (source / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: mlflow-gitops\nVersion: 3.1.4\n")
    assert find_version(source) == "3.1.4"


def test_a_release_is_the_one_that_the_template_and_the_docs_install() -> None:
    assert find_stale(ROOT, find_named(ROOT)) == []
    stale = find_stale(ROOT, "99.0.0")
    assert {"copier.yml", "README.md", "docs/how-to/check-any-manifest.md"} <= set(stale)


@pytest.mark.slow
def test_two_builds_have_the_same_bytes(clone: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    git(tmp_path, "clone", "-q", str(clone), str(source))
    commit(source)
    git(source, "tag", "v7.8.9")
    first = build(source, tmp_path / "one", {})
    second = build(source, tmp_path / "another place", ODD, umask=0o077)
    assert [path.name for path in first] == [path.name for path in second] == [
        "SHA256SUMS",
        "mlflow_gitops-7.8.9-py3-none-any.whl",
        "mlflow_gitops-7.8.9.cdx.json",
        "mlflow_gitops-7.8.9.tar.gz",
    ]  # fmt: skip
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=first[0].parent, check=True)
    bill = json.loads(first[2].read_text())
    names = {one["name"] for one in bill["components"]}
    assert {"click", "msgspec", "ryaml"} <= names
    assert not {"hatchling", "uv"} & names
    assert bill["metadata"]["component"]["version"] == "7.8.9"


@pytest.mark.attack
def test_zizmor_finds_nothing_in_what_publishes_and_installs(tmp_path: Path) -> None:
    for name in ("action.yml", ".github/workflows/release.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    zizmor = Path(sys.executable).with_name("zizmor")
    command = [str(zizmor), "--offline", "--no-config", "--persona", "auditor", "--strict-collection", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.attack
def test_only_the_job_that_publishes_may_publish() -> None:
    (workflow,) = documents(ROOT / ".github/workflows/release.yml")
    assert isinstance(workflow, dict)
    assert workflow["permissions"] == {}
    granted = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert granted == {
        "build": {"contents": "read"},
        "attest": {"id-token": "write", "attestations": "write"},
        "publish": {"id-token": "write"},
    }
    assert all("run" not in step or "dist" in step["run"] for step in workflow["jobs"]["publish"]["steps"])


@pytest.mark.attack
@pytest.mark.parametrize("file", ["action.yml", "templates/m2g.yml"])
def test_everything_that_is_installed_has_a_hash_or_is_the_commit_itself(file: str) -> None:
    lines = INSTALL.findall((ROOT / file).read_text())
    assert len(lines) == 2
    for line in lines:
        assert "--no-deps" in line
        assert "--require-hashes" in line or ("--no-index" in line and '"$M2G_SOURCE"' in line)


@pytest.mark.attack
def test_the_component_has_inputs_that_cannot_be_shell() -> None:
    spec, jobs = documents(ROOT / "templates/m2g.yml")
    assert isinstance(spec, dict)
    assert isinstance(jobs, dict)
    for name, wrong in (("version", "1.2.3 --index-url x"), ("sha256", "0" * 63 + ";")):
        assert not re.search(spec["spec"]["inputs"][name]["regex"], wrong)
    assert set(jobs) == {"m2g-check"}
