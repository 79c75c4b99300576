"""The options and the output of `m2g assess`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORMAT, MODELS, NO_CACHE, cache_folder, find_repository, find_width, print_result
from m2g.core.errors import InputError


@click.command(context_settings=CONTEXT, short_help="See what of a registry can be served.")
@MODELS
@click.option(
    "--kserve", metavar="VERSION", help="Outside of a repository: the KServe of the cluster. Default: the newest."
)
@NO_CACHE
@FORMAT
@click.pass_obj
def assess(folder: Path, models: Sequence[str], kserve: str | None, no_cache: bool, output_format: str) -> None:
    """See which models of a registry KServe can serve as they are, which need an image, and what the others need.

    m2g looks at each version that has an alias, and at the newest version of each other model. It needs no repository:
    it reads the registry of MLFLOW_TRACKING_URI, or that of m2g.yaml in a repository. It writes nothing.

    \b
    MLFLOW_TRACKING_URI=https://mlflow.example.com m2g assess
    m2g assess --kserve 0.19
    m2g assess --model fraud-score --format json
    """
    from m2g.commands import assess as command
    from m2g.report import assess as report
    from m2g.report import progress
    from m2g.resolution.resolve import open_configured_registry
    from m2g.validation.manifests import parse_version

    root = find_repository(folder)
    if root is not None and kserve is not None:
        raise InputError("--kserve works only outside of a repository; m2g.yaml has the version", hint="remove it")
    with progress.show_progress("assess") as tell:
        result = command.assess(
            root,
            models,
            kserve=parse_version(kserve),
            open_registry=lambda settings: open_configured_registry(settings, root or folder, tell),
            cache=cache_folder(root or folder, disabled=no_cache),
        )
    print_result(report.render(result, output_format, find_width()))
