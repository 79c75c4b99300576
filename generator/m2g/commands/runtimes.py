"""`m2g runtimes`: the runtimes that the gate knows, and descriptions of your own."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from m2g.compat import package_list
from m2g.compat.runtime import Runtime
from m2g.core.errors import InputError, OutsideError
from m2g.core.results import RuntimeImport
from m2g.repository import layout, runtimes

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_PYTHON = re.compile(r"3\.\d{1,2}(\.\d{1,3})?")


def listed(root: Path | None) -> tuple[Runtime, ...]:
    """Every described runtime, the repository's own first."""
    known, findings = runtimes.read(root)
    if findings:
        raise InputError(f"{findings[0].file}: {findings[0].message}", hint=findings[0].hint)
    return known


def show(root: Path | None, name: str, kserve: str) -> Runtime:
    """One runtime. Raises InputError for one that nobody described."""
    known = [one for one in listed(root) if one.name == name and (not kserve or not one.kserve or kserve in one.kserve)]
    of = sorted({version for one in listed(root) if one.name == name for version in one.kserve})
    if not known and of:
        raise InputError(f"{name} is not described for KServe {kserve[:20]}", hint=f"it is for {', '.join(of)}")
    if not known:
        names = ", ".join(sorted({one.name for one in listed(root)}))
        raise InputError(f"no runtime {name[:100]!r} is described", hint=f"there are {names}")
    own = next((one for one in known if not one.kserve), None)
    return own or max(known, key=lambda one: [int(part) for part in one.kserve[-1].split(".")])


def import_(root: Path, path: Path, described: Runtime) -> RuntimeImport:
    """Describe a runtime by what a file says: `described` has the rest (name, image, Python).

    Raises InputError for nonsense, OutsideError where nothing can be written.
    """
    if not _NAME.fullmatch(described.name):
        raise InputError(f"{described.name[:100]!r} is no name of a ServingRuntime", hint="such as mlserver-py312")
    found = package_list.read(path.name, _content(path))
    python = described.python or found.python
    if python and not _PYTHON.fullmatch(python):
        raise InputError(f"{python[:50]!r} is no Python version", hint="such as --python 3.12.4")
    if "mlserver" not in found.packages and "mlflow" not in found.packages:
        hint = "import what the image that serves contains, not your own environment"
        raise InputError(f"{path.name} has neither mlserver nor mlflow: nothing there loads a model", hint=hint)
    made = msgspec.structs.replace(
        described,
        python=python,
        protocols=("v2", "invocations") if "mlserver" in found.packages else ("invocations",),
        packages=found.packages,
        complete=True,
        source=path.name[:200],
    )
    file = f"{layout.RUNTIMES}/{described.name}.json"
    content = msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"
    change = runtimes.save(root, file, content)
    return RuntimeImport(file=file, change=change, runtime=made.name, packages=len(made.packages), python=python)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise InputError(f"{path} is no file")
        with path.open("rb") as file:
            return file.read(package_list.MAX_BYTES + 1)
    except OSError as error:
        raise OutsideError(f"{path} cannot be read: {error.strerror}") from error
