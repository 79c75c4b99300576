"""The fixed point: what KServe's own code made of objects, recorded for each version (tests/tools/kserve)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.core.setting_fields import KserveVersion
from m2g.serving import stored
from tests.support.corpus import cases

FOLDER = Path(__file__).parent / "stored"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One object, and where KServe's CRDs and webhook made it differ from Git."""

    name: str
    manifest: dict[str, object]
    differences: list[dict[str, object]]


RECORDED: list[tuple[KserveVersion, Recorded]] = [
    (msgspec.convert(path.stem, KserveVersion), one)
    for path in sorted(FOLDER.glob("*.json"))
    for one in msgspec.json.decode(path.read_bytes(), type=list[Recorded])
]
IDS = [f"{version}-{one.name}" for version, one in RECORDED]


@pytest.mark.parametrize(("version", "one"), RECORDED, ids=IDS)
def test_what_is_stored_is_what_kserve_stored(version: KserveVersion, one: Recorded) -> None:
    found = stored.find_differences(one.manifest, version)
    assert [_plain(difference) for difference in found] == one.differences


@pytest.mark.parametrize(("version", "one"), RECORDED, ids=IDS)
def test_what_is_settled_does_not_differ(version: KserveVersion, one: Recorded) -> None:
    settled = stored.settle(one.manifest, version)
    assert stored.find_differences(settled, version) == []
    assert stored.settle(settled, version) == settled


def test_nothing_right_in_the_corpus_differs() -> None:
    for case in cases():
        assert not case.right or stored.find_differences(case.manifest, case.given.kserve) == [], case.name


def test_annotations_of_another_form_are_the_schemas_concern() -> None:
    """A hostile or broken file reaches the fixed point before the schema's finding is shown."""
    for value in ([], ["Standard"], {"a": "b"}, 1, None):
        manifest = {"metadata": {"annotations": {"serving.kserve.io/deploymentMode": value}}}
        assert stored.settle(manifest, "0.21")["metadata"] == manifest["metadata"]


def _plain(found: stored.Difference) -> dict[str, object]:
    sides = {"given": found.given, "stored": found.stored}
    return {"place": list(found.place), **{key: value for key, value in sides.items() if value is not msgspec.UNSET}}
