"""`m2g smoke`: serve a version, ask it, compare with pyfunc; here, or where it is deployed."""

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
from m2g.smoke import packages as installed
from m2g.smoke.client import Client, Door
from m2g.smoke.environment import Environment
from m2g.smoke.payload import question
from m2g.smoke.targets import Trial

Tell = Callable[[str], None]


class SmokeOptions(Value, frozen=True, kw_only=True):
    """How to test. `door` is a deployed endpoint; without one, a server is started here. `packages` are whose."""

    environment: Path | None = None
    packages: installed.Packages = ""
    requests: int = 20
    seconds: float = 120.0
    port: int = 0
    passed: tuple[str, ...] = ()
    keep_logs: Path | None = None
    door: Door | None = None
    any_version: bool = False
    rest_only: bool = False


def smoke(trials: Sequence[Trial], options: SmokeOptions, tell: Tell) -> tuple[SmokeResult, Exit]:
    """Every trial to its end; the exit code is that of the gravest failure."""
    done = []
    code = Exit.DONE
    for trial in trials:
        tested, grade = _tried(trial, options, tell)
        done.append(tested)
        code = max(code, grade)
    return SmokeResult(tests=tuple(done)), code


def _tried(trial: Trial, options: SmokeOptions, tell: Tell) -> tuple[SmokeTest, Exit]:
    """One trial; what is known of it is told also where it fails."""
    said = installed.gate(trial)
    told = _blank(trial, said)
    try:
        if trial.profile not in ("mlserver", "mlserver-image", "mlflow-image"):
            raise InputError(
                f"{trial.model} is served by the profile {trial.profile}, whose server m2g cannot start here",
                hint="--profile mlserver or mlflow-image tries the model itself",
            )
        if options.door is not None:
            Client(options.door).close()  # what is no address is said before an environment is made
        wish = installed.choice(trial, options.environment, options.packages, deployed=options.door is not None)
        told = msgspec.structs.replace(told, packages=wish.packages)
        with installed.environment(trial, wish, options.environment, tell) as environment:
            told = msgspec.structs.replace(told, python=environment.version, notes=environment.notes)
            told = _served(trial, options, environment, told, tell)
        code = Exit.DONE if told.passed else Exit.NO
    except M2gError as error:
        told = msgspec.structs.replace(told, problem=error.message, hint=error.hint)
        code = error.exit_code
    if code in (Exit.DONE, Exit.NO):
        told = installed.beside_the_gate(told, said, trial)
    return told, code


def _blank(trial: Trial, said: Verdict | None) -> SmokeTest:
    """What is known before anything was asked."""
    return SmokeTest(
        model=trial.model,
        slug=trial.slug,
        version=trial.version,
        environments=trial.environments,
        profile=trial.profile,
        runtime=said.runtime if said is not None else "",
        gate=said.answer if said is not None else "",
        passed=False,
    )


def _served(trial: Trial, options: SmokeOptions, environment: Environment, told: SmokeTest, tell: Tell) -> SmokeTest:
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(server.workplace())
        if options.keep_logs is not None:
            stack.callback(_keep, place, options.keep_logs / trial.slug)
        # A runtime's mlflow may be older than the registry's, and know less of where it keeps things.
        old = told.packages == "runtime" and download.has_mlflow()
        folder = _folder(trial, None if old else environment.python, place, tell)
        plan = server.Plan(
            model=trial.model,
            slug=trial.slug,
            version=trial.version,
            profile=trial.profile,
            folder=folder,
            variables=trial.variables,
            passed=options.passed,
            port=options.port,
            seconds=options.seconds,
        )
        found = _Test(trial, options, plan, environment, place).run(stack, tell)
        return msgspec.structs.replace(
            told,
            passed=not found.problem and all(way.answer == "equal" for way in found.asked),
            url=found.url,
            answers_version=found.version,
            ready_seconds=found.ready_seconds,
            problem=found.problem,
            hint=found.hint,
            notes=(*told.notes, *found.notes),
            asked=found.asked,
        )


def _folder(trial: Trial, python: Path | None, place: Path, tell: Tell) -> Path:
    """Where the version's files are; downloaded where nobody named a folder."""
    if trial.folder is not None:
        return trial.folder
    tell(f"downloading {trial.named} …")
    to = place / "model"
    to.mkdir()
    wanted = download.ModelDownload(name=trial.model, number=trial.version, python=python)
    return download.download_version(wanted, trial.registry, to, root=trial.root)


def _keep(place: Path, to: Path) -> None:
    try:
        to.mkdir(parents=True, exist_ok=True)
        for log in place.glob("*.log"):
            shutil.copy(log, to / log.name)
    except OSError as error:
        raise OutsideError(f"the logs cannot be kept in {to}: {error.strerror}", hint="see --keep-logs") from error


class _Found(Value, frozen=True, kw_only=True):
    """What came of asking; the fields are those of Smoked."""

    url: str
    version: str
    ready_seconds: float
    problem: str
    hint: str
    notes: tuple[str, ...]
    asked: tuple[ApiTest, ...]


