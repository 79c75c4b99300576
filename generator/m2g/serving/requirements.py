"""A model's requirement lines → requirements that can be locked: no credentials, no paths of the author's machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2g.compat.requirement import normalize_name, parse_requirement, parse_version
from m2g.core.errors import InputError
from m2g.core.model import Profile, Value
from m2g.core.naming import find_unprintable

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_USERINFO = re.compile(r"(?<=//)[^/\s]*@")
INDEX = re.compile(r"(-i|--index-url|--extra-index-url|-f|--find-links)[ =]+(\S+)")
_SERVER = {"mlserver": "==1.7.1", "mlserver-mlflow": "==1.7.1", "uvloop": "<0.22", "pandas": "<3"}
"""With bounds that MLServer 1.7.1 needs but does not declare (MLServer#2286: its workers crash with uvloop 0.22)."""
_ROUTES = ((2, 21), (3, 11))
"""From, and before: the mlflow versions whose scoring server calls `FastAPI.route`, which Starlette 1 does not have:
with it, the server stops at once (`make environments` showed it; the versions are from MLflow's wheels)."""
_PANDAS_3 = "the model requires pandas 3: MLServer 1.7.1 cannot return a DataFrame with text columns"
_STORES = {
    "s3": ("boto3",),
    "gs": ("google-cloud-storage",),
    "wasb": ("azure-identity", "azure-storage-blob"),
    "wasbs": ("azure-identity", "azure-storage-blob"),
    "abfss": ("azure-identity", "azure-storage-file-datalake"),
    "hdfs": ("pyarrow",),
}
"""URI scheme → the packages that MLflow needs for it and does not install."""
_MAX = 500


class Requirements(Value, frozen=True, kw_only=True):
    """Requirement `lines`, pip options for `indexes`, and `notes` for the user about what m2g changed and why.

    `constraints` limit the versions of packages but do not install them.
    """

    lines: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()


def image_requirements(
    given: Sequence[str], profile: Profile, mlflow_version: str, batch_uris: Sequence[str] = ()
) -> Requirements:
    """The requirements of an image: the model's, the server's, and what MLflow needs to access `batch_uris`.

    Raises InputError for a requirement that cannot be locked.
    """
    if len(given) > _MAX:
        raise InputError(
            f"the model has {len(given)} requirement lines; m2g locks at most {_MAX}",
            hint="log the model again with fewer pip_requirements",
        )
    lines: dict[str, Requirement] = {}
    indexes: list[str] = []
    notes: list[str] = []
    for text in given:
        line = re.sub(r"(^|\s)#.*", "", text).strip()
        found = INDEX.fullmatch(line)
        if found:
            indexes.append(index_option(found[1], found[2], notes))
        elif line.startswith(("-c", "--constraint")):
            notes.append(f"m2g ignored {line!r}: MLflow does not store that file")
        elif line and not line.startswith(("--trusted-host", "--no-binary", "--prefer-binary", "--pre")):
            lines[line] = _released(line)
    names = {normalize_name(requirement.name) for requirement in lines.values()}
    added = [] if "mlflow" in names else [f"mlflow=={mlflow_version}" if mlflow_version else "mlflow"]
    stores = {name for uri in batch_uris for name in _STORES.get(uri.partition("://")[0], ())}
    added += sorted(stores - names)
    if profile == "mlserver-image":
        added += [f"{name}{version}" for name, version in _SERVER.items() if name not in names]
        if any(normalize_name(one.name) == "pandas" and _needs_version_3(one) for one in lines.values()):
            notes.append(_PANDAS_3)
    elif profile == "mlflow-image" and "starlette" not in names:
        first, fixed = _ROUTES
        added += ["starlette<1"] if first <= parse_version(mlflow_version)[:2] < fixed else []
    return Requirements(lines=(*lines, *added), indexes=tuple(dict.fromkeys(indexes)), notes=tuple(notes))


def remove_credentials(content: bytes) -> bytes:
    """Remove user and password from all URLs in a list of packages."""
    return re.sub(rb"(https?://)[^/\s\"']*@", rb"\1", content)


def _needs_version_3(pandas: Requirement) -> bool:
    """Whether the requirement excludes every pandas before version 3."""
    bounds = (one.version for one in pandas.specifier if one.operator in ("==", "===", "~=", ">=", ">"))
    return any(parse_version(version) >= (3,) for version in bounds)


def index_option(option: str, address: str, notes: list[str]) -> str:
    """A pip option that names an index, in its long form and without credentials; adds to `notes` what it removed."""
    return f"{_long(option)} {_address(address, notes)}"


def find_released(line: str) -> Requirement | None:
    """The requirement of a line, if it is a package of an index; None for a URL, a path or anything else."""
    return None if "@" in line or find_unprintable(line) else parse_requirement(line)


def _released(line: str) -> Requirement:
    requirement = find_released(line)
    if requirement is not None:
        return requirement
    elsewhere = parse_requirement(line)
    shown = _USERINFO.sub("", line)[:120]
    what = f"the requirement {(shown if elsewhere is None else elsewhere.name)!r}"
    raise InputError(
        f"{what} is not a released package: {shown!r}",
        hint="publish the package to an index that the build can read, and log the model again with pip_requirements "
        "that name it with its version",
    )


def _address(address: str, notes: list[str]) -> str:
    """The URL of an index without user and password. Raises InputError for a path on the author's machine."""
    address = _USERINFO.sub("", address)
    if not re.fullmatch(r"https?://[^\s\"'\\`$;|&<>]+", address) or find_unprintable(address):
        raise InputError(
            f"the requirements name the index {address[:120]!r}, which is not an http(s) URL",
            hint="log the model again with an index that the build can read, or without one",
        )
    notes.append(
        f"{address} is written without user and password: give them to uv by UV_INDEX or ~/.netrc, and to the build "
        "as the secret pip_conf"
    )
    return address


def _long(option: str) -> str:
    return {"-i": "--index-url", "-f": "--find-links"}.get(option, option)
