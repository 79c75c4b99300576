"""Options → verb → report → exit code; the only place that prints, exits or catches broadly."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from m2g import cli_schemas
from m2g.errors import Exit, InputError, M2gError, OutsideError

if TYPE_CHECKING:
    from m2g.finding import Finding

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_FINDINGS = ("text", "json", "github", "gitlab", "sarif", "junit")
_REVIEWS = ("text", "markdown", "json")
_OUTPUT = "Also write the report to FILE, in any FORMAT of --format; repeatable."
_MODELS = click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only this registered model or slug; repeatable."
)


@click.group(context_settings=_CONTEXT)
@click.option("-C", "folder", type=click.Path(path_type=Path), default=None, help="Run as if started in this folder.")
@click.version_option(package_name="m2g", prog_name="m2g")
@click.pass_context
def group(context: click.Context, folder: Path | None) -> None:
    """MLflow to GitOps: facts of a model registry become a Kustomize tree that Argo CD or Flux apply.

    \b
    m2g init my-models             make a GitOps repository
    m2g render                     ask MLflow, write the tree
    m2g validate                   build every overlay, check each object
    m2g diff --against main        what a reviewer must know

    Exit codes: 0 done, 1 the answer is no (findings, drift), 2 wrong input, 3 the outside world failed, 4 a bug.
    """
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}", hint="-C takes a folder") from error
    context.obj = Path.cwd()


@group.command(context_settings=_CONTEXT)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--defaults", is_flag=True, help="Ask nothing; take the default of every question.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="The answer to one question; repeatable.")
@click.option("--template", metavar="URL", help="A Git URL or folder of the template; default: the one in this m2g.")
@click.pass_obj
def init(folder: Path, directory: Path, defaults: bool, data: Sequence[str], template: str | None) -> None:
    """Make a new GitOps repository in DIRECTORY from the template; `copier update` keeps it current later.

    \b
    m2g init my-models
    m2g init my-models --defaults --data environments=dev,prod --data sync=flux
    """
    from m2g.commands import init as command
    from m2g.report import scaffolded

    done = command.init(folder / directory, template=template, data=data, defaults=defaults)
    _print(scaffolded.text(done.folder, len(done.files), done.in_git))


@group.command(context_settings=_CONTEXT)
@_MODELS
@click.option("--env", "environments", multiple=True, metavar="NAME", help="Only this environment; repeatable.")
@click.option("--locked", is_flag=True, help="From the committed records alone: no registry, no network.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 with a short diff when the tree is out of date.")
@click.option("--dry-run", is_flag=True, help="Write nothing; list what would be written.")
@click.option("--allow-removals", type=click.IntRange(min=0), metavar="N", help="Remove up to N releases in this run.")
@click.option("--discard-edits", is_flag=True, help="Overwrite hand edits in files that m2g owns.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def render(
    folder: Path,
    models: Sequence[str],
    environments: Sequence[str],
    locked: bool,
    check: bool,
    dry_run: bool,
    allow_removals: int | None,
    discard_edits: bool,
    form: str,
) -> Exit:
    """Resolve the registry, write release records, bases and overlays.

    What each environment follows (an alias, a stage, a tag, or nothing) is in m2g.yaml. Files that people own are never
    touched, and nothing is removed because a listing was short.

    \b
    m2g render                        everything
    m2g render --model wine --env dev one model in one environment
    m2g render --dry-run              what would be written
    m2g render --locked --check       in CI: is the tree what the records say? (no network)
    """
    from m2g import config
    from m2g.commands import render as command
    from m2g.commands.resolve import Scope
    from m2g.report import changes, progress

    options = command.RenderOptions(
        locked=locked,
        check=check,
        dry_run=dry_run,
        scope=Scope(models=frozenset(models), environments=frozenset(environments)),
        allow_removals=allow_removals,
        discard_edits=discard_edits,
    )
    root = config.find_root(folder)
    try:
        with progress.shown("render") as tell:
            outcome = command.render(
                root,
                options,
                open_registry=lambda found: command.registry_of(found, root, tell),
                waiting=lambda: _say("another m2g is writing here; waiting for it …"),
            )
    except command.WrongInput as wrong:
        _print(_findings(wrong.findings, form))
        return Exit.INPUT
    if form == "json":
        _print(changes.json(outcome))
    else:
        if outcome.findings:
            _say(_findings(outcome.findings, "text"))
        _print(changes.text(outcome))
    errors = any(finding.severity == "error" for finding in outcome.findings)
    return Exit.NO if errors or (check and outcome.files) else Exit.DONE


@group.command(context_settings=_CONTEXT)
@_MODELS
@click.option("--env", "environments", multiple=True, metavar="NAME", help="Only this environment; repeatable.")
@click.option("--against", metavar="REF", help="Compare with where the branch left REF, too (modes, names, removals).")
@click.option("--allow-removals", type=click.IntRange(min=0), metavar="N", help="With --against: N services may go.")
@click.option("--format", "form", type=click.Choice(_FINDINGS), default="text", show_default=True)
@click.option(
    "--output", "outputs", type=(click.Choice(_FINDINGS), str), multiple=True, metavar="FORMAT FILE", help=_OUTPUT
)
@click.pass_obj
def validate(
    folder: Path,
    models: Sequence[str],
    environments: Sequence[str],
    against: str | None,
    allow_removals: int | None,
    form: str,
    outputs: Sequence[tuple[str, str]],
) -> Exit:
    """Build every overlay with kustomize and check each object, the records and what people wrote.

    All findings are shown in one run; warnings alone do not fail it. Asks neither the registry nor a cluster.

    \b
    m2g validate
    m2g validate --model wine --env prod
    m2g validate --against main       also what must not change for a service that exists
    m2g validate --format github      annotations on the pull request
    m2g validate --output gitlab gl-code-quality-report.json --output junit junit.xml
    """
    from m2g import config
    from m2g.commands import validate as command
    from m2g.commands.history import Against
    from m2g.commands.resolve import Scope
    from m2g.report import findings, progress

    scope = Scope(models=frozenset(models), environments=frozenset(environments))
    base = None if against is None else Against(ref=against, removals=allow_removals)
    with progress.shown("validate") as tell:
        report = command.validate(config.find_root(folder), scope, against=base, progress=tell)
    _deliver(folder, form, outputs, lambda form: findings.render(report.findings, form, report.checked, report.built))
    return Exit.NO if any(finding.severity == "error" for finding in report.findings) else Exit.DONE


@group.command(context_settings=_CONTEXT)
@click.option("--against", metavar="REF", default="", help="Branch, tag or commit; default: the remote's main branch.")
@_MODELS
@click.option("--env", "environments", multiple=True, metavar="NAME", help="Only this environment; repeatable.")
@click.option("--format", "form", type=click.Choice(_REVIEWS), default="text", show_default=True)
@click.option(
    "--output", "outputs", type=(click.Choice(_REVIEWS), str), multiple=True, metavar="FORMAT FILE", help=_OUTPUT
)
@click.pass_obj
def diff(
    folder: Path,
    against: str,
    models: Sequence[str],
    environments: Sequence[str],
    form: str,
    outputs: Sequence[tuple[str, str]],
) -> None:
    """Show what a reviewer must know: versions, metrics, signature, lineage, and the built objects that change.

    Compares the files as they are now with the merge base of HEAD and REF.

    \b
    m2g diff --against origin/main
    m2g diff --against HEAD                            what is not committed yet
    m2g diff --against origin/main --format markdown   for the pull request
    """
    from m2g import config
    from m2g.commands import diff as command
    from m2g.commands.resolve import Scope
    from m2g.report import diff as report
    from m2g.report import progress

    scope = Scope(models=frozenset(models), environments=frozenset(environments))
    with progress.shown("diff") as tell:
        review = command.diff(config.find_root(folder), against, scope, progress=tell)
    _deliver(folder, form, outputs, lambda form: report.render(review, form))


@group.command(context_settings=_CONTEXT)
@click.argument("rule", required=False)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(rule: str | None, form: str) -> None:
    """Show what RULE asks, why, and how to do it right; without RULE, list all.

    \b
    m2g explain
    m2g explain scale-metric
    """
    from m2g.commands import explain as command
    from m2g.report import rules

    pages = [command.explain(rule)] if rule else command.pages()
    _print(rules.render(pages, form, whole=bool(rule)))


def _findings(findings: Sequence[Finding], form: str) -> str:
    from m2g.report import findings as report

    return report.render(findings, form)


def _deliver(folder: Path, form: str, outputs: Sequence[tuple[str, str]], render: Callable[[str], str]) -> None:
    """Write the report's files, then print it. A file is relative to the folder in which m2g runs."""
    for chosen, file in outputs:
        try:
            (folder / file).write_text(render(chosen), encoding="utf-8")
        except OSError as error:
            raise OutsideError(f"{file} cannot be written: {error.strerror}", hint="see --output") from error
    _print(render(form))


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough (`| head`); the answer stays what it is
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    sys.stderr.write(text.rstrip("\n") + "\n")


def run(call: Callable[[], object]) -> Exit:
    """Call a verb; every way it can end becomes an exit code and, where it failed, words on stderr."""
    from m2g.prose import visible

    try:
        answer = call()
    except M2gError as error:
        _say("m2g: " + "\n".join(visible(line, 2000) for line in error.message.splitlines()))
        if error.hint:
            _say(f"  → {visible(error.hint, 2000)}")
        return error.exit_code
    except click.exceptions.Exit as error:
        return Exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        return Exit.INPUT
    except (KeyboardInterrupt, click.Abort):
        _say("m2g: interrupted")
        return Exit.INTERRUPTED
    except Exception:
        _say(traceback.format_exc())
        _say("m2g: this is a bug in m2g; nothing was half written. Please report it with the lines above.")
        return Exit.BUG
    return answer if isinstance(answer, Exit) else Exit.DONE


cli_schemas.register(group, _print)


def main() -> None:
    """The entry point; what the terminal's encoding does not have is written as `\\uXXXX`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(lambda: group.main(standalone_mode=False)))
