"""Everything that Argo CD or Flux may read is m2g's, or in a place for people, or a finding."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding, Severity
from m2g.core.stamp import stamp
from m2g.validation.base import Against
from tests.support.fleet import FakeRegistry, release, repository, run, write_record
from tests.support.git_repository import commit, start
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.attack

_POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {hostPID: true, containers: [{name: x, image: x}]}\n"
_KUSTOMIZATION = "resources: [pod.yaml]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fleet(tmp_path / "r")


def fleet(root: Path) -> Path:
    repository(root)
    for environment in ("dev", "prod"):
        write_record(root, "wine", release("wine", environment))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    return root


def check(root: Path) -> list[Finding]:
    return [item for item in validate(root, ValidateOptions()).findings if item.severity is Severity.ERROR]


def unknown(root: Path) -> list[str]:
    return sorted(item.file for item in check(root) if item.rule == "unknown-file")


HOSTILE = {
    "a nested overlay": {
        f"models/wine/notes/overlays/prod/{name}": text
        for name, text in (("app.json", "{}"), ("kustomization.yaml", _KUSTOMIZATION), ("pod.yaml", _POD))
    },
    "a nested overlay in the folder for people": {"models/wine/custom/overlays/prod/app.json": "{}"},
    "a deeply nested overlay": {"models/wine/custom/prod/a/b/overlays/dev/app.json": "{}"},
    "an overlay with m2g's stamp": {
        "models/wine/overlays/prod/release/overlays/prod/app.json": stamp("app.json", "{\n}\n").decode(),
    },
    "beside an overlay's files": {"models/wine/overlays/prod/pod.yaml": _POD},
    "what Argo CD reads beside a kustomization": {"models/wine/overlays/prod/.argocd-source.yaml": "kustomize: {}\n"},
    "the same for one application": {"models/wine/overlays/prod/.argocd-source-wine.prod.a.yaml": "kustomize: {}\n"},
    "a chart": {"models/wine/overlays/prod/Chart.yaml": "name: x\n"},
    "a kustomization of all models": {"models/kustomization.yaml": _KUSTOMIZATION, "models/pod.yaml": _POD},
    "a kustomization of a model": {"models/wine/kustomization.yaml": _KUSTOMIZATION},
    "the folder in another case": {"models/wine/Overlays/prod/app.json": "{}"},
    "the settings in another case": {"models/wine/Model.yaml": "{}"},
    "the settings by another suffix": {"models/wine/model.yml": "{}"},
    "a model in another case": {"models/Wine/overlays/prod/app.json": "{}"},
    "a model that looks like another": {"models/w\u0456ne/overlays/prod/app.json": "{}"},
    "a name that cannot be seen": {"models/wine\u200b/overlays/prod/app.json": "{}"},
    "a line break in a name": {"models/wine/overlays/prod/a\nb.yaml": _POD},
    "a hidden folder": {"models/.wine/overlays/prod/app.json": "{}"},
    "an object in fleet": {"fleet/dev/zz.yaml": _POD},
    "an object deep in fleet": {"fleet/dev/a/b/zz.yaml": _POD},
    "an object of no environment": {"fleet/zz.yaml": _POD},
    "an object as yml": {"fleet/dev/zz.yml": _POD},
    "a kustomization of fleet": {"fleet/dev/kustomization.yaml": "resources: [../../x]\n"},
    "a kustomization of the people's folder": {"fleet/dev/namespace/Kustomization": "resources: [../../../x]\n"},
    "what Flux leaves out": {".sourceignore": "/models/wine\n"},
    "what Flux leaves out below": {"fleet/prod/.sourceignore": "*\n"},
    "a submodule": {".gitmodules": '[submodule "x"]\n\tpath = models/wine/custom/x\n\turl = https://git.test/x\n'},
}


@pytest.mark.parametrize("files", HOSTILE.values(), ids=HOSTILE)
def test_an_unknown_file_is_an_error_and_its_hint_removes_it(root: Path, files: dict[str, str]) -> None:
    write(root, files)
    found = [item for item in check(root) if item.rule == "unknown-file"]
    assert {item.file for item in found} <= set(files)
    assert found
    for item in found:
        _follow(root, item.hint.rpartition("remove it: ")[2])
    assert check(root) == []


@pytest.mark.parametrize("path", ["models/x", "models/wine/x", "models/wine/overlays/prod/x.yaml", "fleet/dev/x.yaml"])
def test_a_symlink_is_an_error(root: Path, path: str) -> None:
    (root / "x.yaml").write_text(_POD)
    (root / path).symlink_to(os.path.relpath(root / "x.yaml", (root / path).parent))
    assert unknown(root) == [path]


@pytest.mark.parametrize("path", ["models/wine/overlays/prod/patch.yaml", "fleet/prod/wine.yaml"])
def test_a_symlink_to_a_forged_file_is_an_error(root: Path, path: str) -> None:
    write(root, {"docs/x.yaml": stamp("x.yaml", _POD).decode()})
    (root / path).unlink()
    (root / path).symlink_to(os.path.relpath(root / "docs/x.yaml", (root / path).parent))
    assert path in unknown(root)


def test_a_warning_does_not_hide_a_forged_file(root: Path) -> None:
    """A model that waits for its image is not rendered, so only the base knows its files."""
    start(root)
    commit(root)
    write(root, {"models/wine/model.yaml": "settings: {profile: mlserver-image}\n"})
    report = validate(root, ValidateOptions(against=Against(ref="main")))
    assert {item.rule for item in report.findings} == {"image-missing"}
    path = "models/wine/overlays/prod/patch.yaml"
    content = (root / path).read_text().partition("\n")[2].replace("s3://", "s3://elsewhere/")
    write(root, {path: stamp(path, content).decode()})
    report = validate(root, ValidateOptions(against=Against(ref="main")))
    assert [(item.rule, item.file) for item in report.findings if item.severity is Severity.ERROR] == [
        ("stale-file", path)
    ]


@pytest.mark.parametrize("path", ["models/wine/notes/gpu.yaml", "fleet/dev/quota.yaml"])
def test_a_person_s_file_has_a_place_and_the_hint_moves_it_there(root: Path, path: str) -> None:
    write(root, {path: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: models-dev}\n"})
    (found,) = (item for item in check(root) if item.rule == "unknown-file")
    _follow(root, found.hint.partition("run: ")[2].partition(";")[0])
    assert unknown(root) == []


@pytest.mark.parametrize("path", ["models/wine/overlays/prod/pod.yaml", "fleet/dev/zz.yaml", "fleet/prod/wine.yaml"])
def test_a_forged_stamp_is_found(root: Path, path: str) -> None:
    """Everybody can write the stamp: the records decide what m2g writes."""
    write(root, {path: stamp(path, _POD).decode()})
    assert [(item.file, item.rule) for item in check(root) if item.rule in ("stale-file", "unknown-file")] == [
        (path, "unknown-file" if "zz" in path else "stale-file")
    ]


def test_a_changed_file_of_m2g_with_a_new_stamp_is_found_and_written_again(root: Path) -> None:
    path = root / "models/wine/overlays/prod/patch.yaml"
    before = path.read_bytes()
    text = b"\n".join(before.splitlines()[1:]).decode().replace("s3://", "s3://elsewhere/") + "\n"
    path.write_bytes(stamp(path.name, text))
    (found,) = check(root)
    assert (found.rule, found.hint) == ("stale-file", "run `m2g render --locked --model wine`")
    run(root, FakeRegistry(), RenderOptions(locked=True))
    assert path.read_bytes() == before
    assert check(root) == []


def test_a_thousand_files_are_one_finding(root: Path) -> None:
    write(root, {f"models/wine/notes/{number}.txt": "" for number in range(1000)})
    (found,) = check(root)
    assert "999 more in models/wine/notes" in found.message


def test_what_people_write_is_known(root: Path) -> None:
    write(
        root,
        {
            "models/wine/model.yaml": "settings: {}\n",
            "models/wine/custom/prod/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
            "kind: Component\nlabels: [{pairs: {team: a}}]\n",
            "models/wine/custom/README.md": "why\n",
            "shared/notes.txt": "x",
        },
    )
    run(root, FakeRegistry(), RenderOptions(locked=True))
    assert check(root) == []


def _follow(root: Path, command: str) -> None:
    """Run what a hint says, as a person would paste it."""
    subprocess.run(["bash", "-c", command], cwd=root, check=True)
