"""The naive peer: the script that a platform engineer writes in an afternoon. It handles one overlay after the other.

    python -m bench.naive <tracking URI> <folder> <file with the names of registered models>

For each overlay it makes one call of MLflow's client, one ruamel.yaml round trip, one `kustomize build` and one call of
kubernetes-validate. It does less than m2g: it does not read MLmodel files and runs, it does not write records and model
cards, and it checks only schemas. Its patches are strategic merge patches, as in Kustomize's own tutorial.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import jinja2
import jsonschema
import kubernetes_validate
from mlflow import MlflowClient
from ruamel.yaml import YAML

from bench.fleet import ALIASES, BUCKET, ENVIRONMENTS
from m2g.core.naming import slugify
from m2g.validation.schemas import Catalogue

BASE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {{ slug }}
  labels: {app.kubernetes.io/name: {{ slug }}, app.kubernetes.io/managed-by: naive}
  annotations:
    serving.kserve.io/deploymentMode: Standard
    serving.kserve.io/autoscalerClass: hpa
    mlflow/model-name: "{{ name }}"
spec:
  predictor:
    minReplicas: 1
    maxReplicas: 1
    scaleMetric: cpu
    scaleTarget: 80
    deploymentStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
    model:
      modelFormat: {name: mlflow}
      protocolVersion: v2
      runtime: kserve-mlserver
      resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: "1", memory: 2Gi}}
      readinessProbe:
        httpGet: {path: /v2/models/{{ slug }}/ready, port: 8080, scheme: HTTP}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
"""
PATCH = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {{ slug }}
  labels: {environment: {{ environment }}}
  annotations: {mlflow/model-version: "{{ version }}", mlflow/run-id: "{{ run }}"}
spec: {predictor: {model: {storageUri: "{{ uri }}"}}}
"""
KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
{%- if target %}
namespace: {{ target }}
patches: [{path: patch.yaml}]
{%- endif %}
resources: [{{ resource }}]
"""


def main(uri: str, root: Path, names: list[str]) -> int:
    """Render, build and check every overlay. Return the number of invalid ones."""
    client = MlflowClient(uri)
    schema = Catalogue().get_schema("serving.kserve.io/v1beta1", "InferenceService", "0.21")
    validator = jsonschema.Draft202012Validator(schema or {})
    invalid = 0
    for name in names:
        model = root / "models" / slugify(name)
        _write(model / "base/kustomization.yaml", KUSTOMIZATION, resource="inferenceservice.yaml")
        _write(model / "base/inferenceservice.yaml", BASE, slug=slugify(name), name=name)
        for environment, alias in zip(ENVIRONMENTS, ALIASES, strict=True):
            version = client.get_model_version_by_alias(name, alias)
            overlay = model / "overlays" / environment
            _write(
                overlay / "kustomization.yaml",
                KUSTOMIZATION,
                target=f"models-{environment}",
                resource="../../base",
            )
            _write(
                overlay / "patch.yaml",
                PATCH,
                slug=slugify(name),
                environment=environment,
                version=version.version,
                run=str(version.run_id),
                uri=f"{BUCKET}/1/models/{str(version.source).rpartition('/')[2]}/artifacts/",
            )
            invalid += not _is_valid(overlay, validator)
    return invalid


def _write(path: Path, template: str, **values: str) -> None:
    """Fill the template, format it by a ruamel.yaml round trip, and write it."""
    text = jinja2.Template(template).render(**values)
    yaml = YAML()
    out = io.StringIO()
    yaml.dump(yaml.load(text), out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(out.getvalue())


def _is_valid(overlay: Path, validator: jsonschema.Draft202012Validator) -> bool:
    built = subprocess.run(["kustomize", "build", str(overlay)], capture_output=True, text=True, check=True).stdout
    for item in YAML(typ="safe", pure=True).load_all(built):
        try:
            kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.SchemaNotFoundError:  # it has no schemas of KServe's kinds
            if any(validator.iter_errors(item)):
                return False
        except kubernetes_validate.ValidationError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]).read_text().splitlines()), 1))
