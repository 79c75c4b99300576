"""Options of `m2g smoke`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, FORM, print_, say
from m2g.core.errors import Exit, InputError

PROFILES = ("mlserver", "mlserver-image", "mlflow-image")


@click.command(context_settings=CONTEXT)
@click.argument("model", required=False, default="")
@ENVIRONMENTS
@click.option("--version", "number", default="", metavar="N", help="This version, instead of the recorded one.")
@click.option("--changed-against", "base", default="", metavar="REF", help="All models that HEAD changes against REF.")
@click.option("--model-dir", type=click.Path(path_type=Path), metavar="DIR", help="The model's files; no download.")
@click.option("--profile", type=click.Choice(PROFILES), help="The server; default: the model's profile.")
@click.option(
    "--packages",
    type=click.Choice(("runtime", "model")),
    help="Whose: the cluster's runtime's, or those that the model requires; default: as the profile has.",
)
@click.option("--environment", type=click.Path(path_type=Path), metavar="PATH", help="A Python environment to run in.")
@click.option("--requests", type=click.IntRange(0, 10_000), default=20, show_default=True, help="How many are timed.")
@click.option(
    "--timeout", type=click.FloatRange(1, 7200), default=120.0, show_default=True, metavar="SECONDS", help="Patience."
)
@click.option("--rest-only", is_flag=True, help="Do not ask by gRPC.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="REST here; default: a free one.")
@click.option("--pass-env", "passed", multiple=True, metavar="NAME", help="A variable that the model gets; repeatable.")
@click.option("--keep-logs", type=click.Path(path_type=Path), metavar="DIR", help="Copy the servers' logs there.")
@click.option("--url", default="", metavar="URL", help="Ask a deployed endpoint instead of starting a server.")
@click.option("--host", default="", metavar="NAME", help="With --url: the host name that KServe's gateway knows.")
@click.option("--token-env", default="", metavar="NAME", help="With --url: the variable that holds a bearer token.")
@click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="With --url: authorities to trust, in PEM.")
@click.option("--insecure", is_flag=True, help="With --url: take any certificate.")
@click.option("--any-version", is_flag=True, help="With --url: do not ask which version answers.")
@FORM
@click.pass_obj
def smoke(
    folder: Path,
    model: str,
    environments: Sequence[str],
    number: str,
    base: str,
    model_dir: Path | None,
    profile: str | None,
    packages: Literal["runtime", "model"] | None,
    environment: Path | None,
    requests: int,
    timeout: float,
    rest_only: bool,
    port: int,
    passed: Sequence[str],
    keep_logs: Path | None,
    url: str,
    host: str,
    token_env: str,
    ca: Path | None,
    insecure: bool,
    any_version: bool,
    form: str,
) -> Exit:
    """Serve a version with its real server, ask it, and compare with pyfunc.

    The server (MLServer, or MLflow's own) runs in an environment with the packages that the cluster has: those of the
    described runtime for the profile mlserver, what the model requires for an image. It is kept for the next time.
    REST and gRPC are asked; everything that was started is stopped. Exit code 1: it does not serve, or its answers
    differ.

    \b
    m2g smoke wine --env prod
    m2g smoke wine --env prod --version 8              another version, before you pin it
    m2g smoke --changed-against origin/main            in CI
    m2g smoke --model-dir ./model --profile mlflow-image
    m2g smoke wine --env prod --url https://models.example.com --host wine-models-prod.example.com
    """
    from m2g.commands import smoke as command
    from m2g.report import smoke as report
    from m2g.smoke import targets
    from m2g.smoke.client import Door

    if (host or token_env or ca or insecure or any_version) and not url:
        raise InputError("--host, --token-env, --ca, --insecure and --any-version are for --url", hint="see --help")
    if packages and environment is not None:
        raise InputError("--environment has its own packages", hint="leave --packages out")
    options = command.SmokeOptions(
        environment=None if environment is None else folder / environment,
        packages=packages or "",
        requests=requests,
        seconds=timeout,
        port=port,
        passed=tuple(passed),
        keep_logs=None if keep_logs is None else folder / keep_logs,
        door=Door(url=url, host=host, token=token_env, ca=ca, insecure=insecure, seconds=timeout) if url else None,
        any_version=any_version,
        rest_only=rest_only,
    )
    wish = targets.Wish(
        model=model,
        environments=tuple(environments),
        version=number,
        folder=None if model_dir is None else folder / model_dir,
        profile=profile or "",
        base=base,
    )
    done, code = command.smoke(targets.wished(wish, folder), options, say)
    print_(report.render(done, form))
    return code
