"""Objects that every rule passes, changes to them, and what m2g says of the result."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import msgspec
import ryaml

from m2g.commands import explain
from m2g.compat import catalogue
from m2g.core.config_types import External, Knative
from m2g.core.manifest import Manifest
from m2g.core.model import Mlmodel, Release
from m2g.core.setting_fields import KserveVersion
from m2g.serving import gate
from m2g.validation import rules
from m2g.validation.rules import COMPONENT, FLEET, CheckedObject
from m2g.validation.schemas import Catalogue

CATALOGUE = Catalogue()
Answers = set[tuple[str, str]]
"""(rule, path)."""


_PLATFORM = ("ClusterServingRuntime", "ClusterStorageContainer", "LocalModelCache", "LocalModelNodeGroup")
"""Kinds of KServe that the platform's files hold, and no overlay."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds an object in an example."""

    kserve: KserveVersion = "0.21"
    overlay: list[dict[str, object]] | None = None
    release: dict[str, object] | None = None
    external: dict[str, object] = {}
    knative: dict[str, object] = {}
    before: dict[str, object] | None = None
    substituted: bool = False


def service(name: str = "wine", namespace: str = "models-prod") -> dict[str, object]:
    """An InferenceService as m2g writes it."""
    probe = {"httpGet": {"path": f"/v2/models/{name}/ready", "port": 8080, "scheme": "HTTP"}}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "hpa",
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "maxReplicas": 3,
                "scaleMetric": "cpu",
                "scaleTarget": 70,
                "deploymentStrategy": strategy,
                "model": {
                    "modelFormat": {"name": "mlflow"},
                    "protocolVersion": "v2",
                    "runtime": "kserve-mlserver",
                    "storageUri": "s3://models/wine/7/",
                    "readinessProbe": copy.deepcopy(probe),
                    "startupProbe": copy.deepcopy(probe),
                },
            }
        },
    }


def merged(base: object, change: object) -> object:
    """A JSON merge patch (RFC 7386): mappings are laid over each other, null removes."""
    if not isinstance(change, dict):
        return change
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def whole(part: dict[str, object]) -> dict[str, object]:
    """The object of an example, which shows only the lines that matter."""
    if part.get("kind") == COMPONENT:
        return {**part, "patches": [_parsed(patch) for patch in _list(part.get("patches"))]}
    result = part if "kind" in part else merged(service(), part)
    assert isinstance(result, dict)
    return result


def answers(item: Manifest, given: Given | None = None) -> Answers:
    """What m2g says of an object, by its rules and by its schema."""
    given = given or Given()
    found = {(finding.rule, finding.path) for finding in rules.check(_subject(item, given))}
    if item.get("kind") not in (COMPONENT, FLEET):
        found |= {("schema", violation.path) for violation in CATALOGUE.find_violations(item, kserve=given.kserve)}
    return found


def example(rule: str, part: str) -> tuple[dict[str, object], Given]:
    """The object of one part (`bad`, `good`) of a rule's example, and what surrounds it."""
    parts = explain.read_example(rule)
    given = msgspec.convert(ryaml.loads(parts["with"]), Given) if "with" in parts else Given()
    return whole(ryaml.loads(parts[part])), given


def _subject(item: Manifest, given: Given) -> CheckedObject:
    others = tuple(given.overlay or ())
    before = given.before and merged(service(), given.before)
    same = _name(before) == _name(item)
    release = _release(given.release) if given.release else None
    return CheckedObject(
        manifest=item,
        kserve=given.kserve,
        knative=msgspec.convert(given.knative, Knative),
        overlay=(item, *others) if ("metadata" in item or others) and item.get("kind") not in _PLATFORM else None,
        release=release,
        verdict=gate.check_object(item, others, release, given.kserve, catalogue.read_stock()),
        declared=catalogue.read_declared(given.kserve),
        external=msgspec.convert(given.external, External),
        before=before if isinstance(before, dict) and same else None,
        substituted=given.substituted,
    )


def _release(mlmodel: dict[str, object]) -> Release:
    return Release(
        schema=1,
        model="Wine",
        environment="prod",
        registry="http://mlflow.test",
        version="7",
        follows="alias champion",
        created_at=1,
        source="s3://models/wine/7",
        artifact_uri="s3://models/wine/7",
        mlmodel=msgspec.convert({"sha256": "0" * 64, **mlmodel}, Mlmodel),
    )


def _name(item: object) -> object:
    metadata = item.get("metadata") if isinstance(item, Mapping) else None
    return metadata.get("name") if isinstance(metadata, Mapping) else None


def _parsed(patch: object) -> object:
    assert isinstance(patch, dict)
    return {**patch, "documents": ryaml.loads_all(str(patch["patch"]))}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
