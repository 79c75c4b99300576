"""gate-proof.md: what the gate says of models, beside what real serving environments did with them."""

from __future__ import annotations

from pathlib import Path

import msgspec
from docs._generate.words import table

from m2g.compat import catalogue, runtime
from m2g.compat.check import check_runtime
from m2g.core import sanitize
from m2g.core.model import Mlmodel

OUTCOME = Path(__file__).parents[2] / "tests/proof/outcome.json"
_PAGE = """# The gate, proved

For this test (`make proof`), several MLflow versions saved models of these kinds. Each model was loaded and called
once in environments with the packages of the [runtimes](../how-to/describe-a-runtime.md), by MLServer's own MLflow
runtime or in the way that KServe's native servers load a file. Each row shows the gate's verdict, made before the
test, and what happened. The verdict is `unknown` if the facts do not decide it: a pickle from another scikit-learn
may load or not, and only a test shows it. `m2g smoke`, with the packages of KServe's newest MLServer, had the results
of the first table for every model.
"""


class Seen(msgspec.Struct, frozen=True):
    """What a runtime did with a model."""

    outcome: str
    error: str = ""


class Row(msgspec.Struct, frozen=True):
    """One model."""

    logger: str
    kind: str
    mlmodel: Mlmodel
    outcomes: dict[str, Seen]
    smoke: str


class Outcome(msgspec.Struct, frozen=True):
    """tests/proof/outcome.json. `kserve` is the version that has a runtime in this form."""

    kserve: dict[str, str]
    rows: tuple[Row, ...]


def read() -> Outcome:
    """What `make proof` recorded."""
    return msgspec.json.decode(OUTCOME.read_bytes(), type=Outcome)


def said(outcome: Outcome, row: Row, name: str) -> str:
    """The gate's answer for a row."""
    found = runtime.find_runtime(catalogue.read_stock(), name.rpartition("-")[0], outcome.kserve[name])
    if found is None:
        raise ValueError(f"no runtime {name} is described")
    return check_runtime(row.mlmodel, found, {}).answer


def page() -> str:
    """The page."""
    outcome = read()
    parts = [_PAGE]
    for name in outcome.kserve:
        rows = [
            (
                row.logger,
                row.kind,
                f"**{said(outcome, row, name)}**",
                row.outcomes[name].outcome,
                sanitize.format_code(row.outcomes[name].error, 100) if row.outcomes[name].error else "",
            )
            for row in outcome.rows
        ]
        parts.append(
            f"## {name}\n\n" + table(("saved by", "kind", "verdict of the gate", "what happened", "error"), rows)
        )
    return "\n".join(parts)
