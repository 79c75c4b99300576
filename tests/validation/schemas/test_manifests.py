"""Manifests as people and m2g write them have nothing wrong, in every version that knows their fields."""

from __future__ import annotations

import pytest

from m2g.core.errors import InputError
from m2g.validation.schemas import Catalogue
from tests.support import manifests

CATALOGUE = Catalogue()


@pytest.mark.parametrize("name", manifests.names())
def test_a_right_manifest_has_no_violation(name: str) -> None:
    versions = CATALOGUE.list_kserve_versions()
    for kserve in versions[versions.index(manifests.since(name)) :]:
        for manifest in manifests.manifests(name):
            assert CATALOGUE.find_violations(manifest, kserve=kserve) == [], (kserve, manifest["metadata"])
            assert CATALOGUE.has_schema(manifest["apiVersion"], manifest["kind"], kserve)


@pytest.mark.parametrize("name", [name for name in manifests.names() if name.startswith("since-")])
def test_a_field_or_kind_is_refused_before_the_version_that_brought_it(name: str) -> None:
    versions = CATALOGUE.list_kserve_versions()
    for kserve in versions[: versions.index(manifests.since(name))]:
        for manifest in manifests.manifests(name)[:1]:
            hints = [found.hint for found in CATALOGUE.find_violations(manifest, kserve=kserve)]
            assert any(f"KServe {manifests.since(name)} has this" in hint for hint in hints), (kserve, hints)


def test_every_kserve_version_from_0_15_is_known() -> None:
    assert CATALOGUE.list_kserve_versions() == ("0.15", "0.16", "0.17", "0.18", "0.19", "0.20", "0.21")


@pytest.mark.parametrize("spelling", ["0.21", "0.21.0", "v0.21.3", "0.21.0-rc1"])
def test_a_patch_release_is_its_minor_version(spelling: str) -> None:
    assert CATALOGUE.has_schema("serving.kserve.io/v1beta1", "InferenceService", spelling)


@pytest.mark.parametrize("spelling", ["", "0.14", "1", "latest", "../0.21"])
def test_a_kserve_version_without_schemas_is_an_error_that_lists_those_with(spelling: str) -> None:
    with pytest.raises(InputError) as raised:
        CATALOGUE.has_schema("v1", "ConfigMap", spelling)
    assert "0.15, 0.16" in raised.value.hint


def test_a_kubernetes_version_without_schemas_is_an_error() -> None:
    with pytest.raises(InputError) as raised:
        Catalogue(kubernetes="1.2")
    assert "1.37" in raised.value.hint


def test_the_kubernetes_version_decides() -> None:
    assert not Catalogue(kubernetes="1.36").has_schema("policy/v1beta1", "PodDisruptionBudget", "0.21")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"hostnameOverride": "b", "containers": [{"name": "c", "image": "d"}]},
    }
    assert Catalogue(kubernetes="1.37").find_violations(pod, kserve="0.21") == []
    assert [found.path for found in Catalogue(kubernetes="1.30").find_violations(pod, kserve="0.21")] == [
        "spec.hostnameOverride"
    ]
