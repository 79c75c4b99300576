"""`m2g smoke`: serve a version here, or use a deployed endpoint, and compare its answers with MLflow's pyfunc."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from m2g.compat.verdict import Verdict
from m2g.core.errors import Exit, InputError, M2gError, OutsideError
from m2g.core.model import Value
from m2g.core.results import ApiTest, SmokeResult, SmokeTest
from m2g.inference import Protocol, find_path
from m2g.registry import download
from m2g.smoke import compare, probes, server
from m2g.smoke.client import Client, Endpoint
from m2g.smoke.environment import Environment
from m2g.smoke.packages import Packages, choose_packages, compare_with_gate, gate_verdict, open_environment
from m2g.smoke.payload import make_payload
from m2g.smoke.targets import Target

Notify = Callable[[str], None]


class SmokeOptions(Value, frozen=True, kw_only=True):
    """How to test. `endpoint` is a deployed endpoint; without one, m2g starts a server.

    `packages` says whose packages to install; `passed` names variables that the model gets from m2g's environment.
    """

    environment: Path | None = None
    packages: Packages = ""
    requests: int = 20
    seconds: float = 120.0
    port: int = 0
    passed: tuple[str, ...] = ()
    keep_logs: Path | None = None
    endpoint: Endpoint | None = None
    any_version: bool = False
    rest_only: bool = False


def smoke(targets: Sequence[Target], options: SmokeOptions, notify: Notify) -> tuple[SmokeResult, Exit]:
    """Test every target. The exit code is that of the worst failure."""
    results = []
    code = Exit.DONE
    for target in targets:
        result, target_code = _test(target, options, notify)
        results.append(result)
        code = max(code, target_code)
    return SmokeResult(tests=tuple(results)), code


def _test(target: Target, options: SmokeOptions, notify: Notify) -> tuple[SmokeTest, Exit]:
    """Test one target. If it fails, the result still has everything that is known by then."""
    verdict = gate_verdict(target)
    result = _new_result(target, verdict)
    deployed = options.endpoint is not None
    try:
        if target.profile not in ("mlserver", "mlserver-image", "mlflow-image"):
            raise InputError(
                f"{target.model} uses the profile {target.profile}, whose server m2g cannot start",
                hint="test the model with another server: --profile mlserver or --profile mlflow-image",
            )
        if options.endpoint is not None:
            Client(options.endpoint).close()  # refuses an invalid URL before an environment is built
        choice = choose_packages(target, options.environment, options.packages, deployed=deployed)
        result = msgspec.structs.replace(result, packages=choice.packages)
        with open_environment(target, choice, options.environment, notify) as environment:
            result = msgspec.structs.replace(result, python=environment.version, notes=environment.notes)
            result = _serve_and_compare(target, options, environment, result, notify)
        code = Exit.DONE if result.passed else Exit.NO
    except M2gError as error:
        result = msgspec.structs.replace(result, problem=error.message, hint=error.hint)
        code = error.exit_code
    if code in (Exit.DONE, Exit.NO):
        result = compare_with_gate(result, verdict, target)
    return result, code


def _new_result(target: Target, verdict: Verdict | None) -> SmokeTest:
    """The result before any request was sent."""
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


def _serve_and_compare(
    target: Target, options: SmokeOptions, environment: Environment, result: SmokeTest, notify: Notify
) -> SmokeTest:
    with contextlib.ExitStack() as stack:
        workspace = stack.enter_context(server.open_workspace())
        if options.keep_logs is not None:
            stack.callback(_copy_logs, workspace, options.keep_logs / target.slug)
        # The runtime's mlflow may be older than the registry and not know where it stores artifacts.
        own_mlflow = result.packages == "runtime" and download.has_mlflow()
        folder = _model_folder(target, None if own_mlflow else environment.python, workspace, notify)
        plan = server.Plan(
            model=target.model,
            slug=target.slug,
            version=target.version,
            profile=target.profile,
            folder=folder,
            variables=target.variables,
            passed=options.passed,
            port=options.port,
            seconds=options.seconds,
        )
        answers = _Test(target, options, plan, environment, workspace).run(stack, notify)
        return msgspec.structs.replace(
            result,
            passed=not answers.problem and all(way.answer == "equal" for way in answers.asked),
            url=answers.url,
            answers_version=answers.version,
            ready_seconds=answers.ready_seconds,
            problem=answers.problem,
            hint=answers.hint,
            notes=(*result.notes, *answers.notes),
            asked=answers.asked,
        )


def _model_folder(target: Target, python: Path | None, workspace: Path, notify: Notify) -> Path:
    """The directory with the version's files; downloaded unless the user named one."""
    if target.folder is not None:
        return target.folder
    notify(f"downloading {target.named} …")
    to = workspace / "model"
    to.mkdir()
    version = download.ModelDownload(name=target.model, number=target.version, python=python)
    return download.download_version(version, target.registry, to, root=target.root)


def _copy_logs(workspace: Path, to: Path) -> None:
    try:
        to.mkdir(parents=True, exist_ok=True)
        for log in workspace.glob("*.log"):
            shutil.copy(log, to / log.name)
    except OSError as error:
        hint = "give --keep-logs a directory that you may write to"
        raise OutsideError(f"the logs cannot be copied to {to}: {error.strerror}", hint=hint) from error


class _Answers(Value, frozen=True, kw_only=True):
    """What the server answered, by protocol; the fields are those of SmokeTest."""

    url: str
    version: str
    ready_seconds: float
    problem: str
    hint: str
    notes: tuple[str, ...]
    asked: tuple[ApiTest, ...]


