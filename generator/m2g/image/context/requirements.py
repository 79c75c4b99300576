"""A model's requirement lines → what can be locked: no credentials, no places of the author's machine."""

from __future__ import annotations

import re
from collections.abc import Sequence

from m2g.core.config_types import Profile
from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.core.naming import find_unprintable

_USERINFO = re.compile(r"(?<=//)[^/\s@]*@")
INDEX = re.compile(r"(-i|--index-url|--extra-index-url|-f|--find-links)[ =]+(\S+)")
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
RELEASED = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?\s*"
    r"(\(?(===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+(\s*,\s*(===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+)*\)?)?"
    r"\s*(;[^@\n]*)?"
)
_SERVER = ("mlserver==1.7.1", "mlserver-mlflow==1.7.1")
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
    lines: list[str] = []
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
            lines.append(_released(line))
    have = {_key(line) for line in lines}
    if not have & {"mlflow"}:
        lines.append(f"mlflow=={mlflow_version}" if mlflow_version else "mlflow")
    stores = {name for uri in places for name in _STORES.get(uri.partition("://")[0], ())}
    lines += sorted(stores - have)
    if profile == "mlserver-image":
        lines += [line for line in _SERVER if _key(line) not in have]
        notes += _with_mlserver(lines, have)
    return Wanted(lines=tuple(lines), indexes=tuple(dict.fromkeys(indexes)), notes=tuple(notes))


def without_credentials(content: bytes) -> bytes:
    """A list of packages without user and password of the addresses in it."""
    return re.sub(rb"(https?://)[^/\s@\"']*@", rb"\1", content)


def _with_mlserver(lines: list[str], have: set[str]) -> list[str]:
    """Adds the bounds that MLServer 1.7.1 needs and does not say; a model's own pin is stronger, and told."""
    notes = []
    if "uvloop" not in have:
        lines.append("uvloop<0.22")  # MLServer#2286: with 0.22 its workers die
    if "pandas" not in have:
        lines.append("pandas<3")
    elif any(re.match(r"pandas\s*(==|~=|>=|>)\s*[3-9]", line) for line in lines):
        notes.append("the model asks for pandas 3: MLServer 1.7.1 cannot answer with a DataFrame that has text columns")
    return notes


def indexed(option: str, address: str, notes: list[str]) -> str:
    """An option of pip that names an index, in its long form; says to `notes` what was taken out of it."""
    return f"{_long(option)} {_address(address, notes)}"


def _released(line: str) -> str:
    if RELEASED.fullmatch(line) and not find_unprintable(line):
        return line
    name = _NAME.match(line)
    shown = _USERINFO.sub("", line)[:120]
    what = f"the requirement {name[1] if name and '@' in line else shown!r}"
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


def _key(line: str) -> str:
    found = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""
