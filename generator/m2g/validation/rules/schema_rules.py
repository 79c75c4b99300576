"""Rules of the reference that the schemas keep, so that no function is needed; their finding is `schema`."""

from __future__ import annotations

import msgspec

from m2g.validation.rules.rule import VALIDATION


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """One such rule: like a Rule, with the place where its example is wrong."""

    id: str
    covers: tuple[str, ...]
    summary: str
    why: str
    fix: str
    path: str
    link: str = VALIDATION


BY_SCHEMA = (
    Covered(
        id="schema-name",
        covers=("V1", "L01"),
        summary="The name has lower-case letters, digits and hyphens, starts with a letter, and has no dot.",
        why="KServe makes host names of it; the webhook refuses another.",
        fix="give the model another slug in m2g.yaml (models.slugs)",
        path="metadata.name",
    ),
    Covered(
        id="schema-replicas",
        covers=("V8", "L05"),
        summary="minReplicas and maxReplicas are not negative.",
        why="KServe's webhook refuses it.",
        fix="set minReplicas and maxReplicas in model.yaml",
        path="spec.predictor.minReplicas",
    ),
    Covered(
        id="schema-concurrency",
        covers=("V9",),
        summary="containerConcurrency is not negative; 0 is unlimited.",
        why="KServe's webhook refuses it.",
        fix="set containerConcurrency in model.yaml",
        path="spec.predictor.containerConcurrency",
    ),
    Covered(
        id="schema-logger-mode",
        covers=("V10", "L11"),
        summary="A logger has a mode: all, request or response.",
        why="The CRD does not ask for it, but the webhook refuses none.",
        fix="add mode: all",
        path="spec.predictor.logger.mode",
    ),
    Covered(
        id="schema-model-format",
        covers=("L07",),
        summary="predictor.model has modelFormat with a name.",
        why="The full CRD of 0.21 does not require it; no runtime is found without.",
        fix="let m2g write predictor.model; remove the patch under custom/ that changes it",
        path="spec.predictor.model.modelFormat",
    ),
    Covered(
        id="schema-storage-uris",
        covers=("V16",),
        summary="Each of storageUris has a URI that is not empty and an absolute mountPath.",
        why="KServe's webhook refuses it.",
        fix="write uri and mountPath, such as /mnt/models",
        path="spec.predictor.storageUris[0].uri",
    ),
    Covered(
        id="schema-confidential",
        covers=("V19",),
        summary="confidential.resourceId has the form kbs:///repository/type/tag.",
        why="KServe's webhook refuses another.",
        fix="write all three parts",
        path="spec.predictor.model.confidential.resourceId",
    ),
    Covered(
        id="schema-canary-percent",
        covers=("V20", "L12"),
        summary="trafficPercent is there, and 0 to 100.",
        why="KServe's webhook refuses it.",
        fix="write trafficPercent: 0 for a start",
        path="spec.canary[0].trafficPercent",
    ),
    Covered(
        id="schema-canary-version",
        covers=("L12",),
        summary="spec.canary needs KServe 0.20 or newer.",
        why="An older KServe drops or refuses the field.",
        fix="set kserve.version in m2g.yaml to what the cluster has, or remove the canary",
        path="spec.canary",
    ),
)
