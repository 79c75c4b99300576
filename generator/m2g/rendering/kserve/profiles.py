"""Profile → the functions that render it. A new profile needs a module with `render_predictor` and an entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from m2g.core.model import Profile
from m2g.rendering.kserve import mlflow_image, mlserver_image, runtime
from m2g.rendering.objects import Object, ServedModel
from m2g.serving.spec import Serving


def _render_nothing(_slug: str, _served: ServedModel, _serving: Serving) -> dict[str, Object]:
    return {}


class ProfileRenderer(NamedTuple):
    """`predictor` renders the serving part of spec.predictor; `others` renders further objects of the overlay, by file.

    `model_format` is the model format in the base.
    """

    predictor: Callable[[str, ServedModel, Serving], Object]
    model_format: str = ""
    others: Callable[[str, ServedModel, Serving], dict[str, Object]] = _render_nothing


PROFILES: Mapping[Profile, ProfileRenderer] = {
    "mlserver": ProfileRenderer(runtime.render_predictor, model_format="mlflow"),
    "mlserver-image": ProfileRenderer(
        mlserver_image.render_predictor, model_format="mlflow", others=mlserver_image.render_runtime
    ),
    "mlflow-image": ProfileRenderer(mlflow_image.render_predictor),
    "native": ProfileRenderer(runtime.render_predictor),
    "huggingface": ProfileRenderer(runtime.render_predictor, model_format="huggingface"),
    "oci": ProfileRenderer(runtime.render_predictor, model_format="mlflow"),
}
