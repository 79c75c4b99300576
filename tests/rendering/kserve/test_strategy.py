"""How pods are replaced: a GPU model does not wait for a second GPU (kserve#4618)."""

from __future__ import annotations

import msgspec
import pytest

from m2g.core.config_types import Kserve
from m2g.core.manifest import get_at
from m2g.core.settings import Settings
from m2g.rendering.kserve.objects import render_base
from m2g.serving.settings import Layer, resolve_settings

SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
ONE_BY_ONE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
GPU = "resources: {limits: {nvidia.com/gpu: 1}}"


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        ("{}", SURGE),
        (f"{{{GPU}}}", ONE_BY_ONE),
        (f"{{{GPU}, deploymentStrategy: RollingUpdate}}", SURGE),
        (f"{{{GPU}, deploymentStrategy: Recreate}}", {"type": "Recreate"}),
        ("{deploymentStrategy: Recreate}", {"type": "Recreate"}),
    ],
)
def test_the_strategy_is_the_setting_s_and_a_gpu_s_default_needs_no_spare_gpu(
    settings: str, strategy: dict[str, object]
) -> None:
    layer = Layer(settings=msgspec.yaml.decode(settings, type=Settings), file="m2g.yaml", place="defaults")
    serving, findings = resolve_settings([layer], {}, Kserve())
    assert findings == []
    (service,) = render_base("wine", "Wine", serving).values()
    assert get_at(service, "spec", "predictor", "deploymentStrategy") == strategy
