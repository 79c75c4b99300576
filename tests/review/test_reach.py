"""Which overlays `m2g diff` and the rules on history see changed, where files are shared; by real git and kustomize."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.diff import diff
from m2g.commands.validate import ValidateOptions, validate
from m2g.git import read as m2g_git
from m2g.repository.state import Scope
from m2g.review import Review, Risk, reach
from m2g.validation.base import Against
from tests.support.fleet import FakeRegistry, release, repository, run, write_record
from tests.support.git_repository import commit, start
from tests.support.handmade_fleet import write

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
TEAM = "- {op: add, path: /metadata/annotations, value: {team: one}}\n"
PLUGIN = (
    "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\npath: patch.yaml\n"
    "target: {kind: InferenceService}\n"
)
NOTHING = COMPONENT + "commonAnnotations: {own: component}\n"
MODELS = ("a", "b", "c", "d")


def mode(name: str) -> str:
    """A component that sets the deployment mode."""
    operation = f"- {{op: add, path: /metadata/annotations, value: {{serving.kserve.io/deploymentMode: {name}}}}}"
    return COMPONENT + f"patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    {operation}\n"


def uses(*places: str) -> str:
    return COMPONENT + f"components: [{', '.join(places)}]\n"


def custom(slug: str) -> str:
    return f"models/{slug}/custom/prod/kustomization.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four models in prod, each with a component of its own that does nothing."""
    root = start(repository(tmp_path / "repository"))
    (root / ".gitignore").write_text(".m2g/\n")
    for slug in MODELS:
        write_record(root, slug, release(slug, "prod", "1"))
        write(root, {custom(slug): NOTHING})
    run(root, FakeRegistry(), RenderOptions(locked=True))
    commit(root)
    return root


def committed(root: Path, files: Mapping[str, str]) -> None:
    write(root, files)
    commit(root)


def compare(root: Path) -> Review:
    return diff(root, "", Scope())


def seen(root: Path) -> list[str]:
    """The models whose objects have changed, with nothing said of an overlay that did not build."""
    found = compare(root)
    assert not [told for change in found.changes for told in change.concerns if "build" in told.message]
    assert all(change.objects for change in found.changes)
    return [change.slug for change in found.changes]


def test_shared_components_wherever_they_lie(root: Path) -> None:
    files = {
        "platform/shared/kustomization.yaml": mode("Standard"),
        "models/b/lib/kustomization.yaml": mode("Standard"),
        custom("a"): uses("../../../../platform/shared"),
        custom("b"): mode("Standard"),
        custom("c"): uses("../../../b/lib"),
    }
    committed(root, files)
    write(root, {path: text.replace("Standard", "Knative") for path, text in files.items()})
    found = compare(root)
    assert sorted(change.slug for change in found.changes) == ["a", "b", "c"]
    assert {change.risk for change in found.changes} == {Risk.BREAKING}
    judged = validate(root, ValidateOptions(against=Against(ref="main")))
    assert len([one for one in judged.findings if one.rule == "history-mode"]) == 3


@pytest.mark.parametrize(
    "place",
    ["platform/shared", "docs/shared", ".hidden", "shared", "models/_lib", "models/b/lib", "fleet/lib/x", "x y"],
)
def test_the_shared_file_alone(root: Path, place: str) -> None:
    file = f"{place}/kustomization.yaml"
    committed(root, {file: mode("Standard"), custom("a"): uses(f'"../../../../{place}"')})
    write(root, {file: mode("Knative")})
    assert seen(root) == ["a"]


def test_what_a_shared_component_leads_to(root: Path) -> None:
    committed(
        root,
        {
            "platform/one/kustomization.yaml": uses("../two"),
            "platform/two/kustomization.yaml": uses("../../models/b/lib"),
            "models/b/lib/kustomization.yaml": COMPONENT + "patches: [{path: patch.yaml, target: {name: a}}]\n",
            "models/b/lib/patch.yaml": TEAM,
            custom("a"): uses("../../../../platform/one"),
            custom("c"): uses("../../../../platform/one"),
        },
    )
    write(root, {"models/b/lib/patch.yaml": TEAM.replace("one", "two")})
    assert seen(root) == ["a"]


@pytest.mark.parametrize("place", ["platform/shared", "models/b/lib"])
@pytest.mark.parametrize("key", ["transformers", "generators"])
def test_what_only_a_plugins_configuration_names(root: Path, place: str, key: str) -> None:
    plugin = PLUGIN.replace("target: {kind: InferenceService}\n", "") if key == "generators" else PLUGIN
    made = plugin.replace("PatchTransformer", "ConfigMapGenerator").replace("path: patch.yaml", "files: [patch.yaml]")
    committed(
        root,
        {
            f"{place}/kustomization.yaml": COMPONENT + f"{key}: [t.yaml]\n",
            f"{place}/t.yaml": made if key == "generators" else plugin,
            f"{place}/patch.yaml": TEAM,
            custom("a"): uses(f"../../../../{place}"),
        },
    )
    write(root, {f"{place}/patch.yaml": TEAM.replace("one", "two")})
    assert seen(root) == ["a"]


