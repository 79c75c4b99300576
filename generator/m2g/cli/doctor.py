"""The options and the output of `m2g doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, FORMAT, find_repository, find_width, print_result
from m2g.core.errors import Exit, InputError


@click.command(context_settings=CONTEXT, short_help="Check this machine, the registry or a cluster.")
@click.option("--cluster", is_flag=True, help="Check the cluster of kubectl's context instead of this machine.")
@click.option("--context", metavar="NAME", help="With --cluster: another context of kubectl.")
@ENVIRONMENTS
@FORMAT
@click.pass_obj
def doctor(folder: Path, cluster: bool, context: str | None, environments: Sequence[str], output_format: str) -> Exit:
    """Check that this machine, the repository and the registry have what m2g needs. It changes nothing.

    With --cluster, check that a cluster has what the files need: KServe in the version of m2g.yaml, the namespaces, and
    the settings of Argo CD or Flux. It uses kubectl. --env names the environments that this cluster serves.

    \b
    m2g doctor
    m2g doctor --cluster --env prod
    m2g doctor --cluster --context my-prod-cluster --env prod --format json
    """
    from m2g.commands import doctor as command
    from m2g.report import doctor as report
    from m2g.resolution.resolve import open_configured_registry

    if not cluster and (context is not None or environments):
        raise InputError("--context and --env work only with --cluster", hint="add --cluster, or remove them")
    if cluster:
        diagnosis = command.diagnose_cluster(folder, context=context or "", environments=environments)
    else:
        root = find_repository(folder) or folder
        diagnosis = command.diagnose(
            folder, open_registry=lambda settings: open_configured_registry(settings, root, lambda *_: None)
        )
    print_result(report.render(diagnosis, output_format, find_width()))
    return Exit.NO if any(check.state == "problem" for check in diagnosis.checks) else Exit.DONE
