"""What m2g says of the situations in public reports (docs/reference/reports-tried.md tells them in words)."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g.commands.validate import ValidateOptions, validate
from m2g.validation.manifests import check_manifests
from tests.support.fleet import FakeRegistry, model, repository, run

REPORTS = Path(__file__).parent / "reports"
SAID = {
    "SeldonIO-MLServer-642": {"env-mlserver"},
    "kserve-kserve-1433": {"schema", "legacy-framework", "model-name-empty"},
    "kserve-kserve-2279": {"deployment-mode", "image-latest", "stored-form"},
    "kserve-kserve-2483": {"mlflow-protocol", "storage-uri"},
    "kserve-kserve-3385": {"legacy-framework"},
    "kserve-kserve-3514": {"scale-to-zero"},
    "kserve-kserve-4074": {"canary-percent-mode", "legacy-framework"},
    "kserve-kserve-4174": {"image-latest", "stored-form"},
    "kserve-kserve-5029": {"mlflow-protocol", "quantity-canonical"},
    "kserve-kserve-6001": {"scale-to-zero"},
    "kserve-kserve-730": {"schema"},
    "kserve-kserve-pr-3086": {"deployment-mode"},
}
SERVICE = "apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {name: wine}"
CONTAINERS = "spec: {predictor: {containers: [{name: sidecar, image: x}]}}"
VARIABLES = "spec: {predictor: {model: {env: [{name: X, value: y}]}}}"
ACCOUNT = "{op: add, path: /spec/predictor/serviceAccountName, value: '${account}'}"
COMPONENTS = {
    "kubernetes-sigs/kustomize#1027": (
        f"patches: [{{patch: '{{{SERVICE}, {CONTAINERS}}}'}}]\n",
        "kustomize-list-patch",
    ),
    "kubernetes-sigs/kustomize#4514": (f"patches: [{{patch: '{{{SERVICE}, {VARIABLES}}}'}}]\n", "kustomize-list-patch"),
    "kubernetes-sigs/kustomize#3130": ("namePrefix: test-\n", "kustomize-name-affix"),
    "kubernetes-sigs/kustomize#1478": ("nameSuffix: -dev\n", "kustomize-name-affix"),
    "fluxcd/kustomize-controller#1543": (
        f"patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    - {ACCOUNT}\n",
        "account-name",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_a_manifest_as_in_the_report(name: str) -> None:
    report = check_manifests(REPORTS, [f"{name}.yaml"], "0.21")
    assert {finding.rule for finding in report.findings} == SAID[name]
    assert all(finding.hint for finding in report.findings)


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("report", COMPONENTS)
def test_a_component_as_in_the_report(tmp_path: Path, report: str) -> None:
    text, rule = COMPONENTS[report]
    root = repository(tmp_path)
    folder = root / "models/wine/custom/prod"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(f"apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n{text}")
    run(root, FakeRegistry([model(champion="1")]))
    assert rule in {finding.rule for finding in validate(root, ValidateOptions()).findings}


def test_every_report_is_on_the_page_and_tried() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/reports-tried.md").read_text()
    assert {path.stem for path in REPORTS.glob("*.yaml")} == set(SAID)
    links = [path.read_text().splitlines()[0].removeprefix("# ") for path in REPORTS.glob("*.yaml")]
    links += [f"https://github.com/{name.replace('#', '/issues/')}" for name in COMPONENTS]
    assert [link for link in links if f"({link})" not in page] == []
