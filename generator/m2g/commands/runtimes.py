"""`m2g runtimes`: the serving runtimes that m2g knows, and descriptions of your own."""

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


def list_runtimes(root: Path | None) -> tuple[Runtime, ...]:
    """Every described runtime, the repository's own first. Raises InputError if a description is invalid."""
    known, findings = runtimes.read(root)
    if findings:
        raise InputError(f"{findings[0].file}: {findings[0].message}", hint=findings[0].hint)
    return known


def show_runtime(root: Path | None, name: str, kserve: str) -> Runtime:
    """One runtime. Raises InputError if it is not described."""
    known = [
        one
        for one in list_runtimes(root)
        if one.name == name and (not kserve or not one.kserve or kserve in one.kserve)
    ]
    of = sorted({version for one in list_runtimes(root) if one.name == name for version in one.kserve})
    if not known and of:
        hint = f"choose a version that is described: {', '.join(of)}"
        raise InputError(f"{name} is not described for KServe {kserve[:20]}", hint=hint)
    if not known:
        names = ", ".join(sorted({one.name for one in list_runtimes(root)}))
        raise InputError(f"there is no description of a runtime {name[:100]!r}", hint=f"choose one of: {names}")
    own = next((one for one in known if not one.kserve), None)
    return own or max(known, key=lambda one: [int(part) for part in one.kserve[-1].split(".")])


def import_runtime(root: Path, path: Path, described: Runtime) -> RuntimeImport:
    """Describe a runtime by the package list in the file `path`; `described` has its name, image and Python.

    Raises InputError for an invalid name or file, OutsideError if the description cannot be written.
    """
    if not _NAME.fullmatch(described.name):
        hint = "use the name of the ServingRuntime, such as --name mlserver-py312"
        raise InputError(f"{described.name[:100]!r} is not a valid name of a ServingRuntime", hint=hint)
    listed = package_list.read(path.name, _read(path))
    python = described.python or listed.python
    if python and not _PYTHON.fullmatch(python):
        raise InputError(f"{python[:50]!r} is not a Python version", hint="name one, such as --python 3.12.4")
    if "mlserver" not in listed.packages and "mlflow" not in listed.packages:
        hint = "list the packages of the serving image: docker run --rm IMAGE pip freeze --all > freeze.txt"
        raise InputError(f"{path.name} has neither mlserver nor mlflow, so it cannot load a model", hint=hint)
    runtime = msgspec.structs.replace(
        described,
        python=python,
        protocols=("v2", "invocations") if "mlserver" in listed.packages else ("invocations",),
        packages=listed.packages,
        complete=True,
        source=path.name[:200],
    )
    file = f"{layout.RUNTIMES}/{described.name}.json"
    content = msgspec.json.format(msgspec.json.encode(runtime), indent=1) + b"\n"
    change = runtimes.save(root, file, content)
    return RuntimeImport(file=file, change=change, runtime=runtime.name, packages=len(runtime.packages), python=python)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise InputError(f"{path} is not a file", hint="name the output of `pip freeze --all` or an SBOM")
        with path.open("rb") as file:
            return file.read(package_list.MAX_BYTES + 1)
    except OSError as error:
        raise OutsideError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error
