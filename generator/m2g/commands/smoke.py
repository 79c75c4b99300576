"""`m2g smoke`: serve a version here, or use a deployed endpoint, and compare its answers with MLflow's pyfunc.

`download`, `install` and `serve` are stages that run in processes of their own, one after the other; see smoke/stages.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from m2g.core import tempdirs
from m2g.core.errors import Exit, InputError, M2gError, OutsideError
from m2g.core.finding import Finding
from m2g.core.model import Value
from m2g.core.results import ApiTest, SmokeResult, SmokeTest
from m2g.registry import download as downloads
from m2g.registry.model_files import ENVIRONMENT
from m2g.resolution.snapshot import settle
from m2g.smoke import ask, probes, relay, server
from m2g.smoke.client import Client, Endpoint
from m2g.smoke.environment import existing_environment, open_environment
from m2g.smoke.packages import Packages, choose_packages, compare_with_gate, gate_verdict, make_spec
from m2g.smoke.payload import Payload, make_payload
from m2g.smoke.program import Plan, find_log
from m2g.smoke.stages import ServeOptions, StagePlan, Trial, make_programs
from m2g.smoke.targets import Target
from m2g.smoke.walls import probe_walls, require_walls

Notify = Callable[[str], None]


class SmokeOptions(Value, frozen=True, kw_only=True):
    """How to test. `endpoint` is a deployed endpoint; without one, m2g starts a server.

    `packages` says whose packages to install; `passed` names variables that the model gets from m2g's environment.
    """

    serve: ServeOptions
    environment: Path | None = None
    packages: Packages = ""
    passed: tuple[str, ...] = ()
    endpoint: Endpoint | None = None
    require_isolation: bool = False
    snapshot: Path | None = None
    output_format: str = "text"


def download(targets: Sequence[Target], options: SmokeOptions, notify: Notify) -> StagePlan:
    """The first stage: download the models, and ask a deployed endpoint. Only it has credentials.

    Raises OutsideError if isolation is required and this machine does not have it.
    """
    walls = probe_walls()
    if options.require_isolation:
        require_walls(walls)
    passed = {name: os.environ[name] for name in options.passed if name in os.environ}
    workspace = tempdirs.create_folder("m2g-smoke-").resolve()
    try:
        trials = []
        for number, target in enumerate(targets):
            place = workspace / str(number)
            place.mkdir()
            trials.append(_download(target, options, place, notify))
    except BaseException:
        shutil.rmtree(workspace, ignore_errors=True)
        raise
    return StagePlan(
        trials=tuple(trials),
        options=msgspec.structs.replace(options.serve, passed=passed),
        workspace=workspace,
        walls=walls,
        output_format=options.output_format,
        snapshot=options.snapshot,
    )


def _download(target: Target, options: SmokeOptions, place: Path, notify: Notify) -> Trial:
    trial = Trial(target=target, result=_new_result(target))
    try:
        if target.profile not in ("mlserver", "mlserver-image", "mlflow-image"):
            raise InputError(
                f"{target.model} uses the profile {target.profile}, whose server m2g cannot start",
                hint="test the model with another server: --profile mlserver or --profile mlflow-image",
            )
        deployed = options.endpoint is not None
        if target.mlmodel.packed_environment and target.profile == "mlserver" and options.environment is None:
            raise _refuse_packed(target)
        choice = choose_packages(target, options.environment, options.packages, deployed=deployed)
        trial = _change(trial, result=msgspec.structs.replace(trial.result, packages=choice.packages))
        if options.environment is None:
            spec, notes = make_spec(target, choice)
            trial = _change(trial, spec=spec, spec_notes=notes)
        else:
            trial = _change(trial, environment=existing_environment(options.environment))
        if options.endpoint is not None:
            trial = _change(trial, asked=_ask_endpoint(target, options, options.endpoint, notify))
        return _change(trial, folder=_model_folder(target, place, notify))
    except M2gError as error:
        return _fail(trial, error)


def _refuse_packed(target: Target) -> InputError:
    """MLServer's image unpacks the environment and uses it in place of its own, so no other one proves anything."""
    name = shlex.quote(f"models:/{target.model}/{target.version}")
    get = f"mlflow artifacts download --artifact-uri {name} --dst-path model && "
    folder = "model" if target.folder is None else shlex.quote(str(target.folder))
    return InputError(
        f"{target.named} brings {ENVIRONMENT}, which MLServer's image unpacks and uses: m2g smoke would test other "
        "packages",
        hint=f"test it with that environment: {get if target.folder is None else ''}mkdir environment && "
        f"tar -xzf {folder}/{ENVIRONMENT} -C environment && "
        f"m2g smoke --model-dir {folder} --profile mlserver --venv environment",
    )


