"""app.json: the parameters that an ApplicationSet's Git files generator reads for one model in one environment."""

from __future__ import annotations

from m2g.repository import layout


def render_app(slug: str, environment: str, namespace: str, custom: bool) -> dict[str, str]:
    """The parameters of one Application. `paths` is for argocd.argoproj.io/manifest-generate-paths.

    None of the keys is one that generators set themselves (`name`, `server`, `path`, `metadata`, `values`).
    """
    overlay = layout.overlay(slug, environment)
    # A component of people may refer to any file of the repository, so every change may affect it.
    paths = ["/"] if custom else [f"/{overlay}", f"/{layout.base(slug)}"]
    return {
        "slug": slug,
        "environment": environment,
        "namespace": namespace,
        "overlay": overlay,
        "paths": ";".join(paths),
    }
