"""What a hostile component may not do: fetch, run, or read outside the repository."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from m2g import kustomize
from tests.support.examples import SHARED_FIXTURES
from tests.support.handmade_fleet import component, model, write
from tests.support.machine import seconds

pytestmark = pytest.mark.attack

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
FOLDER = "models/wine/overlays/dev"


class Listener:
    """A server on localhost that counts who comes; proxies do not stand between it and a Go program."""

    def __init__(self) -> None:
        self.calls = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.socket.close()


def build(root: Path, text: str, **files: str) -> kustomize.BuildResult:
    write(root, model("wine", dev=1))
    component(root, "wine", "dev", COMPONENT + text, **files)
    return kustomize.build_overlays(root, [FOLDER])[FOLDER]


PLUGIN = "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: p}\ntarget: {kind: InferenceService}\npath: "


@pytest.mark.parametrize(
    "text",
    [
        "resources: [URL/x.yaml]",
        "resources: [HTTPURL/x.yaml]",
        "resources: ['URL/acme/repo.git//sub?ref=main']",
        "bases: [URL/x]",
        "components: [URL/x]",
        "crds: [URL/x.json]",
        "configurations: [URL/x.yaml]",
        "openapi: {path: URL/x.json}",
        "patches: [{path: URL/x.yaml}]",
        "patchesStrategicMerge: [URL/x.yaml]",
        "patchesJson6902: [{path: URL/x.yaml, target: {version: v1, kind: ConfigMap, name: x}}]",
        "replacements: [{path: URL/x.yaml}]",
        "configMapGenerator: [{name: x, files: [URL/x.yaml]}]",
        "configMapGenerator: [{name: x, files: ['a=URL/x.yaml']}]",
        "configMapGenerator: [{name: x, envs: [URL/x.env]}]",
        "secretGenerator: [{name: x, env: URL/x.env}]",
        "generators: [URL/x.yaml]",
        "transformers: [URL/x.yaml]",
        "validators: [URL/x.yaml]",
        "transformers:\n- |\n  " + PLUGIN.replace("\n", "\n  ") + "URL/x.yaml",
        "transformers: [plugin.yaml]",
        "transformers: [folder]",
        "helmCharts: [{name: x, repo: URL}]",
        "helmChartInflationGenerator: [{chartName: x, chartRepoUrl: URL}]",
        "RESOURCES: [URL/x.yaml]",
        "re\u017fources: [URL/x.yaml]",
        "<<: {resources: [URL/x.yaml]}",
        "patches: [{<<: {path: URL/x.yaml}}]",
        "patches: [{PATH: URL/x.yaml}]",
        "configMapGenerator: [{name: x, Files: [URL/x.yaml]}]",
        "inventedLater: {somewhere: [' URL/x.yaml']}",
        "transformers: [big.yaml]",
    ],
)
def test_nothing_is_fetched(tmp_path: Path, listener: Listener, text: str) -> None:
    url = f"http://127.0.0.1:{listener.port}"
    text = text.replace("HTTPURL", url.upper().replace("127.0.0.1", "localhost")).replace("URL", url)
    write(tmp_path, {"models/wine/custom/dev/folder/kustomization.yaml": "resources: [plugin.yaml]"})
    write(tmp_path, {"models/wine/custom/dev/folder/plugin.yaml": f"{PLUGIN}{url}/x.yaml\n"})
    plugin = f"{PLUGIN}{url}/x.yaml\n"
    built = build(tmp_path, text, plugin__yaml=plugin, big__yaml=f"{plugin}number: 123456789012345678901234567890\n")
    assert built.error
    assert built.at.startswith("models/wine/custom/dev")
    assert listener.calls == 0


def test_urls_that_nobody_fetches_are_no_harm(tmp_path: Path) -> None:
    url = "https://example.com/x"
    text = """\
