"""Who may set what: a model.yaml and a registry tag set nothing that decides much, unless m2g.yaml says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding
from m2g.core.settings import list_fields
from m2g.report.findings import render_report
from m2g.repository import config
from tests.support.fleet import CONFIG, FakeRegistry, release, repository, run, write_record
from tests.support.handmade_fleet import write
from tests.support.setting_cases import CASES

pytestmark = pytest.mark.attack

GRANTED = [name for name, field in list_fields().items() if field.row.granted]
SECRET = "{A: {valueFrom: {secretKeyRef: {name: database, key: password}}}}"


def fleet(root: Path, settings: str, bounds: str = "") -> Path:
    repository(root, f"{CONFIG}bounds: {{{bounds}}}\n")
    write(root, {"models/wine/model.yaml": f"settings:\n  {settings}\n"})
    write_record(root, "wine", release("wine", "prod"))
    return root


def refused(root: Path) -> list[Finding]:
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True))
    assert not (root / "models/wine/overlays").exists()
    return list(outcome.findings)


@pytest.mark.parametrize("name", GRANTED)
def test_a_model_sets_nothing_that_decides_much_by_itself(tmp_path: Path, name: str) -> None:
    beside = f"\n  {CASES[name].beside}" if CASES[name].beside else ""
    root = fleet(tmp_path, f"{name}: {CASES[name].good}{beside}")
    found = [finding for finding in refused(root) if finding.path == f"settings.{name}"]
    assert [(f.rule, f.file, f.message) for f in found] == [
        ("setting-out-of-bounds", "models/wine/model.yaml", f"only m2g.yaml may set {name}")
    ]
    (line,) = [f.line for f in validate(root, ValidateOptions()).findings if f.path == f"settings.{name}"]
    assert line == 2


def test_the_hint_says_what_the_owners_of_m2g_yaml_write(tmp_path: Path) -> None:
    root = fleet(tmp_path, f"priorityClassName: models\n  env: {SECRET}")
    found = refused(root)
    assert [finding.path for finding in found] == ["settings.priorityClassName", "settings.env.A"]
    bounds = [match[1] for finding in found if (match := re.search(r"bounds: \{(.*)\}$", finding.hint))]
    assert len(bounds) == 2
    repository(root, f"{CONFIG}bounds: {{{', '.join(bounds)}}}\n")
    assert run(root, FakeRegistry(), RenderOptions(locked=True)).findings == ()
    assert "secretKeyRef" in (root / "models/wine/base/inferenceservice.yaml").read_text()


@pytest.mark.parametrize("place", ["annotations", "podAnnotations", "labels", "podLabels"])
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("logger", "logger"),
        ("logger-sink-url", "logger"),
        ("storage-spec-param", "storage"),
        ("storage-initializer-sourceuri", "storage"),
        ("localmodel-pvc-name", "patch"),
        ("agent", "patch"),
    ],
)
def test_kserves_own_form_of_a_setting_needs_the_bound_of_the_setting(
    tmp_path: Path, place: str, key: str, name: str
) -> None:
    """KServe copies annotations to the pods, where its webhook obeys them as if the controller had written them."""
    settings = f"{place}: {{internal.serving.kserve.io/{key}: evil}}"
    (finding,) = refused(fleet(tmp_path / "a", settings, "networkPolicy: {}"))
    assert finding.rule == "setting-out-of-bounds"
    assert finding.path == f"settings.{place}.internal.serving.kserve.io/{key}"
    assert f"bounds: {{{name}: {{}}}}" in finding.hint
    root = fleet(tmp_path / "b", settings, f"{name}: {{}}")
    assert run(root, FakeRegistry(), RenderOptions(locked=True)).findings == ()


def test_a_bound_of_another_setting_grants_no_secret(tmp_path: Path) -> None:
    (finding,) = refused(fleet(tmp_path, f"env: {SECRET}", "env.A: {oneOf: ['*']}"))
    assert finding.message == "only m2g.yaml may use valueFrom"


def test_a_granted_setting_still_gives_no_access_to_the_node(tmp_path: Path) -> None:
    root = fleet(tmp_path, "securityContext: {privileged: true}", "securityContext: {}")
    run(root, FakeRegistry(), RenderOptions(locked=True))
    found = validate(root, ValidateOptions()).findings
    assert [(f.rule, f.file, f.line) for f in found if f.rule == "outside-bounds"] == [
        ("outside-bounds", "models/wine/model.yaml", 2)
    ]
    assert render_report(validate(root, ValidateOptions()), "text")


def test_no_bound_allows_files_of_the_node(tmp_path: Path) -> None:
    text = b"settings:\n  volumes: [{name: n, hostPath: {path: /}}]\n"
    intent, findings = config.parse_intent("models/wine/model.yaml", text)
    assert intent is None
    assert [(f.line, f.path, f.message) for f in findings] == [
        (2, "settings.volumes[0].hostPath", "is not a known field")
    ]


@pytest.mark.parametrize("name", [name for name in GRANTED if name.endswith("Name") or name == "podSecurity"])
def test_a_tag_needs_a_bound_for_it(name: str) -> None:
    loaded = config.parse(f"{CONFIG}tags: {{t: {name}}}\n".encode())
    assert [finding.path for finding in loaded.findings] == ["tags.t"]


@pytest.mark.parametrize("name", [name for name in GRANTED if CASES[name].good[0] in "[{"])
def test_no_tag_sets_a_structure(name: str) -> None:
    loaded = config.parse(f"{CONFIG}tags: {{t: {name}}}\nbounds: {{{name}: {{}}}}\n".encode())
    assert [finding.message for finding in loaded.findings] == [f"{name!r} is not a setting with one value"]


def test_a_password_in_a_transformer_is_found(tmp_path: Path) -> None:
    """By the variable's name, as in env: the value says nothing."""
    container = "{name: t, image: r.test/t, env: [{name: DB_PASSWORD, value: sesame42x}]}"
    root = fleet(tmp_path, f"transformer: {{containers: [{container}]}}", "transformer: {}")
    found = [(f.file, f.line) for f in validate(root, ValidateOptions()).findings if f.rule == "secret-in-file"]
    assert found == [("models/wine/model.yaml", 2)]
