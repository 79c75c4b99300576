"""Rules that need more than one object, through `m2g validate` and the real kustomize, with the file to change."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding, Severity
from m2g.core.model import Flavor, Mlmodel
from tests.support.fleet import CONFIG, FakeRegistry, release, repository, run, write_record
from tests.support.handmade_fleet import COMPONENT, write

CUSTOM = "models/wine/custom/prod/kustomization.yaml"
HERE = "models/wine/custom/prod"


BOUNDS = "bounds: {kinds: [ConfigMap, ServiceAccount, ExternalSecret.external-secrets.io], platform: [Secret]}"


def fleet(root: Path, files: dict[str, str] | None = None, more: str = "", mlmodel: Mlmodel | None = None) -> Path:
    """One model in one environment, with people's files."""
    repository(root, CONFIG.replace("flux: {}}", f"flux: {{}}, {BOUNDS}}}") + more)
    write(root, files or {})
    record = release("wine", "prod")
    write_record(root, "wine", msgspec.structs.replace(record, mlmodel=mlmodel or record.mlmodel))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    return root


def found(root: Path) -> list[Finding]:
    return list(validate(root, ValidateOptions()).findings)


def only(root: Path) -> Finding:
    (finding,) = found(root)
    return finding


def patched(*operations: str, more: str = "") -> dict[str, str]:
    lines = "\n".join(f"    - {{op: add, {operation}}}" for operation in operations)
    return {CUSTOM: f"{COMPONENT}{more}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n{lines}\n"}


SETTINGS = "path: /spec/predictor/model/envFrom, value: [{configMapRef: {name: settings}}]"


def test_kustomize_does_not_correct_the_name_of_what_it_generates(tmp_path: Path) -> None:
    generator = "configMapGenerator:\n- {name: settings, literals: [MODE=fast]}\n"
    finding = only(fleet(tmp_path, patched(SETTINGS, more=generator)))
    assert (finding.rule, finding.file) == ("reference-generated", CUSTOM)
    assert "'settings', but the built ConfigMap is named settings-" in finding.message


def test_without_a_hash_the_name_is_right(tmp_path: Path) -> None:
    generator = "configMapGenerator:\n- {name: settings, literals: [A=b], options: {disableNameSuffixHash: true}}\n"
    assert found(fleet(tmp_path, patched(SETTINGS, more=generator), "external: {configMaps: []}\n")) == []


ACCOUNT = "models/wine/model.yaml"


def test_nothing_is_said_of_names_without_a_list(tmp_path: Path) -> None:
    assert found(fleet(tmp_path, {ACCOUNT: "settings: {serviceAccountName: s3-raeder}\n"})) == []


def test_a_name_is_built_or_listed(tmp_path: Path) -> None:
    listed = "external: {serviceAccounts: [s3-reader], servingRuntimes: []}\n"
    finding = only(fleet(tmp_path / "a", {ACCOUNT: "settings:\n  serviceAccountName: s3-raeder\n"}, listed))
    assert (finding.rule, finding.file, finding.line) == ("reference-exists", ACCOUNT, 2)
    assert "external.serviceAccounts" in finding.hint
    assert found(fleet(tmp_path / "b", {ACCOUNT: "settings: {serviceAccountName: s3-reader}\n"}, listed)) == []
    account = {f"{HERE}/sa.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: own}\n"}
    files = {CUSTOM: f"{COMPONENT}resources: [sa.yaml]\n", ACCOUNT: "settings: {serviceAccountName: own}\n", **account}
    assert found(fleet(tmp_path / "c", files, listed)) == []


def test_what_makes_a_secret_counts_as_the_secret(tmp_path: Path) -> None:
    store = "spec: {secretStoreRef: {name: vault}, target: {name: hf}, data: []}"
    made = f"apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{name: hf}}\n{store}\n"
    token = "path: /spec/predictor/model/envFrom, value: [{secretRef: {name: hf}}]"
    files = patched(token, more="resources: [hf.yaml]\n") | {f"{HERE}/hf.yaml": made}
    assert "reference-exists" not in {item.rule for item in found(fleet(tmp_path, files, "external: {secrets: []}\n"))}


