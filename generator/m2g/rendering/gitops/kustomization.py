"""Kustomization files and the JSON 6902 patch that turns a base into one environment's object.

Strategic-merge patches replace lists in custom resources and lose what is in them; JSON 6902 says what it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from m2g.core.model import Value
from m2g.core.yaml_writer import Plain

MANIFEST = "inferenceservice.yaml"
PATCH = "patch.yaml"
RELEASE = "release"


class Place(Value, frozen=True, kw_only=True):
    """Whose overlay it is, and where its objects go."""

    slug: str
    environment: str
    namespace: str


def base() -> dict[str, Plain]:
    """base/kustomization.yaml"""
    return _kustomization({"resources": [MANIFEST]})


def overlay(place: Place, *, custom: bool, beside: Sequence[str] = ()) -> dict[str, dict[str, Plain]]:
    """The kustomization.yaml files of overlays/<env>/, by path relative to it. `beside` are files of other objects.

    Kustomize applies components before the patches beside them. So where a person has a component, m2g's patch is one
    level below: the person has the last word.
    """
    if not custom:
        patched = _patched(place.slug, ["../../base", *beside])
        return {"kustomization.yaml": _kustomization({"namespace": place.namespace, **patched})}
    return {
        "kustomization.yaml": _kustomization(
            {"namespace": place.namespace, "resources": [RELEASE], "components": [f"../../custom/{place.environment}"]}
        ),
        f"{RELEASE}/kustomization.yaml": _kustomization(_patched(place.slug, ["../../../base", *beside])),
    }


def file(name: str, *, custom: bool) -> str:
    """Where m2g's patch, or another file beside it, lies, relative to overlays/<env>/."""
    return f"{RELEASE}/{name}" if custom else name


def _kustomization(body: dict[str, Plain]) -> dict[str, Plain]:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **body}


def _patched(slug: str, resources: Sequence[str]) -> dict[str, Plain]:
    target: dict[str, Plain] = {
        "group": "serving.kserve.io",
        "version": "v1beta1",
        "kind": "InferenceService",
        "name": slug,
    }
    return {"resources": resources, "patches": [{"path": PATCH, "target": target}]}


def patch(before: Mapping[str, Plain], after: Mapping[str, Plain]) -> list[Plain]:
    """The JSON 6902 operations (RFC 6902) that make `after` of `before`; lists are replaced whole."""
    operations: list[Plain] = []
    _differences(before, after, "", operations)
    return operations


def _differences(before: Mapping[str, Plain], after: Mapping[str, Plain], path: str, operations: list[Plain]) -> None:
    operations.extend({"op": "remove", "path": f"{path}/{_pointer(key)}"} for key in before if key not in after)
    for key, value in after.items():
        old = before.get(key)
        if key in before and old == value:
            continue
        place = f"{path}/{_pointer(key)}"
        if key not in before:
            operations.append({"op": "add", "path": place, "value": value})
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            _differences(old, value, place, operations)
        else:
            operations.append({"op": "replace", "path": place, "value": value})


def _pointer(key: str) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
