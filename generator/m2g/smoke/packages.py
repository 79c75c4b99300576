"""Which packages a smoke test runs in: the runtime's, as in the cluster, or the model's own; and what the gate says."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from m2g.compat.check import check_runtime
from m2g.compat.verdict import Reason, Verdict
from m2g.core.errors import InputError
from m2g.core.model import Value
from m2g.core.results import SmokeTest
from m2g.image import context
from m2g.smoke import environment as environments
from m2g.smoke import pythons
from m2g.smoke.environment import Environment
from m2g.smoke.targets import Trial

Packages = Literal["", "runtime", "model"]
_NO_MODULE = re.compile(r"No module named '([A-Za-z0-9_.]+)'")
_NEWEST_FOR_MLSERVER = "3.12"
_PLACES = "on PATH, by pyenv or `uv python install`"


class Choice(Value, frozen=True, kw_only=True):
    """`packages` is whose they are; `note` says why they are not those of the cluster's runtime."""

    packages: Literal["runtime", "model", "given"]
    note: str = ""


def choice(trial: Trial, given: Path | None, wish: Packages, *, deployed: bool) -> Choice:
    """The runtime's for the profile mlserver, where they can be had; what an image serves has the model's own.

    At a deployed endpoint only pyfunc runs here, which is asked as the model was logged.
    Raises InputError where a person wants the runtime's and they cannot be had.
    """
    if given is not None:
        return Choice(packages="given")
    if wish == "model" or trial.profile != "mlserver" or (deployed and not wish):
        return Choice(packages="model")
    why, way = _lacking(trial)
    if why and wish == "runtime":
        raise InputError(f"{trial.model}: {why}", hint=way)
    if why:
        instead = "served with what the model itself requires, which the cluster never installs"
        return Choice(packages="model", note=f"{why}: {instead}; {way}")
    return Choice(packages="runtime")


def _lacking(trial: Trial) -> tuple[str, str]:
    """Why the environment of the runtime cannot be made here, and the way out; empty where it can."""
    runtime = trial.runtime
    if runtime is None:
        name = trial.runtime_name
        return f"nobody has described the runtime {name}", f"m2g runtimes import FILE --name {name}"
    if runtime.loads != "pyfunc" or runtime.has("mlserver") is False:
        return f"{runtime.name} is described without MLServer", "--packages model"
    if not runtime.python:
        way = f"describe it with its Python: m2g runtimes import FILE --name {runtime.name} --python VERSION"
        return f"which Python {runtime.name} has is not known", way
    minor = _minor(runtime.python)
    if pythons.found(minor) is None:
        return f"{runtime.name} has Python {minor}, which is not on this machine", f"install python{minor} ({_PLACES})"
    return "", ""


@contextlib.contextmanager
def environment(trial: Trial, chosen: Choice, given: Path | None, tell: Callable[[str], None]) -> Iterator[Environment]:
    """The environment of a choice, for the time of the block, with what a person should know of it."""
    if given is not None:
        yield environments.given(given)
        return
    order, notes = _order(trial, chosen)
    with environments.made(order, tell) as made:
        told = (chosen.note,) if chosen.note else ()
        yield msgspec.structs.replace(made, notes=(*told, *made.notes, *notes))


def _order(trial: Trial, chosen: Choice) -> tuple[environments.Order, tuple[str, ...]]:
    mlmodel, runtime = trial.mlmodel, trial.runtime
    if mlmodel.requirements is None:
        hint = "run `m2g render` where the registry can be reached; or --environment PATH"
        raise InputError(f"the record of {trial.model} does not know what the model requires", hint=hint)
    if chosen.packages == "runtime" and runtime is not None:
        wanted = context.like(runtime, mlmodel)
        python, newest, name = runtime.python, "", runtime.name
    else:
        image = trial.profile != "mlflow-image"
        wanted = context.wanted(
            mlmodel.requirements, "mlserver-image" if image else "mlflow-image", mlmodel.mlflow_version
        )
        python, newest, name = mlmodel.python_version, _NEWEST_FOR_MLSERVER if image else "", ""
    order = environments.Order(
        model=trial.model,
        python=_minor(python),
        lines=wanted.lines,
        indexes=wanted.indexes,
        constraints=wanted.constraints,
        newest=newest,
        runtime=name,
    )
    return order, wanted.notes


def gate(trial: Trial) -> Verdict | None:
    """What the gate says of the trial's runtime; None where an image serves, or nobody described the runtime."""
    if trial.profile != "mlserver" or trial.runtime is None:
        return None
    return check_runtime(trial.mlmodel, trial.runtime, trial.limits)


def beside_the_gate(told: SmokeTest, said: Verdict | None, trial: Trial) -> SmokeTest:
    """What happened in the runtime's packages, with the gate's reason where it agrees, and a note where it does not."""
    if said is None:
        return told
    if told.packages != "runtime":
        reason = f"the gate says that {said.runtime} does not load it: {said.reasons[0].text}" if said.reasons else ""
        notes = [reason] if said.answer == "fails" and reason else []
        return msgspec.structs.replace(told, notes=(*told.notes, *notes))
    first = said.reasons[0] if said.reasons else Reason(text="")
    note, hint = "", told.hint
    if said.answer == "serves" and not told.passed:
        note = f"the gate says that {said.runtime} loads it, but here it failed"
        hint = _not_installed(trial, told.problem) or hint
    elif said.answer == "fails" and told.passed:
        note = f"the gate says that {said.runtime} does not load it ({first.text}), but here it served"
    elif not told.passed:
        note = f"the gate says so, too: {first.text}" if said.answer == "fails" else f"the gate is unsure: {first.text}"
        hint = first.fix or hint
    return msgspec.structs.replace(told, hint=hint, notes=(*told.notes, *([note] if note else [])))


def _not_installed(trial: Trial, words: str) -> str:
    """The way out where a module was missing that the runtime has; empty for every other failure."""
    found = _NO_MODULE.search(words)
    runtime = trial.runtime
    if found is None or runtime is None or not runtime.has(module := found[1].partition(".")[0]):
        return ""
    return (
        f"{runtime.name} has {module}, but here is only what the model requires: log it with pip_requirements "
        f"that name {module}"
    )


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
