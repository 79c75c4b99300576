"""The command line: options → verb → report → exit code. Only this package prints, exits or catches every exception."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from m2g.cli import (
    adopt,
    assess,
    canary,
    diff,
    doctor,
    environments,
    explain,
    hold,
    image,
    import_values,
    init,
    predict,
    render,
    request,
    rollback,
    runtimes,
    scaffold,
    schemas,
    serve,
    smoke,
    sync,
    validate,
)
from m2g.cli.signals import Terminated, handle_sigterm
from m2g.cli.terminal import CONTEXT, discard_unwritten, open_closed_streams, print_message, print_result
from m2g.core.errors import Exit, InputError, M2gError, OutsideError

_SECTIONS = {
    "Set up": (assess.assess, init.init, import_values.import_values, adopt.adopt, scaffold.scaffold, doctor.doctor),
    "Every day": (render.render, sync.sync, serve.serve, validate.validate, diff.diff, explain.explain),
    "When a version is new": (canary.canary,),
    "When a version is bad": (rollback.rollback, hold.hold),
    "Serve and call": (request.request, smoke.smoke, predict.predict, image.image, environments.environments),
    "Describe your cluster": (runtimes.runtimes, schemas.schemas),
}


class _Group(click.Group):
    """The verbs in the sections of `m2g --help`."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, verbs in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.name or "", verb.get_short_help_str(60)) for verb in verbs])


@click.group(cls=_Group, context_settings=CONTEXT, invoke_without_command=True)
@click.option("-C", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Run as if started in DIR.")
@click.version_option(package_name="mlflow-gitops", prog_name="m2g")
@click.pass_context
def group(context: click.Context, folder: Path | None) -> None:
    """Turn the models of an MLflow registry into a Git repository that Argo CD or Flux deploys.

    `m2g` alone says what to do next in this folder.

    \b
    m2g assess                     see what of your registry can be served
    m2g init my-models             create a GitOps repository
    m2g render                     read the registry and write the manifests
    m2g validate                   build every overlay and check every object
    m2g diff --against main        show what a reviewer must know
    m2g sync                       propose what the registry says as pull requests

    \b
    Exit codes:
      0  success
      1  the answer is no: there are findings or the files are out of date
      2  the input is wrong
      3  an outside system failed (registry, Git, a tool, the disk)
      4  a bug in m2g
    """
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}", hint="give -C an existing directory") from error
    context.obj = Path.cwd()
    if context.invoked_subcommand is None:
        _print_next_steps(context.obj)


def _print_next_steps(folder: Path) -> None:
    from m2g.commands.next_steps import find_next_steps
    from m2g.report.layout import format_table

    steps = find_next_steps(folder)
    rows = [(f"  {command}", why) for command, why in (*steps.commands, ("m2g --help", "all commands"))]
    print_result(f"{steps.where}\n\n{format_table(rows)}")


for _verbs in _SECTIONS.values():
    for _verb in _verbs:
        group.add_command(_verb)
group.add_command(smoke.smoke_stage)


def run(call: Callable[[], object]) -> Exit:
    """Call a verb and return its exit code. An error is printed to stderr."""
    try:
        answer = call()
    except M2gError as error:
        _print_error(error.message, error.hint, error.exit_code)
        return error.exit_code
    except click.exceptions.Exit as error:
        return Exit(error.exit_code)
    except click.ClickException as error:
        _print_json_error(error.format_message(), "", Exit.INPUT)
        with contextlib.suppress(OSError):  # a stderr that cannot be written changes nothing
            error.show()
        return Exit.INPUT
    except (KeyboardInterrupt, click.Abort):
        print_message("m2g: interrupted")
        return Exit.INTERRUPTED
    except Terminated:
        print_message("m2g: terminated")
        return Exit.TERMINATED
    except SystemExit:  # click's answer to a reader of its help that went away
        return Exit.DONE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _report_bug()
        print_message(f"m2g: the output cannot be written: {error.strerror}")
        return Exit.OUTSIDE
    except Exception:
        return _report_bug()
    return answer if isinstance(answer, Exit) else Exit.DONE


def _print_error(message: str, hint: str, code: Exit) -> None:
    """Print message and hint to stderr, and with `--format json` also as the result."""
    from m2g.core.sanitize import make_visible

    lines = [make_visible(line.expandtabs(4), 2000) for line in message.splitlines()]
    print_message("m2g: " + "\n".join(lines))
    if hint:
        print_message(f"  → {make_visible(hint.expandtabs(4), 2000)}")
    _print_json_error("\n".join(lines), hint, code)


def _print_json_error(message: str, hint: str, code: Exit) -> None:
    """A reader of JSON gets an object in any case. Errors come before a verb prints its result."""
    given = sys.argv[1:]
    if not any(pair == ("--format", "json") for pair in itertools.pairwise(given)) and "--format=json" not in given:
        return
    from m2g.report.failure import render_json

    with contextlib.suppress(OutsideError):
        print_result(render_json(message, hint, code))


def _report_bug() -> Exit:
    import traceback  # imported here because it would double the time that `m2g --help` takes

    from m2g.core.redact import redact

    print_message(redact(traceback.format_exc()))
    print_message("m2g: this is a bug in m2g. No file was left half written. Please report the lines above.")
    return Exit.BUG


def main() -> None:
    """Run the command line. Characters that the terminal's encoding lacks are printed as `\\uXXXX`."""
    open_closed_streams()
    handle_sigterm()
    gc.set_threshold(100_000)  # nearly all values live until the run ends, so frequent collections find nothing
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(lambda: group.main(prog_name="m2g", standalone_mode=False))
    discard_unwritten()
    gc.freeze()  # otherwise Python scans every live object twice more when it exits
    sys.exit(code)
