"""Overlays through the real kustomize: what is built, how it fails, and that it costs few processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from m2g import kustomize
from m2g.core.errors import OutsideError
from m2g.core.manifest import get_at
from tests.support.handmade_fleet import component, model, write

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"


def fleet(root: Path, count: int) -> list[str]:
    for number in range(count):
        write(root, model(f"model-{number}", dev=number + 1, prod=1))
    return [f"models/model-{number}/overlays/{env}" for number in range(count) for env in ("dev", "prod")]


def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kustomize that leaves a line for each start."""
    real = kustomize.find_command()
    log, program = tmp_path / "starts", tmp_path / Path(real[0]).name
    program.write_text(f'#!/bin/sh\necho x >> "{log}"\nexec "{real[0]}" "$@"\n')
    program.chmod(0o755)
    log.write_text("")
    monkeypatch.setenv("M2G_KUSTOMIZE", str(program))
    return log


def test_builds_each_overlay_in_the_order_asked(tmp_path: Path) -> None:
    folders = fleet(tmp_path, 3)
    steps: list[tuple[int, int]] = []
    built = kustomize.build_overlays(tmp_path, folders, progress=lambda what, done, total: steps.append((done, total)))
    assert list(built) == folders
    (service,) = built["models/model-2/overlays/dev"].objects
    assert get_at(service, "spec", "predictor", "model", "storageUri") == "s3://models/model-2/3/"
    assert get_at(service, "metadata", "namespace") == "models-dev"
    assert steps[-1] == (6, 6)


def test_many_overlays_cost_few_processes_and_give_the_same_as_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = fleet(tmp_path / "r", 45)
    log = counting(tmp_path, monkeypatch)
    together = kustomize.build_overlays(tmp_path / "r", folders)
    assert len(log.read_text().splitlines()) <= 6
    for folder in folders[::9]:
        assert kustomize.build_overlays(tmp_path / "r", [folder])[folder].objects == together[folder].objects


def test_one_broken_overlay_does_not_hide_the_others(tmp_path: Path) -> None:
    folders = fleet(tmp_path, 4)
    write(
        tmp_path, {"models/model-1/overlays/dev/patch.yaml": "- op: replace\n  path: /spec/nothing/here\n  value: 1\n"}
    )
    built = kustomize.build_overlays(tmp_path, folders)
    bad = built["models/model-1/overlays/dev"]
    assert "/spec/nothing/here" in bad.error
    assert bad.at.startswith("models/model-1/overlays/dev")
    assert str(tmp_path) not in bad.error
    assert all(built[folder].objects and not built[folder].error for folder in folders if folder != bad.folder)


def test_error_names_the_file_that_kustomize_names(tmp_path: Path) -> None:
    write(tmp_path, model("wine", dev=1))
    write(tmp_path, {"models/wine/base/inferenceservice.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"})
    built = kustomize.build_overlays(tmp_path, ["models/wine/overlays/dev"])["models/wine/overlays/dev"]
    assert built.error
    assert "missing metadata.name" in built.error


