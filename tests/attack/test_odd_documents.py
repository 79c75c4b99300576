"""Documents that one reader takes for something else than another: merge keys, lists in objects, converted files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import get_at, name_kind
from m2g.core.model import Image
from m2g.kustomize import build_overlays
from m2g.review import Risk
from tests.support.fleet import CONFIG, FakeRegistry, release, run
from tests.support.git_repository import commit
from tests.support.handmade_fleet import write
from tests.support.reviewed_fleet import COMPONENT, CUSTOM, compare, make_fleet, patched, render

pytestmark = [pytest.mark.attack, pytest.mark.usefixtures("kustomize")]

FILE = "fleet/prod/namespace/x.yaml"
SPACE = "models-prod"
KINDS = {"ConfigMap", "InferenceService.serving.kserve.io"}
BINDING = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x}}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_fleet(tmp_path / "r")
    (root / "models/wine/custom/prod/wall.yaml").unlink()
    write(root, {CUSTOM: f"{COMPONENT}resources: [x.yaml]\n"})
    render(root)
    assert errors(root) == []
    return root


def errors(root: Path) -> list[Finding]:
    return [item for item in validate(root, ValidateOptions()).findings if item.severity is Severity.ERROR]


MERGED = {
    "a kind": f"x: &a {BINDING}\n<<: *a\napiVersion: v1\n",
    "the whole object": f"<<: {BINDING}\n",
    "several at once": f"<<: [{{kind: ConfigMap}}, {BINDING}]\napiVersion: v1\n",
    "a namespace": "apiVersion: v1\nkind: ConfigMap\nmetadata: {<<: {namespace: kube-system}, name: x}\n",
    "pod security": "apiVersion: v1\nkind: Namespace\nmetadata: {name: models-prod, labels: "
    "{<<: {pod-security.kubernetes.io/enforce: privileged}}}\n",
    "data": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {<<: {a: b}}\n",
    "in a list": f"apiVersion: v1\nkind: List\nitems: [{{<<: {BINDING}}}]\n",
    "in quotes": '"<<": {kind: Secret}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n',
    "with escapes": '"\\x3c\\x3c": {kind: Secret}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n',
    "with a tag": '!!merge "<<": {kind: Secret}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n',
}


@pytest.mark.parametrize("text", MERGED.values(), ids=MERGED)
def test_a_merge_key_is_refused_where_nobody_builds(root: Path, text: str) -> None:
    write(root, {FILE: text})
    assert [item.file for item in errors(root)] == [FILE]


@pytest.mark.parametrize("text", MERGED.values(), ids=MERGED)
def test_kustomize_follows_a_merge_key_and_the_result_counts(root: Path, text: str) -> None:
    write(root, {CUSTOM: f"{COMPONENT}resources: [x.yaml]\n", "models/wine/custom/prod/x.yaml": text})
    run(root, FakeRegistry(), RenderOptions(locked=True))
    folder = "models/wine/overlays/prod"
    built = build_overlays(root, [folder])[folder].objects
    strange = [item for item in built if name_kind(item) not in KINDS or get_at(item, "metadata", "namespace") != SPACE]
    assert bool(errors(root)) or not strange


def add(value: str, kind: str = "InferenceService") -> str:
    return f"{COMPONENT}patches:\n- target: {{kind: {kind}}}\n  patch: '[{{op: add, path: /items, value: {value}}}]'\n"


ITEMS = {
    "of a service": add(f"[{BINDING}]"),
    "of a service, none": add("[]"),
    "a list in a list": add(f"[{{apiVersion: v1, kind: List, items: [{BINDING}]}}]"),
    "of a kind of our own": f"{COMPONENT}resources: [x.yaml]\n",
    "of a list": f"{COMPONENT}resources: [x.yaml]\n",
    "of a list of another kind": f"{COMPONENT}resources: [x.yaml]\n",
    "an item without a kind": f"{COMPONENT}resources: [x.yaml]\n",
}
FILES = {
    "of a kind of our own": f"apiVersion: acme.test/v1\nkind: Thing\nmetadata: {{name: x}}\nitems: [{BINDING}]\n",
    "of a list": f"apiVersion: v1\nkind: List\nitems: [{{apiVersion: v1, kind: List, items: [{BINDING}]}}]\n",
    "of a list of another kind": f"apiVersion: acme.test/v1\nkind: ThingList\nitems: [{BINDING}]\n",
    "an item without a kind": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBindingList\n"
    "metadata: {name: x}\nitems: [{metadata: {name: x}}]\n",
}


@pytest.mark.parametrize("name", ITEMS)
def test_items_of_a_built_object_are_objects(root: Path, name: str) -> None:
    """Argo CD applies the items of every object that has some, whatever its kind is."""
    write(root, {"m2g.yaml": f"{CONFIG.replace('sync: {', 'sync: {bounds: {kinds: [Thing.acme.test, List]}, ')}"})
    write(root, {CUSTOM: ITEMS[name], "models/wine/custom/prod/x.yaml": FILES.get(name, "{}\n")})
    run(root, FakeRegistry(), RenderOptions(locked=True))
    found = errors(root)
    assert found
    none = name == "of a service, none"
    said = " ".join(item.message for item in found)
    assert none or "ClusterRoleBinding" in said or any(item.rule == "overlay-build" for item in found), found


LFS = "*.txt filter=lfs diff=lfs merge=lfs -text\n"


@pytest.mark.parametrize("path", ["models/wine/custom/prod/score.txt", "shared/code/score.txt", "models/score.txt"])
def test_large_file_storage_does_not_convert_what_an_overlay_builds(root: Path, path: str) -> None:
    """Argo CD may fetch the content and Flux does not: a reviewer sees neither."""
    component = f"{COMPONENT}configMapGenerator:\n- {{name: code, files: [score.txt]}}\n"
    write(root, {".gitattributes": f"* text=auto eol=lf\n{LFS}", path: "x\n"})
    if "custom" in path:
        write(root, {CUSTOM: component})
        run(root, FakeRegistry(), RenderOptions(locked=True))
    (found,) = (item for item in errors(root) if item.rule == "git-attributes")
    assert (found.line, path in found.message) == (2, True)
    write(root, {".gitattributes": "* text=auto eol=lf\n"})
    assert not [item for item in errors(root) if item.rule == "git-attributes"]


def test_pages_may_be_large_and_an_archive_changes_nothing(root: Path) -> None:
    write(root, {".gitattributes": "*.png filter=lfs\n*.txt export-subst\n*.md export-ignore\n"})
    write(root, {"docs/a.png": "x", "b.png": "x", "models/wine/custom/prod/score.txt": "$Format:%H$\n"})
    assert not [item for item in errors(root) if item.rule == "git-attributes"]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_an_image_that_sleeps_in_a_record_is_named_when_it_comes_and_when_it_wakes(
    root: Path, environment: str
) -> None:
    image = Image(name=f"ghcr.io/acme/models/wine@sha256:{'5f' * 32}", profile="mlflow-image")
    record = release("wine", environment)
    render(root, record)
    commit(root)
    render(root, msgspec.structs.replace(record, image=image))
    change = next(one for one in compare(root).changes if one.environment == environment)
    assert change.risk in (Risk.CAUTION, Risk.POWERFUL)
    assert any(image.name in concern.message for concern in change.concerns)
    commit(root)
    wakes = f"environments: {{{environment}: {{settings: {{profile: mlflow-image}}}}}}\n"
    write(root, {"models/wine/model.yaml": f"settings: {{visibility: cluster-local}}\n{wakes}"})
    render(root)
    change = next(one for one in compare(root).changes if one.environment == environment)
    assert change.risk is not Risk.ROUTINE


def test_a_patch_of_a_quiet_field_stays_quiet(root: Path) -> None:
    """The rules above refuse no ordinary component."""
    write(
        root, {CUSTOM: patched("{op: replace, path: /spec/predictor/minReplicas, value: 3}") + "resources: [x.yaml]\n"}
    )
    run(root, FakeRegistry(), RenderOptions(locked=True))
    assert errors(root) == []
