"""Rules of the reference that the schemas enforce, so they need no function. Their findings have the rule `schema`."""

from __future__ import annotations

import msgspec

from m2g.validation.rules.rule import WEBHOOK_SOURCE


class SchemaRule(msgspec.Struct, frozen=True, kw_only=True):
    """One such rule: like a Rule, with the path at which its example is wrong."""

    id: str
    covers: tuple[str, ...]
    summary: str
    why: str
    fix: str
    path: str
    link: str = WEBHOOK_SOURCE


SCHEMA_RULES = (
    SchemaRule(
        id="schema-name",
        covers=("V1", "L01"),
        summary="The name has only lowercase letters, digits and hyphens, and starts with a letter.",
        why="KServe builds host names from it; the webhook refuses any other name.",
        fix="give the model another slug in m2g.yaml (models.slugs)",
        path="metadata.name",
    ),
    SchemaRule(
        id="schema-replicas",
        covers=("V8", "L05"),
        summary="minReplicas and maxReplicas are not negative.",
        why="KServe's webhook refuses negative numbers.",
        fix="set settings.minReplicas and settings.maxReplicas in model.yaml",
        path="spec.predictor.minReplicas",
    ),
    SchemaRule(
        id="schema-concurrency",
        covers=("V9",),
        summary="containerConcurrency is not negative; 0 means no limit.",
        why="KServe's webhook refuses negative numbers.",
        fix="set settings.containerConcurrency in model.yaml",
        path="spec.predictor.containerConcurrency",
    ),
    SchemaRule(
        id="schema-logger-mode",
        covers=("V10", "L11"),
        summary="A logger has a mode: all, request or response.",
        why="The CRD does not require it, but the webhook refuses a logger without it.",
        fix="set mode: all",
        path="spec.predictor.logger.mode",
    ),
    SchemaRule(
        id="schema-model-format",
        covers=("L07",),
        summary="predictor.model has modelFormat with a name.",
        why="The full CRD of KServe 0.21 does not require it, but KServe finds no runtime without it.",
        fix="remove the patch under custom/ that changes predictor.model; m2g writes it",
        path="spec.predictor.model.modelFormat",
    ),
    SchemaRule(
        id="schema-storage-uris",
        covers=("V16",),
        summary="Each entry of storageUris has a uri that is not empty and an absolute mountPath.",
        why="KServe's webhook refuses any other entry.",
        fix="set uri, and a mountPath such as /mnt/models",
        path="spec.predictor.storageUris[0].uri",
    ),
    SchemaRule(
        id="schema-confidential",
        covers=("V19",),
        summary="confidential.resourceId has the form kbs:///repository/type/tag.",
        why="KServe's webhook refuses any other form.",
        fix="write all three parts, such as kbs:///models/key/1",
        path="spec.predictor.model.confidential.resourceId",
    ),
    SchemaRule(
        id="schema-canary-percent",
        covers=("V20", "L12"),
        summary="trafficPercent is set, to a number between 0 and 100.",
        why="KServe's webhook refuses anything else.",
        fix="start with trafficPercent: 0",
        path="spec.canary[0].trafficPercent",
    ),
    SchemaRule(
        id="schema-canary-version",
        covers=("L12",),
        summary="spec.canary needs KServe 0.20 or newer.",
        why="An older KServe drops or refuses the field.",
        fix="set kserve.version in m2g.yaml to what the cluster has, or remove the canary",
        path="spec.canary",
    ),
)
