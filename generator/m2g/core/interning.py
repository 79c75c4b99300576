"""One shared object for equal parts of many records: most of a fleet's memory would hold copies."""

from __future__ import annotations

import sys
from typing import TypeVar

import msgspec

from m2g.core.model import Flavor, Mlmodel, Release, Signature

_T = TypeVar("_T")


class Interner:
    """Shares equal parts between the records of one run."""

    def __init__(self) -> None:
        self._last: dict[str, Release] = {}
        """By version. The environments of a model come one after the other."""
        self._flavors: dict[int, tuple[Flavor, ...]] = {}
        self._signatures: dict[int, Signature | None] = {}
        self._requirements: dict[int, tuple[str, ...] | None] = {}

    def intern(self, record: Release) -> Release:
        """The same record, built from the objects of earlier records where they are equal."""
        last = self._last.get(record.version)
        if last is None or last.run != record.run or last.mlmodel != record.mlmodel:
            last = (
                record
                if record.mlmodel is None
                else msgspec.structs.replace(record, mlmodel=self._parts(record.mlmodel))
            )
            self._last[record.version] = last
        return msgspec.structs.replace(
            record,
            model=sys.intern(record.model),
            environment=sys.intern(record.environment),
            registry=sys.intern(record.registry),
            version=sys.intern(record.version),
            follows=sys.intern(record.follows),
            run=last.run,
            mlmodel=last.mlmodel,
        )

    def _parts(self, mlmodel: Mlmodel) -> Mlmodel:
        return msgspec.structs.replace(
            mlmodel,
            flavors=_one(self._flavors, mlmodel.flavors),
            mlflow_version=sys.intern(mlmodel.mlflow_version),
            python_version=sys.intern(mlmodel.python_version),
            loader_module=sys.intern(mlmodel.loader_module),
            signature=_one(self._signatures, mlmodel.signature),
            requirements=_one(self._requirements, mlmodel.requirements),
            example=sys.intern(mlmodel.example),
        )


def canonical(value: object) -> bytes:
    """The canonical bytes of a value. 1 and 1.0 differ. Python salts the hash of bytes, so input cannot force
    collisions."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate
        return repr(value).encode("ascii", "backslashreplace")


def _one(seen: dict[int, _T], value: _T) -> _T:
    """The equal value that was seen before, else the value itself."""
    other = seen.setdefault(hash(canonical(value)), value)
    return other if other == value else value
