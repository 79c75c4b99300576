"""A model's requirement lines → what can be locked: no credentials, no places of the author's machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2g.compat.requirement import normalize_name, parse_requirement, parse_version
from m2g.core.config_types import Profile
from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.core.naming import find_unprintable

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_USERINFO = re.compile(r"(?<=//)[^/\s@]*@")
INDEX = re.compile(r"(-i|--index-url|--extra-index-url|-f|--find-links)[ =]+(\S+)")
_SERVER = {"mlserver": "==1.7.1", "mlserver-mlflow": "==1.7.1", "uvloop": "<0.22", "pandas": "<3"}
"""With the bounds that MLServer 1.7.1 needs and does not say (MLServer#2286: with uvloop 0.22 its workers die)."""
_PANDAS_3 = "the model asks for pandas 3: MLServer 1.7.1 cannot answer with a DataFrame that has text columns"
_STORES = {
    "s3": ("boto3",),
    "gs": ("google-cloud-storage",),
    "wasb": ("azure-identity", "azure-storage-blob"),
    "wasbs": ("azure-identity", "azure-storage-blob"),
    "abfss": ("azure-identity", "azure-storage-file-datalake"),
    "hdfs": ("pyarrow",),
}
"""Scheme to what MLflow needs for it and does not bring along."""
_MAX = 500


class Wanted(Value, frozen=True, kw_only=True):
    """`lines` are requirements, `indexes` options of pip; `notes` say to a person what was changed and why.

    `constraints` hold for what is installed, without installing anything.
    """

    lines: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()


def wanted(given: Sequence[str], profile: Profile, mlflow_version: str, places: Sequence[str] = ()) -> Wanted:
    """What the image of a profile must have, and MLflow to read and write `places`, URIs of a batch.

    Raises InputError for a requirement that no lock can hold, by name.
    """
    if len(given) > _MAX:
        raise InputError(f"the model has {len(given)} requirement lines; m2g locks {_MAX} at most")
    lines: dict[str, Requirement] = {}
    indexes: list[str] = []
    notes: list[str] = []
    for text in given:
        line = re.sub(r"(^|\s)#.*", "", text).strip()
        found = INDEX.fullmatch(line)
        if found:
            indexes.append(indexed(found[1], found[2], notes))
        elif line.startswith(("-c", "--constraint")):
            notes.append(f"{line!r} is left out: a record does not hold that file; the pins of the requirements hold")
        elif line and not line.startswith(("--trusted-host", "--no-binary", "--prefer-binary", "--pre")):
            lines[line] = _released(line)
    have = {normalize_name(requirement.name) for requirement in lines.values()}
    added = [] if "mlflow" in have else [f"mlflow=={mlflow_version}" if mlflow_version else "mlflow"]
    stores = {name for uri in places for name in _STORES.get(uri.partition("://")[0], ())}
    added += sorted(stores - have)
    if profile == "mlserver-image":
        added += [f"{name}{version}" for name, version in _SERVER.items() if name not in have]
        if any(normalize_name(one.name) == "pandas" and _is_3(one) for one in lines.values()):
            notes.append(_PANDAS_3)
    return Wanted(lines=(*lines, *added), indexes=tuple(dict.fromkeys(indexes)), notes=tuple(notes))


def without_credentials(content: bytes) -> bytes:
    """A list of packages without user and password of the addresses in it."""
    return re.sub(rb"(https?://)[^/\s@\"']*@", rb"\1", content)


def _is_3(pandas: Requirement) -> bool:
    """Whether it takes no pandas before 3."""
    bounds = (one.version for one in pandas.specifier if one.operator in ("==", "===", "~=", ">=", ">"))
    return any(parse_version(version) >= (3,) for version in bounds)


def indexed(option: str, address: str, notes: list[str]) -> str:
    """An option of pip that names an index, in its long form; says to `notes` what was taken out of it."""
    return f"{_long(option)} {_address(address, notes)}"


def find_released(line: str) -> Requirement | None:
    """The requirement of a line that an index can answer; None where it is no requirement, or leads somewhere else."""
    return None if "@" in line or find_unprintable(line) else parse_requirement(line)


def _released(line: str) -> Requirement:
    requirement = find_released(line)
    if requirement is not None:
        return requirement
    elsewhere = parse_requirement(line)
    shown = _USERINFO.sub("", line)[:120]
    what = f"the requirement {(shown if elsewhere is None else elsewhere.name)!r}"
    raise InputError(
        f"{what} is no released package: {shown!r}",
        hint="a lock holds names, versions and hashes: publish the package to an index that the build can read, and "
        "log the model with pip_requirements that name it",
    )


def _address(address: str, notes: list[str]) -> str:
    """The URL of an index without user and password. A path of the author's machine is refused."""
    if not re.fullmatch(r"https?://[^\s\"'\\`$;|&<>]+", address := _USERINFO.sub("", address)) or find_unprintable(
        address
    ):
        raise InputError(
            f"the requirements name the index {address[:120]!r}, which is no http(s) address",
            hint="log the model with an index that the build can read, or without one",
        )
    stripped = (
        f"{address} is written without user and password: give them to uv by UV_INDEX or ~/.netrc, and to the build"
    )
    notes.append(stripped + " as the secret pip_conf")
    return address


def _long(option: str) -> str:
    return {"-i": "--index-url", "-f": "--find-links"}.get(option, option)
