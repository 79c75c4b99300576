"""A canary of each profile: both versions answer under one name, and each has a server of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.canaries import KSERVE, Fleet, write_config

IMAGE = f"ghcr.io/acme/m@sha256:{'5f' * 32}"
PROFILES = {
    "mlserver-image": f"profile: mlserver-image, image: '{IMAGE}', imageServer: mlserver",
    "mlflow-image": f"profile: mlflow-image, image: '{IMAGE}'",
    "native": "profile: native",
}
ENTRY = {"spec": [], "route": ["HTTPRoute"], "graph": ["InferenceGraph"]}


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("form", KSERVE)
def test_a_canary_of_a_profile(form: str, profile: str, tmp_path: Path) -> None:
    config = write_config(form).replace("settings: {", f"settings: {{{PROFILES[profile]}, ")
    if (form, profile) == ("spec", "mlflow-image"):  # spec.canary needs `model`, so this becomes a HTTPRoute
        form, config = "route", write_config("route").replace("0.19", "0.21")
        config = config.replace("settings: {", f"settings: {{{PROFILES[profile]}, ")
    fleet = Fleet(tmp_path / "fleet", form, config)
    result = fleet.do("start", version="2", percent=10)
    if (form, profile) == ("graph", "mlflow-image"):
        assert (result.action, fleet.intent) == ("refused", "")
        assert "MLflow's server has none" in result.findings[0].message
        return
    assert result.action == "started"
    assert sorted(fleet.shares().values()) == [10, 90]
    assert set(fleet.check()) <= {"runtime-unsure"}
    runtimes = [item for item in fleet.build() if item["kind"] == "ServingRuntime"]
    assert len(runtimes) == (2 if profile == "mlserver-image" else 0)
    fleet.do("promote")
    kinds = [str(item["kind"]) for item in fleet.build()]
    assert sorted(kinds) == sorted(["InferenceService", *ENTRY[form], *(["ServingRuntime"] if runtimes else [])])
    assert set(fleet.check()) <= {"runtime-unsure"}
