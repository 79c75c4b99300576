"""The options and the output of `m2g adopt`."""

from __future__ import annotations

from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORMAT, NO_CACHE, cache_folder, find_width, print_result
from m2g.core.errors import InputError


@click.command(context_settings=CONTEXT, short_help="Take over hand-written or live services.")
@click.argument("paths", nargs=-1)
@click.option("--from-cluster", is_flag=True, help="Adopt the live services of the cluster, too.")
@click.option("--context", metavar="NAME", help="With --from-cluster: kubectl's context. Default: the current one.")
@click.option("--env", "environment", default="", metavar="NAME", help="For objects that name no namespace.")
@click.option("--write", is_flag=True, help="Write what can be adopted. Without it, nothing is written.")
@NO_CACHE
@FORMAT
@click.pass_obj
def adopt(
    folder: Path,
    paths: tuple[str, ...],
    from_cluster: bool,
    context: str | None,
    environment: str,
    write: bool,
    no_cache: bool,
    output_format: str,
) -> None:
    """Turn hand-written or live services into models of the fleet, with no field lost.

    m2g looks for the registered version whose files a service reads. Name and namespace stay. What a setting can say
    goes to model.yaml, everything else to a component in custom/. m2g builds the result and compares it field by field.
    PATHS are files, folders, or - for standard input.

    \b
    m2g adopt manifests/                      say what would be adopted
    m2g adopt manifests/ --write              adopt it
    m2g adopt --from-cluster --context prod
    kubectl get isvc -A -o yaml | m2g adopt -
    """
    from m2g.commands import adopt as command
    from m2g.report import adopt as report
    from m2g.report import progress
    from m2g.repository import config
    from m2g.resolution.resolve import open_configured_registry

    if context is not None and not from_cluster:
        raise InputError("--context works only with --from-cluster", hint="add --from-cluster")
    root = config.find_root(folder)
    options = command.AdoptOptions(
        folder=folder,
        paths=paths,
        context=(context or "") if from_cluster else None,
        environment=environment,
        write=write,
        cache=cache_folder(root, disabled=no_cache),
    )
    with progress.show_progress("adopt") as tell:
        result = command.adopt(root, options, lambda settings: open_configured_registry(settings, root, tell))
    print_result(report.render(result, output_format, find_width()))
