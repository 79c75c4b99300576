"""Layers of settings: who wins, what is bounded, and where a mistake is to be mended."""

from __future__ import annotations

import msgspec
import pytest

from m2g.core.config_types import Config, ModelIntent, Pin
from m2g.core.finding import Finding
from m2g.core.setting_fields import Resources
from m2g.core.settings import Settings
from m2g.serving.settings import collect_layers, resolve_settings
from m2g.serving.spec import Serving
from tests.support.fleet import CONFIG, release

_CONFIG = msgspec.yaml.decode(CONFIG, type=Config)


def settled(
    config: Config, intent: ModelIntent | None = None, tags: dict[str, str] | None = None
) -> tuple[Serving, list[Finding]]:
    given, findings = collect_layers(config, "wine", "prod", intent or ModelIntent(), release(tags=tags or {}))
    serving, wrong = resolve_settings(given, config.bounds, config.kserve)
    return serving, findings + wrong


def test_later_layers_win_field_by_field_and_maps_key_by_key() -> None:
    config = msgspec.structs.replace(
        _CONFIG,
        defaults=Settings(max_replicas=1, labels={"a": "1", "b": "1"}, resources=Resources(limits={"cpu": 1})),
        tags={"mem": "resources.limits.memory"},
    )
    intent = ModelIntent(
        settings=Settings(labels={"b": "2"}, scale_target=60),
        environments={"prod": Pin(settings=Settings(labels={"c": "3"}, scale_target=70))},
    )
    serving, findings = settled(config, intent, {"mem": "4Gi"})
    assert findings == []
    assert serving.labels == {"a": "1", "b": "2", "c": "3"}
    assert (serving.min_replicas, serving.max_replicas, serving.scale_target) == (2, 4, 70)
    assert serving.limits == {"cpu": "1", "memory": "4Gi"}
    assert serving.requests == {"cpu": "500m", "memory": "1Gi"}


def test_a_request_above_the_default_limit_raises_the_limit_and_the_other_way_round() -> None:
    config = msgspec.structs.replace(
        _CONFIG, defaults=Settings(resources=Resources(requests={"memory": "6Gi"}, limits={"cpu": "250m"}))
    )
    serving, findings = settled(config)
    assert findings == []
    assert (serving.requests, serving.limits) == (
        {"cpu": "250m", "memory": "6Gi"},
        {"cpu": "250m", "memory": "6Gi"},
    )


@pytest.mark.parametrize(
    ("intent", "rule", "path"),
    [
        (
            {"settings": {"resources": {"limits": {"memory": "lots"}}}},
            "setting-invalid",
            "settings.resources.limits.memory",
        ),
        ({"settings": {"maxReplicas": 99}}, "setting-out-of-bounds", "settings.maxReplicas"),
        (
            {"environments": {"prod": {"settings": {"image": "evil.example/x"}}}},
            "setting-out-of-bounds",
            "environments.prod.settings.image",
        ),
    ],
)
def test_a_mistake_in_model_yaml_is_placed_there(intent: object, rule: str, path: str) -> None:
    config = msgspec.yaml.decode(
        CONFIG + 'bounds: {maxReplicas: {max: 10}, image: {oneOf: ["ghcr.io/acme/*"]}}\n', type=Config
    )
    _, findings = settled(config, msgspec.convert(intent, ModelIntent))
    assert [(f.rule, f.file, f.path) for f in findings] == [(rule, "models/wine/model.yaml", path)]
    assert findings[0].hint


def test_m2g_yaml_itself_is_not_bounded() -> None:
    config = msgspec.yaml.decode(CONFIG + "bounds: {maxReplicas: {max: 1}}\n", type=Config)
    assert settled(config)[1] == []