class _Test:
    """One trial in one environment."""

    def __init__(  # all of it is fixed for the time of one test
        self, trial: Trial, options: SmokeOptions, plan: server.Plan, environment: Environment, place: Path
    ) -> None:
        self.trial, self.options, self.plan = trial, options, plan
        self.environment, self.place = environment, place

    def run(self, stack: contextlib.ExitStack, tell: Tell) -> _Found:
        """Get ready, ask, compare."""
        asked = question(self.trial.mlmodel, self.trial.model, self._protocol)
        body = asked.body
        tell(f"asking {self.options.door.url} …" if self.options.door else f"serving {self.trial.named} …")
        client, running = self._server(stack)
        if self.options.door is not None:
            _reachable(client, self._ready)
        answer: compare.Json = None
        try:
            answer, _ = client.post(self._path, body)
            expected = probes.pyfunc(self.plan, self.environment, self.place, asked.invocations)
            ways = [self._rest(client, body, answer, expected)]
            if running.grpc and asked.by_grpc and not self.options.rest_only:
                ways.append(self._grpc(running.grpc, body, expected))
        except OutsideError as error:
            ways = [self._refused(error)]
        version = _version(answer)
        problem, hint = self._other_version(version) if self.options.door is not None else ("", "")
        return _Found(
            url=running.url,
            version=version,
            ready_seconds=running.started,
            problem=problem,
            hint=hint,
            notes=asked.notes,
            asked=tuple(ways),
        )

    @property
    def _ready(self) -> str:
        return "/ping" if self.trial.profile == "mlflow-image" else f"/v2/models/{self.trial.slug}/ready"

    @property
    def _path(self) -> str:
        return find_path(self.trial.slug, self._protocol)

    @property
    def _protocol(self) -> Protocol:
        return "invocations" if self.trial.profile == "mlflow-image" else "v2"

    def _server(self, stack: contextlib.ExitStack) -> tuple[Client, server.Server]:
        if self.options.door is not None:
            client = Client(self.options.door)
            stack.callback(client.close)
            return client, server.Server(url=self.options.door.url)
        probe = Client(Door(url=f"http://{server.HOST}"))
        stack.callback(probe.close)
        running = stack.enter_context(server.serving(self.plan, self.environment, self.place, probe.ready))
        client = Client(Door(url=running.url, seconds=self.options.seconds))
        stack.callback(client.close)
        return client, running

    def _rest(self, client: Client, body: str, answer: compare.Json, expected: Sequence[compare.Column]) -> ApiTest:
        """The first answer is judged, the others are timed."""
        read = compare.of_invocations if self.trial.profile == "mlflow-image" else compare.of_v2
        wrong = compare.differences(expected, read(answer))
        return _asked("rest", wrong, [client.post(self._path, body)[1] for _ in range(self.options.requests)])

    def _refused(self, error: OutsideError) -> ApiTest:
        """MLServer keeps the reason of a refusal to its log."""
        words = f"{error.message}; {error.hint}" if error.hint else error.message
        told = server.last_words(self.place / "server.log").splitlines()
        return ApiTest(way="rest", answer="failed", problems=(words, *(line.strip() for line in told if line.strip())))

    def _grpc(self, address: str, body: str, expected: Sequence[compare.Column]) -> ApiTest:
        to = probes.Addressed(address=address, times=self.options.requests)
        said = probes.grpc(self.plan, self.environment, self.place, body, to)
        if said.problem:
            return ApiTest(way="grpc", answer="failed", problems=(said.problem,))
        return _asked("grpc", compare.differences(expected, compare.of_v2(said.answer)), said.seconds)

    def _other_version(self, said: str) -> tuple[str, str]:
        """Why the version that answers is not the one in Git."""
        wanted = self.trial.version
        if said == wanted or self.options.any_version:
            return "", ""
        if said:
            hint = "has Argo CD or Flux synced, and is the rollout done? `kubectl rollout status` tells"
            return f"version {said} of {self.trial.model} answers, but Git says {wanted}", hint
        hint = "m2g render writes the version into the manifests of MLServer; --any-version does not ask for it"
        return f"the server of {self.trial.model} does not say which version answers; Git says {wanted}", hint


def _reachable(client: Client, path: str) -> None:
    status = client.status(path)
    if status != 200:
        hint = "is this the model's address? KServe's gateway wants its host name: --host NAME"
        raise server.NotReady(f"the endpoint is not ready: {path} answers {status}", hint=hint)


def _version(answer: compare.Json) -> str:
    said = answer.get("model_version") if isinstance(answer, dict) else None
    return said if isinstance(said, str) else ""


def _asked(way: Literal["rest", "grpc"], wrong: Sequence[str], took: Sequence[float]) -> ApiTest:
    made = ApiTest(way=way, answer="different" if wrong else "equal", problems=tuple(wrong), requests=len(took))
    if not took:
        return made
    p50, p90, p99, longest = (compare.percentile(took, share) for share in (0.5, 0.9, 0.99, 1.0))
    return msgspec.structs.replace(made, p50=p50, p90=p90, p99=p99, longest=longest)