def test_a_model_that_uses_anothers_folder_did_build_before(root: Path) -> None:
    committed(root, {"models/b/custom/shared/kustomization.yaml": mode("Standard"), custom("a"): NOTHING})
    uses_it = uses("../../../b/custom/shared")
    committed(root, {custom("a"): uses_it})
    write(root, {custom("a"): uses_it + "commonAnnotations: {team: a}\n"})
    (change,) = compare(root).changes
    (concern,) = change.concerns
    assert (change.slug, change.risk) == ("a", Risk.CAUTION)
    assert "metadata.annotations.team" in concern.message


def test_links(root: Path) -> None:
    """To a component, to a kustomization's folder, and of a link to another place."""
    committed(root, {"platform/one/kustomization.yaml": mode("Standard"), custom("a"): uses("../linked")})
    committed(root, {"platform/two/kustomization.yaml": mode("Knative")})
    (root / "models/a/custom/linked").symlink_to("../../../shared")
    (root / "shared").symlink_to("platform/one")
    commit(root)
    write(root, {"platform/one/kustomization.yaml": mode("Knative")})
    assert seen(root) == ["a"]
    write(root, {"platform/one/kustomization.yaml": mode("Standard")})
    (root / "shared").unlink()
    (root / "shared").symlink_to("platform/two")
    assert seen(root) == ["a"]


def test_an_overlay_that_is_a_link(root: Path) -> None:
    overlay = root / "models/a/overlays/prod"
    (root / "elsewhere/there").mkdir(parents=True)
    overlay.rename(root / "elsewhere/there/prod")
    overlay.symlink_to("../../../elsewhere/there/prod")
    write(root, {"elsewhere/there/prod/kustomization.yaml": "resources: [../../../models/a/base]\n"})
    commit(root)
    write(root, {"elsewhere/there/prod/kustomization.yaml": "resources: [../../../models/a/base]\nnamePrefix: x-\n"})
    assert seen(root) == ["a"]


def test_a_model_that_is_a_link(root: Path) -> None:
    (root / "elsewhere").mkdir()
    (root / "models/a").rename(root / "elsewhere/a")
    (root / "models/a").symlink_to("../elsewhere/a")
    commit(root)
    write(root, {"elsewhere/a/custom/prod/kustomization.yaml": mode("Knative")})
    assert seen(root) == ["a"]


def test_a_component_that_was_missing_is_there(root: Path) -> None:
    committed(root, {custom("a"): uses("../../../../platform/shared")})
    write(root, {"platform/shared/kustomization.yaml": mode("Standard")})
    (change,) = compare(root).changes
    assert (change.slug, change.risk) == ("a", Risk.POWERFUL)  # it replaces all annotations, also those of m2g


@pytest.mark.parametrize(
    "text",
    [
        r'components: ["\x2e\x2e/../../../shared"]',
        r'components: ["..\u002f../../../shared"]',
        "components: [../../x/../../../shared]",
        "components: [./../../../../shared]",
        "components: [../prod/../../../../shared/]",
        "components: [ # why\n  ../../../../shared # this\n]",
        'components: ["../../../..\\\n  /shared"]',
        "components: &x [../../../../shared]",
        "{components: [../../../../shared]}",
    ],
)
def test_a_reference_is_found_however_it_is_written(root: Path, text: str) -> None:
    whole = text if text.startswith("{") else COMPONENT + text + "\n"
    whole = whole.replace("{components", "{apiVersion: kustomize.config.k8s.io/v1alpha1, kind: Component, components")
    committed(root, {"shared/kustomization.yaml": mode("Standard"), custom("a"): whole, "models/a/x/y": ""})
    assert reach.find_outside_paths(root, m2g_git.list_files(root, "HEAD")) == {
        "a": {"shared", "shared/kustomization.yaml"},
    }
    write(root, {"shared/kustomization.yaml": mode("Knative")})
    assert [change.slug for change in compare(root).changes] == ["a"]


def test_who_stays_at_home_is_not_walked(root: Path) -> None:
    committed(
        root, {custom("a"): uses("../shared", '"../more"'), "models/a/custom/shared/kustomization.yaml": COMPONENT}
    )
    assert reach.find_outside_paths(root, m2g_git.list_files(root, "HEAD")) == {}


@pytest.mark.parametrize(
    "text", ["[", "- a", "a: 1\n---\nb: 1", "resources: [http://x.test/..]", "<<: {a: ../..}", "\\"]
)
def test_what_cannot_be_read_leads_nowhere_and_is_no_news(root: Path, text: str) -> None:
    committed(root, {custom("a"): text, "shared/x": "1"})
    write(root, {"shared/x": "2"})
    assert compare(root).changes == ()
