"""app.json: what the git files generator of an ApplicationSet reads about one model in one environment."""

from __future__ import annotations

from m2g.repository import layout


def app(slug: str, environment: str, namespace: str, custom: bool) -> dict[str, str]:
    """Parameters of one Application. `paths` is for argocd.argoproj.io/manifest-generate-paths.

    Keys that generators inject themselves (`name`, `server`, `path`, `metadata`, `values`) are avoided.
    """
    overlay = layout.overlay(slug, environment)
    # A person's component may refer to any place of the repository, so every change may be its change.
    paths = ["/"] if custom else [f"/{overlay}", f"/{layout.base(slug)}"]
    return {
        "slug": slug,
        "environment": environment,
        "namespace": namespace,
        "overlay": overlay,
        "paths": ";".join(paths),
    }
