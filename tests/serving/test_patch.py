"""The setting `patch`: what it changes, what it may not touch, and who may use it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import ryaml

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.json_patch import apply
from m2g.core.setting_fields import PREDICTOR
from m2g.core.settings import list_fields
from m2g.review import Risk
from m2g.review.outside import describe_changes
from tests.support.fleet import CONFIG, FakeRegistry, release, repository, run, write_record
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.attack

FIELDS = list_fields().values()
ALIASES = "{op: add, path: /spec/predictor/hostAliases, value: [{ip: 10.0.0.1, hostnames: [a.test]}]}"
OVERLAY = "models/wine/overlays/prod"


def fleet(root: Path, patch: str, config: str = "bounds: {patch: {}}\n") -> Path:
    repository(root, f"{CONFIG}{config}")
    write(root, {"models/wine/model.yaml": f"settings:\n  patch:\n  - {patch}\n"})
    write_record(root, "wine", release("wine", "prod"))
    return root


def findings(root: Path) -> list[tuple[str, str, str]]:
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True))
    return [(one.rule, one.path, one.message) for one in outcome.findings]


def test_a_patch_is_part_of_what_m2g_writes_and_validate_accepts_it(tmp_path: Path) -> None:
    root = fleet(tmp_path, ALIASES)
    assert findings(root) == []
    operations = ryaml.loads((root / OVERLAY / "patch.yaml").read_text())
    assert {
        "op": "add",
        "path": "/spec/predictor/hostAliases",
        "value": [{"ip": "10.0.0.1", "hostnames": ["a.test"]}],
    } in (operations)
    assert validate(root, ValidateOptions()).findings == ()


def test_a_field_that_the_schema_does_not_know_is_named_at_the_operation(tmp_path: Path) -> None:
    root = fleet(tmp_path, "{op: add, path: /spec/predictor/hostAlias, value: []}")
    assert findings(root) == []
    found = validate(root, ValidateOptions()).findings
    assert {(one.file, one.line) for one in found} == {("models/wine/model.yaml", 3)}


@pytest.mark.parametrize(
    "place",
    sorted({f"/{'/'.join(place)}" for field in FIELDS for place in field.row.places if place[:2] == PREDICTOR}),
)
def test_a_patch_changes_nothing_that_a_setting_decides(tmp_path: Path, place: str) -> None:
    for path in (place, "/spec/predictor", *([f"{place}/x"] if place != "/spec/predictor/containers" else [])):
        root = fleet(tmp_path, f"{{op: add, path: {path}, value: {{}}}}")
        (found,) = findings(root)
        assert found[:2] == ("setting-contradiction", "settings.patch")
        assert found[2].startswith(f"a patch cannot change {path}: ")


@pytest.mark.parametrize(
    "path",
    [
        "/spec/predictor/model/storageUri",
        "/spec/predictor/storageUris",
        "/spec/predictor",
        "/spec/canary/0/predictor",
        "/spec/predictor/model/protocolVersion",
        "/spec/predictor/model/image",
        "/spec/predictor/serviceAccount",
        "/spec/predictor/containers/0/image",
        "/spec/predictor/containers/0/resources/limits",
        "/spec/predictor/containers/0",
    ],
)
def test_a_patch_changes_nothing_that_the_record_decides(tmp_path: Path, path: str) -> None:
    ((rule, place, message),) = findings(fleet(tmp_path, f"{{op: replace, path: {path}, value: x}}"))
    assert (rule, place) == ("setting-contradiction", "settings.patch")
    assert message.startswith(f"a patch cannot change {path}: ")


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("{op: replace, path: /spec/predictor/hostAliases/0/ip, value: x}", "there is no /spec/predictor/hostAliases"),
        ("{op: remove, path: /spec/predictor/dnsPolicy}", "there is no /spec/predictor/dnsPolicy"),
        ("{op: add, path: /spec/predictor/dnsPolicy}", "add /spec/predictor/dnsPolicy has no value"),
        ("{op: remove, path: /spec/predictor/dnsPolicy, value: x}", "remove /spec/predictor/dnsPolicy has a value"),
    ],
)
def test_an_operation_that_fits_no_place_is_named_and_nothing_is_written(
    tmp_path: Path, operation: str, message: str
) -> None:
    root = fleet(tmp_path, operation)
    ((rule, place, found),) = findings(root)
    assert (rule, place) == ("setting-contradiction", "settings.patch")
    assert message in found
    assert not (root / OVERLAY).exists()


def test_a_bound_names_the_paths(tmp_path: Path) -> None:
    bound = "bounds: {patch: {oneOf: [/spec/predictor/hostAliases*]}}\n"
    assert findings(fleet(tmp_path / "inside", ALIASES, bound)) == []
    other = "{op: add, path: /spec/predictor/hostNetwork, value: true}"
    ((rule, _, message),) = findings(fleet(tmp_path / "outside", other, bound))
    assert (rule, message) == (
        "setting-out-of-bounds",
        "'/spec/predictor/hostNetwork' is not one of /spec/predictor/hostAliases*",
    )


def test_a_patch_still_gives_no_access_to_the_node(tmp_path: Path) -> None:
    root = fleet(tmp_path, "{op: add, path: /spec/predictor/hostNetwork, value: true}")
    assert findings(root) == []
    found = validate(root, ValidateOptions()).findings
    assert [(f.rule, f.line) for f in found] == [("outside-bounds", 3)]


def test_later_layers_add_to_a_patch(tmp_path: Path) -> None:
    config = f"bounds: {{patch: {{}}}}\ndefaults: {{patch: [{ALIASES}]}}\n"
    root = fleet(tmp_path, "{op: add, path: /spec/predictor/hostAliases/0/hostnames/-, value: b.test}", config)
    assert findings(root) == []
    assert re.search(r"- a\.test\n\s+- b\.test", (root / OVERLAY / "patch.yaml").read_text())


def test_a_review_says_each_operation_with_its_own_risk(tmp_path: Path) -> None:
    old = fleet(tmp_path / "old", "{op: add, path: /spec/predictor/dnsPolicy, value: Default}")
    new = fleet(tmp_path / "new", ALIASES)
    more = "{op: add, path: /spec/predictor/scaleMetricType, value: Value}"
    write(new, {"models/wine/model.yaml": f"settings:\n  patch:\n  - {ALIASES}\n  - {more}\n"})
    file = "models/wine/model.yaml"
    found = describe_changes(old, new, {file: True}, ())
    decides = "; it decides what the InferenceService says beside its settings"
    aliases = "[{'ip': '10.0.0.1', 'hostnames': ['a.test']}]"
    assert [(one.risk, one.message.removeprefix(f"{file}: settings.patch ")) for one in found] == [
        (Risk.POWERFUL, f"no longer does add /spec/predictor/dnsPolicy = Default{decides}"),
        (Risk.POWERFUL, f"does add /spec/predictor/hostAliases = {aliases}{decides}"),
        (Risk.CAUTION, f"does add /spec/predictor/scaleMetricType = Value{decides}"),
    ]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/a/0", "value": 9}, {"a": [9, 1, 2]}),
        ({"op": "add", "path": "/a/2", "value": 9}, {"a": [1, 2, 9]}),
        ({"op": "add", "path": "/a/-", "value": 9}, {"a": [1, 2, 9]}),
        ({"op": "replace", "path": "/a/1", "value": 9}, {"a": [1, 9]}),
        ({"op": "remove", "path": "/a/0"}, {"a": [2]}),
        ({"op": "add", "path": "/b~1c~0", "value": 1}, {"a": [1, 2], "b/c~": 1}),
    ],
)
def test_operations_do_what_the_rfc_says(operation: dict[str, object], expected: object) -> None:
    before = {"a": [1, 2]}
    assert apply(before, [operation]) == (expected, [])
    assert before == {"a": [1, 2]}


@pytest.mark.parametrize("path", ["/a/3", "/a/01", "/a/-1", "/a/²", "/c/d", "/a/0/x", "/a/99999999999999999999"])
@pytest.mark.parametrize("op", ["add", "remove", "replace"])
def test_an_operation_without_a_place_leaves_the_object(op: str, path: str) -> None:
    operation = {"op": op, "path": path, "value": 1}
    result, problems = apply({"a": [1, 2]}, [operation])
    assert result == {"a": [1, 2]}
    assert [pointer for pointer, _ in problems] == [path]
