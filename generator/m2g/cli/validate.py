"""The options and the output of `m2g validate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, MODELS, NO_CACHE, cache_folder, find_width, outputs, write_report
from m2g.core.errors import Exit, InputError

FORMATS = ("text", "json", "github", "gitlab", "sarif", "junit")


@click.command(context_settings=CONTEXT, short_help="Check all files and objects.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@MODELS
@ENVIRONMENTS
@click.option(
    "--kserve", metavar="VERSION", help="With PATH: the KServe of the cluster, such as 0.20. Default: the newest."
)
@click.option("--shard", metavar="I/N", help="Only part I of N of the models, for parallel CI jobs.")
@click.option(
    "--against", metavar="REF", help="Also check what must not change since the merge base with REF (see below)."
)
@click.option(
    "--allow-removals", type=click.IntRange(min=0), metavar="N", help="With --against: allow N services to be removed."
)
@NO_CACHE
@click.option("--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True)
@outputs(FORMATS)
@click.pass_obj
def validate(
    folder: Path,
    paths: Sequence[str],
    models: Sequence[str],
    environments: Sequence[str],
    kserve: str | None,
    shard: str | None,
    against: str | None,
    allow_removals: int | None,
    no_cache: bool,
    output_format: str,
    outputs: Sequence[tuple[str, str]],
) -> Exit:
    """Build every overlay with kustomize and check every object, the release records and the files of people.

    One run shows all findings. Errors end it with exit code 1, warnings do not. m2g validate contacts neither the
    registry nor a cluster. With --against, it also checks changes that break a running service: another deployment
    mode, a renamed service, too many removals.

    With PATH, m2g checks the Kubernetes objects of these files and folders alone, or of standard input for `-`. It then
    needs no repository and reads no m2g.yaml. A stream may have several documents.

    \b
    m2g validate
    m2g validate --model wine --env prod
    m2g validate --against main
    m2g validate --format github      annotations on the pull request
    m2g validate --shard 2/8          the second of eight CI jobs
    m2g validate --output gitlab gl-code-quality-report.json --output junit junit.xml
    m2g validate deploy/ service.yaml --kserve 0.20
    kustomize build overlays/prod | m2g validate -
    """
    from m2g.commands import validate as command
    from m2g.core import shard as shards
    from m2g.report import findings, progress
    from m2g.repository import config
    from m2g.repository.state import Scope
    from m2g.validation.base import Against

    if paths:
        given: dict[str, object] = {"--model": models, "--env": environments, "--shard": shard, "--against": against}
        given |= {"--allow-removals": allow_removals is not None, "--no-cache": no_cache}
        return _validate_manifests(
            folder, paths, kserve, [name for name, value in given.items() if value], output_format, outputs
        )
    if kserve is not None:
        hint = "remove it, or name the files to check: m2g validate PATH --kserve VERSION"
        raise InputError("--kserve works only with PATH; m2g.yaml has the version of this repository", hint=hint)
    part = None if shard is None else shards.parse(shard)
    scope = Scope(models=frozenset(models), environments=frozenset(environments), shard=part)
    base = None if against is None else Against(ref=against, removals=allow_removals)
    root = config.find_root(folder)
    with progress.show_progress("validate") as tell:
        options = command.ValidateOptions(scope=scope, against=base, cache=cache_folder(root, disabled=no_cache))
        report = command.validate(root, options, progress=tell)
    write_report(folder, output_format, outputs, lambda chosen: findings.render_report(report, chosen, find_width()))
    return Exit.NO if any(finding.severity == "error" for finding in report.findings) else Exit.DONE


def _validate_manifests(
    folder: Path,
    paths: Sequence[str],
    kserve: str | None,
    refused: Sequence[str],
    output_format: str,
    outputs: Sequence[tuple[str, str]],
) -> Exit:
    from m2g.report import findings
    from m2g.validation import manifests

    if refused:
        hint = f"remove {refused[0]}, or remove PATH to check the repository"
        raise InputError(f"{refused[0]} does not work with PATH", hint=hint)
    report = manifests.check_manifests(folder, paths, manifests.parse_version(kserve))
    write_report(folder, output_format, outputs, lambda chosen: findings.render_report(report, chosen, find_width()))
    return Exit.NO if any(finding.severity == "error" for finding in report.findings) else Exit.DONE