metadata: {name: x, annotations: {a: 'URL'}}
commonAnnotations: {docs: 'URL'}
configMapGenerator: [{name: x, literals: ['a=URL'], files: [data.bin], options: {annotations: {a: 'URL'}}}]
transformers: [plugin.yaml]
patches:
- target: {kind: InferenceService}
  patch: |-
    - {op: add, path: /metadata/annotations/x, value: 'URL'}
""".replace("URL", url)
    plugin = f"apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {{name: a}}\nannotations: {{b: '{url}'}}\n"
    plugin += "fieldSpecs: [{path: metadata/annotations, create: true}]\n"
    write(tmp_path, {"models/wine/custom/dev/x": ""})
    (tmp_path / "models/wine/custom/dev/data.bin").write_bytes(b"\x00\xff\xfe")
    built = build(tmp_path, text, plugin__yaml=plugin)
    assert not built.error, built.error
    assert len(built.objects) == 2


@pytest.mark.parametrize(
    "reference",
    [
        "github.com/acme/models?ref=main",
        "github.com/acme/models",
        "git@github.com:acme/models.git",
        "git::https://example.com/x",
        "gh:acme/models",
        "ssh://git@example.com/x",
        "file:///etc",
        "example.com/repo//folder",
        "/etc",
        "../../../../../..",
        "no-such-folder",
        "a\\0b",
    ],
)
def test_references_that_leave_the_repository_are_refused(tmp_path: Path, reference: str) -> None:
    built = build(tmp_path, f'resources: ["{reference}"]')
    assert built.error
    assert built.at == "models/wine/custom/dev/kustomization.yaml"


def test_a_local_folder_named_like_a_remote_is_not_handed_to_git(tmp_path: Path) -> None:
    write(tmp_path, {"models/wine/custom/dev/github.com/a/b/kustomization.yaml": "resources: []"})
    assert "not a path" in build(tmp_path, "resources: [github.com/a/b]").error


def test_symlinks_that_leave_the_repository_are_refused(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "repository"
    write(outside, {"kustomization.yaml": "resources: [secret.yaml]", "secret.yaml": "apiVersion: v1\nkind: Secret\n"})
    write(root, model("wine", dev=1))
    (root / "models/wine/custom/dev").mkdir(parents=True)
    (root / "models/wine/custom/dev/link").symlink_to(outside)
    (root / "models/wine/custom/dev/file.yaml").symlink_to(outside / "secret.yaml")
    assert "outside the repository" in build(root, "resources: [link]").error
    assert "outside the repository" in build(root, "resources: [file.yaml]").error
    (root / "models/evil").symlink_to(outside)
    assert "outside the repository" in kustomize.build_overlays(root, ["models/evil"])["models/evil"].error
    (root / "models/wine/custom/dev/kustomization.yaml").unlink()
    (root / "models/wine/custom/dev/kustomization.yaml").symlink_to(outside / "kustomization.yaml")
    assert "outside the repository" in kustomize.build_overlays(root, [FOLDER])[FOLDER].error


def test_symlinks_inside_the_repository_are_followed(tmp_path: Path) -> None:
    write(tmp_path, {"shared/kustomization.yaml": COMPONENT + "commonAnnotations: {team: wine}\n"})
    (tmp_path / "models/wine/custom/dev").mkdir(parents=True)
    (tmp_path / "models/wine/custom/dev/link").symlink_to("../../../../shared")
    assert build(tmp_path, "components: [link]").objects


def test_plugins_run_nothing(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    script = tmp_path / "models/wine/custom/dev/x.sh"
    write(tmp_path, {"models/wine/custom/dev/x.sh": f"#!/bin/sh\ntouch {proof}\ncat\n"})
    script.chmod(0o755)
    for function in ("exec: {path: ./x.sh}", "container: {image: example/x}", "starlark: {path: x.star}"):
        plugin = (
            "apiVersion: example.com/v1\nkind: Any\nmetadata:\n  name: x\n  annotations:\n"
            f"    config.kubernetes.io/function: |\n      {function}\n"
        )
        assert build(tmp_path, "transformers: [t.yaml]", t__yaml=plugin).error
    assert not proof.exists()


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "just text",
        "",
        "resources: {a: b}",
        "resources: 5",
        "resources: [5, null, {a: 1}]",
        "patches: [null, 5, [1]]",
        "patches: [{path: [1]}]",
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "resources: " + "[" * 5000,
        "resources: [" + "\n---\n",
        "? {a: b}\n: c",
        "<<<<<<< ours\n",
        "resources: ['\\uD800']",
        "a: 1\na: 2",
    ],
)
def test_a_kustomization_that_is_nonsense_is_an_error_and_soon(tmp_path: Path, text: str) -> None:
    write(tmp_path, model("wine", dev=1))
    component(tmp_path, "wine", "dev", text)
    start = time.monotonic()
    built = kustomize.build_overlays(tmp_path, [FOLDER])[FOLDER]
    assert built.error or built.objects
    assert time.monotonic() - start < seconds(10)


def test_files_that_are_no_text_or_no_files(tmp_path: Path) -> None:
    write(tmp_path, model("wine", dev=1))
    component(tmp_path, "wine", "dev", COMPONENT)
    file = tmp_path / "models/wine/custom/dev/kustomization.yaml"
    file.write_bytes(b"\xff\xfe\x00a")
    assert "UTF-8" in kustomize.build_overlays(tmp_path, [FOLDER])[FOLDER].error
    file.write_bytes(b"# " + b"x" * (2 << 20))
    assert "larger" in kustomize.build_overlays(tmp_path, [FOLDER])[FOLDER].error
    file.write_text(COMPONENT + "resources: [huge.yaml]")
    with (file.parent / "huge.yaml").open("wb") as huge:
        huge.truncate(20 << 20)
    assert "larger" in kustomize.build_overlays(tmp_path, [FOLDER])[FOLDER].error
    file.unlink()
    os.mkfifo(file)
    assert "neither" in kustomize.build_overlays(tmp_path, [FOLDER])[FOLDER].error
    file.unlink()
    file.mkdir()
    assert kustomize.build_overlays(tmp_path, [FOLDER])[FOLDER].error


def test_a_cycle_ends(tmp_path: Path) -> None:
    assert build(tmp_path, "components: [../dev]").error


def test_what_patches_say_is_read_for_the_rules(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        "patches:\n- path: p.yaml\n- target: {kind: InferenceService}\n"
        "  patch: '[{op: add, path: /spec/x, value: 1}]'\n",
        p__yaml="apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: wine}\n"
        "spec: {predictor: {maxReplicas: 9}}\n",
    )
    (custom,) = [item for item in built.kustomizations if "custom" in item.file]
    patches = custom.data["patches"]
    assert isinstance(patches, list)
    assert [type(patch["documents"][0]) for patch in patches] == [dict, list]
    assert "models/wine/custom/dev/p.yaml" in built.files


FIELDS = (
    "resources bases components patches patchesStrategicMerge patchesJson6902 transformers openapi configMapGenerator"
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["../../base", ".", "x.yaml"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["path", "files", "patch", "target", "env", "<<"]) | st.text(max_size=3), inner
        )
    ),
    max_leaves=8,
)


@hypothesis.given(st.dictionaries(st.sampled_from(FIELDS.split()) | st.text(max_size=4), VALUES, max_size=4))
@hypothesis.settings(max_examples=200, suppress_health_check=SHARED_FIXTURES)
def test_any_kustomization_is_read_or_refused(tmp_path: Path, content: dict[str, object]) -> None:
    write(tmp_path, {"base/kustomization.yaml": "resources: []\n", "a/b/x.yaml": "- a\n"})
    write(tmp_path, {"a/b/kustomization.yaml": json.dumps(content)})
    graph = kustomize.GraphReader(tmp_path).read("a/b")
    assert graph.error or graph.kustomizations
