"""A candidate in a release record is checked like the stable version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from m2g.commands.validate import ValidateOptions, validate
from m2g.core.model import Image, Variant
from m2g.repository import records
from m2g.validation.base import Against
from tests.support.canaries import Fleet
from tests.support.forged_records import DIGEST
from tests.support.git_repository import commit

pytestmark = pytest.mark.attack

FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "another folder": ({"artifact_uri": "s3://mlflow/uploads/mallory"}, "record-rewritten"),
    "another image": ({"image": Image(name=f"ghcr.io/mallory/m{DIGEST}", profile="mlflow-image")}, "image-elsewhere"),
}


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("promoted", [True, False])
def test_a_forged_candidate_is_found(tmp_path: Path, name: str, promoted: bool) -> None:
    fleet = Fleet(tmp_path / "fleet", "spec")
    fleet.do("start", version="2", percent=10)
    base = commit(fleet.root, "base")
    changes, rule = FORGED[name]
    record = records.decode((fleet.root / "models/wine/releases/prod.json").read_bytes())
    forged: Variant = msgspec.structs.replace(record.variants["canary"], **changes)
    fleet.forge(msgspec.structs.replace(record, variants={"canary": forged}))
    if promoted:
        fleet.do("promote")
    commit(fleet.root, "forged")
    found = validate(fleet.root, ValidateOptions(against=Against(ref=base))).findings
    assert rule in [one.rule for one in found]
