"""platform/install: what a cluster needs before it serves models, written from m2g.yaml and compared with it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import ryaml

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.compat.platform import VERSIONS
from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import get_at, name_kind, read_all
from tests.support.fleet import CONFIG, FakeRegistry, repository, run, tree
from tests.support.paths import ROOT

LOCKED = RenderOptions(locked=True)
REPOSITORY = "https://git.example.com/fleet.git"


def config(version: str = "0.20", mode: str = "Standard", engine: str = "argocd", **more: Any) -> str:
    platform = {"engine": engine, "repository": REPOSITORY, **more}
    return CONFIG + f"kserve: {{version: '{version}', mode: {mode}}}\n" + ryaml.dumps({"platform": platform})


def rendered(tmp_path: Path, text: str) -> Path:
    root = tmp_path / "fleet"
    repository(root, text)
    run(root, FakeRegistry(), LOCKED)
    return root


def wrong(root: Path) -> list[Finding]:
    return [one for one in validate(root, ValidateOptions()).findings if one.severity is Severity.ERROR]


def objects(root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """(kind, name) to object, of every file in platform/install."""
    found = {}
    for path in sorted((root / "platform/install").rglob("*.yaml")):
        for item in read_all(path.read_text()):
            assert isinstance(item, dict)
            found[name_kind(item), str(get_at(item, "metadata", "name"))] = item
    return found


def read_charts(items: list[dict[str, Any]], where: tuple[str, ...], version: str) -> dict[str, str]:
    """Chart to version of each object that has a chart."""
    charts = {str(get_at(item, *where, "chart")): str(get_at(item, *where, version)) for item in items}
    return {chart: pinned for chart, pinned in charts.items() if chart != "None"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("mode", "engine"), [*itertools.product(("Standard", "Knative"), ("argocd", "flux"))])
def test_what_is_written_is_valid_and_pinned(
    tmp_path: Path, kustomize: Path, version: str, mode: str, engine: str
) -> None:
    assert kustomize.is_file()
    root = rendered(tmp_path, config(version, mode, engine, extras=["keda"]))
    assert wrong(root) == []
    made = objects(root)
    if engine == "argocd":
        applications = [item for (kind, _), item in made.items() if kind.startswith("Application")]
        charts = read_charts(applications, ("spec", "source"), "targetRevision")
        values = get_at(made["Application.argoproj.io", "kserve"], "spec", "source", "helm", "valuesObject")
    else:
        releases = [item for (kind, _), item in made.items() if kind.startswith("HelmRelease")]
        charts = read_charts(releases, ("spec", "chart", "spec"), "version")
        values = get_at(made["HelmRelease.helm.toolkit.fluxcd.io", "kserve"], "spec", "values")
    assert charts["kserve-crd"] == VERSIONS[version].kserve
    assert charts["cert-manager"] == VERSIONS[version].cert_manager
    assert all(text.lstrip("v")[0].isdigit() and "*" not in text for text in charts.values())
    assert ("kserve-runtime-configs" in charts) is (version not in ("0.15", "0.16"))
    words = {"Standard": "RawDeployment", "Knative": "Serverless"} if version == "0.15" else {mode: mode}
    assert get_at(values, "kserve", "controller", "deploymentMode") == words[mode]
    network = "Gateway.gateway.networking.k8s.io" if mode == "Standard" else "KnativeServing.operator.knative.dev"
    assert network in {kind for kind, _ in made}


def test_stages_wait_for_each_other(tmp_path: Path) -> None:
    made = objects(rendered(tmp_path, config(mode="Knative", engine="flux")))
    names = {name for kind, name in made if kind.startswith("HelmRelease")}
    for item in made.values():
        needed = item.get("spec", {}).get("dependsOn", [])
        assert {one["name"] for one in needed} <= names | {"platform-base", "platform-network"}
    kserve = made["Kustomization.kustomize.toolkit.fluxcd.io", "platform-kserve"]
    assert get_at(kserve, "spec", "dependsOn") == [{"name": "platform-network"}]
    assert get_at(kserve, "spec", "wait") is True


def test_values_of_people_win_and_the_others_stay(tmp_path: Path) -> None:
    values = {"kserve": {"kserve": {"controller": {"gateway": {"domain": "ml.example.com"}, "replicas": 2}}}}
    made = objects(rendered(tmp_path, config(domain="models.example.com", values=values)))
    found = get_at(made["Application.argoproj.io", "kserve"], "spec", "source", "helm", "valuesObject")
    controller = ("kserve", "controller")
    assert get_at(found, *controller, "replicas") == 2
    assert get_at(found, *controller, "deploymentMode") == "Standard"
    assert get_at(found, *controller, "gateway", "domain") == "ml.example.com"
    assert get_at(found, *controller, "gateway", "ingressGateway", "enableGatewayApi") is True


def test_another_kserve_changes_the_versions_and_nothing_else(tmp_path: Path) -> None:
    root = rendered(tmp_path, config("0.19"))
    before = tree(root)
    (root / "m2g.yaml").write_text(config("0.20"))
    run(root, FakeRegistry(), LOCKED)
    after = tree(root)
    changed = {path for path in after if before.get(path) != after[path]} - {"m2g.yaml"}
    folder = "platform/install/argocd"
    names = ("envoy-gateway", "kserve-crd", "kserve", "kserve-runtimes")
    assert changed == {f"{folder}/{name}.yaml" for name in names}
    assert before.keys() == after.keys()


def test_without_platform_the_folder_belongs_to_people(tmp_path: Path) -> None:
    root = rendered(tmp_path, CONFIG)
    assert not (root / "platform").exists()
    mine = root / "platform/install/mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: mine}\n")
    run(root, FakeRegistry(), LOCKED)
    assert mine.exists()
    assert "outside the bounds" in " ".join(one.message for one in wrong(root))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("argocd/miner.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: Application\n", "is not among the files"),
        ("network/rbac.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n", "is not among the files"),
        ("argocd/notes.txt", "hello", "is not among the files"),
        ("argocd/kserve.yaml", None, "is not what platform in m2g.yaml renders to"),
    ],
)
def test_nothing_but_what_m2g_yaml_says_is_installed(tmp_path: Path, path: str, text: str | None, said: str) -> None:
    """These files are applied with all rights: a chart from elsewhere, another value, an object beside them."""
    root = rendered(tmp_path, config())
    place = root / "platform/install" / path
    place.write_text(place.read_text().replace("ghcr.io/kserve", "ghcr.io/attacker") if text is None else text)
    found = [one for one in wrong(root) if one.file == f"platform/install/{path}"]
    assert [said in one.message for one in found].count(True) == 1, found


def test_an_edit_is_kept_and_the_next_step_works(tmp_path: Path) -> None:
    root = rendered(tmp_path, config())
    place = root / "platform/install/argocd/kserve.yaml"
    place.write_text(place.read_text() + "# mine\n")
    with pytest.raises(InputError, match="edited by hand, but m2g owns it") as raised:
        run(root, FakeRegistry(), LOCKED)
    assert place.read_text().endswith("# mine\n")
    assert raised.value.hint == "discard the edit: git checkout HEAD -- platform/install/argocd/kserve.yaml"


def test_what_is_not_wanted_any_more_is_removed(tmp_path: Path) -> None:
    root = rendered(tmp_path, config(extras=["keda"]))
    assert (root / "platform/install/argocd/keda.yaml").exists()
    (root / "m2g.yaml").write_text(config())
    run(root, FakeRegistry(), LOCKED)
    assert not (root / "platform/install/argocd/keda.yaml").exists()
    assert wrong(root) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"domain": "Models.example.com"}, "a domain in lower case"),
        ({"extras": ["kafka"]}, "keda"),
        ({"engine": "helm"}, "argocd"),
    ],
)
def test_wrong_values_are_named_by_their_line(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    root = tmp_path / "fleet"
    repository(root, config(**more))
    (found,) = [one for one in wrong(root) if one.file == "m2g.yaml"]
    assert said in found.message + found.hint
    assert found.line


def test_the_page_has_the_versions_that_are_installed() -> None:
    page = (ROOT / "docs/how-to/install-the-platform.md").read_text()
    for one in VERSIONS.values():
        cells = (one.kserve, one.kubernetes, one.cert_manager, one.gateway_api, one.envoy_gateway, one.istio)
        assert f"| {' | '.join((*cells, one.knative, one.keda))} |" in page
