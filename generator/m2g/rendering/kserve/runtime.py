"""Profiles that a runtime serves: it reads the model's files from a storage URI and answers by the V2 protocol."""

from __future__ import annotations

from m2g.core.kserve_fields import MLSERVER_VARIABLES
from m2g.rendering.kserve.common import render_container, render_env, render_probes, render_resources
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.spec import Serving


def render_predictor(slug: str, served: ServedModel, serving: Serving) -> Object:
    """`model` with its format, its runtime and its storage URI. In the base, a native model has no format yet."""
    model: Object = {"modelFormat": {"name": served.model_format}} if served.model_format else {}
    model["protocolVersion"] = "v2"
    if served.runtime:
        model["runtime"] = served.runtime
    if served.storage_uri:
        model["storageUri"] = served.storage_uri
    # MLServer answers /v2/health/ready before a model is loaded (MLServer#2056), so the probe asks for the model.
    ready = render_probes(f"/v2/models/{slug}/ready", serving)
    own = _version(served) | _mlserver(served, serving)
    model |= render_env(own | serving.env, serving.env_references) | render_resources(serving) | ready
    return {"model": render_container(model, serving)}


def _mlserver(served: ServedModel, serving: Serving) -> dict[str, str]:
    given = serving.given.get("mlserver")
    if served.model_format != "mlflow" or not isinstance(given, dict):
        return {}
    return {variable: str(given[name]) for name, variable in MLSERVER_VARIABLES.items() if name in given}


def _version(served: ServedModel) -> dict[str, str]:
    """MLServer returns this version in every answer; `m2g smoke --url` compares it with the version in Git."""
    if served.release is None or served.model_format != "mlflow":
        return {}
    return {"MLSERVER_MODEL_VERSION": served.release.version}
