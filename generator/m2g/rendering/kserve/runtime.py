"""Profiles that a runtime serves: the model's files from a storage URI, asked by the V2 protocol."""

from __future__ import annotations

from m2g.rendering.kserve.common import environment, probes, resources
from m2g.rendering.objects import Object, Subject
from m2g.serving.spec import Serving


def predictor(slug: str, subject: Subject, serving: Serving) -> Object:
    """`model`: its format, the runtime that loads it, where it is. The base of a native model has no format yet."""
    model: Object = {"modelFormat": {"name": subject.model_format}} if subject.model_format else {}
    model["protocolVersion"] = "v2"
    if subject.runtime:
        model["runtime"] = subject.runtime
    if subject.storage_uri:
        model["storageUri"] = subject.storage_uri
    # MLServer answers /v2/health/ready with no model loaded (MLServer#2056): ask for the model itself.
    ready = probes(f"/v2/models/{slug}/ready", serving)
    return {"model": model | environment(_told(subject) | serving.env) | resources(serving) | ready}


def _told(subject: Subject) -> dict[str, str]:
    """MLServer says its version in every answer where it is told one; `m2g smoke --url` compares it with Git's."""
    if subject.release is None or subject.model_format != "mlflow":
        return {}
    return {"MLSERVER_MODEL_VERSION": subject.release.version}
