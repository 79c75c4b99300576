"""The model card: models/<slug>/README.md, for the people who own, review and call the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jinja2

from m2g import prose
from m2g.model import Field, Release

_TEMPLATE = """\
# {{ title | md }}

{{ "Registered model" | md }} {{ title | code }}, served as {{ slug | code }}. This page is written by m2g from the
release records in [releases/](releases/).

| environment | version | follows | serialized by | run |
|---|---|---|---|---|
{% for release in releases -%}
| {{ release.environment | md }} | {{ release.version | md }} | {{ release.follows | md }} | {{ release | library | md
}} | {{ (release.run.id if release.run else "–") | code }} |
{% endfor %}
{%- for release in releases %}
## {{ release.environment | md }}

Storage: {{ uris[release.environment] | code(400) }}
{%- if release.run and release.run.metrics %}

| metric | value |
|---|---|
{% for name, value in (release.run.metrics | dictsort)[:20] -%}
| {{ name | md }} | {{ value | string | md }} |
{% endfor %}
{%- endif %}
{%- if release.mlmodel and release.mlmodel.signature %}
{%- set signature = release.mlmodel.signature %}

| | name | type |
|---|---|---|
{% for side, fields in (("input", signature.inputs), ("output", signature.outputs), ("parameter", signature.params))
-%}
{% for field in (fields or ())[:40] -%}
| {{ side }}{{ "" if field.required else " (optional)" }} | {{ field.name | md }} | {{ field | kind | code }} |
{% endfor -%}
{% endfor %}
{%- endif %}
{% endfor %}
## Call it

```bash
HOST=$(kubectl get inferenceservice {{ slug }} -n <namespace> -o jsonpath='{.status.url}' | cut -d/ -f3)
curl -H "Host: $HOST" -H 'Content-Type: application/json' -d @request.json \\
  "http://$INGRESS_HOST:$INGRESS_PORT/v2/models/{{ slug }}/infer"
```
"""


def card(slug: str, releases: Mapping[str, Release], uris: Mapping[str, str], environments: Sequence[str]) -> str:
    """Markdown of the card; `environments` gives their order. Registry text cannot break out of its cell."""
    ordered = [releases[environment] for environment in environments]
    return _page().render(slug=slug, title=ordered[0].model, releases=ordered, uris=uris)


def _page() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 - Markdown, escaped by the filters below
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": prose.markdown, "code": prose.code, "library": _library, "kind": _kind}
    return environment.from_string(_TEMPLATE)


def _library(release: Release) -> str:
    if release.mlmodel is None:
        return "–"
    flavors = [f for f in release.mlmodel.flavors if f.name != "python_function"] or list(release.mlmodel.flavors)
    return ", ".join(f"{f.name} {f.version}".strip() for f in flavors)


def _kind(field: Field) -> str:
    return field.type if field.shape is None else f"{field.type}{list(field.shape)}"
