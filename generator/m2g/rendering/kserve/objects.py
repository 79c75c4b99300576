"""The objects of a model that KServe serves, by file."""

from __future__ import annotations

from m2g.rendering.kserve import batch, inference_service
from m2g.rendering.kserve.profiles import FORMS
from m2g.rendering.objects import Object, Subject
from m2g.serving import profile
from m2g.serving.spec import RUNTIMES, Serving

SERVICE = "inferenceservice.yaml"


def base(slug: str, model: str, serving: Serving) -> dict[str, Object]:
    """What knows no release: settings of all environments, and the form of the profile that they ask for."""
    chosen = profile.base(serving)
    subject = Subject(
        model=model,
        profile=chosen,
        model_format=FORMS[chosen].model_format,
        runtime=serving.runtime or RUNTIMES.get(chosen, ""),
        image=serving.image if chosen == "mlflow-image" else "",
    )
    return {SERVICE: inference_service.inference_service(slug, subject, serving)}


def overlay(slug: str, subject: Subject, serving: Serving) -> dict[str, Object]:
    """All objects of one release."""
    return {
        SERVICE: inference_service.inference_service(slug, subject, serving),
        **FORMS[subject.profile].beside(slug, subject, serving),
        **batch.beside(slug, subject, serving),
    }
