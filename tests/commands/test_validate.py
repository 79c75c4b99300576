"""`m2g validate` on repositories as m2g renders them, with what people do to them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError, OutsideError
from m2g.core.finding import Finding, Report, Severity
from m2g.repository.load import InvalidRepository
from tests.support.fleet import CONFIG, FakeRegistry, narrowed, release, repository, run, write_record
from tests.support.handmade_fleet import write

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
CUSTOM = "models/wine/custom/prod/kustomization.yaml"


def fleet(root: Path, *files: tuple[str, str]) -> Path:
    """Two models in two environments, rendered from records, with people's files in place before."""
    repository(root)
    write(root, dict(files))
    for name in ("wine", "beer"):
        for environment in ("dev", "prod"):
            write_record(root, name, release(name, environment))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    return root


def check(root: Path, **scope: str) -> Report:
    return validate(root, ValidateOptions(scope=narrowed(scope)))


def only(report: Report) -> Finding:
    (finding,) = report.findings
    return finding


def patched(patch: str) -> str:
    return f"{COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    {patch}\n"


def test_what_m2g_renders_is_valid_and_needs_no_git(tmp_path: Path) -> None:
    report = check(fleet(tmp_path))
    assert report.findings == ()
    assert (report.checked.models, report.checked.overlays, report.checked.objects) == (2, 4, 4)


def test_an_empty_repository_is_valid(tmp_path: Path) -> None:
    assert check(repository(tmp_path)).findings == ()


def test_a_misspelt_field_is_found_in_the_component_that_sets_it(tmp_path: Path) -> None:
    patch = "- {op: add, path: /spec/predictor/maxReplica, value: 3}"
    finding = only(check(fleet(tmp_path, (CUSTOM, patched(patch)))))
    assert (finding.file, finding.line, finding.rule) == (CUSTOM, 4, "schema")
    assert (finding.path, finding.model, finding.environment) == ("spec.predictor.maxReplica", "wine", "prod")
    assert "maxReplicas" in finding.hint


def test_a_patch_in_a_file_of_its_own_is_named_with_its_line(tmp_path: Path) -> None:
    strategic = (
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata:\n  name: wine\n"
        "spec:\n  predictor:\n    scaleMetric: rps\n"
    )
    operations = "- op: add\n  path: /spec/predictor/timeout\n  value: soon\n"
    files = [
        (CUSTOM, COMPONENT + "patches:\n- path: scale.yaml\n- {path: time.yaml, target: {kind: InferenceService}}\n"),
        ("models/wine/custom/prod/scale.yaml", strategic),
        ("models/wine/custom/prod/time.yaml", operations),
    ]
    found = check(fleet(tmp_path, *files)).findings
    assert [(Path(item.file).name, item.line, item.rule) for item in found] == [
        ("scale.yaml", 7, "scale-metric"),
        ("time.yaml", 1, "schema"),
    ]


def test_a_setting_is_found_where_a_person_wrote_it(tmp_path: Path) -> None:
    root = fleet(tmp_path, ("models/wine/model.yaml", "settings:\n  env:\n    A: b\n  minReplicas: 2\n"))
    base = root / "models/wine/base/inferenceservice.yaml"
    base.write_text(base.read_text().replace("minReplicas: 2", "minReplicas: 9"))
    found = {(item.rule, item.environment): item for item in check(root).findings}
    assert found["hand-edit", ""].file == "models/wine/base/inferenceservice.yaml"
    in_prod = found["replicas-range", "prod"]
    assert (in_prod.file, in_prod.line, in_prod.path) == ("m2g.yaml", 5, "spec.predictor.maxReplicas")


