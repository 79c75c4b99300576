"""The packages that a smoke test installs (the cluster runtime's or the model's own), and the gate's verdict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from m2g.compat.check import check_runtime
from m2g.compat.verdict import Reason, Verdict
from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.core.results import SmokeTest
from m2g.image.context import image_requirements, runtime_requirements
from m2g.image.package_index import check_indexes
from m2g.smoke import pythons
from m2g.smoke.install import EnvironmentSpec
from m2g.smoke.targets import SharedPackages, Target

Packages = Literal["", "runtime", "model"]
_NO_MODULE = re.compile(r"No module named '([A-Za-z0-9_.]+)'")
_NEWEST_FOR_MLSERVER = "3.12"


class PackageChoice(Value, frozen=True, kw_only=True):
    """Whose packages to install. `note` says why they are not those of the cluster's runtime."""

    packages: Literal["runtime", "environment", "model", "given"]
    note: str = ""


def choose_packages(target: Target, environment: Path | None, requested: Packages, *, deployed: bool) -> PackageChoice:
    """The runtime's packages for the profile mlserver if they can be installed; for an image, those of the serving
    environment that the version shares, else the model's own.

    For a deployed endpoint only pyfunc runs here, with the packages that the model was logged with.
    Raises InputError if the user requests the runtime's packages and they cannot be installed.
    """
    if environment is not None:
        return PackageChoice(packages="given")
    if target.shared is not None and not requested and not deployed:
        return PackageChoice(packages="environment")
    if requested == "model" or target.profile != "mlserver" or (deployed and not requested):
        return PackageChoice(packages="model")
    problem, hint = _runtime_problem(target)
    if problem and requested == "runtime":
        raise InputError(f"{target.model}: {problem}", hint=hint)
    if problem:
        instead = "m2g used the packages that the model requires, which the cluster does not install"
        return PackageChoice(packages="model", note=f"{problem}: {instead}; {hint}")
    return PackageChoice(packages="runtime")


def _runtime_problem(target: Target) -> tuple[str, str]:
    """Why the runtime's packages cannot be installed here, and a hint; empty if they can."""
    runtime = target.runtime
    if runtime is None:
        name = target.runtime_name
        return f"the runtime {name} is not described", f"describe it: m2g runtimes import FILE --name {name}"
    if runtime.loads != "pyfunc" or runtime.has("mlserver") is False:
        return f"{runtime.name} does not have MLServer", "choose the model's packages: --packages model"
    if not runtime.python:
        hint = f"describe it again: m2g runtimes import FILE --name {runtime.name} --python VERSION"
        return f"the description of {runtime.name} does not say its Python version", hint
    minor = _minor(runtime.python)
    if pythons.find_python(minor) is None:
        return (
            f"{runtime.name} has Python {minor}, which is not on this machine",
            f"install it: uv python install {minor}",
        )
    return "", ""


def make_spec(target: Target, choice: PackageChoice) -> tuple[EnvironmentSpec, tuple[str, ...]]:
    """What to install, and notes for the user. Raises InputError if the requirements are missing or refused."""
    mlmodel, runtime = target.mlmodel, target.runtime
    if choice.packages == "environment" and target.shared is not None:
        return _make_shared_spec(target, target.shared)
    if mlmodel.requirements is None:
        hint = "read them from the registry (m2g render), or use your own environment: --venv PATH"
        raise InputError(f"the release record of {target.model} does not have the model's requirements", hint=hint)
    if choice.packages == "runtime" and runtime is not None:
        required = runtime_requirements(runtime, mlmodel)
        python, newest, name = runtime.python, "", runtime.name
    elif target.profile == "mlflow-image":
        required = image_requirements(mlmodel.requirements, "mlflow-image", mlmodel.mlflow_version)
        python, newest, name = mlmodel.python_version, "", ""
    else:
        required = image_requirements(mlmodel.requirements, "mlserver-image", mlmodel.mlflow_version)
        python, newest, name = mlmodel.python_version, _NEWEST_FOR_MLSERVER, ""
    check_indexes(target.model, required.indexes)
    spec = EnvironmentSpec(
        model=target.model,
        python=_minor(python),
        lines=required.lines,
        constraints=required.constraints,
        newest=newest,
        runtime=name,
    )
    return spec, (*((choice.note,) if choice.note else ()), *required.notes)


def _make_shared_spec(target: Target, shared: SharedPackages) -> tuple[EnvironmentSpec, tuple[str, ...]]:
    """What the image of the serving environment gets: every model that shares it is tested in one environment."""
    check_indexes(target.model, shared.indexes)
    newest = _NEWEST_FOR_MLSERVER if target.profile == "mlserver-image" else ""
    spec = EnvironmentSpec(model=target.model, python=shared.python, lines=shared.lines, newest=newest)
    return spec, (f"in the packages of the serving environment {shared.id}",)


def gate_verdict(target: Target) -> Verdict | None:
    """Whether the target's runtime loads the model; None if an image serves it or the runtime is not described."""
    if target.profile != "mlserver" or target.runtime is None:
        return None
    return check_runtime(target.mlmodel, target.runtime, target.limits)


def compare_with_gate(result: SmokeTest, gate: Verdict | None, target: Target) -> SmokeTest:
    """Add the gate's reason if it agrees with the test in the runtime's packages, or a note if it does not."""
    if gate is None:
        return result
    if result.packages != "runtime":
        reason = f"the gate says that {gate.runtime} does not load it: {gate.reasons[0].text}" if gate.reasons else ""
        notes = [reason] if gate.answer == "fails" and reason else []
        return msgspec.structs.replace(result, notes=(*result.notes, *notes))
    first = gate.reasons[0] if gate.reasons else Reason(text="")
    note, hint = "", result.hint
    if gate.answer == "serves" and not result.passed:
        note = f"the gate says that {gate.runtime} loads it, but this test failed"
        hint = _missing_module_hint(target, result.problem) or hint
    elif gate.answer == "fails" and result.passed:
        note = f"the gate says that {gate.runtime} does not load it ({first.text}), but this test passed"
    elif not result.passed:
        known = gate.answer == "fails"
        note = f"the gate says the same: {first.text}" if known else f"the gate does not know: {first.text}"
        hint = first.fix or hint
    return msgspec.structs.replace(result, hint=hint, notes=(*result.notes, *([note] if note else [])))


def _missing_module_hint(target: Target, problem: str) -> str:
    """A hint if a module was missing that the runtime has; empty for every other failure."""
    found = _NO_MODULE.search(problem)
    runtime = target.runtime
    if found is None or runtime is None or not runtime.has(module := found[1].partition(".")[0]):
        return ""
    return (
        f"{runtime.name} has {module}, but the test installs only what the model requires: log the model again with "
        f"{module} in pip_requirements"
    )


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
