"""The objects of a model that KServe serves, by file."""

from __future__ import annotations

from m2g.rendering.kserve import batch, companions, inference_service
from m2g.rendering.kserve.profiles import PROFILES
from m2g.rendering.objects import Object, ServedModel
from m2g.serving import profile
from m2g.serving.spec import RUNTIMES, Serving

find_problems = inference_service.find_problems
SERVICE = "inferenceservice.yaml"


def render_base(slug: str, model: str, serving: Serving) -> dict[str, Object]:
    """The part of the InferenceService that all environments share and that does not depend on a release."""
    base_profile = profile.choose_base_profile(serving)
    served = ServedModel(
        model=model,
        profile=base_profile,
        model_format=PROFILES[base_profile].model_format,
        runtime=serving.runtime or RUNTIMES.get(base_profile, ""),
        image=serving.image if base_profile == "mlflow-image" else "",
    )
    return {SERVICE: inference_service.render_inference_service(slug, served, serving)}


def render_overlay(slug: str, served: ServedModel, serving: Serving) -> dict[str, Object]:
    """All objects of one release."""
    return {
        SERVICE: inference_service.render_inference_service(slug, served, serving),
        **PROFILES[served.profile].others(slug, served, serving),
        **companions.render_companions(slug, served, serving),
        **batch.render_batch(slug, served, serving),
    }
