"""Seldon Core 1 and 2 through every stage: render, build, schema, review, health checks, requests.

The rules come from the operators' own code (v1.18.2, v2.10.2); see serving/seldon.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import ryaml

from m2g.changes.update import RenderOptions
from m2g.commands import request
from m2g.commands.diff import diff
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.manifest import get_at
from m2g.core.model import ModelVersion, VersionFacts
from m2g.core.results import RenderResult
from m2g.repository.state import Scope
from m2g.review import Risk
from m2g.validation.base import Against
from tests.support.fleet import FakeRegistry, model, repository, run
from tests.support.git_repository import commit, start

CONFIG = """\
version: 1
registry: {{uri: "http://mlflow.test"}}
environments:
  dev: {{namespace: models-dev, follow: {{alias: challenger}}}}
  prod: {{namespace: models-prod, follow: {{alias: champion}}, settings: {{minReplicas: 2, maxReplicas: 4}}}}
defaults: {{backend: {backend}, storageSecretName: rclone}}
sync: {{argocd: {{}}, flux: {{}}, bounds: {{backends: [{backend}]}}}}
"""
MAIN = {"seldon-core-1": "SeldonDeployment", "seldon-core-2": "Model"}


@pytest.fixture(params=sorted(MAIN))
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path, backend: str) -> Path:
    return repository(start(tmp_path / "fleet"), CONFIG.format(backend=backend))


def rendered(root: Path, version: str = "1") -> RenderResult:
    return run(root, FakeRegistry([model(champion=version, challenger="2")]))


def read(root: Path, path: str) -> object:
    return ryaml.loads((root / path).read_text())


def configure(root: Path, before: str, after: str) -> None:
    file = root / "m2g.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def test_it_renders_builds_and_validates(root: Path, backend: str) -> None:
    assert rendered(root).findings == ()
    report = validate(root, ValidateOptions())
    assert report.findings == ()
    assert (report.checked.overlays, report.checked.objects) == (2, 2)
    assert run(root, FakeRegistry(), RenderOptions(locked=True, check=True)).files == ()
    check = get_at(read(root, "fleet/prod/wine.yaml"), "spec", "healthChecks", 0)
    names = [get_at(check, name) for name in ("kind", "name", "namespace")]
    assert names == [MAIN[backend], "wine", "models-prod"]


def test_core_1_has_the_version_the_server_and_the_range_of_replicas(tmp_path: Path) -> None:
    root = repository(start(tmp_path / "fleet"), CONFIG.format(backend="seldon-core-1"))
    configure(root, "maxReplicas: 4", "maxReplicas: 4, timeoutSeconds: 30, env: {A: b}")
    rendered(root)
    patch = read(root, "models/wine/overlays/prod/patch.yaml")
    (predictor,) = next(part["value"] for part in patch if part["path"] == "/spec/predictors")  # type: ignore[attr-defined]
    assert predictor["graph"] == {
        "name": "wine",
        "implementation": "MLFLOW_SERVER",
        "modelUri": "s3://mlflow/1/models/m-1/artifacts/",
        "envSecretRefName": "rclone",
    }
    assert "replicas" not in predictor, "the HPA sets it"
    (component,) = predictor["componentSpecs"]
    assert (component["hpaSpec"]["minReplicas"], component["hpaSpec"]["maxReplicas"]) == (2, 4)
    (container,) = component["spec"]["containers"]
    assert (container["name"], container["image"]) == ("wine", "docker.io/seldonio/mlserver:1.7.1")
    assert {"name": "MLSERVER_MODEL_VERSION", "value": "1"} in container["env"]
    assert {"op": "add", "path": "/spec/annotations", "value": {"seldon.io/rest-timeout": "30000"}} in patch  # type: ignore[operator]


def test_core_2_has_the_storage_the_server_and_the_memory(tmp_path: Path) -> None:
    root = repository(start(tmp_path / "fleet"), CONFIG.format(backend="seldon-core-2"))
    configure(root, "storageSecretName: rclone", "storageSecretName: rclone, runtime: gpu-server")
    assert not any(finding.severity == "error" for finding in rendered(root).findings)
    base = read(root, "models/wine/base/model.yaml")
    assert get_at(base, "spec") == {
        "requirements": ["mlflow"],
        "secretName": "rclone",
        "server": "gpu-server",
        "memory": "1Gi",
        "replicas": 1,
    }


def test_a_model_s_own_image_replaces_the_server_of_core_1(tmp_path: Path) -> None:
    root = repository(start(tmp_path / "fleet"), CONFIG.format(backend="seldon-core-1"))
    image = "ghcr.io/acme/wine@sha256:" + "5" * 64
    configure(root, "storageSecretName: rclone", f"image: {image}, imageServer: mlserver")
    outcome = rendered(root)
    assert {(served.profile, served.reason) for served in outcome.served} == {("mlserver-image", "image is set")}
    assert image in (root / "models/wine/base/seldondeployment.yaml").read_text()
    assert validate(root, ValidateOptions()).findings == ()


@pytest.mark.parametrize(
    ("kind", "given", "path"),
    [
        ("seldon-core-1", "containerConcurrency: 3", "containerConcurrency"),
        ("seldon-core-1", "visibility: cluster-local", "visibility"),
        ("seldon-core-1", "runtime: own", "runtime"),
        ("seldon-core-1", "profile: mlflow-image", "profile"),
        ("seldon-core-1", "scaleMetric: rps", "scaleMetric"),
        ("seldon-core-1", "minReplicas: 0", "minReplicas"),
        ("seldon-core-2", "env: {A: b}", "env"),
        ("seldon-core-2", "image: ghcr.io/acme/wine", "image"),
        ("seldon-core-2", "serviceAccountName: models", "serviceAccountName"),
        ("kserve", "storageSecretName: rclone", "storageSecretName"),
    ],
)
def test_what_a_backend_does_not_have_is_refused_where_it_is_written(
    tmp_path: Path, kind: str, given: str, path: str
) -> None:
    root = repository(start(tmp_path / "fleet"), CONFIG.format(backend=kind).replace(", storageSecretName: rclone", ""))
    (root / "models/wine").mkdir(parents=True)
    setting = f"settings: {{{given}, maxReplicas: 4}}\n"
    (root / "models/wine/model.yaml").write_text(setting)
    findings = [one for one in rendered(root).findings if one.rule == "setting-contradiction"]
    assert {(one.file, one.path) for one in findings} >= {("models/wine/model.yaml", f"settings.{path}")}
    (root / "models/wine/model.yaml").unlink()  # the hint: remove it
    assert rendered(root).findings == ()


def test_storage_that_rclone_does_not_read_is_refused_and_a_rewrite_helps(root: Path) -> None:
    configure(root, "defaults:", 'storage: {rewrites: [{from: "s3://mlflow/", to: "hdfs://mlflow/"}]}\ndefaults:')
    (finding, *_) = rendered(root).findings
    assert finding.rule == "storage-refused"
    assert "hdfs://mlflow/1/models" in finding.message
    configure(root, 'to: "hdfs://mlflow/"', 'to: "gs://mlflow/"')
    assert rendered(root).findings == ()


class _NewMlflow(FakeRegistry):
    """A registry whose models were logged with the defaults of MLflow 3.17."""

    def _facts(self, version: ModelVersion) -> VersionFacts:
        facts = super()._facts(version)
        text = facts.files["MLmodel"].replace(b"cloudpickle", b"skops").replace(b"2.19.0", b"3.17.0")
        return msgspec.structs.replace(facts, files={**facts.files, "MLmodel": text})


def test_a_model_that_mlserver_does_not_load_is_named(root: Path) -> None:
    outcome = run(root, _NewMlflow([model(champion="1", challenger="2")]))
    assert {finding.rule for finding in outcome.findings} == {"runtime-fails"}
    assert "mlserver:1.7.1 does not load it" in outcome.findings[0].message


def test_it_is_reviewed_like_any_other(root: Path, backend: str) -> None:
    rendered(root)
    commit(root, "first")
    rendered(root, version="3")
    review = diff(root, "HEAD", Scope())
    (change,) = review.changes
    assert (change.before, change.after) == ("1", "3")
    assert [item.object_kind for item in change.objects] == [MAIN[backend]]
    assert [concern.message for concern in change.concerns if concern.risk is not Risk.ROUTINE] == []


def test_a_foreign_image_by_a_component_is_powerful(tmp_path: Path) -> None:
    root = repository(start(tmp_path / "fleet"), CONFIG.format(backend="seldon-core-1"))
    rendered(root)
    commit(root, "first")
    custom = root / "models/wine/custom/prod"
    custom.mkdir(parents=True)
    place = "/spec/predictors/0/componentSpecs/0/spec/containers/0/image"
    (custom / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n"
        f'- patch: \'[{{"op": "replace", "path": "{place}", "value": "evil.example/x"}}]\'\n'
        "  target: {kind: SeldonDeployment}\n"
    )
    run(root, FakeRegistry(), RenderOptions(locked=True))
    concerns = [one for change in diff(root, "HEAD", Scope()).changes for one in change.concerns]
    assert Risk.POWERFUL in {concern.risk for concern in concerns}


def test_a_backend_outside_the_bounds_is_refused_and_the_hint_works(tmp_path: Path) -> None:
    root = repository(start(tmp_path / "fleet"), CONFIG.format(backend="seldon-core-2"))
    configure(root, ", bounds: {backends: [seldon-core-2]}", "")
    (finding, *_) = rendered(root).findings
    assert (finding.rule, finding.file) == ("setting-out-of-bounds", "m2g.yaml")
    assert "sync: {bounds: {backends: [kserve, seldon-core-2]}}" in finding.hint
    configure(root, "flux: {}", "flux: {}, bounds: {backends: [kserve, seldon-core-2]}")
    assert rendered(root).findings == ()


def test_a_pull_request_cannot_widen_the_backends_and_use_them(tmp_path: Path) -> None:
    root = repository(
        start(tmp_path / "fleet"), CONFIG.format(backend="kserve").replace("storageSecretName: rclone", "")
    )
    rendered(root)
    commit(root, "first")
    configure(root, "backend: kserve", "backend: seldon-core-2")
    configure(root, "backends: [kserve]", "backends: [kserve, seldon-core-2]")
    rendered(root)
    findings = validate(root, ValidateOptions(against=Against(ref="HEAD"))).findings
    assert "Model.mlops.seldon.io" in " ".join(finding.message for finding in findings)


def test_it_is_asked_by_its_own_commands(root: Path, backend: str) -> None:
    rendered(root)
    call = request.prepare_call(request.CallOptions(model="wine", environment="prod"), root)
    words = " ".join(call.port_forward)
    if backend == "seldon-core-1":
        assert "svc/wine-default 8080:8000" in words
        assert "/seldon/models-prod/wine/v2/models/wine/infer" in " ".join(call.ingress)
    else:
        assert "svc/seldon-mesh 8080:80" in words
        assert "Seldon-Model: wine" in words
    assert words.count("/v2/models/wine/infer") == 1
