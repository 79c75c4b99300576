"""Records of a fleet: each stays what it says, and what several say is there once."""

from __future__ import annotations

from pathlib import Path

import msgspec

from m2g.core.interning import Interner, canonical
from m2g.core.model import Field, Flavor, Mlmodel, Release, Run, Signature
from m2g.repository import load
from tests.support.fleet import FakeRegistry, model, release, repository, run


def _record(model: str, version: str, environment: str, *, shape: tuple[int, ...] = (1,), loss: float = 0.5) -> Release:
    """As it comes from a file: no object of it is another record's."""
    record = release(
        model,
        environment,
        version,
        run=Run(id=f"{model}-{version}", metrics={"loss": loss}),
        mlmodel=Mlmodel(
            sha256=f"{model}-{version}",
            flavors=(Flavor(name="sklearn", version="1.5.2"),),
            signature=Signature(inputs=(Field(name="x", type="double", shape=shape),)),
            requirements=("mlflow==3.1.0", "numpy==2.2.0"),
            example='{"inputs": [1]}',
        ),
    )
    return msgspec.json.decode(msgspec.json.encode(record), type=Release)


def test_every_record_is_what_it_was() -> None:
    records = [
        _record("wine", "1", "dev"),
        _record("wine", "2", "prod"),
        _record("wine", "1", "stage"),
        _record("beer", "1", "dev", loss=0.25),
        _record("beer", "1", "prod", shape=(2**61,)),  # the hash of the number 1
        _record("gin", "1", "prod", shape=(10**30,)),  # what JSON can say, and not every format
        msgspec.structs.replace(_record("none", "1", "dev"), mlmodel=None, run=None),
        _record("wine", "1", "dev"),
    ]
    alike = Interner()
    assert [alike.intern(record) for record in records] == records


def test_equal_is_not_the_same() -> None:
    assert len({canonical(value) for value in (1, 1.0, True, "1", "\ud800", "\ud801", 10**30)}) == 7


def test_what_several_say_is_there_once() -> None:
    alike = Interner()
    dev, prod, stage = (alike.intern(_record("wine", *key)) for key in (("2", "dev"), ("1", "prod"), ("2", "stage")))
    assert dev.run is stage.run
    assert dev.mlmodel is stage.mlmodel
    assert dev.registry is prod.registry
    other = alike.intern(_record("beer", "2", "dev"))
    mine, theirs = dev.mlmodel, other.mlmodel
    assert mine is not None
    assert theirs is not None
    assert mine != theirs
    assert mine.signature is theirs.signature
    assert mine.flavors is theirs.flavors
    assert mine.requirements is theirs.requirements


def test_records_that_are_read_from_files_share(tmp_path: Path) -> None:
    root = repository(tmp_path)
    run(root, FakeRegistry([model(champion="1"), model("fraud", champion="2")]))
    records = load.read_repository(root).records
    wine, fraud = (records[slug, "prod"].mlmodel for slug in ("wine", "fraud"))
    assert wine is not None
    assert fraud is not None
    assert wine.signature is fraud.signature
    assert wine.requirements is fraud.requirements