def _ask_endpoint(target: Target, options: SmokeOptions, endpoint: Endpoint, notify: Notify) -> ask.Asked:
    payload = _make_payload(target)
    notify(f"sending requests to {endpoint.url} …")
    with contextlib.closing(Client(endpoint)) as client:
        ask.check_ready(client, target)
        return ask.ask_rest(client, endpoint.url, target, payload.body, options.serve.requests)


def _model_folder(target: Target, place: Path, notify: Notify) -> Path:
    """The directory with the version's files; downloaded unless the user named one."""
    if target.folder is not None:
        return target.folder
    notify(f"downloading {target.named} …")
    to = place / "model"
    to.mkdir()
    chosen = target.registry
    version = downloads.ModelDownload(
        name=target.model, number=target.version, distrust=chosen.distrust, workspace=chosen.workspace
    )
    return downloads.download_version(version, chosen.uri, to, root=target.root)


def install(plan: StagePlan, notify: Notify, keep: contextlib.ExitStack) -> StagePlan:
    """The second stage: build the environments. They stay as they are until `keep` or this process ends."""
    return msgspec.structs.replace(plan, trials=tuple(_install(trial, notify, keep) for trial in plan.trials))


def _install(trial: Trial, notify: Notify, keep: contextlib.ExitStack) -> Trial:
    if trial.code or trial.spec is None:
        return trial
    try:
        environment = keep.enter_context(open_environment(trial.spec, notify))
    except M2gError as error:
        return _fail(trial, error)
    return _change(trial, environment=environment)


def serve(plan: StagePlan, notify: Notify) -> tuple[SmokeResult, Exit]:
    """The last stage: serve, ask and compare. The exit code is that of the worst failure."""
    trials = [_serve(trial, plan, plan.workspace / str(number), notify) for number, trial in enumerate(plan.trials)]
    code = max((Exit(trial.code) for trial in trials), default=Exit.DONE)
    results = tuple(_compare_with_gate(trial) for trial in trials)
    if plan.snapshot is not None:
        settle(plan.snapshot, [one for test in results if not test.passed for one in _list_findings(test)])
    return SmokeResult(tests=results, walls=plan.walls), code


def _serve(trial: Trial, plan: StagePlan, workspace: Path, notify: Notify) -> Trial:
    environment, folder, target, options = trial.environment, trial.folder, trial.target, plan.options
    if trial.code or environment is None or folder is None:
        return trial
    notes = (*trial.spec_notes[:1], *environment.notes, *trial.spec_notes[1:])
    result = msgspec.structs.replace(trial.result, python=environment.version, notes=notes)
    trial = _change(trial, result=result)
    programs = make_programs(trial, plan, folder, environment, workspace)
    with contextlib.ExitStack() as stack:
        if options.keep_logs is not None:
            stack.callback(_copy_logs, workspace, options.keep_logs / target.slug)
        stack.callback(shutil.rmtree, workspace / "model", ignore_errors=True)
        try:
            result = _serve_and_compare(trial, programs, options, notify)
        except M2gError as error:
            return _fail(trial, error)
    return _change(trial, result=result, code=int(Exit.DONE if result.passed else Exit.NO))


def _serve_and_compare(trial: Trial, plan: Plan, options: ServeOptions, notify: Notify) -> SmokeTest:
    """Start the server unless an endpoint has answered already, run pyfunc, compare the answers."""
    target, asked, grpc, started = trial.target, trial.asked, "", 0.0
    running: server.Server | None = None
    payload = _make_payload(target)
    problem, hint = "", ""
    with contextlib.ExitStack() as stack:
        if asked is None:
            notify(f"serving {target.named} …")
            probe = stack.enter_context(contextlib.closing(Client(Endpoint(url=f"http://{server.HOST}"))))
            running = stack.enter_context(server.serve(plan, probe.ready))
            grpc, started = running.grpc, running.started
            endpoint = Endpoint(url=running.url, seconds=options.seconds)
            client = stack.enter_context(contextlib.closing(Client(endpoint)))
            asked = ask.ask_rest(client, running.url, target, payload.body, options.requests)
        elif not options.any_version:
            problem, hint = ask.compare_version(ask.find_version(asked), target)
        to = probes.GrpcTarget(address=grpc, times=options.requests)
        by_grpc = bool(grpc and payload.by_grpc and not options.rest_only)
        ways = _judge(asked, target, plan, payload, to if by_grpc else None)
        if running is not None and options.listener >= 0:
            _keep_serving(target, running, options.listener, ways, notify)
    return msgspec.structs.replace(
        trial.result,
        passed=not problem and all(way.answer == "equal" for way in ways),
        url=asked.url,
        answers_version=ask.find_version(asked),
        ready_seconds=started,
        problem=problem,
        hint=hint,
        notes=(*trial.result.notes, *payload.notes),
        asked=ways,
    )


