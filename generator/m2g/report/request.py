"""How to call a deployed model: commands to copy, and JSON for scripts."""

from __future__ import annotations

import msgspec

from m2g.core.results import SampleRequest
from m2g.core.sanitize import IN_JSON, disarm_inline_commands, make_visible
from m2g.report.layout import encode_json, join_lines, wrap

_ORIGINS = {"example": "the model's input example", "signature": "generated from the signature", "none": "none"}


def render_call(made: SampleRequest, form: str) -> str:
    """The request body and the commands that send it."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(made)})
    title = f"{make_visible(made.model, 80)} version {make_visible(made.model_version, 20)} in {made.environment}"
    lines = [f"{title}: protocol {made.protocol} (profile {made.profile}), values: {_ORIGINS[made.origin]}"]
    for note in made.notes:
        lines += wrap(format_note(note), "  note: ", "    ")
    parts = [join_lines(lines), escape_body(made.body)] if made.body else [join_lines(lines)]
    if made.ingress:
        comment = "# through the cluster's ingress; its address is in INGRESS_HOST and INGRESS_PORT"
        parts.append("\n".join((comment, *made.ingress, "")))
    if made.port_forward:
        parts.append("\n".join(("# through a forwarded port (such as in Kind)", *made.port_forward, "")))
    return "\n".join(parts)


def escape_body(text: str) -> str:
    """The body in ASCII; control sequences for a terminal or GitHub's runner become `\\uXXXX`."""
    return disarm_inline_commands(text.replace("\x7f", "\\u007f"), IN_JSON)


def format_note(note: str) -> str:
    """A note on one line, with invisible characters made visible."""
    return make_visible(note, 600)
