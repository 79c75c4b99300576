"""Check manifests of any origin: files, folders and standard input, outside of a repository of m2g as well."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import msgspec

from m2g import kustomize
from m2g.core.config_types import Kserve
from m2g.core.errors import InputError, OutsideError
from m2g.core.finding import Checked, Finding, Report
from m2g.core.setting_fields import KserveVersion
from m2g.validation import cel_checks
from m2g.validation.cel_checks import BuiltOverlay, Policies
from m2g.validation.overlays import check_stream
from m2g.validation.schemas import Catalogue

STDIN = "-"
_SETTINGS = re.compile(r"m2g\.yaml|model\.yaml|settings\.|m2g (render|image|schemas)|policies/|custom/")
MAX_BYTES = 64 << 20
"""The largest file or stream. The output of `kustomize build` for 10,000 services has half of it."""


def parse_version(text: str | None) -> KserveVersion:
    """The KServe minor version (`0.20` or `0.20.1`); without text the newest. Raises InputError for an unknown one."""
    if text is None:
        return Kserve().version
    known = get_args(KserveVersion)
    minor = ".".join(text.removeprefix("v").split(".")[:2])
    if minor not in known:
        raise InputError(f"m2g has no schemas of KServe {text!r}", hint=f"use one of: {', '.join(known)}")
    version: KserveVersion = msgspec.convert(minor, KserveVersion)
    return version


def check_manifests(folder: Path, paths: Sequence[str], kserve: KserveVersion) -> Report:
    """Check every object of these files, of the YAML files in these folders, and of standard input (`-`).

    Paths are relative to `folder`. In a folder, a document that has neither apiVersion nor kind is no manifest and is
    left out, as are hidden folders.
    Raises InputError for a path that does not exist and if there is no object at all.
    """
    files = [file for path in paths for file in read_manifests(folder, path)]
    group = BuiltOverlay(key=("", ""), kserve=kserve, raw_files=tuple(files))
    catalogue = Catalogue()
    findings = [_without_settings(finding) for file in files for finding in check_stream(catalogue, file, kserve)]
    policies = Policies(policies=(), overrides=(), findings=())
    cel = cel_checks.check_cel(folder, policies, [group], catalogue)[group.key]
    objects = sum(len(file.objects) for file in files)
    if not objects and not findings:
        where = ", ".join("standard input" if path == STDIN else path for path in paths)
        raise InputError(
            f"no Kubernetes object in {where}", hint="give files with apiVersion and kind, or pipe them in"
        )
    return Report(
        findings=tuple(sorted({*findings, *cel.findings})),
        checked=Checked(objects=objects, files=len(files), undecided=tuple(sorted(cel.undecided))),
        heading="manifests",
    )


def _without_settings(finding: Finding) -> Finding:
    """The finding without the advice to change a file that only a repository of m2g has."""
    if not _SETTINGS.search(finding.hint):
        return finding
    return msgspec.structs.replace(finding, hint=f"see what is right: m2g explain {finding.rule}")


def read_manifests(folder: Path, path: str) -> Iterator[kustomize.RawFile]:
    """The objects of a file, of all files of a folder, or of standard input (`-`).

    Raises InputError for a path that does not exist, OutsideError if it cannot be read.
    """
    if path == STDIN:
        yield _parse("(standard input)", sys.stdin.buffer.read(MAX_BYTES + 1))
    elif (folder / path).is_dir():
        for name in _list_files(folder, path):
            file = _read_file(folder, name)
            kept = [pair for pair in zip(file.objects, file.places, strict=True) if _is_manifest(name, pair[0])]
            if kept or file.error:
                objects, places = zip(*kept, strict=True) if kept else ((), ())
                yield msgspec.structs.replace(file, objects=objects, places=places)
    else:
        yield _read_file(folder, path)


def _list_files(folder: Path, path: str) -> Iterator[str]:
    for place, folders, names in os.walk(folder / path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.normpath(os.path.join(path, os.path.relpath(place, folder / path)))
        yield from (os.path.join(below, name) for name in sorted(names) if name.endswith((".yaml", ".yml")))


def _read_file(folder: Path, path: str) -> kustomize.RawFile:
    try:
        with (folder / path).open("rb") as file:
            return _parse(path, file.read(MAX_BYTES + 1))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such file or folder", hint="check the path; `-` reads standard input") from error
    except OSError as error:
        raise OutsideError(f"{path} cannot be read: {error.strerror}") from error


def _parse(name: str, content: bytes) -> kustomize.RawFile:
    if len(content) > MAX_BYTES:
        return kustomize.RawFile(file=name, error=f"is larger than {MAX_BYTES >> 20} MiB; check it in parts")
    return kustomize.parse_stream(name, content)


def _is_manifest(file: str, item: object) -> bool:
    """Whether a document of a folder is meant for Kubernetes; values of a chart, for example, are not."""
    if file.rpartition("/")[2] in kustomize.FILE_NAMES:
        return True
    return isinstance(item, dict) and not item.keys().isdisjoint({"apiVersion", "kind"})
