"""The ServingRuntime of a serving environment: its spec, and the name that comes from the spec.

Every model of the environment uses it, so it must never change: another spec is another name.
Source: kserve pkg/controller/v1beta1/inferenceservice/utils (placeholders such as `{{.Name}}`, KServe 0.15 to 0.21).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from m2g.core.serving_environment import RecordedEnvironment, ServingEnvironment
from m2g.core.yaml_writer import Plain

PRIVILEGES: Mapping[str, Plain] = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The least privileges, as in KServe's own runtimes."""
_MODEL = "/mnt/models"
_METRICS_PORT = "8082"
PROTOCOLS: Mapping[str, str] = {"mlserver": "v2", "mlflow": "v1"}
"""KServe has no name for MLflow's `/invocations`; the model and its runtime must only agree."""


def name_runtime(recorded: RecordedEnvironment) -> str:
    """The name of the ServingRuntime, such as `py312-mlserver-0123456789abcdef-01234567`."""
    spec = json.dumps([make_annotations(recorded.environment), make_spec(recorded)], sort_keys=True)
    return f"{recorded.id}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}"


def make_annotations(environment: ServingEnvironment) -> dict[str, Plain]:
    """The annotations of the ServingRuntime itself."""
    return {"serving.kserve.io/server-type": "mlserver"} if environment.server == "mlserver" else {}


def make_spec(recorded: RecordedEnvironment) -> dict[str, Plain]:
    """The spec. KServe replaces `{{.Name}}` by the name of the InferenceService; resources are those of each model."""
    environment = recorded.environment
    container: dict[str, Plain] = {
        "name": "kserve-container",
        "image": environment.image,
        "env": [{"name": name, "value": value} for name, value in sorted(_list_variables(environment).items())],
        "securityContext": dict(PRIVILEGES),
    }
    spec: dict[str, Plain] = {}
    if environment.server == "mlserver":
        spec["annotations"] = {"prometheus.kserve.io/port": _METRICS_PORT, "prometheus.kserve.io/path": "/metrics"}
    return spec | {
        "supportedModelFormats": [{"name": "mlflow", "version": "2", "autoSelect": False}],
        "protocolVersions": [PROTOCOLS[environment.server]],
        "containers": [container],
    }


def _list_variables(environment: ServingEnvironment) -> Mapping[str, str]:
    if environment.server == "mlflow":
        return {"__pyfunc_model_path__": _MODEL}
    return {
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime",
        "MLSERVER_MODEL_NAME": "{{.Name}}",
        "MLSERVER_MODEL_URI": _MODEL,
        "MLSERVER_HTTP_PORT": "8080",
        "MLSERVER_GRPC_PORT": "9000",
        "MLSERVER_METRICS_PORT": _METRICS_PORT,
    }
