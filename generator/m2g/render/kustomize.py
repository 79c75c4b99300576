"""Kustomization files and the JSON 6902 patch that turns a base into one environment's object.

Strategic-merge patches replace lists in custom resources and lose what is in them; JSON 6902 says what it does.
"""

from __future__ import annotations

from collections.abc import Mapping

from m2g.emit import Plain

MANIFEST = "inferenceservice.yaml"
PATCH = "patch.yaml"


def base() -> dict[str, Plain]:
    """base/kustomization.yaml"""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [MANIFEST],
    }


def overlay(slug: str, namespace: str, component: str) -> dict[str, Plain]:
    """overlays/<env>/kustomization.yaml; `component` is the path of a person's component, empty for none."""
    kustomization: dict[str, Plain] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": ["../../base"],
        "patches": [
            {
                "path": PATCH,
                "target": {
                    "group": "serving.kserve.io",
                    "version": "v1beta1",
                    "kind": "InferenceService",
                    "name": slug,
                },
            }
        ],
    }
    return kustomization | {"components": [component]} if component else kustomization


def patch(before: Mapping[str, Plain], after: Mapping[str, Plain]) -> list[Plain]:
    """The JSON 6902 operations (RFC 6902) that make `after` of `before`; lists are replaced whole."""
    operations: list[Plain] = []
    _differences(before, after, "", operations)
    return operations


def _differences(before: Mapping[str, Plain], after: Mapping[str, Plain], path: str, operations: list[Plain]) -> None:
    operations.extend({"op": "remove", "path": f"{path}/{_pointer(key)}"} for key in before if key not in after)
    for key, value in after.items():
        place = f"{path}/{_pointer(key)}"
        old = before.get(key)
        if key not in before:
            operations.append({"op": "add", "path": place, "value": value})
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            _differences(old, value, place, operations)
        elif old != value:
            operations.append({"op": "replace", "path": place, "value": value})


def _pointer(key: str) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
