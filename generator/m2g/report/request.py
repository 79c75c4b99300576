"""How a deployed model is asked: for people, who copy it, and for scripts."""

from __future__ import annotations

import msgspec

from m2g.core.results import SampleRequest
from m2g.core.sanitize import make_visible
from m2g.report.layout import encoded, joined, wrapped

_ORIGINS = {"example": "the model's input example", "signature": "made up from the signature", "none": "none"}


def call(made: SampleRequest, form: str) -> str:
    """The body and the commands that send it; `body` says why it is safe to print."""
    if form == "json":
        return encoded({"version": 1, **msgspec.to_builtins(made)})
    title = f"{make_visible(made.model, 80)} version {make_visible(made.model_version, 20)} in {made.environment}"
    lines = [f"{title}: protocol {made.protocol} (profile {made.profile}), values: {_ORIGINS[made.origin]}"]
    for note in made.notes:
        lines += wrapped(line(note), "  note: ", "    ")
    parts = [joined(lines), body(made.body)] if made.body else [joined(lines)]
    if made.ingress:
        words = "# by the cluster's ingress, whose address is in INGRESS_HOST and INGRESS_PORT"
        parts.append("\n".join((words, *made.ingress, "")))
    parts.append("\n".join(("# by a forwarded port (Kind)", *made.port_forward, "")))
    return "\n".join(parts)


def body(text: str) -> str:
    """The body; it is ASCII, and what GitHub's runner or a terminal would obey is written as `\\uXXXX`."""
    return text.replace("\x7f", "\\u007f").replace("##[", "#\\u0023[")


def line(note: str) -> str:
    """A note on one line, in which nothing is hidden."""
    return make_visible(note, 600)
