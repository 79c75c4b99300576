"""Profile mlserver-image: MLServer in an image of our own, as a ServingRuntime beside the InferenceService."""

from __future__ import annotations

from m2g.rendering.kserve import runtime
from m2g.rendering.kserve.common import PORT, environment, privileges, resources
from m2g.rendering.objects import Object, Subject
from m2g.serving.spec import RUNTIMES, Serving

_GRPC_PORT, _METRICS_PORT = 9000, 8082


def name(slug: str) -> str:
    """Of the ServingRuntime; one model's own, since its image has that model's packages.

    A model called `kserve` must not give it the name of the cluster's: all of the namespace would get its image.
    """
    own = f"{slug}-mlserver"
    return f"{slug}-own-mlserver" if own in RUNTIMES.values() else own


def predictor(slug: str, subject: Subject, serving: Serving) -> Object:
    """As for a runtime of the cluster, but by our own."""
    return runtime.predictor(slug, subject.served_by(name(slug)), serving)


def beside(slug: str, subject: Subject, serving: Serving) -> dict[str, Object]:
    """servingruntime.yaml. KServe sets name and place of the model only for runtimes that it takes for MLServer's
    (0.15 and 0.16 by name alone), so they are said here; it writes the same over them.
    """
    built = subject.release.image if subject.release is not None else None
    container: Object = {
        "name": "kserve-container",
        "image": subject.image,
        **environment(
            {
                "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime",
                "MLSERVER_MODEL_NAME": slug,
                "MLSERVER_MODEL_URI": "/mnt/models",
                "MLSERVER_HTTP_PORT": str(PORT),
                "MLSERVER_GRPC_PORT": str(_GRPC_PORT),
                "MLSERVER_METRICS_PORT": str(_METRICS_PORT),
            }
        ),
        **resources(serving),
        # An image of a person's may run as root, or as a user by name, which Kubernetes cannot tell from it.
        **(privileges() if built is not None and built.name == subject.image else {}),
    }
    made: Object = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": name(slug),
            "labels": {"app.kubernetes.io/name": slug, "app.kubernetes.io/managed-by": "m2g"},
            "annotations": {
                "serving.kserve.io/server-type": "mlserver",
                # Before the InferenceService, which is InvalidSpec for KServe while there is no such runtime.
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
    return {"servingruntime.yaml": made}