def test_storage_is_the_record_s_matter(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    patch = root / "models/wine/overlays/prod/patch.yaml"
    patch.write_text(patch.read_text().replace("s3://", "mlflow-artifacts:/"))
    found = {item.rule: item for item in check(root).findings}
    assert found["storage-uri"].file == "models/wine/releases/prod.json"


def test_people_s_yaml_is_checked_with_lines(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    write(
        root,
        {
            "m2g.yaml": (root / "m2g.yaml").read_text() + "removal: {}\n",
            "models/wine/model.yaml": "settings:\n  minReplicas: two\n",
            "models/beer/model.yaml": "settings: [\n",
        },
    )
    found = {item.file: item for item in check(root).findings}
    assert (found["m2g.yaml"].line, found["m2g.yaml"].path) == (7, "removal")
    assert found["models/wine/model.yaml"].line == 2
    assert found["models/beer/model.yaml"].rule == "yaml-invalid"
    assert found["models/beer/model.yaml"].model == "beer"


def test_a_broken_m2g_yaml_does_not_hide_the_rest(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    write(root, {"m2g.yaml": "version: [", "models/wine/model.yaml": "settings: 1\n"})
    assert {item.file for item in check(root).findings} == {"m2g.yaml", "models/wine/model.yaml"}


def test_records_and_marks(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    record, base, card = (
        root / f"models/{path}"
        for path in ("wine/releases/prod.json", "wine/base/inferenceservice.yaml", "beer/README.md")
    )
    record.write_text(record.read_text().replace('"version": "1"', '"version": "2"'))
    base.write_text(f"<<<<<<< ours\n{base.read_text()}=======\n>>>>>>> theirs\n")
    card.write_text(card.read_text() + "a note\n")
    write(
        root,
        {
            "models/wine/base/notes.txt": "mine",
            "fleet/prod/_namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: models-prod}\n",
        },
    )
    (root / "docs").mkdir(exist_ok=True)
    (root / "models/wine/overlays/linked").symlink_to("../../../docs")
    found = {(item.file, item.rule): item for item in check(root).findings}
    assert "regular file" in found["models/wine/overlays/linked", "unknown-file"].message
    assert ("models/wine/releases/prod.json", "record-edited") in found
    assert ("models/wine/base/inferenceservice.yaml", "merge-conflict") in found
    assert ("models/beer/README.md", "hand-edit") in found
    assert found["models/wine/base/notes.txt", "unknown-file"].severity is Severity.ERROR
    assert found["fleet/prod/_namespace.yaml", "unknown-file"].severity is Severity.ERROR


@pytest.mark.parametrize("place", ["models", "models/wine", "models/wine/base", "fleet", "fleet/prod"])
def test_a_link_in_the_place_of_a_folder_is_named(tmp_path: Path, place: str) -> None:
    root = fleet(tmp_path)
    (root / "aside").mkdir()
    (root / place).rename(root / "aside/it")
    (root / place).symlink_to(os.path.relpath(root / "aside/it", (root / place).parent))
    found = check(root).findings
    assert [(item.file, item.severity) for item in found if item.rule == "linked-folder"] == [(place, Severity.ERROR)]
    if place != "models/wine/base":
        with pytest.raises(InvalidRepository, match=f"{place}: is a symlink"):
            run(root, FakeRegistry(), RenderOptions(locked=True))


def test_a_link_to_nothing_is_named_where_a_folder_should_be(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    (root / "models/port").symlink_to("../not/checked/out")
    (root / "models/README.md").symlink_to("../m2g.yaml")  # a file is nobody's folder
    (root / "fleet/loop").symlink_to("loop")
    found = {item.file for item in check(root).findings if item.rule == "linked-folder"}
    assert found == {"models/port", "fleet/loop"}


@pytest.mark.parametrize("place", ["fleet/dev/x.yaml", "platform/x.yaml", "models/wine/model.yaml", "policies/a.yaml"])
def test_a_link_that_leads_in_a_circle_is_a_finding(tmp_path: Path, place: str) -> None:
    root = fleet(tmp_path)
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).symlink_to(Path(place).name)
    [found] = [item for item in check(root).findings if (item.file, item.rule) == (place, "yaml-invalid")]
    assert "is a loop of symlinks" in found.message


def test_a_record_and_an_overlay_without_each_other(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    (root / "models/wine/releases/dev.json").unlink()
    for path in (root / "models/beer/overlays/dev").iterdir():
        path.unlink()
    (root / "models/beer/overlays/dev").rmdir()
    findings = check(root).findings
    assert [(item.file, item.rule, item.environment) for item in findings] == [
        ("models/beer/releases/dev.json", "record-unpaired", "dev"),
        ("models/wine/overlays/dev", "record-unpaired", "dev"),
    ]
    # Rendering without the record would remove the service, so the hint brings the record back first.
    assert findings[1].hint.startswith("restore the record: git checkout -- models/wine/releases/dev.json; ")


def test_an_overlay_that_does_not_build_names_overlay_and_file(tmp_path: Path) -> None:
    finding = only(check(fleet(tmp_path, (CUSTOM, COMPONENT + "resources: [redis.yaml]\n"))))
    assert (finding.rule, finding.file, finding.model, finding.environment) == ("overlay-build", CUSTOM, "wine", "prod")
    assert "redis.yaml" in finding.message
    finding = only(check(fleet(tmp_path / "b", (CUSTOM, patched("- {op: test, path: /spec/x, value: 1}")))))
    assert finding.rule == "overlay-build"
    assert "/spec/x" in finding.message


def test_what_corrupts_a_service_is_named_in_the_component(tmp_path: Path) -> None:
    text = COMPONENT + "namePrefix: x-\nreplicas:\n- {name: wine, count: 2}\nimags: []\n"
    found = check(fleet(tmp_path, (CUSTOM, text))).findings
    named = {(item.rule, item.line) for item in found if item.file == CUSTOM}
    assert {("kustomize-name-affix", 3), ("kustomize-replicas", 5), ("schema", 6)} <= named


def test_people_s_own_objects_are_checked_too(tmp_path: Path) -> None:
    account = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: wine}\nsecret: [x]\n"
    files = [(CUSTOM, COMPONENT + "resources: [sa.yaml]\n"), ("models/wine/custom/prod/sa.yaml", account)]
    finding = only(check(fleet(tmp_path, *files)))
    assert (finding.rule, finding.file, finding.path) == ("schema", CUSTOM, "secret")


def test_platform_and_fleet_files_are_checked_with_lines(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: models-dev\n"
    write(
        root,
        {
            "platform/a.yaml": f"# first\n---\n{namespace}---\n# second\n{namespace}  labels: {{a: [b]}}\n",
            "platform/b/c.yml": "a: 1\na: 2\n",
            "platform/b/kustomization.yaml": "resources: [../a.yaml]\n",
            "platform/d.yaml": "- a\n",
            "platform/notes.txt": "- a\n",
        },
    )
    flux = root / "fleet/prod/wine.yaml"
    flux.write_text(flux.read_text().replace("interval", "intervall"))
    found = {(item.file, item.rule): item for item in check(root).findings}
    assert (found["platform/a.yaml", "schema"].line, found["platform/a.yaml", "schema"].path) == (
        13,
        "metadata.labels.a",
    )
    assert found["platform/b/c.yml", "yaml-invalid"].message
    assert found["platform/d.yaml", "schema"].line == 1
    assert found["fleet/prod/wine.yaml", "schema"].model == "wine"
    assert ("fleet/prod/wine.yaml", "hand-edit") in found
    assert len({file for file, _ in found}) == 4


def test_links_that_leave_the_repository(tmp_path: Path) -> None:
    root = fleet(tmp_path / "repository")
    write(tmp_path, {"outside.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"})
    (root / "platform").mkdir()
    (root / "platform/link.yaml").symlink_to(tmp_path / "outside.yaml")
    assert "outside the repository" in only(check(root)).message


def test_a_scope_limits_what_is_built_and_said(tmp_path: Path) -> None:
    root = fleet(tmp_path, (CUSTOM, patched("- {op: add, path: /spec/predictor/maxReplica, value: 3}")))
    assert check(root, models="beer").findings == ()
    assert check(root, environments="dev").findings == ()
    assert check(root, models="wine", environments="prod").checked.overlays == 1
    assert len(check(root, models="wine").findings) == 1
    with pytest.raises(InputError) as caught:
        check(root, models="wien")
    assert "wine" in caught.value.hint
    with pytest.raises(InputError, match="no environment"):
        check(root, environments="production")


def test_without_kustomize_nothing_is_called_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fleet(tmp_path)
    monkeypatch.setenv("M2G_KUSTOMIZE", str(tmp_path / "none"))
    with pytest.raises(OutsideError):
        check(root)


def test_findings_come_sorted_and_once(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    base = root / "models/wine/base/inferenceservice.yaml"
    base.write_text(base.read_text().replace("protocolVersion: v2", "protocolVersion: v1"))
    found = check(root).findings
    assert list(found) == sorted(set(found))
    assert {(item.rule, item.environment) for item in found} == {
        ("hand-edit", ""),
        ("mlflow-protocol", "dev"),
        ("mlflow-protocol", "prod"),
    }


class TestSettings:
    """What render would refuse is said by validate too, with file and line."""

    @pytest.mark.parametrize(
        ("settings", "path", "line"),
        [
            ("settings:\n  minReplicas: 9\n", "settings.minReplicas", 2),
            ("settings:\n  resources:\n    limits: {memory: 2GB}\n", "settings.resources.limits.memory", 3),
            ("settings: {scaleMetric: rps}\n", "settings.scaleMetric", 1),
        ],
    )
    def test_a_setting_that_cannot_be(self, tmp_path: Path, settings: str, path: str, line: int) -> None:
        root = fleet(tmp_path)
        write(root, {"models/wine/model.yaml": settings})
        found = {(f.file, f.path, f.line) for f in check(root).findings}
        assert ("models/wine/model.yaml", path, line) in found

    def test_a_namespace_that_makes_names_too_long(self, tmp_path: Path) -> None:
        root = fleet(tmp_path)
        config = root / "m2g.yaml"
        config.write_text(config.read_text().replace("models-prod", "n" * 60))
        assert "name-too-long" in {finding.rule for finding in check(root).findings}


def test_a_component_of_no_environment_is_named(tmp_path: Path) -> None:
    root = fleet(tmp_path, ("models/wine/custom/prd/kustomization.yaml", COMPONENT))
    finding = only(check(root))
    assert (finding.rule, finding.severity) == ("component-unused", Severity.WARNING)
    assert "dev, prod" in finding.hint


def test_a_service_that_a_component_deletes_is_missed(tmp_path: Path) -> None:
    deleted = (
        f"{COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    $patch: delete\n"
        "    apiVersion: serving.kserve.io/v1beta1\n    kind: InferenceService\n    metadata: {name: wine}\n"
    )
    root = fleet(tmp_path, (CUSTOM, deleted))
    assert "service-missing" in {finding.rule for finding in check(root).findings}


def test_rights_do_not_belong_into_a_models_folder(tmp_path: Path) -> None:
    binding = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: all}\n"
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"
        "subjects: [{kind: ServiceAccount, name: default, namespace: x}]\n"
    )
    root = fleet(tmp_path, (CUSTOM, f"{COMPONENT}resources: [b.yaml]\n"), ("models/wine/custom/prod/b.yaml", binding))
    assert "overlay-scope" in {finding.rule for finding in check(root).findings}


def test_a_record_in_another_models_folder_is_found(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    (root / "models/beer/releases/prod.json").write_bytes((root / "models/wine/releases/prod.json").read_bytes())
    assert "record-misplaced" in {finding.rule for finding in check(root).findings}


@pytest.mark.parametrize("path", ["requests/own.json", "base/own.yaml", "base/deeper/own.yaml"])
def test_an_unknown_file_is_one_finding(tmp_path: Path, path: str) -> None:
    root = fleet(tmp_path, (f"models/wine/{path}", "{}\n"))
    assert [f.rule for f in check(root).findings if f.file == f"models/wine/{path}"] == ["unknown-file"]


def test_a_write_that_was_killed_half_way_is_said(tmp_path: Path) -> None:
    root = fleet(tmp_path)
    (root / ".m2g/write").mkdir(parents=True)
    (root / ".m2g/write/journal.json").write_text('{"writes": [], "removals": []}')
    finding = only(check(root))
    assert (finding.rule, finding.severity) == ("write-unfinished", Severity.ERROR)
    run(root, FakeRegistry(), RenderOptions(locked=True))
    assert check(root).findings == ()


def test_settings_that_no_model_uses_yet_are_checked(tmp_path: Path) -> None:
    settings = "{alias: champion}, settings: {minReplicas: 2, maxReplicas: 4, resources: {requests: {cpu: lots}}}}"
    config = CONFIG.replace("{alias: champion}, settings: {minReplicas: 2, maxReplicas: 4}}", settings)
    root = repository(tmp_path, f"{config}defaults:\n  resources:\n    limits: {{memory: 2Q}}\n")
    found = [(one.rule, one.path, one.line) for one in validate(root, ValidateOptions()).findings]
    assert found == [
        ("setting-invalid", "environments.prod.settings.resources.requests.cpu", 5),
        ("setting-invalid", "defaults.resources.limits.memory", 9),
    ]
