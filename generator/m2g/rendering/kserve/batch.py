"""Batch predictions: a Job for each version, or a CronJob, runs `mlflow models predict` on a file."""

from __future__ import annotations

import hashlib
import json

from m2g.core.yaml_writer import Plain
from m2g.rendering.kserve.common import render_container, render_env, render_pod, restrict_privileges
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.batch_run import BatchRun
from m2g.serving.spec import Serving

FILE = "batch.yaml"
COMMAND = """\
cd "$(mktemp -d)"
python -c 'import sys, mlflow.artifacts as a; a.download_artifacts(artifact_uri=sys.argv[1], dst_path="input")' \\
  "$M2G_INPUT"
mkdir output
mlflow models predict --env-manager local --model-uri "$M2G_MODEL" --content-type "$M2G_CONTENT_TYPE" \\
  --input-path "input/${M2G_INPUT##*/}" --output-path "output/${M2G_OUTPUT##*/}"
python -c 'import sys, mlflow.store.artifact.artifact_repository_registry as r
r.get_artifact_repository(sys.argv[1]).log_artifact(sys.argv[2])' "${M2G_OUTPUT%/*}" "output/${M2G_OUTPUT##*/}"
"""
"""One upload at the end, so that the output is never incomplete. The URIs may be local paths."""
_CLAIMS = "/mnt/claims"
_RETRIES = 2


def render_batch(slug: str, served: ServedModel, serving: Serving) -> dict[str, Object]:
    """batch.yaml if there is a batch. Jobs cannot be changed in Kubernetes, so another version gets another Job."""
    if serving.batch is None:
        return {}
    job = _job(slug, served, serving, serving.batch)
    labels = _labels(slug, served)
    annotations = _annotations(served)
    if serving.batch.schedule:
        spec: Object = {"schedule": serving.batch.schedule}
        if serving.batch.time_zone:
            spec["timeZone"] = serving.batch.time_zone
        spec |= {
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"metadata": {"labels": labels, "annotations": annotations}, "spec": job},
        }
        kind, name = "CronJob", f"{slug}-batch"
    else:
        digest = hashlib.sha256(json.dumps([job, labels, annotations], sort_keys=True).encode()).hexdigest()
        kind, name, spec = "Job", f"{slug}-batch-{digest[:8]}", job
        # If Argo CD does not prune, the Jobs of older versions stay. They must not make the Application OutOfSync.
        annotations = annotations | {"argocd.argoproj.io/compare-options": "IgnoreExtraneous"}
    metadata: Object = {"name": name, "labels": labels, "annotations": annotations}
    return {FILE: {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": spec}}


def _labels(slug: str, served: ServedModel) -> Object:
    return {
        "app.kubernetes.io/name": slug,
        "app.kubernetes.io/component": "batch",
        "app.kubernetes.io/managed-by": "m2g",
        "m2g.dev/environment": served.environment,
    }


def _annotations(served: ServedModel) -> Object:
    annotations: Object = {"m2g.dev/model-name": served.model}
    if served.release is not None:
        annotations["m2g.dev/model-version"] = served.release.version
    if served.flux:
        # The model's name may contain ${X}: see the InferenceService.
        annotations["kustomize.toolkit.fluxcd.io/substitute"] = "disabled"
    return annotations


def _job(slug: str, served: ServedModel, serving: Serving, batch: BatchRun) -> Object:
    claims = sorted({claim for uri in (batch.input, batch.output, served.batch_model) if (claim := _claim(uri))})
    pod: Object = {"restartPolicy": "Never"}
    if serving.service_account_name:
        pod["serviceAccountName"] = serving.service_account_name
    pod["automountServiceAccountToken"] = False
    if serving.node_selector:
        pod["nodeSelector"] = dict(sorted(serving.node_selector.items()))
    pod |= render_pod(serving, batch=True)
    pod["containers"] = [_container(served, serving, batch, claims)]
    if claims:
        volumes: list[Plain] = [
            {"name": f"claim-{index}", "persistentVolumeClaim": {"claimName": claim}}
            for index, claim in enumerate(claims)
        ]
        own = pod.get("volumes")
        pod["volumes"] = [*(own if isinstance(own, list) else []), *volumes]
    template: Object = {
        "metadata": {"labels": _labels(slug, served), "annotations": _annotations(served)},
        "spec": pod,
    }
    return {"backoffLimit": _RETRIES, "activeDeadlineSeconds": batch.timeout_seconds, "template": template}


def _container(served: ServedModel, serving: Serving, batch: BatchRun, claims: list[str]) -> Object:
    variables = {
        "M2G_MODEL": _container_path(served.batch_model),
        "M2G_INPUT": _container_path(batch.input),
        "M2G_OUTPUT": _container_path(batch.output),
        "M2G_CONTENT_TYPE": batch.content_type,
    }
    container: Object = {
        "name": "predict",
        "image": served.batch_image,
        "command": ["sh", "-euc", COMMAND],
        **render_env(serving.env | variables, {k: v for k, v in serving.env_references.items() if k not in variables}),
        "resources": {"requests": dict(batch.requests), "limits": dict(batch.limits)},
    }
    built = served.release.image if served.release is not None else None
    container |= restrict_privileges() if built is not None and built.name == served.batch_image else {}
    container = render_container(container, serving, batch=True)
    if claims:
        mounts: list[Plain] = [
            {"name": f"claim-{index}", "mountPath": f"{_CLAIMS}/{claim}"} for index, claim in enumerate(claims)
        ]
        own = container.get("volumeMounts")
        container["volumeMounts"] = [*(own if isinstance(own, list) else []), *mounts]
    return container


def _claim(uri: str) -> str:
    return uri.removeprefix("pvc://").partition("/")[0] if uri.startswith("pvc://") else ""


def _container_path(uri: str) -> str:
    """The path or URI inside the container: a volume claim is mounted, MLflow reads everything else."""
    return f"{_CLAIMS}/{uri.removeprefix('pvc://')}" if uri.startswith("pvc://") else uri