def test_a_secret_beside_the_models(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s3}\nstringData:\n  key: in-plain-sight\n"
    finding = only(fleet(tmp_path, {"platform/s3.yaml": text}))
    assert (finding.rule, finding.file, finding.line) == ("secret-value", "platform/s3.yaml", 5)
    assert "plain-sight" not in f"{finding}"


FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 10m
  path: ./fleet/prod
  prune: true
  sourceRef: {kind: GitRepository, name: models}
"""
SCRIPT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: script}\ndata: {run: 'echo ${HOME}'}\n"


@pytest.mark.parametrize("post", [False, True])
def test_variables_matter_where_flux_replaces_them(tmp_path: Path, post: bool) -> None:
    files = {
        "platform/apps.yaml": FLUX + ("  postBuild: {substitute: {HOME: x}}\n" if post else ""),
        CUSTOM: f"{COMPONENT}resources: [script.yaml]\n",
        f"{HERE}/script.yaml": SCRIPT,
    }
    rules = [(item.rule, item.path) for item in found(fleet(tmp_path, files))]
    walls = [("platform-bounds", "spec")] * 2  # it has neither an account nor the patch
    assert rules == [*([("flux-variable", "data.run")] if post else []), *walls]


@pytest.mark.parametrize("linked", [False, True])
def test_variables_matter_however_the_field_is_written(tmp_path: Path, linked: bool) -> None:
    files = {CUSTOM: f"{COMPONENT}resources: [script.yaml]\n", f"{HERE}/script.yaml": SCRIPT}
    root = fleet(tmp_path, files)
    post = '  "post\\x42uild": {substitute: {HOME: x}}\n'
    if linked:
        (root / "fleet/prod").rename(root / "applied")
        (root / "fleet/prod").symlink_to("../applied")
        (root / "applied/wine.yaml").write_text(FLUX + post)
    else:
        (root / "fleet/prod/own.yaml").write_text(FLUX + post)
    assert "flux-variable" in {item.rule for item in found(root)}


def test_what_is_wrong_in_two_bases_that_are_alike_is_said_of_both(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    write_record(root, "port", release("port", "prod"))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    token = "ghp_" + "a1" * 18
    for slug in ("wine", "port"):
        base = root / f"models/{slug}/base/kustomization.yaml"
        base.write_text(base.read_text() + f"metadata: {{annotations: {{note: {token}}}}}\n")
    files = {item.file for item in found(root) if item.rule == "credential-in-text"}
    assert files >= {"models/port/base/kustomization.yaml", "models/wine/base/kustomization.yaml"}


PACKAGES = {"mlflow": "3.9.0", "skops": "0.13.0", "scikit_learn": "1.5.2", "mlserver": "1.7.1"}


def test_what_the_stock_runtime_cannot_load(tmp_path: Path) -> None:
    flavors = (
        Flavor(name="python_function"),
        Flavor(name="sklearn", version="1.5.2", serialization_format="skops"),
    )
    skops = Mlmodel(sha256="0" * 64, flavors=flavors, python_version="3.10.1", requirements=("scikit-learn==1.5.2",))
    root = fleet(tmp_path, {ACCOUNT: "settings:\n  runtime: kserve-mlserver\n"}, mlmodel=skops)
    finding = only(root)
    assert (finding.rule, finding.file, finding.line) == ("runtime-fails", ACCOUNT, 2)
    (root / ACCOUNT).write_text("settings:\n  runtime: mlserver-skops\n")
    run(root, FakeRegistry(), RenderOptions(locked=True))
    finding = only(root)
    assert (finding.rule, finding.severity) == ("runtime-unsure", Severity.WARNING)
    assert "m2g runtimes import" in finding.hint
    described: dict[str, object] = {"name": "mlserver-skops", "python": "3.10.1", "packages": PACKAGES}
    (root / "runtimes").mkdir()
    (root / "runtimes/mlserver-skops.json").write_text(json.dumps(described))
    assert found(root) == []
    (root / "runtimes/mlserver-skops.json").write_text("{")
    assert {finding.rule for finding in found(root)} == {"runtime-invalid", "runtime-unsure"}


def test_a_model_larger_than_its_memory(tmp_path: Path) -> None:
    large = Mlmodel(sha256="0" * 64, flavors=(Flavor(name="python_function"),), size_bytes=1000 << 20, requirements=())
    finding = only(fleet(tmp_path, {ACCOUNT: "settings:\n  resources: {limits: {memory: 1Gi}}\n"}, mlmodel=large))
    assert (finding.rule, finding.severity, finding.file) == ("memory-for-model", Severity.WARNING, ACCOUNT)
    assert "2000Mi" in finding.hint


def test_a_service_written_by_hand_is_held_to_the_same_rules(tmp_path: Path) -> None:
    hand = (
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: other}\nspec:\n  predictor:\n"
        "    sklearn: {storageUri: 's3://m/'}\n"
    )
    files = {CUSTOM: f"{COMPONENT}resources: [o.yaml]\n", f"{HERE}/o.yaml": hand}
    assert {item.rule for item in found(fleet(tmp_path, files))} == {"deployment-mode", "legacy-framework"}


def test_a_canary_that_a_component_adds(tmp_path: Path) -> None:
    entry = (
        "{trafficPercent: 110, predictor: {model: {name: '', resources: {}, modelFormat: {name: mlflow}, "
        "protocolVersion: v2, storageUri: 's3://m/8/', readinessProbe: {httpGet: {path: /v2/models/beer/ready}}}}}"
    )
    files = patched(f"path: /spec/canary, value: [{entry}]")
    assert {(item.rule, item.path) for item in found(fleet(tmp_path, files))} == {
        ("schema", "spec.canary[0].trafficPercent"),
        ("canary-names", "spec.canary[0].predictor.name"),
        ("canary-traffic", "spec.canary"),
        ("probe-model", "spec.canary[0].predictor.model.readinessProbe.httpGet.path"),
        ("probe-port", "spec.canary[0].predictor.model.readinessProbe.httpGet.port"),
    }


def test_kustomize_s_warnings_are_findings(tmp_path: Path) -> None:
    """A variable that is never replaced: KServe's kinds are no place for variables (kustomize#1268)."""
    variable = "vars:\n- {name: PLACE, objref: {kind: ConfigMap, name: places, apiVersion: v1}}\n"
    places = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: places}\ndata: {place: here}\n"
    files = {CUSTOM: f"{COMPONENT}resources: [p.yaml]\n{variable}", f"{HERE}/p.yaml": places}
    warnings = [item for item in found(fleet(tmp_path, files)) if item.rule == "kustomize-warning"]
    assert any("never replaced" in item.message for item in warnings), warnings
    assert all(item.severity == Severity.WARNING and item.environment == "prod" for item in warnings)


