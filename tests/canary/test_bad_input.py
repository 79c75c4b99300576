"""A canary that cannot be: each is named, and what the hint says ends in success."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from m2g.core.errors import InputError
from m2g.core.finding import Finding
from tests.support.canaries import Fleet, write_config
from tests.support.fleet import run

PROD = "{namespace: models-prod, follow: {alias: champion}, settings: {minReplicas: 2, maxReplicas: 4}}"
_YAML = YAML(typ="safe", pure=True)


def write_plain(kserve: str, prod: str = PROD) -> str:
    """m2g.yaml with this KServe, and nothing about its Gateway."""
    return f'version: 1\nregistry: {{uri: "http://mlflow.test"}}\nkserve: {kserve}\nenvironments: {{prod: {prod}}}\n'


def find_all(fleet: Fleet) -> list[Finding]:
    """The findings of a render of model.yaml as it stands."""
    return list(run(fleet.root, fleet.registry).findings)


def follow(fleet: Fleet, hint: str) -> None:
    """Write what a hint says: `write to FILE: {…}`, the last one of its choices."""
    place, _, rest = hint.rpartition("write to ")[2].partition(": ")
    text = rest if rest.startswith("{") else f"{{{rest}}}"
    file = fleet.root / place
    given = _YAML.load(file.read_text()) if file.exists() else {}
    with file.open("w") as stream:
        _YAML.dump(_merge(given or {}, _YAML.load(text)), stream)


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merge(old[key], value) for key, value in new.items() if isinstance(value, dict) and key in old}
    return {**old, **new, **both}


def test_without_the_gateway_api_nothing_splits_the_traffic(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec", write_plain("{version: '0.21'}"))
    result = fleet.do("start", version="2")
    assert result.action == "refused"
    (found,) = {one.rule: one for one in result.findings if one.rule != "canary-not-rendered"}.values()
    assert (found.rule, found.path) == ("canary-gateway", "environments.prod.canary")
    assert (fleet.intent, fleet.versions) == ("", ("1", ""))
    yes, no = found.hint.split("; if not, ")
    for hint, entry in ((yes.partition("true, ")[2], {"wine": 100, "v2": 0}), (no, {"wine": 100, "wine-canary": 0})):
        text = write_plain("{version: '0.21'}") + "sync: {bounds: {kinds: [InferenceGraph.serving.kserve.io]}}\n"
        other = Fleet(tmp_path / f"fleet-{len(hint)}", "spec", text)
        follow(other, hint)
        assert other.do("start", version="2").findings == ()
        assert other.shares() == entry
        assert other.check() == []


def test_an_older_kserve_needs_a_host_name(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", "route", write_plain("{version: '0.19', gateway: {}}"))
    found = next(one for one in fleet.do("start", version="2").findings if one.rule == "canary-gateway")
    assert "kserve.gateway.host" in found.message
    follow(fleet, found.hint.partition("; if not")[0])
    assert fleet.do("start", version="2", percent=5).findings == ()
    assert fleet.shares() == {"wine": 95, "wine-canary": 5}


@pytest.mark.parametrize(
    ("kserve", "what"),
    [
        ("{version: '0.19', canary: spec, gateway: {host: '{model}.test.org'}}", "KServe 0.19 has no spec.canary"),
        ("{version: '0.21', mode: Knative, canary: spec}", "Standard mode only"),
        ("{version: '0.21', mode: Knative, canary: route}", "Knative's own gateway"),
    ],
)
def test_a_form_that_the_cluster_does_not_have(tmp_path: Path, kserve: str, what: str) -> None:
    prod = PROD.replace("}}", ", scaleMetric: rps}}") if "Knative" in kserve else PROD
    kinds = "sync: {bounds: {kinds: [InferenceGraph.serving.kserve.io, HTTPRoute.gateway.networking.k8s.io]}}\n"
    fleet = Fleet(tmp_path / "fleet", "spec", write_plain(kserve, prod) + kinds)
    found = next(one for one in fleet.do("start", version="2").findings if one.rule == "canary-form")
    assert what in found.message
    text = (fleet.root / "m2g.yaml").read_text()
    assert "write to m2g.yaml: environments: {prod: {kserve: {canary: " in found.hint
    form = found.hint.partition("canary: ")[2].partition("}")[0]
    for wrong in ("canary: spec", "canary: route"):
        text = text.replace(wrong, f"canary: {form}")
    (fleet.root / "m2g.yaml").write_text(text)
    assert fleet.do("start", version="2").findings == ()
    assert fleet.check() == []


def test_a_candidate_of_another_profile_stays_out(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    fleet.refer_to_the_hub("2")
    result = fleet.do("start", version="2")
    found = next(one for one in result.findings if one.rule == "canary-profile")
    assert "version 2, has the profile huggingface" in found.message
    assert (result.action, fleet.versions) == ("refused", ("1", ""))


@pytest.mark.attack
def test_more_pods_than_the_stable_version(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    found = next(one for one in fleet.do("start", version="2", replicas=9).findings if one.rule == "canary-replicas")
    assert found.path == "environments.prod.canary.replicas"
    assert "has 9 pods, and the stable version's minReplicas allow 4" in found.message
    assert fleet.do("start", version="2", replicas=4).findings == ()


def test_a_share_is_of_the_version_beside_it(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    fleet.do("start", version="2", percent=50)
    fleet.write(fleet.intent.replace("version: 2", "version: 3"))
    for findings in (fleet.check_only(), fleet.locked()):
        found = next(one for one in findings if one.rule == "canary-not-rendered")
        assert found.hint == "render it where the registry can be reached: m2g render --model wine --env prod"
    assert fleet.render() == []
    assert fleet.shares() == {"wine": 50, "v3": 50}
    assert fleet.check() == []


@pytest.mark.parametrize("state", ["missing", "pending"])
def test_a_candidate_that_is_not_there(tmp_path: Path, state: str) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    if state == "pending":
        plain = fleet.registry.list_versions("wine")[1]
        fleet.registry.changes["wine", "2"] = msgspec.structs.replace(plain, status="PENDING_REGISTRATION")
    number = "2" if state == "pending" else "77"
    result = fleet.do("start", version=number)
    found = next(one for one in result.findings if one.rule == "canary-not-ready")
    assert f"version {number}" in found.message
    assert (result.action, fleet.intent) == ("refused", "")


def test_a_candidate_that_vanishes_keeps_running_until_it_is_aborted(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    fleet.do("start", version="9", percent=10)
    fleet.registry.last = 8
    assert fleet.render() == ["canary-gone"]
    assert fleet.shares() == {"wine": 90, "v9": 10}
    fleet.do("abort")
    assert (fleet.render(), fleet.shares()) == ([], {"wine": 100})


def test_the_same_version_twice(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    with pytest.raises(InputError, match="version 1 is the stable version of prod already"):
        fleet.do("start", version="1")
    fleet.write("environments: {prod: {canary: {version: 1, percent: 10}}}\n")
    assert fleet.render() == ["canary-same-version"]
    assert [one.rule for one in fleet.check_only()] == ["canary-same-version"]
    assert fleet.do("promote").action == "promoted"
    assert (fleet.render(), fleet.check()) == ([], [])


REFUSED: dict[str, Callable[[Fleet], object]] = {
    "has no alias 'challenger'": lambda fleet: fleet.do("start"),
    "has no candidate in prod": lambda fleet: fleet.do("step"),
    "has no candidate": lambda fleet: fleet.do("promote"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_step_that_is_not_possible(tmp_path: Path, message: str) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    with pytest.raises(InputError, match=message) as caught:
        REFUSED[message](fleet)
    assert "start --version NUMBER" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["percent: 101", "percent: -1", "steps: []", "steps: [10, 200]", "version: 0", "replicas: 0", "weight: 5"],
)
def test_a_value_that_is_none(tmp_path: Path, text: str) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    fleet.write(f"environments: {{prod: {{canary: {{{text}}}}}}}\n")
    (found,) = [one for one in fleet.check_only() if one.rule == "model-yaml-invalid"]
    assert found.path.startswith("environments.prod.canary")


@pytest.mark.attack
def test_the_second_service_takes_no_name_of_another_model(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet", "route", write_config("route"))
    fleet.add_model("wine-canary")
    found = next(one for one in fleet.do("start", version="2").findings if one.rule == "canary-name")
    assert "the name of another model in models-prod" in found.message


def test_a_backend_without_a_canary(tmp_path: Path) -> None:
    config = write_plain("{version: '0.21'}", PROD.replace("maxReplicas: 4", "maxReplicas: 4, backend: seldon-core-2"))
    fleet = Fleet(tmp_path / "fleet", "spec", config + "sync: {bounds: {backends: [seldon-core-2]}}\n")
    found = next(one for one in fleet.do("start", version="2").findings if one.rule == "canary-form")
    assert found.message == "the backend seldon-core-2 has no canary in m2g"
