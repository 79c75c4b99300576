"""Release records as a person would forge them: as m2g writes them, with its stamp, but with other facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from m2g.changes.update import RenderOptions
from m2g.core.model import Image, Release
from m2g.repository import records
from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run, tree, write_record

DIGEST = "@sha256:" + "5f" * 32
PLACE = "ghcr.io/acme/models"
OURS = f"{PLACE}/wine{DIGEST}"
WITH_IMAGES = f"{CONFIG}images: {{registry: {PLACE}}}\n"
Forge = Callable[[Release], Release]


def of_mlmodel(**changes: object) -> Forge:
    def forge(record: Release) -> Release:
        assert record.mlmodel is not None
        return msgspec.structs.replace(record, mlmodel=msgspec.structs.replace(record.mlmodel, **changes))

    return forge


def of_record(**changes: object) -> Forge:
    return lambda record: msgspec.structs.replace(record, **changes)


def of_serving(**changes: object) -> Forge:
    def forge(record: Release) -> Release:
        assert record.serving is not None
        return msgspec.structs.replace(record, serving=msgspec.structs.replace(record.serving, **changes))

    return forge


def image(name: str) -> Forge:
    return of_record(image=Image(name=name, profile="mlflow-image"))


def both(*forges: Forge) -> Forge:
    def forge(record: Release) -> Release:
        for one in forges:
            record = one(record)
        return record

    return forge


FORGED: dict[str, Forge] = {
    "another folder": of_record(artifact_uri="s3://mlflow/uploads/mallory/m"),
    "another folder as source": of_record(artifact_uri="s3://mlflow/uploads/m", source="s3://mlflow/uploads/m"),
    "another MLmodel": of_mlmodel(sha256="e" * 64),
    "other packages": of_mlmodel(requirements=("mlflow==2.19.0", "evil==1")),
    "another class": of_mlmodel(loader_module="evil"),
    "no MLmodel": of_record(mlmodel=None),
    "a foreign image": image(f"evil.example/wine{DIGEST}"),
    "an image beside our place": image(f"{PLACE}-evil/wine{DIGEST}"),
    "an image of another model": image(f"{PLACE}/mallory{DIGEST}"),
    "an image of a model whose name starts alike": image(f"{PLACE}/wine-mallory{DIGEST}"),
    "an image of other packages": both(image(OURS), of_mlmodel(requirements=("evil==1",))),
    "an image of another folder": both(image(OURS), of_record(artifact_uri="s3://mlflow/uploads/mallory/m")),
    "another decision": of_serving(profile="mlserver-image", runtime=""),
    "a decision of people": of_serving(decided_from=None),
    "no decision": of_record(schema=1, serving=None),
    "other metrics": of_record(run=None),
    "tags": of_record(tags={"replicas": "9"}),
}


def fleet(root: Path, config: str = WITH_IMAGES) -> FakeRegistry:
    repository(root, config)
    (root / "models/wine").mkdir(parents=True)
    (root / "models/wine/model.yaml").write_text("environments: {prod: {settings: {profile: auto}}}\n")
    registry = FakeRegistry([model(champion="1", challenger="2")])
    assert run(root, registry).findings == ()
    return registry


def forge(root: Path, change: Forge, environment: str = "dev") -> None:
    """What a person commits: the record as m2g would have written it, and all that is rendered from it."""
    write_record(root, "wine", change(records.read_all(root)[0]["wine", environment]))
    run(root, FakeRegistry(), RenderOptions(locked=True))


def of_prod(root: Path) -> dict[str, bytes]:
    return {path: content for path, content in tree(root).items() if "/prod" in path or "/base/" in path}
