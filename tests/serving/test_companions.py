"""The objects beside an InferenceService, the rollout and the storage: what m2g writes and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import ryaml

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.manifest import get_at
from tests.support.fleet import CONFIG, FakeRegistry, release, repository, run, write_record
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.attack

GRANTS = "bounds: {networkPolicy: {}, modelCache: {}, storage: {}, runtimeVersion: {}}\n"
OVERLAY = "models/wine/overlays/prod"


def fleet(root: Path, settings: str, config: str = GRANTS) -> Path:
    repository(root, f"{CONFIG}{config}")
    write(root, {"models/wine/model.yaml": f"settings: {{{settings}}}\n"})
    write_record(root, "wine", release("wine", "prod"))
    return root


def findings(root: Path) -> list[tuple[str, str, str]]:
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True))
    return [(one.rule, one.path, one.message) for one in outcome.findings]


def built(root: Path, file: str) -> object:
    assert findings(root) == []
    return ryaml.loads((root / OVERLAY / file).read_text())


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        ("rollingUpdate: {maxSurge: 0}", "rollingUpdate", "with maxSurge 0 and maxUnavailable 0, no pod"),
        ("rollingUpdate: {maxSurge: 0%, maxUnavailable: 0%}", "rollingUpdate", "with maxSurge 0"),
        ("rollingUpdate: {maxSurge: 1}, deploymentStrategy: Recreate", "rollingUpdate", "deploymentStrategy: Recreate"),
        ("disruptionBudget: {}", "disruptionBudget", "it needs minAvailable or maxUnavailable"),
        ("disruptionBudget: {minAvailable: 1, maxUnavailable: 1}", "disruptionBudget", "it needs minAvailable or"),
        ("disruptionBudget: {minAvailable: 2}", "disruptionBudget", "with minReplicas 2, no node"),
        ("disruptionBudget: {maxUnavailable: 0}", "disruptionBudget", "with minReplicas 2, no node"),
        ("networkPolicy: {from: [{}]}", "networkPolicy", "networkPolicy.from[0] names nobody"),
        (
            "networkPolicy: {from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}",
            "networkPolicy",
            "networkPolicy.fr",
        ),
        ("networkPolicy: {from: [{ipBlock: {cidr: 10.0.0.1/8}}]}", "networkPolicy", "networkPolicy.from[0]: '10.0.0.1"),
        (
            "networkPolicy: {from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}",
            "networkPolicy",
            "networkPolicy.from[0]: '11.0.0.0/16' is no range inside",
        ),
        ("modelCache: {nodeGroups: [gpu], size: large}", "modelCache.size", "'large' is not a"),
        ("runtimeVersion: '1', profile: mlflow-image", "runtimeVersion", "an image that has the model"),
        ("storage: {key: s3}, profile: mlflow-image", "storage", "an image that has the model"),
        ("batcher: {maxBatchSize: 8}", "batcher", "KServe's batcher joins requests of protocol v1 only"),
    ],
)
def test_settings_that_do_harm_are_named(tmp_path: Path, settings: str, path: str, message: str) -> None:
    image = ", image: 'r.test/wine@sha256:" + "0" * 64 + "'" if "mlflow-image" in settings else ""
    found = findings(fleet(tmp_path, settings + image))
    assert [(rule, place) for rule, place, _ in found] == [("setting-contradiction", f"settings.{path}")]
    assert found[0][2].startswith(message)


def test_a_cache_has_another_name_for_other_files(tmp_path: Path) -> None:
    root = fleet(tmp_path, "modelCache: {nodeGroups: [gpu], size: 20480Mi}, serviceAccountName: reader")
    first = built(root, "modelcache.yaml")
    assert get_at(first, "spec", "modelSize") == "20Gi"
    assert get_at(first, "spec", "serviceAccountName") == "reader"
    write_record(root, "wine", release("wine", "prod", version="8"))
    second = built(root, "modelcache.yaml")
    assert get_at(first, "metadata", "name") != get_at(second, "metadata", "name")


def test_a_network_policy_lets_the_pods_of_the_model_call_each_other(tmp_path: Path) -> None:
    policy = built(fleet(tmp_path, "networkPolicy: {from: [{namespaceSelector: {}}]}"), "networkpolicy.yaml")
    own = {"podSelector": {"matchLabels": {"serving.kserve.io/inferenceservice": "wine"}}}
    assert get_at(policy, "spec") == {
        "podSelector": own["podSelector"],
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"namespaceSelector": {}}, own]}],
    }


def test_the_hint_of_a_kind_that_the_clusters_may_not_get_leads_on(tmp_path: Path) -> None:
    root = fleet(tmp_path, "disruptionBudget: {maxUnavailable: 1}, networkPolicy: {from: [{namespaceSelector: {}}]}")
    assert findings(root) == []
    found = [one for one in validate(root, ValidateOptions()).findings if one.rule == "outside-bounds"]
    assert len(found) == 2
    kinds = [match[1] for one in found if (match := re.search(r"kinds: \[ConfigMap, (.*?)\]", one.hint))]
    wider = CONFIG.replace("flux: {}}", f"flux: {{}}, bounds: {{kinds: [ConfigMap, {', '.join(kinds)}]}}}}")
    repository(root, f"{wider}{GRANTS}")
    assert findings(root) == []
    assert validate(root, ValidateOptions()).findings == ()


@pytest.mark.parametrize(("storage", "allowed"), [("{key: s3}", True), ("{parameters: {endpoint_url: x}}", False)])
def test_storage_by_a_key_is_inside_of_what_m2g_yaml_allows(tmp_path: Path, storage: str, allowed: bool) -> None:
    root = fleet(tmp_path, f"storage: {storage}", f"{GRANTS}storage: {{allow: ['s3://']}}\n")
    assert findings(root) == []
    found = [one.rule for one in validate(root, ValidateOptions()).findings]
    assert found == ([] if allowed else ["outside-bounds"])