@pytest.mark.parametrize(
    ("setting", "bound", "value", "words"),
    [
        ("maxReplicas", "{max: 5}", "6", "above the maximum 5"),
        ("maxReplicas", "{max: 5}", "many", "must be a whole number"),
        ("maxReplicas", "{max: 5}", "5\n---\nkind: Pod", "must be a whole number"),
        ("maxReplicas", "{max: 5}", "9" * 400, "too large"),
        ("minReplicas", "{min: 1}", "0", "below the minimum 1"),
        ("resources.limits.memory", "{max: 8Gi}", "8193Mi", "above the maximum 8Gi"),
        ("resources.limits.memory", "{max: 8Gi}", "8 GB", "not a quantity"),
        ("autoscaler", "{oneOf: [hpa, none]}", "keda", "not one of hpa, none"),
        ("image", '{oneOf: ["ghcr.io/acme/*"]}', "ghcr.io/acme.evil/x", "not one of"),
        ("runtime", '{oneOf: ["*"]}', "../x", "Kubernetes name"),
    ],
)
def test_a_tag_out_of_bounds_names_the_tag(setting: str, bound: str, value: str, words: str) -> None:
    config = msgspec.yaml.decode(f"{CONFIG}tags: {{t: {setting}}}\nbounds: {{{setting}: {bound}}}\n", type=Config)
    _, findings = settled(config, tags={"t": value})
    assert findings
    assert {finding.rule for finding in findings} == {"tag-out-of-bounds"}
    assert all("'t'" in finding.message for finding in findings)
    assert words in findings[0].message


def test_a_tag_that_is_not_allowed_does_nothing() -> None:
    assert settled(_CONFIG, tags={"m2g.dev/max-replicas": "1000"}) == settled(_CONFIG)


def test_two_states_of_one_file_are_told_apart_where_they_are_equal() -> None:
    """`m2g diff` looks at both in one process."""
    whole, rounded = (
        settled(msgspec.structs.replace(_CONFIG, defaults=Settings(resources=Resources(limits={"memory": amount}))))
        for amount in (10**16, 1e16)
    )
    assert whole[0].limits["memory"] == "10P"
    assert [finding.message for finding in rounded[1]] == ["'1e+16' is not a quantity"]


@pytest.mark.parametrize(
    ("setting", "value", "allow"),
    [
        ("timeoutSeconds", "900", "{maxTimeoutSeconds: 900}"),
        ("containerConcurrency", "1001", "{maxContainerConcurrency: 1001}"),
        ("nodeSelector", "{pool: gpu}", "{features: [kubernetes.podspec-nodeselector]}"),
    ],
)
def test_what_knative_refuses_is_refused_until_m2g_yaml_says_that_the_cluster_allows_it(
    setting: str, value: str, allow: str
) -> None:
    def found(kserve: str) -> list[Finding]:
        text = f"{CONFIG}kserve: {kserve}\ndefaults: {{{setting}: {value}}}\n"
        return settled(msgspec.yaml.decode(text, type=Config))[1]

    assert found("{mode: Standard}") == [] or setting == "containerConcurrency"
    (finding,) = found("{mode: Knative}")
    assert (finding.rule, finding.path) == ("setting-contradiction", f"defaults.{setting}")
    key, _, _ = allow.strip("{}").partition(":")
    assert f"kserve.knative.{key} in m2g.yaml" in finding.hint
    assert found(f"{{mode: Knative, knative: {allow}}}") == []


def test_a_gpu_that_is_only_requested_is_named_where_it_is_set() -> None:
    text = f"{CONFIG}bounds: {{}}\n"
    intent = msgspec.yaml.decode("settings: {resources: {requests: {nvidia.com/gpu: 1}}}", type=ModelIntent)
    (finding,) = settled(msgspec.yaml.decode(text, type=Config), intent)[1]
    assert (finding.rule, finding.file) == ("setting-contradiction", "models/wine/model.yaml")
    assert finding.path == "settings.resources.requests.nvidia.com/gpu"
    assert finding.hint == "set the limit of nvidia.com/gpu to 1, too"
    intent = msgspec.yaml.decode("settings: {resources: {limits: {nvidia.com/gpu: 1}}}", type=ModelIntent)
    assert settled(msgspec.yaml.decode(text, type=Config), intent)[1] == []


@pytest.mark.parametrize(
    "written",
    [
        Settings(min_replicas=0),
        Settings(scale_metric="rps"),
        Settings(resources=Resources(requests={"nvidia.com/gpu": 1})),
        Settings(profile="oci", image=f"registry.example/wine@sha256:{'0' * 64}"),
    ],
)
def test_a_contradiction_points_at_what_people_wrote_and_not_at_the_defaults(written: Settings) -> None:
    environment = msgspec.structs.replace(_CONFIG.environments["prod"], settings=written)
    config = msgspec.structs.replace(
        _CONFIG, defaults=Settings(), environments={**_CONFIG.environments, "prod": environment}
    )
    _, findings = settled(config)
    assert findings
    assert all(finding.path.startswith("environments.prod.settings.") for finding in findings)
