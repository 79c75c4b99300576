"""Install requirements into a new environment: wheels only, each with the hash that the package index gave for it.

Nothing of a package runs: wheels are unpacked, and the byte code is compiled by the machine's own Python.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from m2g.core import process
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.model import Value
from m2g.core.redact import redact
from m2g.core.sanitize import make_visible
from m2g.image.package_index import installer_environment

SPACE_HINT = (
    "free disk space there, set M2G_CACHE_DIR to a directory on another disk, or use your own environment: --venv PATH"
)
_FULL = re.compile(r"No space left|Disk quota exceeded|File too large|os error 28|Errno 28|Errno 27", re.IGNORECASE)
_MISSING = re.compile(r"No matching distribution found for ([^\s(]+)|Because ([A-Za-z0-9._-]+) was not found")
_UNREACHABLE = re.compile(r"Failed to fetch|error sending request|Connection refused|Name or service|dns error")
_WHEELS = ("--only-binary", ":all:")


class EnvironmentSpec(Value, frozen=True, kw_only=True):
    """What an environment must have.

    `python` is the model's minor version, such as 3.11; `newest` the newest minor version that the server supports.
    `runtime` names the runtime that the environment copies: then no other Python is acceptable.
    """

    model: str
    python: str
    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    newest: str = ""
    runtime: str = ""
    seconds: float = 1800.0


class _Archive(msgspec.Struct, frozen=True):
    hashes: dict[str, str] = {}


class _Download(msgspec.Struct, frozen=True):
    url: str = ""
    archive_info: _Archive = _Archive()

    def find_digest(self) -> str:
        """The SHA-256 of the wheel. pip before 23.1 does not report that of a file on this machine."""
        reported = self.archive_info.hashes.get("sha256", "")
        address = urlsplit(self.url)
        if reported or address.scheme != "file":
            return reported
        with open(unquote(address.path), "rb") as wheel:
            return hashlib.file_digest(wheel, "sha256").hexdigest()


class _Metadata(msgspec.Struct, frozen=True):
    name: str
    version: str


class _Package(msgspec.Struct, frozen=True):
    download_info: _Download
    metadata: _Metadata


class _Report(msgspec.Struct, frozen=True):
    """What `pip install --dry-run --report` writes, as far as it is needed."""

    install: list[_Package]


class Installer:
    """Builds one environment. The working files are beside its folder and are removed at the end."""

    def __init__(self, spec: EnvironmentSpec, python: Path, folder: Path) -> None:
        self._spec, self._python, self._folder = spec, python, folder
        self._log, self._requirements, self._constraints, self._lock, self._report = (
            folder.with_suffix(suffix) for suffix in (".log", ".txt", ".constraints.txt", ".lock.txt", ".report.json")
        )

    def install(self) -> None:
        """Raises InputError if the requirements cannot be installed, OutsideError if the index or the disk fails."""
        self._remove_files()
        try:
            self._requirements.write_text("".join(f"{line}\n" for line in self._spec.lines), encoding="utf-8")
            self._constraints.write_text("".join(f"{line}\n" for line in self._spec.constraints), encoding="utf-8")
            uv = process.find_program(os.environ.get("M2G_UV") or "uv")
            if uv:
                self._install_with_uv(uv)
            else:
                self._install_with_pip()
            compiling = [str(self._python), "-I", "-m", "compileall", "-q", "-j", "0", str(self._folder / "lib")]
            process.run(compiling, timeout=self._spec.seconds)
        except OSError as error:
            what = f"the environment of {self._spec.model} cannot be built: {error.strerror} ({self._folder})"
            raise OutsideError(what, hint=SPACE_HINT) from error
        finally:
            self._remove_files()

    def _install_with_uv(self, uv: str) -> None:
        files = [str(self._requirements), "-c", str(self._constraints), "--output-file", str(self._lock)]
        to = ["--python", str(self._folder / "bin/python")]
        options = ["--no-config", "--no-progress"]
        self._run([uv, *options, "venv", "--quiet", "--python", str(self._python), str(self._folder)])
        locking = ["--quiet", "--no-header", "--no-annotate", "--generate-hashes", *_WHEELS]
        self._run([uv, *options, "pip", "compile", *locking, *to, *files])
        self._run([uv, *options, "pip", "install", *to, *_WHEELS, "--no-deps", "--require-hashes", "-r", files[-1]])

    def _install_with_pip(self) -> None:
        files = ["-r", str(self._requirements), "-c", str(self._constraints)]
        pip = [str(self._folder / "bin/python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        pip += ["install", "--progress-bar", "off", *_WHEELS]
        self._run([str(self._python), "-I", "-m", "venv", "--clear", str(self._folder)])
        self._run([*pip, "--dry-run", "--ignore-installed", "--report", str(self._report), *files])
        self._lock.write_text(self._lock_report(), encoding="utf-8")
        self._run([*pip, "--no-deps", "--require-hashes", "-r", str(self._lock)])

    def _lock_report(self) -> str:
        packages = msgspec.json.decode(self._report.read_bytes(), type=_Report).install
        lines = []
        for package in packages:
            digest = package.download_info.find_digest()
            lines.append(f"{package.metadata.name}=={package.metadata.version} --hash=sha256:{digest}\n")
        return "".join(lines)

    def _run(self, command: Sequence[str]) -> None:
        code, text = self._start(command, installer_environment())
        if code is None:
            raise OutsideError(
                f"the environment of {self._spec.model} was not built within {self._spec.seconds:g} s",
                hint="try again if the package index was slow, or use your own environment: --venv PATH",
            )
        if code:
            raise _explain(self._spec, text, self._folder)

    def _start(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int | None, str]:
        task = process.Task(
            arguments=tuple(command),
            cwd=self._folder.parent,
            log=self._log,
            environment=environment,
            remove=self._folder,
            limits=process.Limits(log_bytes=8 << 20),
        )
        with process.start(task) as running:
            code = running.poll(self._spec.seconds)
        return code, self._log.read_text(errors="replace")

    def _remove_files(self) -> None:
        for path in (self._log, self._requirements, self._constraints, self._lock, self._report):
            path.unlink(missing_ok=True)


def _explain(spec: EnvironmentSpec, output: str, folder: Path) -> M2gError:
    """The installer's error in one sentence that names the model and, if known, the package."""
    if _FULL.search(output):
        return OutsideError(
            f"there is not enough disk space for the environment of {spec.model} in {folder.parent}", hint=SPACE_HINT
        )
    if not (folder / "bin/python").exists() or "ensurepip" in output:
        last = make_visible((output.strip().splitlines() or ["the tool gave no reason"])[-1], 500)
        message = f"no environment for {spec.model} can be created in {folder.parent}: {last}"
        return OutsideError(message, hint=SPACE_HINT)
    missing = _MISSING.search(output)
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    line = next((line for line in reversed(lines) if "ERROR" in line or "error" in line), lines[-1] if lines else "?")
    reason = make_visible(redact(line.removeprefix("ERROR: ")), 500)
    if _UNREACHABLE.search(output) or "NewConnectionError" in output:
        hint = (
            "check the network and the package index (PIP_INDEX_URL, UV_INDEX_URL), or use your own environment: "
            "--venv PATH"
        )
        return OutsideError(f"the packages of {spec.model} cannot be downloaded: {reason}", hint=hint)
    if missing:
        what = f"the requirement {missing[1] or missing[2]} of {spec.model}"
    else:
        what = f"the requirements of {spec.model}"
    if spec.runtime:
        hint = (
            f"the versions are those of {spec.runtime}; use the model's own: --packages model "
            "(or your own environment: --venv PATH)"
        )
        return InputError(f"{what} cannot be installed in the versions of {spec.runtime}: {reason}", hint=hint)
    return InputError(
        f"{what} cannot be installed: {reason}",
        hint="log the model again with pip_requirements that exist as wheels, or use an environment that has them: "
        "--venv PATH",
    )
