"""The options and the output of `m2g image`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from m2g.cli.completion import complete_model
from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, FORMAT, print_message, print_result
from m2g.core.errors import Exit, InputError

if TYPE_CHECKING:
    from m2g.core.results import RenderResult

PROFILES = ("mlserver-image", "mlflow-image")


@click.command(context_settings=CONTEXT, short_help="Write a build context for a model's image.")
@click.argument("model", shell_complete=complete_model, required=False)
@ENVIRONMENTS
@click.option(
    "-o", "--output", "output", type=click.Path(path_type=Path), metavar="DIR", help="The directory to write to."
)
@click.option("--profile", type=click.Choice(PROFILES), help="The server. Default: the model's profile.")
@click.option("--base", default="", metavar="IMAGE", help="The base image. Default: images.bases in m2g.yaml.")
@click.option(
    "--model-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The directory with the version's files. Default: download them.",
)
@click.option(
    "--before", default="", metavar="DATE", help="Use no package that was uploaded after DATE, such as 2026-11-25."
)
@click.option(
    "--record", "name", default="", metavar="IMAGE", help="Write the image that was built to the release record."
)
@click.option("--version", "number", default="", metavar="N", help="With --record: the model version inside the image.")
@click.option("--missing", is_flag=True, help="List the versions that wait for an image.")
@click.option("--locked", is_flag=True, help="Use the committed records. Do not contact the registry.")
@click.option("--dry-run", is_flag=True, help="Write nothing. List what would be written.")
@FORMAT
@click.pass_obj
def image(
    folder: Path,
    model: str | None,
    environments: Sequence[str],
    output: Path | None,
    profile: Literal["mlserver-image", "mlflow-image"] | None,
    base: str,
    model_dir: Path | None,
    before: str,
    name: str,
    number: str,
    missing: bool,
    locked: bool,
    dry_run: bool,
    output_format: str,
) -> Exit:
    """Write a build context for the image that serves MODEL in an environment.

    The context has a Dockerfile, locked requirements with hashes and, for MLflow's own server, the model's files.
    Build it with docker, buildah or kaniko. After the push, --record writes the image's digest to the release record.
    m2g image needs uv.

    \b
    m2g image wine --env prod -o build/wine
    docker buildx build --push -t ghcr.io/acme/models/wine:2 --metadata-file built.json build/wine
    m2g image wine --env prod -o build/wine --record ghcr.io/acme/models/wine@sha256:…
    m2g image --missing --format json        for CI: the images to build
    """
    from m2g.commands import image as command
    from m2g.report import findings, progress, render
    from m2g.report import image as report
    from m2g.repository import config, load
    from m2g.repository.state import Scope

    _check_options(missing, name, output, number)
    root = config.find_root(folder)
    context_dir = None if output is None else Path(os.path.normpath(folder / output))

    def work(registry: command.Open) -> RenderResult | str:
        if missing:
            scope = Scope(models=frozenset([model] if model else []), environments=frozenset(environments))
            return report.render_missing(command.list_pending(root, scope, registry, locked=locked), output_format)
        options = command.ImageOptions(
            model=_exactly_one([model] if model else [], "MODEL"),
            environment=_exactly_one(environments, "--env NAME"),
            profile=profile,
            base=base,
            model_dir=None if model_dir is None else folder / model_dir,
            before=before,
            locked=locked,
            dry_run=dry_run,
        )
        if name:
            return command.record(root, options, name, number if context_dir is None else context_dir, registry)
        if context_dir is None:
            raise InputError("a directory for the build context is required", hint="name a new directory: -o DIR")
        return report.render_prepared(command.prepare(root, options, context_dir, registry), output_format)

    try:
        with progress.show_progress("image") as tell:  # it clears its line before anything is printed
            outcome = work(command.registry_opener(root, tell))
    except load.InvalidRepository as error:
        print_result(findings.render(error.findings, output_format))
        return Exit.INPUT
    if isinstance(outcome, str):
        print_result(outcome)
        return Exit.DONE
    if outcome.findings and output_format != "json":
        print_message(findings.render(outcome.findings, "text"))
    print_result(render.render_json(outcome) if output_format == "json" else render.render_text(outcome))
    return Exit.NO if any(finding.severity == "error" for finding in outcome.findings) else Exit.DONE


def _exactly_one(given: Sequence[str], what: str) -> str:
    if len(given) != 1:
        hint = "run: m2g image MODEL --env NAME -o DIR (or list the images to build: m2g image --missing)"
        raise InputError(f"exactly one {what} is required", hint=hint)
    return given[0]


def _check_options(missing: bool, name: str, output: Path | None, number: str) -> None:
    """Raise InputError for options that contradict each other."""
    if missing and (name or output is not None):
        raise InputError("--missing only lists versions", hint="remove --record and -o")
    if number and not name:
        hint = "remove --version: the build context is for the version that the environment follows"
        raise InputError("--version works only with --record", hint=hint)
    if name and (output is None) == (not number):
        hint = "add either -o DIR (the directory that `m2g image` wrote) or --version N"
        raise InputError("--record needs to know which model version is in the image", hint=hint)
