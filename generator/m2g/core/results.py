"""The results of commands (render, image, smoke, request, runtimes), as values for the reports."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from m2g.core.finding import Finding
from m2g.core.model import Value


class ChangeKind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class ReleaseChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The release of one model in one environment changed. `before` and `after` are versions; empty means no
    release."""

    kind: ChangeKind
    slug: str
    model: str
    environment: str
    before: str = ""
    after: str = ""
    follows: str = ""


class Served(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The profile that serves one release, and the reason. `before` is the previous profile if it changed, else
    empty."""

    slug: str
    model: str
    environment: str
    profile: str
    protocol: str
    reason: str
    before: str = ""


class EnvironmentReason(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Why a model is or is not in one environment. `version` is the recorded one; empty means none.

    `reasons` are the decisions in their order. `next` is what would change the outcome; empty if nothing has to.
    """

    environment: str
    outcome: str
    version: str = ""
    reasons: tuple[str, ...] = ()
    next: str = ""


class ModelReasons(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g explain --model`. `reasons` are about the model in every environment."""

    model: str
    slug: str
    reasons: tuple[str, ...] = ()
    environments: tuple[EnvironmentReason, ...] = ()


class FileChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A changed file. `diff` contains the lines of a unified diff, if the user asked for it."""

    kind: ChangeKind
    path: str
    diff: tuple[str, ...] = ()


class RenderResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g render`. `written` is false with --check and --dry-run."""

    releases: tuple[ReleaseChange, ...] = ()
    served: tuple[Served, ...] = ()
    files: tuple[FileChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    models: int = 0
    written: bool = False
    check: bool = False


class HoldResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g hold` and `m2g rollback`. `model_version` stays or comes back, and `before` ran
    until now.

    `origin` is the commit that the record comes from. `files` changed, or would change with --dry-run.
    """

    action: Literal["held", "ended", "rolled-back", "unchanged"]
    model: str
    slug: str
    environment: str
    model_version: str
    before: str = ""
    origin: str = ""
    reason: str = ""
    owner: str = ""
    until: str = ""
    files: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    """The commands that come next."""
    written: bool = False
    branch: str = ""
    """The branch that proposes it; empty without --propose."""
    url: str = ""
    """Its pull request, or the page where a person opens one."""


class CanaryResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g canary`. `candidate` gets `percent` of the traffic, and `stable` the rest. `before` is the
    share until now; None without a candidate.

    `files` changed, or would change with --dry-run.
    """

    action: Literal["started", "stepped", "promoted", "aborted", "refused", "unchanged"]
    model: str
    slug: str
    environment: str
    stable: str
    candidate: str = ""
    percent: int = 0
    before: int | None = None
    files: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    next: tuple[str, ...] = ()
    """The commands that come next."""
    written: bool = False


class Alignment(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g scaffold`. `written` is false with --dry-run and if there are conflicts."""

    answers: dict[str, str] = {}
    files: tuple[FileChange, ...] = ()
    conflicts: tuple[str, ...] = ()
    written: bool = False


class PreparedImage(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A build context for an image: the version that it is for, its folder and files, and notes for the user."""

    model: str
    slug: str
    environment: str
    model_version: str
    profile: str
    base: str
    folder: str
    files: tuple[str, ...]
    notes: tuple[str, ...]
    written: bool


class MissingImage(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A version that has no image for its profile yet, and the environments that need it."""

    model: str
    slug: str
    version: str
    profile: str
    environments: tuple[str, ...]


class MissingImages(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The versions that have no image yet, sorted by slug."""

    missing: tuple[MissingImage, ...] = ()


class ApiTest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The test of one API (REST or gRPC): whether the answers are right, and the response times in milliseconds."""

    way: Literal["rest", "grpc"]
    answer: Literal["equal", "different", "failed"]
    problems: tuple[str, ...] = ()
    requests: int = 0
    p50: float = 0
    p90: float = 0
    p99: float = 0
    longest: float = 0


class SmokeTest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The smoke test of one version. If it could not finish, `problem` says why and `hint` says what to do.

    `packages` is empty if nothing was installed. `runtime` and `gate` are empty if m2g has no description of the
    runtime that loads the model.
    """

    model: str
    slug: str
    version: str
    environments: tuple[str, ...]
    profile: str
    passed: bool
    packages: Literal["", "runtime", "environment", "model", "given"] = ""
    runtime: str = ""
    gate: Literal["", "serves", "fails", "unknown"] = ""
    url: str = ""
    answers_version: str = ""
    python: str = ""
    ready_seconds: float = 0
    problem: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    asked: tuple[ApiTest, ...] = ()


class Walls(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What separated the model's code from this machine. `problem` says why a wall was missing, `hint` what to do."""

    environment: bool = True
    """No variable of m2g's environment, in the model's processes and in those that started them."""
    network: bool = False
    """No network except a loopback of its own."""
    processes: bool = False
    """No other process is visible, and none can outlive the test."""
    files: bool = False
    """No file is visible except those of the system, the environment and the model, and those are read-only."""
    limits: bool = True
    """Limits on memory, processes, files, log and time; no program can get more rights."""
    problem: str = ""
    """Why a wall is missing. Empty if none is."""
    hint: str = ""
    """What to do about it."""

    @property
    def complete(self) -> bool:
        """Whether all walls were there."""
        return self.environment and self.network and self.processes and self.files and self.limits


class SmokeResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g smoke`."""

    tests: tuple[SmokeTest, ...] = ()
    walls: Walls = Walls()
    """What separated the model's code from this machine."""


class Predictions(Value, frozen=True, kw_only=True):
    """A written file of predictions. `walls` says what separated the model's code from this machine."""

    named: str
    python: str
    output: str
    walls: Walls


class SampleRequest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A sample request to one deployed model.

    `body` is JSON text, or what `--form` says, and `origin` is the source of its values. If `body` is empty, the notes
    say why. `ingress` and `port_forward` are lines of shell commands that send the request; a program needs none.
    """

    model: str
    slug: str
    environment: str
    model_version: str
    profile: str
    protocol: Literal["v2", "v1", "invocations"]
    path: str
    body: str
    origin: Literal["example", "signature", "none"]
    notes: tuple[str, ...] = ()
    ingress: tuple[str, ...] = ()
    port_forward: tuple[str, ...] = ()


class RuntimeSummary(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One described serving runtime: KServe's own, or one of the repository (then `kserve` is empty)."""

    name: str
    """The name of the ServingRuntime, for `runtime` in model.yaml."""
    kserve: tuple[str, ...]
    """The KServe versions that include it. Empty for your own runtimes."""
    python: str
    """The Python version of the image. Empty if it is unknown."""
    loads: Literal["pyfunc", "file", "hub"]
    """How it loads a model: with MLflow's pyfunc, as one saved file with its library, or from the Hugging Face hub."""
    image: str
    """The image that the description is based on."""
    packages: int
    """The number of Python packages in the description."""


class RuntimeList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g runtimes list`."""

    runtimes: tuple[RuntimeSummary, ...]
    """The repository's own runtimes come first."""


class ImportedValue(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What became of one value of another tool."""

    name: str
    """The value's name there."""
    becomes: str
    """The fields of m2g.yaml. Empty if nothing needs it."""
    remark: str
    """What is different here, or what to do."""


class ImportedConfig(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g import`."""

    config: str
    """The text of m2g.yaml."""
    values: tuple[ImportedValue, ...]
    """Each value that was given, and what became of it."""
    answers: tuple[str, ...]
    """The answers for `m2g init --data`, with which platform/ fits this m2g.yaml."""


class AdoptedObject(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One hand-written object, and what `m2g adopt` makes of it."""

    file: str
    """The file that has it; `cluster` for a live one."""
    kind: str
    """Its kind."""
    namespace: str
    """Its namespace; empty if it names none."""
    name: str
    """Its name."""
    outcome: Literal["adopted", "kept", "refused"]
    """`adopted`: a model of the fleet renders it. `kept`: it stays as it is. `refused`: adopting it would do harm."""
    reason: str
    """Why, and the next step where there is one."""
    model: str = ""
    """The registered model."""
    version: str = ""
    """The version whose storage the object reads."""
    environment: str = ""
    """The environment whose namespace the object has."""
    settings: tuple[str, ...] = ()
    """The settings that say what the object said."""
    patched: tuple[str, ...] = ()
    """The fields that a component puts back, because no setting has them."""
    lost: tuple[str, ...] = ()
    """The fields that the built object does not have. Nothing is adopted where there is one."""


class Adoption(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g adopt`."""

    objects: tuple[AdoptedObject, ...]
    """Every object that was found."""
    written: bool
    """Whether files were written."""


class RuntimeImport(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g runtimes import`."""

    file: str
    """The file with the description."""
    change: Literal["added", "changed", "same"]
    """How the file changed."""
    runtime: str
    """The name to use in model.yaml (`settings: {runtime: …}`)."""
    packages: int
    """The number of Python packages in the description."""
    python: str
    """The Python version of the image. Empty if neither the file nor `--python` has it."""


class Failure(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What `--format json` prints instead of a result if a verb ends with exit code 2 or 3."""

    message: str
    hint: str = ""
    exit_code: int


class AssessedProblem(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Something about a version that does not depend on its server: its storage, its signature or its slug."""

    kind: Literal["storage", "signature", "slug"]
    message: str
    step: str = ""


Outcome: TypeAlias = Literal[
    "serves", "unsure", "mlserver-image", "mlflow-image", "needs-memory", "log-again", "unreadable"
]
"""What becomes of a version: a stock runtime loads it, or may; an image with its own packages does; it must change."""


class AssessedVersion(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How one version can be served. `wanted` says who wants it: an alias, or nobody but this assessment.

    `packages` is the id of the `PackageSet` that an image for it needs; empty if it needs no image. `profile` is what
    model.yaml must say for that outcome; empty if it needs to say nothing.
    """

    model: str
    slug: str
    version: str
    wanted: tuple[str, ...]
    outcome: Outcome
    server: str = ""
    python: str = ""
    flavor: str = ""
    packages: str = ""
    why: str = ""
    step: str = ""
    profile: str = ""
    log_again: str = ""
    problems: tuple[AssessedProblem, ...] = ()


class AssessedRewrite(Value, frozen=True, kw_only=True, omit_defaults=False):
    """An entry of `storage.rewrites` that the server's own signed URLs give."""

    from_: str = msgspec.field(name="from")
    to: str


class PackageSet(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One Python with one set of requirements, and the versions (`model/version`) that were logged with exactly it."""

    id: str
    python: str
    requirements: tuple[str, ...]
    versions: tuple[str, ...]


class Assessment(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g assess`: what an m2g repository could serve of a registry. `models` counts those that are
    selected; `idle` are those without a version that is READY."""

    registry: str
    kserve: str
    models: int
    idle: tuple[str, ...]
    versions: tuple[AssessedVersion, ...]
    packages: tuple[PackageSet, ...]
    rewrites: tuple[AssessedRewrite, ...] = ()
    """Entries for `storage.rewrites` that m2g.yaml does not have."""
    written: tuple[str, ...] = ()
    """The files that --write has changed."""
    next: str


class Check(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One thing that `m2g doctor` looked at. A `problem` breaks something, a `warning` may. `step` is what to do."""

    name: str
    state: Literal["ok", "warning", "problem"]
    message: str
    step: str = ""


class Diagnosis(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g doctor`."""

    checks: tuple[Check, ...]
