"""What kustomize decodes and m2g does not see: a path behind a YAML tag."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from m2g import kustomize
from tests.support.handmade_fleet import write

OVERLAY = "models/a/overlays/prod"


@pytest.mark.parametrize(
    "text",
    [
        "resources: [!!binary {path}]",
        "resources: [!!bin%61ry {path}]",
        "resources: [!<tag:yaml.org,2002:binary> {path}]",
        "%TAG !e! tag:yaml.org,2002:bin\n---\nresources: [!e!ary {path}]",
    ],
)
def test_a_path_in_base64_is_refused(tmp_path: Path, text: str) -> None:
    """A folder with the encoded name is there, so that all seems well; the path that it stands for is outside."""
    path = base64.b64encode(b"../../../../../outside").decode()
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: leak}\n"
    write(tmp_path, {"outside/kustomization.yaml": "resources: [a.yaml]\n", "outside/a.yaml": config_map})
    root = tmp_path / "repository"
    write(root, {f"{OVERLAY}/kustomization.yaml": text.replace("{path}", path)})
    write(
        root, {f"{OVERLAY}/{path}/kustomization.yaml": "resources: [a.yaml]\n", f"{OVERLAY}/{path}/a.yaml": config_map}
    )
    built = kustomize.build_overlays(root, [OVERLAY])[OVERLAY]
    assert (built.objects, built.error) == ((), "the YAML tag !!binary is not supported")


def test_a_plugins_url_in_base64_is_refused(tmp_path: Path) -> None:
    path = base64.b64encode(b"http://localhost/x.yaml").decode()
    plugin = f"apiVersion: builtin\nkind: PatchTransformer\nmetadata: {{name: x}}\npath: !!binary {path}\n"
    write(tmp_path, {f"{OVERLAY}/kustomization.yaml": "transformers: [t.yaml]\n", f"{OVERLAY}/t.yaml": plugin})
    built = kustomize.build_overlays(tmp_path, [OVERLAY])[OVERLAY]
    assert built.error == "the YAML tag !!binary is not supported"


@pytest.mark.parametrize(
    "said", ['"!!binary aGk="', "'!bin%61ry'", "a !!binary b", "|\n      !!binary aGk=\n      %TAG !e! x"]
)
def test_the_word_as_text_is_only_text(tmp_path: Path, said: str) -> None:
    """A model may be called so, and m2g quotes its name."""
    patch = f"- op: add\n  path: /metadata/annotations\n  value:\n    said: {said}\n"
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: wine}\n"
    kustomization = "resources: [a.yaml]\npatches: [{path: patch.yaml, target: {kind: ConfigMap}}]\n"
    files = {"kustomization.yaml": kustomization, "a.yaml": config_map, "patch.yaml": patch}
    write(tmp_path, {f"{OVERLAY}/{name}": text for name, text in files.items()})
    built = kustomize.build_overlays(tmp_path, [OVERLAY])[OVERLAY]
    assert built.error == ""
    assert len(built.objects) == 1


def test_a_file_too_long_to_say_is_refused(tmp_path: Path) -> None:
    text = "resources: []\ncommonAnnotations:\n  a: '!!binary'\n" + "".join(f"  k{n}: '1'\n" for n in range(20_000))
    write(tmp_path, {f"{OVERLAY}/kustomization.yaml": text})
    assert "!!binary" in kustomize.build_overlays(tmp_path, [OVERLAY])[OVERLAY].error
