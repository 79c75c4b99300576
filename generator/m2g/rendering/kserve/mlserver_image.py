"""Profile mlserver-image: MLServer in the model's own image, as a ServingRuntime next to the InferenceService."""

from __future__ import annotations

from m2g.rendering.kserve import runtime
from m2g.rendering.kserve.common import PORT, render_env, render_resources, restrict_privileges
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.spec import RUNTIMES, Serving

_GRPC_PORT, _METRICS_PORT = 9000, 8082


def name_runtime(slug: str, predictor: str = "") -> str:
    """The name of the model's own ServingRuntime. A candidate has its own, and keeps it when it is promoted.

    The model `kserve` must not get the name of KServe's own runtime: all models of the namespace would use its image.
    """
    own = f"{slug}-{predictor}-mlserver" if predictor else f"{slug}-mlserver"
    return f"{slug}-own-mlserver" if own in RUNTIMES.values() else own


def render_predictor(slug: str, served: ServedModel, serving: Serving) -> Object:
    """The same predictor as for a runtime of the cluster, with that of its serving environment or the model's own."""
    return runtime.render_predictor(
        slug, served.served_by(served.runtime or name_runtime(slug, served.predictor)), serving
    )


def render_runtime(slug: str, served: ServedModel, serving: Serving) -> dict[str, Object]:
    """servingruntime.yaml; nothing for a model with a serving environment, whose runtime is in environments/.

    KServe sets the variables with the model's name and path only for runtimes that it recognizes as MLServer (0.15 and
    0.16 only by the name). So m2g sets them; KServe overwrites them with the same values.
    """
    if served.runtime:
        return {}
    built = served.release.image if served.release is not None else None
    container: Object = {
        "name": "kserve-container",
        "image": served.image,
        **render_env(
            {
                "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime",
                "MLSERVER_MODEL_NAME": slug,
                "MLSERVER_MODEL_URI": "/mnt/models",
                "MLSERVER_HTTP_PORT": str(PORT),
                "MLSERVER_GRPC_PORT": str(_GRPC_PORT),
                "MLSERVER_METRICS_PORT": str(_METRICS_PORT),
            }
        ),
        **render_resources(serving),
        # Other images may run as root, or as a user by name, which Kubernetes cannot tell from root.
        **(restrict_privileges() if built is not None and built.name == served.image else {}),
    }
    serving_runtime: Object = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": name_runtime(slug, served.predictor),
            "labels": {"app.kubernetes.io/name": slug, "app.kubernetes.io/managed-by": "m2g"},
            "annotations": {
                "serving.kserve.io/server-type": "mlserver",
                # It must exist before the InferenceService, whose state is InvalidSpec without it.
                "argocd.argoproj.io/sync-wave": "-1",
            },
        },
        "spec": {
            "annotations": {"prometheus.kserve.io/port": str(_METRICS_PORT), "prometheus.kserve.io/path": "/metrics"},
            "supportedModelFormats": [{"name": "mlflow", "version": "2", "autoSelect": False}],
            "protocolVersions": ["v2"],
            "containers": [container],
        },
    }
    return {"servingruntime.yaml": serving_runtime}
