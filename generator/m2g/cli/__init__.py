"""Options → verb → report → exit code; the only place that prints, exits or catches broadly."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from m2g.cli import diff, explain, image, init, render, request, runtimes, schemas, smoke, validate
from m2g.cli.signals import Terminated, heed
from m2g.cli.terminal import CONTEXT, say
from m2g.core.errors import Exit, InputError, M2gError


@click.group(context_settings=CONTEXT)
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


for _verb in (
    init.init,
    render.render,
    validate.validate,
    diff.diff,
    image.image,
    request.request,
    smoke.smoke,
    explain.explain,
    schemas.schemas,
    runtimes.runtimes,
):
    group.add_command(_verb)


def run(call: Callable[[], object]) -> Exit:
    """Call a verb; every way it can end becomes an exit code and, where it failed, words on stderr."""
    from m2g.core.sanitize import make_visible

    try:
        answer = call()
    except M2gError as error:
        say("m2g: " + "\n".join(make_visible(line, 2000) for line in error.message.splitlines()))
        if error.hint:
            say(f"  → {make_visible(error.hint, 2000)}")
        return error.exit_code
    except click.exceptions.Exit as error:
        return Exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        return Exit.INPUT
    except (KeyboardInterrupt, click.Abort):
        say("m2g: interrupted")
        return Exit.INTERRUPTED
    except Terminated:
        say("m2g: terminated")
        return Exit.TERMINATED
    except Exception:
        import traceback  # it takes as long to import as all that starts before it

        say(traceback.format_exc())
        say("m2g: this is a bug in m2g; nothing was half written. Please report it with the lines above.")
        return Exit.BUG
    return answer if isinstance(answer, Exit) else Exit.DONE


def main() -> None:
    """The entry point; what the terminal's encoding does not have is written as `\\uXXXX`."""
    heed()
    gc.set_threshold(100_000)  # a run makes values that live until its end; looking through them again finds nothing
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(lambda: group.main(standalone_mode=False))
    gc.freeze()  # at its end Python would look through all that lives twice more
    sys.exit(code)
