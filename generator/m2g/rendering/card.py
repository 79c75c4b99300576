"""The model card (models/<slug>/README.md) for the people who own, review and call the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from m2g.core.model import Field, Mlmodel, Release, Value
from m2g.core.sanitize import escape_markdown, format_code

_MAX_METRICS = 30
"""How many metrics are on a card, sorted by name."""
_MAX_FIELDS = 40
"""How many inputs, outputs and parameters of a signature are on a card, each."""
_MAX_NOTES = 10
_MAX_LENGTH = 400
"""How many characters of a note or a source are on a card."""


class CardRow(Value, frozen=True, kw_only=True):
    """One environment on the card.

    `source` is the storage URI and the image, `reason` why the profile was chosen, `sample` the file in requests/
    (empty if there is none), `notes` remarks about the sample, and `call` the shell commands that send it.
    """

    release: Release
    namespace: str
    source: str
    profile: str
    reason: str
    protocol: str
    sample: str
    notes: tuple[str, ...]
    call: tuple[str, ...]


def render_card(slug: str, rows: Sequence[CardRow]) -> str:
    """The card as Markdown, with the environments in the given order. Text from the registry is escaped."""
    sections = (_releases(slug, rows), _profiles(rows), _metrics(rows), _signature(rows[-1].release), _call(slug, rows))
    return "\n\n".join("\n".join(lines) for lines in map(list, sections) if lines) + "\n"


def _releases(slug: str, rows: Sequence[CardRow]) -> Iterator[str]:
    title = rows[-1].release.model
    yield f"# {escape_markdown(title)}"
    yield ""
    yield f"{_name_models(rows)}, served as {format_code(slug)}. m2g writes this page from the release records in"
    yield "[releases/](releases/)."
    yield ""
    yield "| environment | version | follows | library | run | serves | namespace |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        release = row.release
        yield _line(
            escape_markdown(release.environment),
            escape_markdown(release.version),
            escape_markdown(release.follows),
            escape_markdown(_library(release.mlmodel)),
            format_code(release.run.id if release.run else "–"),
            format_code(row.source, _MAX_LENGTH),
            format_code(row.namespace),
        )


def _name_models(rows: Sequence[CardRow]) -> str:
    if len({row.release.model for row in rows}) == 1:
        return f"Registered model {format_code(rows[0].release.model)}"
    names = [f"{format_code(row.release.model)} in {escape_markdown(row.release.environment)}" for row in rows]
    return f"Registered models {', '.join(names)}"


def _profiles(rows: Sequence[CardRow]) -> Iterator[str]:
    yield "## How it is served"
    yield ""
    yield "| environment | profile | reason |"
    yield "|---|---|---|"
    for row in rows:
        yield _line(escape_markdown(row.release.environment), format_code(row.profile), escape_markdown(row.reason))


def _metrics(rows: Sequence[CardRow]) -> Iterator[str]:
    runs = [row.release.run.metrics if row.release.run else {} for row in rows]
    names = sorted({name for metrics in runs for name in metrics})[:_MAX_METRICS]
    if not names:
        return
    yield "## Metrics"
    yield ""
    yield _line(
        "metric",
        *(f"{escape_markdown(row.release.environment)} {escape_markdown(row.release.version)}" for row in rows),
    )
    yield f"|---|{'---|' * len(rows)}"
    for name in names:
        yield _line(escape_markdown(name), *(escape_markdown(_number(metrics.get(name, "–"))) for metrics in runs))


def _signature(release: Release) -> Iterator[str]:
    signature = release.mlmodel.signature if release.mlmodel else None
    if signature is None:
        return
    yield "## Signature"
    yield ""
    yield f"This is the signature of version {escape_markdown(release.version)}"
    yield f"in {escape_markdown(release.environment)}."
    yield ""
    yield "| | name | type |"
    yield "|---|---|---|"
    for side, fields in (("input", signature.inputs), ("output", signature.outputs), ("parameter", signature.params)):
        for field in (fields or ())[:_MAX_FIELDS]:
            yield _line(
                f"{side}{'' if field.required else ' (optional)'}",
                escape_markdown(field.name),
                format_code(_kind(field)),
            )


def _call(slug: str, rows: Sequence[CardRow]) -> Iterator[str]:
    last = rows[-1]
    yield "## Call it"
    yield ""
    yield "| environment | protocol | sample request |"
    yield "|---|---|---|"
    for row in rows:
        sample = f"[{row.sample}](requests/{row.sample})" if row.sample else "–"
        yield _line(escape_markdown(row.release.environment), row.protocol, sample)
    yield ""
    if last.notes:
        yield from (f"- {escape_markdown(note, _MAX_LENGTH)}" for note in last.notes[:_MAX_NOTES])
        yield ""
    yield f"Run this in this directory to call the model in {escape_markdown(last.release.environment)}."
    yield f"`m2g request {slug}` prints more ways to call it."
    yield ""
    yield "```bash"
    yield from last.call
    yield "```"


def _line(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def _library(mlmodel: Mlmodel | None) -> str:
    if mlmodel is None:
        return "–"
    flavors = [f for f in mlmodel.flavors if f.name != "python_function"] or mlmodel.flavors
    return ", ".join(f"{f.name} {f.version}".strip() for f in flavors)


def _number(metric: float | str) -> str:
    return f"{metric:.6g}" if isinstance(metric, float) else metric


def _kind(field: Field) -> str:
    return field.type if field.shape is None else f"{field.type}{list(field.shape)}"
