"""A repository that is made for Seldon: its platform allows what m2g writes for it, and nothing of KServe's."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.commands.validate import ValidateOptions, validate
from tests.support.scaffolded import at, documents, fleet, scaffold, sequence

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("backend", "kind"), [("seldon-core-1", "SeldonDeployment"), ("seldon-core-2", "Model")])
def test_a_fleet_of_seldon_is_valid_and_allowed_by_its_platform(tmp_path: Path, backend: str, kind: str) -> None:
    root = fleet(scaffold(tmp_path / "fleet", f"serving_backend={backend}", "sync=both"))
    report = validate(root, ValidateOptions())
    assert [finding for finding in report.findings if finding.severity == "error"] == []
    project, _ = documents(root / "platform/argocd/prod.yaml")
    allowed = {str(at(entry, "kind")) for entry in sequence(project, "spec", "namespaceResourceWhitelist")}
    assert kind in allowed
    assert "InferenceService" not in allowed
    assert kind in (root / "platform/argocd/_health.patch").read_text()
    assert (
        f"kind: {kind}\n"
        in (root / "models/wine/base")
        .joinpath("seldondeployment.yaml" if backend == "seldon-core-1" else "model.yaml")
        .read_text()
    )