def test_a_patch_whose_target_fits_nothing(tmp_path: Path) -> None:
    patch = "  patch: |-\n    - {op: add, path: /spec/predictor/timeout, value: 60}\n"
    files = {CUSTOM: f"{COMPONENT}patches:\n- target: {{kind: InferenceService, name: vine}}\n{patch}"}
    finding = only(fleet(tmp_path, files))
    assert (finding.rule, finding.file, finding.path) == ("kustomize-target", CUSTOM, "patches[0].target")
    assert "InferenceService wine" in finding.hint
    write(tmp_path, {CUSTOM: files[CUSTOM].replace("vine", "wine")})
    assert found(tmp_path) == []


def test_kustomize_s_keys_are_read_in_any_case(tmp_path: Path) -> None:
    replacement = (
        "replacements:\n- source: {kind: InferenceService, name: wine, fieldpath: metadata.name}\n"
        "  targets:\n  - select: {kind: InferenceService}\n"
        "    fieldpaths: ['metadata.annotations.[example.com/served]']\n    options: {create: true}\n"
    )
    assert found(fleet(tmp_path, {CUSTOM: f"{COMPONENT}{replacement}"})) == []
    write(tmp_path, {CUSTOM: f"{COMPONENT}{replacement}Resources: [other.yaml]\n"})
    assert found(tmp_path) != [], "a key that names a file is written as it is documented"
