"""The options and the output of `m2g smoke`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from m2g.cli.completion import complete_model
from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, FORMAT, print_message, print_result
from m2g.core.errors import Exit, InputError
from m2g.core.sanitize import disarm_commands

if TYPE_CHECKING:
    from m2g.smoke.stages import StagePlan

PROFILES = ("mlserver", "mlserver-image", "mlflow-image")


@click.command(context_settings=CONTEXT, short_help="Serve a model and compare its answers.")
@click.argument("model", shell_complete=complete_model, required=False, default="")
@ENVIRONMENTS
@click.option("--version", "number", default="", metavar="N", help="Test this version, not the recorded one.")
@click.option(
    "--from",
    "snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="All versions in the file of m2g sync --resolve-only. What fails is added to it.",
)
@click.option("--model-dir", type=click.Path(path_type=Path), metavar="DIR", help="Use the model files in DIR.")
@click.option("--profile", type=click.Choice(PROFILES), help="The server. Default: the model's profile.")
@click.option(
    "--packages",
    type=click.Choice(("runtime", "model")),
    help="Install the packages of the cluster's runtime, or those that the model requires. Default: see above.",
)
@click.option("--venv", type=click.Path(path_type=Path), metavar="PATH", help="Use this Python environment instead.")
@click.option("--requests", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Requests to time.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 7200),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the server and for each answer.",
)
@click.option("--serve", "keep", is_flag=True, help="After the test, let clients on this machine ask until Ctrl-C.")
@click.option("--rest-only", is_flag=True, help="Send no gRPC requests.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="The REST port. Default: any free.")
@click.option(
    "--pass-env",
    "passed",
    multiple=True,
    metavar="NAME",
    help="Pass this environment variable to the model. Repeatable.",
)
@click.option(
    "--pass-path",
    "shown",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="Let the model read this file or directory, too. Repeatable.",
)
@click.option("--require-isolation", is_flag=True, help="Test nothing if this machine cannot isolate the model's code.")
@click.option("--keep-logs", type=click.Path(path_type=Path), metavar="DIR", help="Copy the servers' logs to DIR.")
@click.option("--url", default="", metavar="URL", help="Test a deployed endpoint. Start no server.")
@click.option("--host", default="", metavar="NAME", help="With --url: the model's host name at KServe's gateway.")
@click.option("--token-env", default="", metavar="NAME", help="With --url: the variable that holds a bearer token.")
@click.option(
    "--ca", type=click.Path(path_type=Path), metavar="FILE", help="With --url: CA certificates to trust (PEM)."
)
@click.option("--insecure", is_flag=True, help="With --url: accept any certificate.")
@click.option("--any-version", is_flag=True, help="With --url: do not check which version answers.")
@FORMAT
@click.pass_obj
def smoke(
    folder: Path,
    model: str,
    environments: Sequence[str],
    number: str,
    snapshot: Path | None,
    model_dir: Path | None,
    profile: str | None,
    packages: Literal["runtime", "model"] | None,
    venv: Path | None,
    requests: int,
    timeout: float,
    keep: bool,
    rest_only: bool,
    port: int,
    passed: Sequence[str],
    shown: Sequence[Path],
    require_isolation: bool,
    keep_logs: Path | None,
    url: str,
    host: str,
    token_env: str,
    ca: Path | None,
    insecure: bool,
    any_version: bool,
    output_format: str,
) -> Exit:
    """Serve a model version with its real server and compare the answers with MLflow's pyfunc.

    m2g starts MLServer or MLflow's own server in a Python environment with the packages that the cluster has: those of
    the described runtime for the profile mlserver, and those that the model requires for an image. m2g keeps the
    environment for the next run. It sends requests by REST and gRPC, and stops everything that it started.

    The model's code is not trusted. It runs without m2g's credentials, and behind walls if this machine has them: no
    network, no other processes, no other files. The report says which walls there were.

    Exit code 1: the model does not serve, or its answers differ.

    \b
    m2g smoke wine --env prod
    m2g smoke wine --env prod --version 8              another version, before you pin it
    m2g smoke wine --env prod --serve --port 5000      then ask it: curl http://127.0.0.1:5000/ping
    m2g smoke --from snapshot.json                     in CI, before m2g sync --from
    m2g smoke --model-dir ./model --profile mlflow-image
    m2g smoke wine --env prod --url https://models.example.com --host wine-models-prod.example.com
    """
    from m2g.commands import smoke as command
    from m2g.resolution.snapshot import doubt
    from m2g.smoke import relay, targets
    from m2g.smoke.client import Endpoint
    from m2g.smoke.stages import ServeOptions

    if (host or token_env or ca or insecure or any_version) and not url:
        raise InputError(
            "--host, --token-env, --ca, --insecure and --any-version work only with --url",
            hint="name the deployed endpoint: --url URL",
        )
    if packages and venv is not None:
        raise InputError("--venv and --packages exclude each other", hint="remove one of them")
    if keep and (url or snapshot):
        raise InputError("--serve excludes --url and --from", hint="run: m2g smoke MODEL --env NAME --serve")
    options = command.SmokeOptions(
        serve=ServeOptions(
            requests=requests,
            seconds=timeout,
            port=port,
            shown=tuple(folder / path for path in shown),
            keep_logs=None if keep_logs is None else folder / keep_logs,
            rest_only=rest_only,
            any_version=any_version,
            listener=relay.open_listener(port) if keep else -1,
        ),
        environment=None if venv is None else folder / venv,
        packages=packages or "",
        passed=tuple(passed),
        endpoint=Endpoint(url=url, host=host, token_env=token_env, ca=ca, insecure=insecure, seconds=timeout)
        if url
        else None,
        require_isolation=require_isolation,
        snapshot=None if snapshot is None else folder / snapshot,
        output_format=output_format,
    )
    selection = targets.TargetOptions(
        model=model,
        environments=tuple(environments),
        version=number,
        folder=None if model_dir is None else folder / model_dir,
        profile=profile or "",
        snapshot=None if snapshot is None else folder / snapshot,
        deployed=options.endpoint is not None,
    )
    if options.snapshot is not None:
        doubt(options.snapshot)
    found = targets.find_targets(selection, folder)
    if keep and len(found) > 1:
        names = " or ".join(f"--env {environment}" for target in found for environment in target.environments)
        raise InputError(f"--serve keeps one version running, and {model} has {len(found)}", hint=f"choose: {names}")
    return start(command.download(found, options, print_message))


@click.command("smoke-stage", hidden=True)
@click.argument("stage", type=click.Choice(("install", "serve")))
@click.argument("file", type=click.Path(path_type=Path))
def smoke_stage(stage: Literal["install", "serve"], file: Path) -> Exit:
    """Go on with a smoke test, in a process without the credentials of the stage before."""
    from m2g.commands import smoke as command
    from m2g.core.process import accept_signals
    from m2g.smoke.stages import read_plan, remove_workspace

    plan = read_plan(file)
    try:
        accept_signals()
        if stage == "serve":
            return _finish(plan)
        with contextlib.ExitStack() as keep:
            return _continue("serve", command.install(plan, print_message, keep))
    finally:
        remove_workspace(plan)


def start(plan: StagePlan) -> Exit:
    """Go on with a plan whose models are downloaded."""
    return _continue("install", plan)


def _continue(stage: Literal["install", "serve"], plan: StagePlan) -> Exit:
    """Replace this process by the next stage, or finish if nothing is left to do."""
    from m2g.smoke.stages import remove_workspace, start_stage

    try:
        if plan.pending:
            start_stage(stage, plan)
        return _finish(plan)
    finally:
        remove_workspace(plan)


def _finish(plan: StagePlan) -> Exit:
    from m2g.commands import smoke as command
    from m2g.report import smoke as report

    if plan.options.rows is not None:
        return _predict(plan)
    results, code = command.serve(plan, print_message)
    text = report.render(results, plan.output_format)
    print_result(text if plan.output_format == "json" else disarm_commands(text))  # it has words of the model
    return code


def _predict(plan: StagePlan) -> Exit:
    from m2g.commands import predict as command
    from m2g.core.results import SmokeResult
    from m2g.report import predict as report
    from m2g.report import smoke as failures

    done, code = command.predict(plan)
    if done is None:
        failed = SmokeResult(tests=tuple(trial.result for trial in plan.trials), walls=plan.walls)
        print_result(failures.render(failed, plan.output_format))
    else:
        print_result(report.render(done))
    return code
