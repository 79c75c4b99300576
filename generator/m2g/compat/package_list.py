"""Read the Python packages of an image from the output of `pip freeze`, or from an SBOM (CycloneDX or SPDX JSON)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from m2g.compat.requirement import normalize_name
from m2g.core.errors import InputError

MAX_BYTES = 64 << 20
"""The SBOM of a CUDA image has 20 MB."""
MAX_PACKAGES = 10_000
_HINT = "create one: docker run --rm IMAGE pip freeze --all > freeze.txt, or syft IMAGE -o cyclonedx-json > sbom.json"
_PURL = re.compile(r"pkg:pypi/([A-Za-z0-9._-]{1,200})@([^?#]{1,100})")
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,199})(?:\[[^\]]{0,200}\])?\s*(?:===?\s*([0-9][^\s;#]{0,99})|@\s)")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.!+_-]{0,99}")
_PYTHON = re.compile(r"pkg:(?:generic|docker|deb/[a-z]+)/python(?:3(?:\.\d+)?)?@(3\.\d{1,2}(?:\.\d{1,3})?)")


class PackageList(msgspec.Struct, frozen=True, kw_only=True):
    """Packages by name, and the Python version if the source has it."""

    packages: dict[str, str]
    python: str = ""


class _Component(msgspec.Struct, frozen=True):
    purl: str = ""


class _Cyclone(msgspec.Struct, frozen=True):
    components: tuple[_Component, ...]


class _Reference(msgspec.Struct, frozen=True, rename="camel"):
    reference_locator: str = ""


class _Package(msgspec.Struct, frozen=True, rename="camel"):
    external_refs: tuple[_Reference, ...] = ()


class _Spdx(msgspec.Struct, frozen=True):
    packages: tuple[_Package, ...]


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    bom_format: str = ""
    spdx_version: str = msgspec.field(name="spdxVersion", default="")


def read(name: str, content: bytes) -> PackageList:
    """The packages in a file. Raises InputError with its name for any other format, or if there is no Python
    package."""
    if len(content) > MAX_BYTES:
        raise InputError(f"{name} is larger than {MAX_BYTES >> 20} MiB", hint=_HINT)
    if content.lstrip()[:1] == b"{":
        locators = list(_locators(name, content))
        packages = {normalize_name(match[1]): match[2] for text in locators if (match := _PURL.match(text))}
        pythons = sorted({match[1] for text in locators if (match := _PYTHON.match(text))})
        result = PackageList(packages=_clean(packages), python=pythons[0] if len(pythons) == 1 else "")
    else:
        result = PackageList(packages=_clean(dict(_read_freeze(name, content))))
    if not result.packages:
        raise InputError(f"{name} contains no Python package with a version", hint=_HINT)
    if len(result.packages) > MAX_PACKAGES:
        raise InputError(f"{name} contains more than {MAX_PACKAGES} packages", hint="use the list of a single image")
    return result


def _locators(name: str, content: bytes) -> Iterator[str]:
    try:
        kind = msgspec.json.decode(content, type=_Kind)
        if kind.bom_format == "CycloneDX":
            yield from (one.purl for one in msgspec.json.decode(content, type=_Cyclone).components)
        elif kind.spdx_version.startswith("SPDX-"):
            for package in msgspec.json.decode(content, type=_Spdx).packages:
                yield from (one.reference_locator for one in package.external_refs)
        else:
            raise InputError(f"{name} is JSON, but neither CycloneDX nor SPDX", hint=_HINT)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"{name} is not a valid SBOM: {str(error)[:200]}", hint=_HINT) from error


def _read_freeze(name: str, content: bytes) -> Iterator[tuple[str, str]]:
    """(name, version) from lines of `pip freeze`. A package from a path or URL (`name @ file:…`) has no version."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 at byte {error.start}", hint=_HINT) from error
    for line in lines:
        match = _PINNED.match(line.strip())
        if match is not None:
            yield normalize_name(match[1]), match[2] or ""


def _clean(packages: dict[str, str]) -> dict[str, str]:
    """Sorted. An invalid version counts as unknown."""
    return {name: text if _VERSION.fullmatch(text) else "" for name, text in sorted(packages.items())}
