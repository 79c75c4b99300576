"""Settings of pods that Kubernetes or KServe refuse, or that contradict each other.

Source of the rules: kubernetes pkg/apis/core/validation/validation.go; kserve pkg/webhook/admission/pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from m2g.serving.batch_run import Problem

_Item: TypeAlias = Mapping[str, object]
_MODEL_FOLDER = "/mnt/models"
_CHECKS = ("exec", "grpc", "httpGet", "tcpSocket")
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
_BATCH_VOLUME = re.compile(r"claim-[0-9]+")


def find_problems(given: Mapping[str, object], references: Mapping[str, _Item], *, batch: bool) -> Iterator[Problem]:
    """`given` are settings by name, `references` variables with `valueFrom`; `batch` tells whether there is a batch."""
    volumes, mounts = _list(given, "volumes"), _list(given, "volumeMounts")
    yield from _check_volumes(volumes, batch=batch)
    names = [str(volume.get("name")) for volume in volumes]
    for mount in mounts:
        name, path = str(mount.get("name")), str(mount.get("mountPath", "")).rstrip("/")
        if name not in names:
            known = ", ".join(names) or "none yet"
            yield "volumeMounts", f"there is no volume {name!r}", f"add it to volumes ({known}), or remove the mount"
        if path == _MODEL_FOLDER or path.startswith(f"{_MODEL_FOLDER}/"):
            yield "volumeMounts", f"{path} is where KServe puts the model", "mount the volume in another directory"
    for source in _list(given, "envFrom"):
        if len({"configMapRef", "secretRef"} & source.keys()) != 1:
            yield "envFrom", "an entry names no source, or two", "set secretRef or configMapRef in each entry"
    for variable, source in references.items():
        if len(source) != 1:
            yield f"env.{variable}", "valueFrom names no source, or two", "set one, such as secretKeyRef"
    yield from _check_probes(given)


def _check_volumes(volumes: Sequence[_Item], *, batch: bool) -> Iterator[Problem]:
    for volume in volumes:
        name, sources = str(volume.get("name")), sorted(volume.keys() - {"name"})
        if len(sources) != 1:
            found = " and ".join(sources) or "no source"
            yield "volumes", f"the volume {name!r} has {found}", "give it one source, such as configMap: {name: …}"
        if batch and _BATCH_VOLUME.fullmatch(name):
            yield "volumes", f"a batch uses the name {name} for a claim of its own", "give the volume another name"


def _check_probes(given: Mapping[str, object]) -> Iterator[Problem]:
    for name in _PROBES:
        probe = given.get(name)
        checks = [check for check in _CHECKS if isinstance(probe, Mapping) and check in probe]
        if len(checks) > 1:
            yield name, f"the probe has {' and '.join(checks)}", "keep one of them"
        elif probe and name == "livenessProbe" and not checks:
            yield name, "the probe checks nothing", f"add one of {', '.join(_CHECKS)}"


def _list(given: Mapping[str, object], name: str) -> list[_Item]:
    value = given.get(name)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
