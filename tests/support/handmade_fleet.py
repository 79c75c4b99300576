"""A small fleet by hand, in the layout that m2g writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {slug}
  annotations:
    serving.kserve.io/autoscalerClass: hpa
    serving.kserve.io/deploymentMode: Standard
spec:
  predictor:
    minReplicas: 1
    maxReplicas: 3
    scaleMetric: cpu
    scaleTarget: 80
    model:
      modelFormat:
        name: mlflow
      protocolVersion: v2
      runtime: kserve-mlserver
      env:
      - name: FIRST
        value: "on"
      readinessProbe:
        httpGet:
          path: /v2/models/{slug}/ready
          port: 8080
          scheme: HTTP
      resources:
        limits:
          cpu: "1"
          memory: 2Gi
        requests:
          cpu: 500m
          memory: 1Gi
"""
PATCH = """\
- op: add
  path: /spec/predictor/model/storageUri
  value: s3://models/{slug}/{version}/
"""
OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: models-{env}
resources:
- ../../base
patches:
- path: patch.yaml
  target:
    kind: InferenceService
"""


def write(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def model(slug: str, **versions: int) -> dict[str, str]:
    """The files of one model: `model("wine", dev=2, prod=1)`."""
    here = f"models/{slug}"
    files = {
        f"{here}/base/kustomization.yaml": "resources:\n- inferenceservice.yaml\n",
        f"{here}/base/inferenceservice.yaml": SERVICE.format(slug=slug),
    }
    for env, version in versions.items():
        files[f"{here}/overlays/{env}/kustomization.yaml"] = OVERLAY.format(env=env)
        files[f"{here}/overlays/{env}/patch.yaml"] = PATCH.format(slug=slug, version=version)
    return files


def component(root: Path, slug: str, env: str, text: str, **files: str) -> None:
    """Give one overlay a component of people's; more files by `name__suffix`."""
    here = f"models/{slug}/custom/{env}"
    write(root, {f"{here}/kustomization.yaml": text})
    write(root, {f"{here}/{name.replace('__', '.')}": content for name, content in files.items()})
    overlay = root / f"models/{slug}/overlays/{env}/kustomization.yaml"
    overlay.write_text(overlay.read_text() + f"components:\n- ../../custom/{env}\n")
