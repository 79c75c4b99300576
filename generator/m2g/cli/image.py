"""Options of `m2g image`, and what it prints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, FORM, print_, say
from m2g.core.errors import Exit, InputError
from m2g.repository import load

PROFILES = ("mlserver-image", "mlflow-image")


@click.command(context_settings=CONTEXT)
@click.argument("model", required=False)
@ENVIRONMENTS
@click.option("-o", "--output", "output", type=click.Path(path_type=Path), metavar="DIR", help="The build context.")
@click.option("--profile", type=click.Choice(PROFILES), help="Which server; default: the model's profile.")
@click.option("--base", default="", metavar="IMAGE", help="The base image; default: images.bases in m2g.yaml.")
@click.option("--model-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where the version's files are.")
@click.option("--before", default="", metavar="DATE", help="Take no package that was uploaded later (2026-11-25).")
@click.option(
    "--record", "name", default="", metavar="IMAGE", help="Note the image that was built, and render with it."
)
@click.option("--version", "number", default="", metavar="N", help="With --record: the version that it was built of.")
@click.option("--missing", is_flag=True, help="List the versions that wait for an image.")
@click.option("--locked", is_flag=True, help="What the committed records say: no registry is asked.")
@click.option("--dry-run", is_flag=True, help="Write nothing; list what would be written.")
@FORM
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
    form: str,
) -> Exit:
    """Write the build context of the image that serves MODEL in an environment.

    docker, buildah and kaniko build it: a Dockerfile, locked requirements with hashes and, for MLflow's own server, the
    model's files. Needs uv. Once it is pushed, --record notes its digest in the release record.

    \b
    m2g image wine --env prod -o build/wine
    docker buildx build --push -t ghcr.io/acme/models/wine:2 --metadata-file built.json build/wine
    m2g image wine --env prod -o build/wine --record ghcr.io/acme/models/wine@sha256:…
    m2g image --missing --format json        for CI: what is to be built
    """
    from m2g.commands import image as command
    from m2g.report import findings, progress, render
    from m2g.report import image as report
    from m2g.repository import config
    from m2g.repository.state import Scope

    _refuse(missing, name, output, number)
    root = config.find_root(folder)
    place = None if output is None else Path(os.path.normpath(folder / output))
    with progress.show_progress("image") as tell:
        try:
            registry = command.opened(root, tell)
            if missing:
                scope = Scope(models=frozenset([model] if model else []), environments=frozenset(environments))
                print_(report.render_missing(command.waiting(root, scope, registry, locked=locked), form))
                return Exit.DONE
            options = command.ImageOptions(
                model=_one([model] if model else [], "MODEL"),
                environment=_one(environments, "--env E"),
                profile=profile,
                base=base,
                model_dir=None if model_dir is None else folder / model_dir,
                before=before,
                locked=locked,
                dry_run=dry_run,
            )
            if name:
                outcome = command.record(root, options, name, number if place is None else place, registry)
            elif place is None:
                raise InputError("where to?", hint="-o DIR: a new folder for the build context")
            else:
                print_(report.render_prepared(command.prepare(root, options, place, registry), form))
                return Exit.DONE
        except load.InvalidRepository as wrong:
            print_(findings.render(wrong.findings, form))
            return Exit.INPUT
    if outcome.findings and form != "json":
        say(findings.render(outcome.findings, "text"))
    print_(render.render_json(outcome) if form == "json" else render.render_text(outcome))
    return Exit.NO if any(finding.severity == "error" for finding in outcome.findings) else Exit.DONE


def _one(given: Sequence[str], what: str) -> str:
    if len(given) != 1:
        raise InputError(f"m2g image needs one {what}", hint="m2g image MODEL --env E -o DIR; or --missing")
    return given[0]


def _refuse(missing: bool, name: str, output: Path | None, number: str) -> None:
    """Options that cannot be meant together."""
    if missing and (name or output is not None):
        raise InputError("--missing only lists", hint="leave out --record and -o DIR")
    if number and not name:
        hint = "leave it out: the context is of the version that the environment follows"
        raise InputError("--version belongs to --record", hint=hint)
    if name and (output is None) == (not number):
        hint = "-o DIR, the folder that `m2g image` wrote, or --version N"
        raise InputError("--record needs to know what the image was built of", hint=hint)