@pytest.mark.parametrize("logged", [False, True], ids=["kustomize", "as kubectl logs it"])
def test_error_in_a_component_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: bool) -> None:
    write(tmp_path, model("wine", dev=1))
    patch = 'patches:\n- target: {kind: InferenceService}\n  patch: \'[{"op": "remove", "path": "/spec/nope"}]\'\n'
    component(tmp_path, "wine", "dev", COMPONENT + patch)
    if logged:
        program, real = tmp_path / "kustomize", kustomize.find_command()
        program.write_text(
            f'#!/bin/sh\nout=$("{real[0]}" "$@" 2>&1 | sed \'s/"/\\\\"/g; s/^Error: //\')\n'
            'printf \'E1120 18:41:55.9 1 run.go:72] "command failed" err="%s"\\n\' "$out" >&2\nexit 1\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("M2G_KUSTOMIZE", str(program))
    built = kustomize.build_overlays(tmp_path, ["models/wine/overlays/dev"])["models/wine/overlays/dev"]
    assert built.at == "models/wine/custom/dev/kustomization.yaml"
    assert "/spec/nope" in built.error
    assert not built.error.startswith("E1120")


def test_a_component_with_a_generator_is_built_alone_and_right(tmp_path: Path) -> None:
    folders = fleet(tmp_path, 3)
    text = COMPONENT + "configMapGenerator:\n- name: settings\n  literals: [a=1]\n"
    for slug in ("model-0", "model-1"):
        component(tmp_path, slug, "dev", text)
    built = kustomize.build_overlays(tmp_path, folders)
    for slug in ("model-0", "model-1"):
        kinds = [item["kind"] for item in built[f"models/{slug}/overlays/dev"].objects]
        assert kinds == ["InferenceService", "ConfigMap"]
    assert len(built["models/model-2/overlays/dev"].objects) == 1


def test_two_overlays_with_one_name_in_one_namespace_are_built_apart(tmp_path: Path) -> None:
    write(tmp_path, model("wine", dev=1))
    write(tmp_path, {path.replace("models/wine", "models/copy"): text for path, text in model("wine", dev=2).items()})
    folders = ["models/wine/overlays/dev", "models/copy/overlays/dev"]
    built = kustomize.build_overlays(tmp_path, folders)
    assert [len(built[folder].objects) for folder in folders] == [1, 1]


def test_objects_that_look_like_marks_do_not_shift_objects_to_another_overlay(tmp_path: Path) -> None:
    folders = fleet(tmp_path, 3)
    mark = "apiVersion: m2g.dev/mark\nkind: Mark\nmetadata: {name: mark-1}\n"
    write(
        tmp_path,
        {
            "models/model-0/base/mark.yaml": mark,
            "models/model-0/base/kustomization.yaml": "resources:\n- inferenceservice.yaml\n- mark.yaml\n",
        },
    )
    built = kustomize.build_overlays(tmp_path, folders)
    assert len(built["models/model-0/overlays/dev"].objects) == 2
    assert len(built["models/model-1/overlays/dev"].objects) == 1


def test_a_repository_below_a_folder_named_like_a_host_is_no_remote(tmp_path: Path) -> None:
    root = tmp_path / "github.com" / "acme" / "models.git"
    folders = fleet(root, 2)
    assert all(built.objects for built in kustomize.build_overlays(root, folders).values())


def test_a_slow_kustomize_is_stopped_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "kustomize"
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    program.chmod(0o755)
    monkeypatch.setenv("M2G_KUSTOMIZE", str(program))
    monkeypatch.setattr("m2g.kustomize.build.TIMEOUT", 0.2)
    folder = fleet(tmp_path, 1)[0]
    assert "did not end within" in kustomize.build_overlays(tmp_path, [folder])[folder].error


def test_output_that_is_no_yaml_is_an_error_of_the_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "kustomize"
    program.write_text("#!/bin/sh\nprintf 'a: 1\\na: 2\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("M2G_KUSTOMIZE", str(program))
    folders = fleet(tmp_path, 2)
    assert all("not valid YAML" in built.error for built in kustomize.build_overlays(tmp_path, folders).values())


def test_without_any_kustomize_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fleet(tmp_path, 1)[0]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("M2G_KUSTOMIZE", raising=False)
    with pytest.raises(OutsideError) as caught:
        kustomize.build_overlays(tmp_path, [folder])
    assert "kustomize" in caught.value.message
    assert "install" in caught.value.hint
    assert kustomize.build_overlays(tmp_path, []) == {}


def test_m2g_kustomize_names_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2G_KUSTOMIZE", str(tmp_path / "nothing"))
    with pytest.raises(OutsideError, match="M2G_KUSTOMIZE"):
        kustomize.find_command()
    monkeypatch.setenv("M2G_KUSTOMIZE", sys.executable)
    assert kustomize.find_command()[1:] == ("build", ".")


def test_kubectl_is_the_second_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = kustomize.find_command()[0]
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ntest "$1" = kustomize || exit 9\nshift\nexec "{real}" build "$@"\n')
    program.chmod(0o755)
    monkeypatch.delenv("M2G_KUSTOMIZE", raising=False)
    folder = fleet(tmp_path, 1)[0]
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/bin")
    assert kustomize.find_command() == (str(program), "kustomize", ".")
    assert kustomize.build_overlays(tmp_path, [folder])[folder].objects