class _Test:
    """One target in one environment."""

    def __init__(  # all of them stay the same during one test
        self, target: Target, options: SmokeOptions, plan: server.Plan, environment: Environment, workspace: Path
    ) -> None:
        self.target, self.options, self.plan = target, options, plan
        self.environment, self.workspace = environment, workspace

    def run(self, stack: contextlib.ExitStack, notify: Notify) -> _Answers:
        """Start the server or connect to it, send the requests, compare the answers."""
        endpoint = self.options.endpoint
        payload = make_payload(self.target.mlmodel, self.target.model, self._protocol)
        body = payload.body
        notify(f"sending requests to {endpoint.url} …" if endpoint else f"serving {self.target.named} …")
        client, running = self._connect(stack)
        if endpoint is not None:
            _check_ready(client, self._ready_path)
        answer: compare.Json = None
        try:
            answer, _ = client.post(self._path, body)
            expected = probes.run_pyfunc(self.plan, self.environment, self.workspace, payload.invocations)
            ways = [self._test_rest(client, body, answer, expected)]
            if running.grpc and payload.by_grpc and not self.options.rest_only:
                ways.append(self._test_grpc(running.grpc, body, expected))
        except OutsideError as error:
            ways = [self._failed(error)]
        version = _version(answer)
        problem, hint = self._compare_version(version) if endpoint is not None else ("", "")
        return _Answers(
            url=running.url,
            version=version,
            ready_seconds=running.started,
            problem=problem,
            hint=hint,
            notes=payload.notes,
            asked=tuple(ways),
        )

    @property
    def _ready_path(self) -> str:
        return "/ping" if self.target.profile == "mlflow-image" else f"/v2/models/{self.target.slug}/ready"

    @property
    def _path(self) -> str:
        return find_path(self.target.slug, self._protocol)

    @property
    def _protocol(self) -> Protocol:
        return "invocations" if self.target.profile == "mlflow-image" else "v2"

    def _connect(self, stack: contextlib.ExitStack) -> tuple[Client, server.Server]:
        if self.options.endpoint is not None:
            client = Client(self.options.endpoint)
            stack.callback(client.close)
            return client, server.Server(url=self.options.endpoint.url)
        probe = Client(Endpoint(url=f"http://{server.HOST}"))
        stack.callback(probe.close)
        running = stack.enter_context(server.serve(self.plan, self.environment, self.workspace, probe.ready))
        client = Client(Endpoint(url=running.url, seconds=self.options.seconds))
        stack.callback(client.close)
        return client, running

    def _test_rest(
        self, client: Client, body: str, answer: compare.Json, expected: Sequence[compare.Column]
    ) -> ApiTest:
        """Compare the first answer and time further requests."""
        read = compare.read_invocations if self.target.profile == "mlflow-image" else compare.read_v2
        differences = compare.find_differences(expected, read(answer))
        return _summarize("rest", differences, [client.post(self._path, body)[1] for _ in range(self.options.requests)])

    def _test_grpc(self, address: str, body: str, expected: Sequence[compare.Column]) -> ApiTest:
        to = probes.GrpcTarget(address=address, times=self.options.requests)
        answers = probes.run_grpc(self.plan, self.environment, self.workspace, body, to)
        if answers.problem:
            return ApiTest(way="grpc", answer="failed", problems=(answers.problem,))
        differences = compare.find_differences(expected, compare.read_v2(answers.answer))
        return _summarize("grpc", differences, answers.seconds)

    def _failed(self, error: OutsideError) -> ApiTest:
        """The failure with the last lines of the log: MLServer writes the reason only there."""
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        lines = server.read_last_lines(self.workspace / "server.log").splitlines()
        return ApiTest(
            way="rest", answer="failed", problems=(message, *(line.strip() for line in lines if line.strip()))
        )

    def _compare_version(self, answered: str) -> tuple[str, str]:
        """Problem and hint if the version that answers is not the one in Git; otherwise empty."""
        expected = self.target.version
        if answered == expected or self.options.any_version:
            return "", ""
        if answered:
            hint = (
                "wait until Argo CD or Flux has synced and the rollout is done: "
                f"kubectl get inferenceservice {self.target.slug} -n NAMESPACE"
            )
            return f"version {answered} of {self.target.model} answers, but Git has version {expected}", hint
        hint = "render and deploy again (m2g render writes the version into MLServer's manifests), or add --any-version"
        return f"the server of {self.target.model} does not tell its version; Git has version {expected}", hint


def _check_ready(client: Client, path: str) -> None:
    status = client.status(path)
    if status != 200:
        hint = "check the address; behind KServe's gateway, also name the model's host: --host NAME"
        raise server.NotReady(f"the endpoint is not ready: {path} answers {status}", hint=hint)


def _version(answer: compare.Json) -> str:
    version = answer.get("model_version") if isinstance(answer, dict) else None
    return version if isinstance(version, str) else ""


def _summarize(way: Literal["rest", "grpc"], differences: Sequence[str], seconds: Sequence[float]) -> ApiTest:
    answer: Literal["equal", "different"] = "different" if differences else "equal"
    summary = ApiTest(way=way, answer=answer, problems=tuple(differences), requests=len(seconds))
    if not seconds:
        return summary
    p50, p90, p99, longest = (compare.percentile(seconds, share) for share in (0.5, 0.9, 0.99, 1.0))
    return msgspec.structs.replace(summary, p50=p50, p90=p90, p99=p99, longest=longest)
