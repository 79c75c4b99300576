"""Existing tools for one part of the work each: kubeconform for schemas, flate for a Flux repository."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.fleet import model_name
from bench.measure import Place, Sample, run
from m2g.core.naming import slugify
from tests.corpus.peers import KUBECONFORM, our_schemas
from tests.support.paths import ROOT

OBJECTS = 3000
"""How many InferenceServices are checked: those of 1,000 models in 3 environments."""
FLATE = ROOT / ".tools/bin/flate"
_SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: NAME
  labels: {app.kubernetes.io/name: NAME}
  annotations:
    serving.kserve.io/deploymentMode: Standard
    serving.kserve.io/autoscalerClass: hpa
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
      storageUri: s3://models/1/models/NAME/artifacts/
      resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: "1", memory: 2Gi}}
      readinessProbe:
        httpGet: {path: /v2/models/NAME/ready, port: 8080, scheme: HTTP}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
"""
_SCHEMAS = """\
import sys
from m2g.core.manifest import read_all
from m2g.validation.schemas import Catalogue
catalogue = Catalogue()
with open(sys.argv[1]) as file:
    wrong = [item for item in read_all(file.read()) if catalogue.find_violations(item, kserve="0.21")]
sys.exit(len(wrong))
"""


def measure_kubeconform(folder: Path) -> dict[str, Sample]:
    """Check the same objects with kubeconform (with m2g's schemas) and with m2g's own schema check."""
    documents = (_SERVICE.replace("NAME", slugify(model_name(index))) for index in range(OBJECTS))
    file = folder / "objects.yaml"
    file.write_text("---\n".join(f"{text}\n" for text in documents))
    schemas = folder / "schemas"
    schemas.mkdir()
    place = our_schemas(schemas, "0.21")
    here = Place(folder=folder)
    found = {f"m2g's schemas, {OBJECTS:,} objects": run([sys.executable, "-c", _SCHEMAS, str(file)], here)}
    if KUBECONFORM.is_file():
        command = [str(KUBECONFORM), "-strict", "-schema-location", place, str(file)]
        found[f"kubeconform, {OBJECTS:,} objects"] = run(command, here)
    return found


def measure_flate(root: Path) -> Sample:
    """`flate test all`: build every Kustomization of a repository for Flux. It checks no schemas and no rules."""
    with tempfile.TemporaryDirectory() as cache:
        return run([str(FLATE), "test", "all", "--path", ".", "--cache-dir", cache], Place(folder=root))
