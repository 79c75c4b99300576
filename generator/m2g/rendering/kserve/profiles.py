"""Profile to the functions that write it. To add a profile: a file with `predictor`, and its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from m2g.core.config_types import Profile
from m2g.rendering.kserve import mlflow_image, mlserver_image, runtime
from m2g.rendering.objects import Object, Subject
from m2g.serving.spec import Serving


def _alone(_slug: str, _subject: Subject, _serving: Serving) -> dict[str, Object]:
    return {}


class Form(NamedTuple):
    """`predictor` gives what serves inside spec.predictor; `model_format` is the word of the base for it; `beside`
    gives other objects of the overlay, by file.
    """

    predictor: Callable[[str, Subject, Serving], Object]
    model_format: str = ""
    beside: Callable[[str, Subject, Serving], dict[str, Object]] = _alone


FORMS: Mapping[Profile, Form] = {
    "mlserver": Form(runtime.predictor, model_format="mlflow"),
    "mlserver-image": Form(mlserver_image.predictor, model_format="mlflow", beside=mlserver_image.beside),
    "mlflow-image": Form(mlflow_image.predictor),
    "native": Form(runtime.predictor),
    "huggingface": Form(runtime.predictor, model_format="huggingface"),
    "oci": Form(runtime.predictor, model_format="mlflow"),
}
