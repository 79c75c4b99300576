"""What has to be installed to run a model as a described runtime does: the runtime's versions, and nothing it lacks."""

from __future__ import annotations

import re

from packaging.version import Version

from m2g.compat.requirement import normalize_name, parse_requirement
from m2g.compat.runtime import Runtime, find_package, resolve_variant
from m2g.core.model import Mlmodel
from m2g.image.context.requirements import INDEX, Wanted, find_released, indexed

_SERVERS = {"mlserver": "1.7.1", "mlserver-mlflow": "1.7.1", "mlflow": ""}
"""What serves, and the version where the description has none."""
_BOUNDS = {"uvloop": "<0.22", "pandas": "<3"}
"""What MLServer 1.7.1 needs and does not say (MLServer#2286); the image was built before there was anything newer."""
_SHOWN = 8


def like(runtime: Runtime, mlmodel: Mlmodel) -> Wanted:
    """The servers and, of what the model requires, what the runtime has; every version that is known holds for all.

    A runtime has hundreds of packages, some of gigabytes: what nobody asks for is not installed. What it lacks is left
    out, since a cluster installs nothing.
    """
    lines = {name: _pinned(runtime, name, otherwise) for name, otherwise in _SERVERS.items()}
    indexes: list[str] = []
    notes: list[str] = []
    lacks: list[str] = []
    newest: list[str] = []
    unsure: list[str] = []
    for text in (*(mlmodel.requirements or ()), *(find_package(flavor.name) for flavor in mlmodel.flavors)):
        line = re.sub(r"(^|\s)#.*", "", text).strip()
        if found := INDEX.fullmatch(line):
            indexes.append(indexed(found[1], found[2], notes))
        name = _name(line)
        if not name or name in lines or name == "python-function":
            continue
        has = runtime.has(name)
        if has is None and find_released(line) is not None:
            unsure.append(name)
            lines[name] = line
        elif has is None or not has:
            lacks += [name] if text in (mlmodel.requirements or ()) else []
        else:
            newest += [] if _version(runtime, name) else [name]
            lines[name] = _pinned(runtime, name)
    notes += _told(lacks, f"{runtime.name} lacks {{}}, which the model requires: left out here, too")
    notes += _told(newest, f"{runtime.name} has {{}} in a version that nobody knows: took the newest that fits")
    notes += _told(unsure, f"whether {runtime.name} has {{}} is not known: installed as the model requires")
    bounds = (f"{name}{bound}" for name, bound in _BOUNDS.items() if not _version(runtime, name))
    known = (_pinned(runtime, name) for name in sorted(runtime.packages) if _version(runtime, name))
    return Wanted(
        lines=tuple(lines.values()),
        indexes=tuple(dict.fromkeys(indexes)),
        notes=tuple(notes),
        constraints=(*known, *bounds),
    )


def _told(names: list[str], sentence: str) -> list[str]:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else ""
    return [sentence.format(", ".join(unique[:_SHOWN]) + more)] if unique else []


def _name(line: str) -> str:
    """The package of a requirement; empty for an option, an address or a path, which no image has by that name."""
    requirement = parse_requirement(line)
    return "" if requirement is None else resolve_variant(normalize_name(requirement.name))


def _version(runtime: Runtime, name: str) -> str:
    """Without a local part (`+cu121`): an index has the package without it, and a pin takes it with one."""
    try:
        return Version(runtime.version(name)).public
    except ValueError:
        return ""


def _pinned(runtime: Runtime, name: str, otherwise: str = "") -> str:
    version = _version(runtime, name) or otherwise
    return f"{name}=={version}" if version else name
