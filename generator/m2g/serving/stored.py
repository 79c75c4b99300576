"""What the cluster stores of an object in Git: the defaults of the CRD and of KServe's mutating webhook.

The webhook decodes an InferenceService into Go structs, sets defaults and encodes it again. So every container gets
`name: ""` and `resources: {}`, and quantities become canonical. Up to KServe 0.19 it also drops values that Go omits.
Argo CD ignores fields of a mapping that Git does not have, but compares whole lists. So what matters is what differs
from Git, and what is added inside a list.

Source: kserve pkg/apis/serving/v1beta1 (*_defaults.go, predictor_custom.go, transformer_custom.go), its CRDs, and
controller-runtime's pkg/webhook/admission/defaulter_custom.go. `tests/serving/stored/` has what KServe's own code made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.manifest import Manifest
from m2g.core.setting_fields import KserveVersion

Place: TypeAlias = tuple[str | int, ...]
_Object = TypeVar("_Object", bound=Manifest)

LEGACY_FORMATS = (
    *("sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch", "onnx"),
    *("triton", "huggingface", "pmml", "paddle"),
)
"""Framework keys of a predictor; the webhook turns each into `model`."""
MAIN_CONTAINER = "kserve-container"

_RENAMED = {"RawDeployment": "Standard", "Serverless": "Knative"}
_KEEPS_MODE: tuple[KserveVersion, ...] = ("0.15", "0.16")
DROPS_EMPTY: tuple[KserveVersion, ...] = ("0.15", "0.16", "0.17", "0.18", "0.19")
"""Versions whose webhook drops values that Go omits, such as an empty text."""
_STORAGE_MOUNTS = "/mnt/models"
_DEFAULT_RESOURCES = {"cpu": "1", "memory": "2Gi"}
"""`resource` in KServe's ConfigMap inferenceservice-config, for requests and limits."""

_CRD: dict[str, dict[str, object]] = {
    "ports": {"protocol": "TCP"},
    "grpc": {"service": ""},
    "storageUris": {"mountPath": _STORAGE_MOUNTS},
    **{key: {"name": ""} for key in ("configMapKeyRef", "secretKeyRef", "configMapRef", "imagePullSecrets")},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"fsType": "ext4", "readOnly": False},
    "iscsi": {"iscsiInterface": "default"},
    "scaleIO": {"fsType": "xfs", "storageMode": "ThinProvisioned"},
}
"""Key of a mapping, or of the list that it is an item of → the CRD's defaults."""
_CONTAINER: dict[str, object] = {"name": "", "resources": {}}
_ENCODED: dict[str, dict[str, object]] = {
    **dict.fromkeys(("containers", "initContainers", "model", "art", *LEGACY_FORMATS), _CONTAINER),
    "httpGet": {"port": 0},
    "tcpSocket": {"port": 0},
    "resourceFieldRef": {"divisor": "0"},
}
"""Key of a mapping or list → what Go's encoding adds because the field is not optional in Go."""
_AMOUNTS = ("requests", "limits")
_QUANTITIES = ("divisor", "sizeLimit")
_FREE_KEYS = ("labels", "annotations", "nodeSelector", "matchLabels", "config", "parameters", *_AMOUNTS)
"""Mappings whose keys people choose."""
_DROPPED_TEXTS = frozenset(
    """value serviceAccountName schedulerName image imagePullPolicy workingDir priorityClassName hostname subdomain
    restartPolicy dnsPolicy subPath scheme host""".split()
)
_DROPPED_NUMBERS = frozenset(
    """maxReplicas initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold hostPort
    hostNetwork hostPID hostIPC stdin stdinOnce tty readOnly""".split()
)
_DROPPED_MAPS = frozenset(("labels", "annotations", "nodeSelector", "matchLabels", "config", *_AMOUNTS))


class _Encoding(msgspec.Struct, frozen=True, kw_only=True):
    """`added` as in `_ENCODED`; whether empty values are dropped and the targets of metrics become canonical."""

    added: Mapping[str, Mapping[str, object]]
    drops: bool = False
    canonical_targets: bool = False


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One value in Git and what the cluster stores there. `UNSET` means that there is nothing."""

    place: Place
    given: object
    stored: object


def compute_stored(item: Manifest, kserve: KserveVersion) -> Manifest:
    """The object as the cluster stores it. Other kinds than KServe's are returned as they are."""
    kind = item.get("kind")
    if kind in ("ServingRuntime", "ClusterServingRuntime"):  # only validated: no webhook changes it
        return {**item, "spec": _store(item.get("spec"), "spec", _Encoding(added=_CRD))}
    if kind != "InferenceService":
        return item
    added = {key: {**_ENCODED.get(key, {}), **_CRD.get(key, {})} for key in {*_CRD, *_ENCODED}}
    encoding = _Encoding(added=added, drops=kserve in DROPS_EMPTY, canonical_targets=kserve == "0.15")
    spec = _store(item.get("spec"), "spec", encoding)
    metadata = item.get("metadata")
    if kserve not in _KEEPS_MODE and isinstance(metadata, dict):
        metadata = _rename_mode(metadata)
    return {**item, "metadata": metadata, "spec": _default_components(spec)}


def find_differences(item: Manifest, kserve: KserveVersion) -> list[Difference]:
    """Where Argo CD shows a difference between this object in Git and what the cluster stores of it."""
    return list(_compare(item, compute_stored(item, kserve), ()))


def settle(item: _Object, kserve: KserveVersion) -> _Object:
    """The object without such differences: what would be added inside a list is written out."""
    return cast(_Object, _settle(item, compute_stored(item, kserve)))


