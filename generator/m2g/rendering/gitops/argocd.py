"""app.json: the parameters that an ApplicationSet's Git files generator reads for one model in one environment."""

from __future__ import annotations

from collections.abc import Sequence

from m2g.repository import layout


def render_app(slug: str, environment: str, namespace: str, paths: Sequence[str]) -> dict[str, str]:
    """The parameters of one Application. `paths` are all that it is built from, relative to the repository's root. They
    are for argocd.argoproj.io/manifest-generate-paths.

    None of the keys is one that generators set themselves (`name`, `server`, `path`, `metadata`, `values`).
    """
    return {
        "slug": slug,
        "environment": environment,
        "namespace": namespace,
        "overlay": layout.overlay(slug, environment),
        "paths": ";".join(f"/{path}" for path in paths),
    }
