"""Kustomization files, and the JSON 6902 patch that turns a base into one environment's object.

Strategic merge patches replace lists in custom resources and lose their content. A JSON 6902 patch does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from m2g.core.json_patch import escape_key
from m2g.core.yaml_writer import Plain
from m2g.rendering.objects import Object
from m2g.repository.layout import BASE, CUSTOM, RELEASE

PATCH = "patch.yaml"


def render_base(resources: Sequence[str]) -> dict[str, Plain]:
    """base/kustomization.yaml"""
    return _kustomization({"resources": list(resources)})


def render_overlay(
    base: Mapping[str, Object], objects: Mapping[str, Object], namespace: str, environment: str, *, custom: bool
) -> dict[str, Plain]:
    """The files of overlays/<env>/, by path relative to it.

    An object that the base has becomes a patch, every other one a resource of its own. `custom`: people wrote a
    component. Kustomize applies components before the patches of the same kustomization, so m2g's patches are then one
    directory below, and the component is applied last.
    """
    others = {name: item for name, item in objects.items() if name not in base}
    patches = {
        _patch_file(number, name): (make_patch(item, objects[name]), _target(item))
        for number, (name, item) in enumerate(base.items())
    }
    patches = {file: (operations, target) for file, (operations, target) in patches.items() if operations}
    up = "../../.." if custom else "../.."
    resources = [*([f"{up}/{BASE}"] if base else []), *sorted(others)]
    body: dict[str, Plain] = {
        "resources": resources,
        "patches": [{"path": file, "target": target} for file, (_, target) in patches.items()],
    }
    contents: dict[str, Plain] = {**others, **{file: operations for file, (operations, _) in patches.items()}}
    if not custom:
        return {"kustomization.yaml": _kustomization({"namespace": namespace, **body}), **contents}
    top: dict[str, Plain] = {
        "namespace": namespace,
        "resources": [RELEASE],
        "components": [f"../../{CUSTOM}/{environment}"],
    }
    return {
        "kustomization.yaml": _kustomization(top),
        f"{RELEASE}/kustomization.yaml": _kustomization(body),
        **{f"{RELEASE}/{file}": content for file, content in contents.items()},
    }


def _patch_file(number: int, name: str) -> str:
    """The first object of the base is the main one."""
    return PATCH if number == 0 else f"patch-{name}"


def _kustomization(body: Mapping[str, Plain]) -> dict[str, Plain]:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **body}


def _target(item: Object) -> dict[str, Plain]:
    group, _, version = str(item["apiVersion"]).rpartition("/")
    metadata = item["metadata"]
    name = metadata["name"] if isinstance(metadata, Mapping) else ""
    return {**({"group": group} if group else {}), "version": version, "kind": item["kind"], "name": name}


def make_patch(before: Mapping[str, Plain], after: Mapping[str, Plain]) -> list[Plain]:
    """The JSON patch operations (RFC 6902) that turn `before` into `after`. Lists are replaced completely."""
    operations: list[Plain] = []
    _add_operations(before, after, "", operations)
    return operations


def _add_operations(
    before: Mapping[str, Plain], after: Mapping[str, Plain], path: str, operations: list[Plain]
) -> None:
    operations.extend({"op": "remove", "path": f"{path}/{escape_key(key)}"} for key in before if key not in after)
    for key, value in after.items():
        old = before.get(key)
        if key in before and old == value:
            continue
        place = f"{path}/{escape_key(key)}"
        if key not in before:
            operations.append({"op": "add", "path": place, "value": value})
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            _add_operations(old, value, place, operations)
        else:
            operations.append({"op": "replace", "path": place, "value": value})
