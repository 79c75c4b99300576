"""The requirements to run a model as in a described runtime: the runtime's versions, and nothing that it lacks."""

from __future__ import annotations

import re

from packaging.version import Version

from m2g.compat.requirement import normalize_name, parse_requirement
from m2g.compat.runtime import Runtime, find_package, resolve_variant
from m2g.core.model import Mlmodel
from m2g.serving.requirements import INDEX, Requirements, find_released, index_option

_SERVERS = {"mlserver": "1.7.1", "mlserver-mlflow": "1.7.1", "mlflow": ""}
"""The server's packages, with the version to use if the description has none."""
_BOUNDS = {"uvloop": "<0.22", "pandas": "<3"}
"""Bounds that MLServer 1.7.1 needs but does not declare (MLServer#2286): the image is older than those versions."""
_SHOWN = 8


def runtime_requirements(runtime: Runtime, mlmodel: Mlmodel) -> Requirements:
    """The server's packages, and those of the model's requirements that the runtime has, in the runtime's versions.

    Other packages of the runtime are not installed: there are hundreds, some with gigabytes. Packages that the runtime
    lacks are not installed either, because the cluster does not install them. Every known version is a constraint.
    """
    lines = {name: _pinned(runtime, name, otherwise) for name, otherwise in _SERVERS.items()}
    indexes: list[str] = []
    notes: list[str] = []
    lacks: list[str] = []
    newest: list[str] = []
    unknown: list[str] = []
    for text in (*(mlmodel.requirements or ()), *(find_package(flavor.name) for flavor in mlmodel.flavors)):
        line = re.sub(r"(^|\s)#.*", "", text).strip()
        if found := INDEX.fullmatch(line):
            indexes.append(index_option(found[1], found[2], notes))
        name = _name(line)
        if not name or name in lines or name == "python-function":
            continue
        has = runtime.has(name)
        if has is None and find_released(line) is not None:
            unknown.append(name)
            lines[name] = line
        elif has is None or not has:
            lacks += [name] if text in (mlmodel.requirements or ()) else []
        else:
            newest += [] if _version(runtime, name) else [name]
            lines[name] = _pinned(runtime, name)
    notes += _note(lacks, f"{runtime.name} lacks {{}}, which the model requires: not installed here either")
    notes += _note(newest, f"{runtime.name} has {{}} in an unknown version: m2g installed the newest that fits")
    notes += _note(unknown, f"it is not known whether {runtime.name} has {{}}: m2g installed what the model requires")
    bounds = (f"{name}{bound}" for name, bound in _BOUNDS.items() if not _version(runtime, name))
    known = (_pinned(runtime, name) for name in sorted(runtime.packages) if _version(runtime, name))
    return Requirements(
        lines=tuple(lines.values()),
        indexes=tuple(dict.fromkeys(indexes)),
        notes=tuple(notes),
        constraints=(*known, *bounds),
    )


def _note(names: list[str], sentence: str) -> list[str]:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return [sentence.format(", ".join(unique[:_SHOWN]) + more)] if unique else []


def _name(line: str) -> str:
    """The package of a requirement; empty for an option, a URL or a path."""
    requirement = parse_requirement(line)
    return "" if requirement is None else resolve_variant(normalize_name(requirement.name))


def _version(runtime: Runtime, name: str) -> str:
    """The version without a local part (`+cu121`): a pin without it also matches a package that has one."""
    try:
        return Version(runtime.version(name)).public
    except ValueError:
        return ""


def _pinned(runtime: Runtime, name: str, otherwise: str = "") -> str:
    version = _version(runtime, name) or otherwise
    return f"{name}=={version}" if version else name
