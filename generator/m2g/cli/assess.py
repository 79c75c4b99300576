"""The options and the output of `m2g assess`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import (
    CONTEXT,
    MODELS,
    NO_CACHE,
    cache_folder,
    find_repository,
    find_width,
    print_result,
    say_waiting,
)
from m2g.core.errors import InputError


@click.command(context_settings=CONTEXT, short_help="See what of a registry can be served.")
@MODELS
@click.option(
    "--kserve", metavar="VERSION", help="Outside of a repository: the KServe of the cluster. Default: the newest."
)
@click.option("--write", is_flag=True, help="Write the settings that make the most of it work, and assess again.")
@NO_CACHE
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json", "html"]), default="text", show_default=True
)
@click.pass_obj
def assess(
    folder: Path, models: Sequence[str], kserve: str | None, write: bool, no_cache: bool, output_format: str
) -> None:
    """See which models of a registry KServe can serve as they are, which need an image, and what the others need.

    m2g looks at each version that has an alias, and at the newest version of each other model. It needs no repository:
    it reads the registry of MLFLOW_TRACKING_URI, or that of m2g.yaml in a repository. It writes nothing, unless --write
    is given: then it adds to m2g.yaml the storage rewrites that the server tells, and slugs for names that collide, and
    to model.yaml the profiles of models that need an image. Comments stay. Outside of a repository it writes a new
    m2g.yaml, with an environment for each of the most used aliases.

    \b
    MLFLOW_TRACKING_URI=https://mlflow.example.com m2g assess
    m2g assess --kserve 0.19
    m2g assess --write
    m2g assess --format html > registry.html
    m2g assess --model fraud-score --format json
    """
    from m2g.commands import assess as command
    from m2g.core.results import Assessment
    from m2g.report import assess as report
    from m2g.report import progress
    from m2g.resolution.resolve import open_configured_registry
    from m2g.validation.manifests import parse_version

    root = find_repository(folder)
    if root is not None and kserve is not None:
        raise InputError("--kserve works only outside of a repository; m2g.yaml has the version", hint="remove it")
    with progress.show_progress("assess") as tell:
        kserve_version, memory = parse_version(kserve), cache_folder(root or folder, disabled=no_cache)

        def look(place: Path | None) -> Assessment:
            return command.assess(
                place,
                models,
                kserve=kserve_version,
                open_registry=lambda settings: open_configured_registry(settings, place or folder, tell),
                cache=memory,
            )

        result = command.assess_and_write(root, folder, look, waiting=say_waiting) if write else look(root)
    print_result(report.render(result, output_format, find_width()))
