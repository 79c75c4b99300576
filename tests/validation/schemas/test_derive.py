"""The scripts that derive the schemas, without the network: on a made-up wheel and a made-up CRD."""

from __future__ import annotations

import importlib
import io
import sys
import zipfile
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest

from m2g.core import resources
from m2g.validation.schemas import dedupe, openapi
from m2g.validation.schemas.kubernetes import Json

CLASS = """
class {name}(object):
    openapi_types = {types!r}
    attribute_map = {names!r}

    def setter(self, value):
        if value is None:
            raise ValueError("Invalid value for `{required}`, must not be `None`")
"""


@pytest.fixture(scope="module")
def derive() -> Any:
    """Imports a module of schemas/derive, which is no package."""
    sys.path.insert(0, str(resources.find_root() / "schemas/derive"))
    yield importlib.import_module
    sys.path.pop(0)


@pytest.fixture
def sdk(derive: Any) -> ModuleType:
    module: ModuleType = derive("kserve_sdk")
    return module


def _wheel(**classes: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, types in classes.items():
            names = {field: field.title().replace("_", "") for field in types}
            text = CLASS.format(name=name, types=types, names=names, required=next(iter(types)))
            archive.writestr(f"kserve/models/{name.lower()}.py", "raise SystemExit('imported')\n" + text)
        archive.writestr("kserve/other.py", "class Other: openapi_types = attribute_map = {}")
    return file.getvalue()


def test_types_are_read_from_a_wheel_without_importing_it(sdk: ModuleType) -> None:
    types = sdk.read_types(_wheel(V1Step={"run_as": "str", "times": "list[int]"}))
    assert types == {"V1Step": sdk.Type({"RunAs": "str", "Times": "list[int]"}, {"RunAs"})}


def test_a_type_that_nobody_knows_stops_the_script(sdk: ModuleType) -> None:
    types = {
        "V1beta1Thing": sdk.Type(
            {"apiVersion": "str", "kind": "str", "metadata": "V1ObjectMeta", "spec": "V1Secrt"}, set()
        )
    }
    with pytest.raises(SystemExit, match=r"kserve_rules\.py"):
        sdk._Maker(types, sdk.Kubernetes("1.36", nulls=False)).all()


def test_a_crd_loses_its_prose_and_refuses_unknown_fields() -> None:
    raw = {
        "type": "object",
        "description": "long",
        "required": ["size", "either"],
        "properties": {
            "size": {"type": "integer", "format": "int32", "default": 1},
            "free": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"a": {"type": "string"}},
            },
            "either": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "amount": {"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+[numkMGTPE]?$"},
        },
    }
    assert openapi.Converter().convert(raw) == {
        "type": "object",
        "additionalProperties": False,
        "required": ["either"],
        "properties": {
            "size": {"type": "integer", "default": 1, "minimum": -(2**31), "maximum": 2**31 - 1},
            "free": {"type": "object", "properties": {"a": {"type": "string"}}},
            "either": {"$ref": "#/$defs/IntOrString"},
            "amount": {"$ref": "#/$defs/Quantity"},
        },
    }


def test_what_occurs_twice_is_written_once_and_means_the_same() -> None:
    inner: Json = {"type": "object", "properties": {f"field{n}": {"type": "string", "minLength": n} for n in range(9)}}
    first: Json = {"type": "object", "properties": {"source": inner, "sources": {"type": "array", "items": inner}}}
    second: Json = {"type": "object", "properties": {"source": inner, "other": first}}
    kinds = {"v1.First": first, "v1.Second": second}
    defs = dedupe.share_parts(kinds)
    assert len(defs) > len(kinds)
    assert len(str(defs)) < len(str(kinds)) / 2
    for name, schema in kinds.items():
        assert jsonschema_rs.dereference({"$defs": defs, **defs[name]})["properties"] == schema["properties"]
