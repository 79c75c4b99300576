"""environments-proved.md: which models ended in which serving environments and how they answered, from the record."""

from __future__ import annotations

from pathlib import Path

import msgspec
from docs._generate.words import table

from m2g.core.model import Mlmodel
from m2g.core.sanitize import format_code

OUTCOME = Path(__file__).parents[2] / "tests/proof/environments-outcome.json"
_PAGE = """# Serving environments, proved

For this test (`make environments`), several MLflow versions saved models of these kinds on several Pythons, with the
defaults of their libraries. `m2g environments plan` found environments for them with uv and PyPI, as in [Share one
image between models](../how-to/serving-environments.md), with all models in one trust group. Each environment was
installed from its lock with hashes, as its Dockerfile does it. `m2g smoke` then served every model in the environment
that it shares and compared the answers with those of MLflow's pyfunc. Images are built and started in [another
test](images-proved.md).

"""
_LOCKED = """
The plan took {seconds} s on a busy machine with two cores. For each environment that has two platforms, uv found one
lock for both: the same versions, with the hashes of the wheels of both. The models ran on x86-64.

"""


class Place(msgspec.Struct, frozen=True):
    """One environment. `platforms` are those that one lock can have."""

    id: str
    python: str
    server: str
    packages: int
    platforms: tuple[str, ...]


class Served(msgspec.Struct, frozen=True):
    """One model: what a record keeps of it, and its answer, which is empty if it is pyfunc's."""

    logger: str
    kind: str
    environment: str
    answer: str
    mlmodel: Mlmodel


class Apart(msgspec.Struct, frozen=True):
    """What keeps two sets of models apart."""

    models: tuple[str, ...]
    others: tuple[str, ...]
    why: str


class Outcome(msgspec.Struct, frozen=True):
    """tests/proof/environments-outcome.json. `seconds` is how long the plan took."""

    seconds: int
    environments: tuple[Place, ...]
    models: tuple[Served, ...]
    apart: tuple[Apart, ...]


def read() -> Outcome:
    """What the proof recorded."""
    return msgspec.json.decode(OUTCOME.read_bytes(), type=Outcome)


def page() -> str:
    """The page."""
    outcome = read()
    count = f"{len(outcome.models)} models ended in {len(outcome.environments)} environments:\n\n"
    places = [
        (
            f"`{one.id}`",
            str(one.packages),
            ", ".join(one.platforms),
            str(sum(model.environment == one.id for model in outcome.models)),
        )
        for one in outcome.environments
    ]
    models = [
        (one.logger, one.kind, f"`{one.environment}`", format_code(one.answer, 100) if one.answer else "as pyfunc")
        for one in outcome.models
    ]
    kept = [(", ".join(one.models), ", ".join(one.others), format_code(one.why, 200)) for one in outcome.apart]
    parts = [_PAGE + count + table(("environment", "packages", "platforms", "models"), places)]
    parts.append(_LOCKED.format(seconds=outcome.seconds))
    parts.append(table(("saved by", "kind", "environment", "answers"), models))
    if kept:
        parts.append("## What keeps models apart\n\n" + table(("these models", "and these", "because of"), kept))
    return "\n".join(parts)