def _store(node: object, key: str, encoding: _Encoding) -> object:
    """`key` is that of the mapping or of the list that `node` is an item of."""
    if isinstance(node, list):
        return [_store(child, key, encoding) for child in node]
    if not isinstance(node, dict):
        return node
    if key in _FREE_KEYS:
        return {name: _canonicalize(value) for name, value in node.items()} if key in _AMOUNTS else node
    result: dict[str, object] = {}
    for name, value in node.items():
        stored = _store(value, name, encoding)
        if name in _QUANTITIES:
            stored = _canonicalize(stored)
        elif key == "target" and name in ("value", "averageValue"):
            stored = _canonicalize(stored) if encoding.canonical_targets else _to_text(stored)
        if not (encoding.drops and _is_dropped(name, stored)):
            result[name] = stored
    for name, value in encoding.added.get(key, {}).items():
        result.setdefault(name, value)
    return result


def _is_dropped(name: str, value: object) -> bool:
    if value == "":
        return name in _DROPPED_TEXTS
    if value == []:
        return True
    if value == {}:
        return name in _DROPPED_MAPS
    return value in (0, False) and isinstance(value, int) and name in _DROPPED_NUMBERS


def _canonicalize(amount: object) -> object:
    if isinstance(amount, bool) or not isinstance(amount, str | int | float):
        return amount  # the schema reports it
    try:
        return quantity.canonicalize(str(amount))
    except InputError:
        return amount  # the schema reports it


def _to_text(amount: object) -> object:
    """KEDA reads the text, so KServe keeps it as it was written."""
    return str(amount) if isinstance(amount, int | float) and not isinstance(amount, bool) else amount


def _rename_mode(metadata: Manifest) -> Manifest:
    annotations = metadata.get("annotations")
    place = "serving.kserve.io/deploymentMode"
    if not isinstance(annotations, dict) or (renamed := _RENAMED.get(str(annotations.get(place)))) is None:
        return metadata
    return {**metadata, "annotations": {**annotations, place: renamed}}


def _default_components(spec: object) -> object:
    """What the webhook's defaults do: `model` for framework keys, and the first container of a custom component."""
    if not isinstance(spec, dict):
        return spec
    result = dict(spec)
    predictor = spec.get("predictor")
    if isinstance(predictor, dict):
        result["predictor"] = _default_predictor(predictor)
    for name in ("transformer", "explainer"):
        component = spec.get(name)
        if not isinstance(component, dict):
            continue
        art = component.get("art")
        if isinstance(art, dict):
            art = {**art, "name": MAIN_CONTAINER, "resources": _default_resources(art.get("resources"))}
            result[name] = {**component, "art": art}
        else:
            result[name] = _default_first(component, always=True)
    return result


def _default_predictor(predictor: dict[str, Any]) -> Manifest:
    legacy = [key for key in LEGACY_FORMATS if isinstance(predictor.get(key), dict)]
    if not legacy and "model" not in predictor:
        return _default_first(predictor, always=False)
    if len(legacy) == 1 and "model" not in predictor:
        framework = {"modelFormat": {"name": legacy[0]}, **predictor[legacy[0]]}
        return {**{key: value for key, value in predictor.items() if key != legacy[0]}, "model": framework}
    return predictor


def _default_first(component: Manifest, *, always: bool) -> Manifest:
    containers = component.get("containers")
    if not isinstance(containers, list) or not containers or not isinstance(containers[0], dict):
        return component
    first = dict(containers[0])
    if always or len(containers) == 1 or not first.get("name"):
        first["name"] = MAIN_CONTAINER
    first["resources"] = _default_resources(first.get("resources"))
    return {**component, "containers": [first, *containers[1:]]}


def _default_resources(given: object) -> object:
    resources = given if isinstance(given, dict) else {}
    sides = {side: amounts if isinstance(amounts := resources.get(side), dict) else {} for side in _AMOUNTS}
    return {**resources, **{side: {**amounts, **_missing(amounts)} for side, amounts in sides.items()}}


def _missing(amounts: Mapping[str, object]) -> dict[str, object]:
    return {name: amount for name, amount in _DEFAULT_RESOURCES.items() if name not in amounts}


def _compare(given: object, stored: object, place: Place, *, inside_list: bool = False) -> Iterator[Difference]:
    if isinstance(given, dict) and isinstance(stored, dict):
        for key, value in given.items():
            if not isinstance(key, str):
                continue  # the schema reports it
            if key not in stored:
                yield Difference(place=(*place, key), given=value, stored=msgspec.UNSET)
            else:
                yield from _compare(value, stored[key], (*place, key), inside_list=inside_list)
        for key in stored if inside_list else ():
            if key not in given:
                yield Difference(place=(*place, key), given=msgspec.UNSET, stored=stored[key])
    elif isinstance(given, list) and isinstance(stored, list) and len(given) == len(stored):
        for index, (one, other) in enumerate(zip(given, stored, strict=True)):
            yield from _compare(one, other, (*place, index), inside_list=True)
    elif given != stored or type(given) is not type(stored):
        yield Difference(place=place, given=given, stored=stored)


def _settle(given: object, stored: object, *, inside_list: bool = False) -> object:
    if isinstance(given, dict) and isinstance(stored, dict):
        kept = {
            key: _settle(value, stored[key], inside_list=inside_list) for key, value in given.items() if key in stored
        }
        return kept | ({key: stored[key] for key in stored if key not in kept} if inside_list else {})
    if isinstance(given, list) and isinstance(stored, list):
        return [_settle(one, other, inside_list=True) for one, other in zip(given, stored, strict=True)]
    return stored
