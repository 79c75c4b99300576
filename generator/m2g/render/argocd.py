"""app.json: what the git files generator of an ApplicationSet reads about one model in one environment."""

from __future__ import annotations


def app(slug: str, environment: str, namespace: str, custom: bool) -> dict[str, str]:
    """Parameters of one Application. `paths` is for argocd.argoproj.io/manifest-generate-paths.

    Keys that generators inject themselves (`name`, `server`, `path`, `metadata`, `values`) are avoided.
    """
    folder = f"models/{slug}"
    overlay = f"{folder}/overlays/{environment}"
    paths = [f"/{overlay}", f"/{folder}/base"] + ([f"/{folder}/custom/{environment}"] if custom else [])
    return {
        "slug": slug,
        "environment": environment,
        "namespace": namespace,
        "overlay": overlay,
        "paths": ";".join(paths),
    }
