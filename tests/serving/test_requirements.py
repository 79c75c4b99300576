"""What m2g adds to a model's requirements so that its server starts."""

from __future__ import annotations

import pytest

from m2g.core.model import Profile
from m2g.serving.requirements import image_requirements


@pytest.mark.parametrize(
    ("profile", "mlflow", "bounded"),
    [
        ("mlflow-image", "2.20.4", False),
        ("mlflow-image", "2.22.5", True),
        ("mlflow-image", "3.10.1", True),
        ("mlflow-image", "3.11.0", False),
        ("mlflow-image", "", False),
        ("mlserver-image", "3.4.0", False),
    ],
)
def test_mlflows_server_gets_a_starlette_that_it_can_use(profile: Profile, mlflow: str, bounded: bool) -> None:
    lines = image_requirements([f"mlflow=={mlflow}" if mlflow else "mlflow"], profile, mlflow).lines
    assert ("starlette<1" in lines) is bounded


def test_a_starlette_of_the_model_stays() -> None:
    lines = image_requirements(["mlflow==3.4.0", "starlette==0.40.0"], "mlflow-image", "3.4.0").lines
    assert lines == ("mlflow==3.4.0", "starlette==0.40.0")