def _keep_serving(
    target: Target, running: server.Server, listener: int, ways: Sequence[ApiTest], notify: Notify
) -> None:
    """Let clients on this machine ask the model, until the user presses Ctrl-C or its server ends."""
    url = relay.find_address(listener)
    answers = "equals pyfunc" if all(way.answer == "equal" for way in ways) else "does not equal pyfunc"
    notify(f"{target.named} answers at {url} ({answers}) until you press Ctrl-C; try: curl {url}/ping")
    relay.relay(listener, running.port, running.is_alive)
    if not running.is_alive():
        notify(f"the server of {target.named} has ended; --keep-logs DIR keeps its log")


def _judge(
    asked: ask.Asked, target: Target, plan: Plan, payload: Payload, grpc: probes.GrpcTarget | None
) -> tuple[ApiTest, ...]:
    """Compare the answers with pyfunc's. A failure has the last lines of the log: MLServer writes the reason there."""
    failed = asked.failed
    if not failed:
        try:
            expected = probes.run_pyfunc(plan, payload.invocations)
            ways = [ask.judge_rest(asked, target, expected)]
            if grpc is not None:
                ways.append(ask.judge_grpc(plan, grpc, payload.body, expected))
            return tuple(ways)
        except OutsideError as error:
            failed = (ask.describe(error),)
        except RecursionError:
            failed = ("the answer is nested too deeply",)
    lines = server.read_last_lines(find_log(plan, server.NAME)).splitlines()
    problems = (*failed, *(line.strip() for line in lines if line.strip()))
    return (ApiTest(way="rest", answer="failed", problems=problems),)


def _make_payload(target: Target) -> Payload:
    return make_payload(target.mlmodel, target.model, ask.find_protocol(target))


def _list_findings(test: SmokeTest) -> Iterator[Finding]:
    """What the proposal of a version says of its failure, for each environment."""
    words = [test.problem, *(problem for way in test.asked for problem in way.problems)]
    why = next((line for text in words for line in text.splitlines() if line.strip()), "an answer differs")
    for environment in test.environments:
        yield Finding(
            rule="smoke-failed",
            model=test.model,
            environment=environment,
            message=f"m2g smoke: {test.model} version {test.version} failed: {why[:300]}",
            hint=f"see the whole report: m2g smoke {test.slug} --env {environment} --version {test.version}",
        )


def _copy_logs(workspace: Path, to: Path) -> None:
    try:
        to.mkdir(parents=True, exist_ok=True)
        for log in workspace.glob("*.log"):
            shutil.copy(log, to / log.name, follow_symlinks=False)
    except OSError as error:
        hint = "give --keep-logs a directory that you may write to"
        raise OutsideError(f"the logs cannot be copied to {to}: {error.strerror}", hint=hint) from error


def _new_result(target: Target) -> SmokeTest:
    """The result before any request was sent."""
    verdict = gate_verdict(target)
    return SmokeTest(
        model=target.model,
        slug=target.slug,
        version=target.version,
        environments=target.environments,
        profile=target.profile,
        runtime=verdict.runtime if verdict is not None else "",
        gate=verdict.answer if verdict is not None else "",
        passed=False,
    )


def _compare_with_gate(trial: Trial) -> SmokeTest:
    if trial.code not in (Exit.DONE, Exit.NO):
        return trial.result
    return compare_with_gate(trial.result, gate_verdict(trial.target), trial.target)


def _fail(trial: Trial, error: M2gError) -> Trial:
    """The trial with its problem. It still has everything that is known by then."""
    result = msgspec.structs.replace(trial.result, problem=error.message, hint=error.hint)
    return _change(trial, result=result, code=int(error.exit_code))


def _change(trial: Trial, **changes: object) -> Trial:
    return msgspec.structs.replace(trial, **changes)
