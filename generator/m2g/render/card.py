"""The model card: models/<slug>/README.md, for the people who own, review and call the model."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2g import prose
from m2g.model import Field, Release, Value

if TYPE_CHECKING:
    import jinja2

_METRICS = 30
"""Metrics on a card, by name."""

_TEMPLATE = """\
# {{ title | md }}

Registered model {{ title | code }}, served as {{ slug | code }}. m2g writes this page from the records in
[releases/](releases/).

| environment | version | follows | library | run | serves | namespace |
|---|---|---|---|---|---|---|
{% for row in rows -%}
{% set release = row.release -%}
| {{ release.environment | md }} | {{ release.version | md }} | {{ release.follows | md }} | {{ release | library | md
}} | {{ (release.run.id if release.run else "–") | code }} | {{ row.source | code(400) }} | {{ row.namespace | code }} |
{% endfor %}
## How it is served

| environment | profile | because |
|---|---|---|
{% for row in rows -%}
| {{ row.release.environment | md }} | {{ row.profile | code }} | {{ row.reason | md }} |
{% endfor %}
{%- if metrics %}
## Metrics

| metric |{% for row in rows %} {{ row.release.environment | md }} {{ row.release.version | md }} |{% endfor %}
|---|{% for row in rows %}---|{% endfor %}
{% for name in metrics -%}
| {{ name | md }} |{% for row in rows %} {{ row.release | metric(name) | md }} |{% endfor %}
{% endfor %}
{%- endif %}
{%- if signature %}
## Signature

Of version {{ rows[-1].release.version | md }} in {{ rows[-1].release.environment | md }}.

| | name | type |
|---|---|---|
{% for side, fields in (("input", signature.inputs), ("output", signature.outputs), ("parameter", signature.params))
-%}
{% for field in (fields or ())[:40] -%}
| {{ side }}{{ "" if field.required else " (optional)" }} | {{ field.name | md }} | {{ field | kind | code }} |
{% endfor -%}
{% endfor %}
{%- endif %}
## Call it

| environment | protocol | sample request |
|---|---|---|
{% for row in rows -%}
| {{ row.release.environment | md }} | {{ row.protocol }} | {% if row.sample %}[{{ row.sample }}](requests/{{ row.sample
}}){% else %}–{% endif %} |
{% endfor %}
{%- for note in rows[-1].notes[:10] %}
- {{ note | md(400) }}
{%- endfor %}
{%- if rows[-1].notes %}
{% endif %}
In {{ rows[-1].release.environment | md }}, from this folder; `m2g request {{ slug }}` says more:

```bash
{% for line in rows[-1].call -%}
{{ line }}
{% endfor -%}
```
"""


class Row(Value, frozen=True, kw_only=True):
    """One environment on the card: `source` is the storage URI and the image.

    `profile` says how it is served, `reason` why; `sample` is the file in requests/, empty for none, `notes` what is to
    know of it, `call` the shell lines that send it.
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


def card(slug: str, rows: Sequence[Row]) -> str:
    """Markdown of the card, environments in the order given. Registry text cannot break out of its cell."""
    last = rows[-1].release
    metrics = sorted({name for row in rows if row.release.run for name in row.release.run.metrics})
    return _page().render(
        slug=slug,
        title=last.model,
        rows=rows,
        metrics=metrics[:_METRICS],
        signature=last.mlmodel.signature if last.mlmodel else None,
    )


@functools.cache  # compiling costs fifty times as much as a card
def _page() -> jinja2.Template:
    import jinja2  # a run that renders nothing does not wait for it

    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 - Markdown, escaped by the filters below
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "md": prose.markdown,
        "code": prose.code,
        "library": _library,
        "kind": _kind,
        "metric": _metric,
    }
    return environment.from_string(_TEMPLATE)


def _library(release: Release) -> str:
    if release.mlmodel is None:
        return "–"
    flavors = [f for f in release.mlmodel.flavors if f.name != "python_function"] or list(release.mlmodel.flavors)
    return ", ".join(f"{f.name} {f.version}".strip() for f in flavors)


def _metric(release: Release, name: str) -> str:
    value = release.run.metrics.get(name, "–") if release.run else "–"
    return f"{value:.6g}" if isinstance(value, float) else value


def _kind(field: Field) -> str:
    return field.type if field.shape is None else f"{field.type}{list(field.shape)}"
