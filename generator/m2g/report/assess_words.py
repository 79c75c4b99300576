"""How an assessment names what it found."""

from __future__ import annotations

from collections.abc import Mapping

from m2g.core.results import Outcome

WRITE = "m2g assess --write"
TITLES: Mapping[Outcome, str] = {
    "serves": "a runtime loads these as they are",
    "unsure": "a runtime may load these; nobody has tried",
    "mlserver-image": "these need an image with their own packages and MLServer",
    "mlflow-image": "these need an image with their own packages and MLflow's server",
    "needs-memory": "these need more memory than the settings give them",
    "log-again": "these must be logged again",
    "unreadable": "the files of these cannot be read",
}
PROBLEMS = {
    "storage": "no cluster can read the files of these",
    "slug": "these share a name in the cluster",
    "signature": "these have no signature",
}
