"""What render, image, smoke and runtimes did or would do, as values that a report can show."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from m2g.core.finding import Finding
from m2g.core.model import Value


class ChangeKind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class ReleaseChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One model in one environment moved; a version is empty where there is none."""

    kind: ChangeKind
    slug: str
    model: str
    environment: str
    before: str = ""
    after: str = ""
    follows: str = ""


class Served(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How one release is served, and why; `before` is another profile that served it until now, else empty."""

    slug: str
    model: str
    environment: str
    profile: str
    protocol: str
    reason: str
    before: str = ""


class FileChange(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One file of the tree; `diff` are unified diff lines, only where they were asked for."""

    kind: ChangeKind
    path: str
    diff: tuple[str, ...] = ()


class RenderResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g render`. `written` is false for --check and --dry-run."""

    releases: tuple[ReleaseChange, ...] = ()
    served: tuple[Served, ...] = ()
    files: tuple[FileChange, ...] = ()
    findings: tuple[Finding, ...] = ()
    models: int = 0
    written: bool = False
    check: bool = False


class PreparedImage(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A build context: what it is for, where it is, its files, and what a person should know."""

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
    """A version that has no image for its profile yet, and the environments that wait for it."""

    model: str
    slug: str
    version: str
    profile: str
    environments: tuple[str, ...]


class MissingImages(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The versions that wait for an image, by slug."""

    missing: tuple[MissingImage, ...] = ()


class ApiTest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One way of asking a server: what became of it, and how long answers took, in milliseconds."""

    way: Literal["rest", "grpc"]
    answer: Literal["equal", "different", "failed"]
    problems: tuple[str, ...] = ()
    requests: int = 0
    p50: float = 0
    p90: float = 0
    p99: float = 0
    longest: float = 0


class SmokeTest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One version that was served and asked. `problem` says why that did not come to an end, with the way out.

    `packages` is empty where nothing was installed yet; `runtime` and `gate` are empty where no described runtime
    is to load the model.
    """

    model: str
    slug: str
    version: str
    environments: tuple[str, ...]
    profile: str
    passed: bool
    packages: Literal["", "runtime", "model", "given"] = ""
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


class SmokeResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g smoke`."""

    tests: tuple[SmokeTest, ...] = ()


class SampleRequest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How one deployed model is asked. `origin` says where the values of `body` (JSON text) are from; empty: there is
    none, and the notes say why. `ingress` and `port_forward` are the lines of shell commands that send it.
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
    """One serving runtime that is described: m2g's own, or one of the repository (`kserve` is empty)."""

    name: str
    """The ServingRuntime's name, as `runtime` in model.yaml says it."""
    kserve: tuple[str, ...]
    """The KServe versions that bring it; empty for one of your own."""
    python: str
    """The image's Python; empty where nobody knows it."""
    loads: Literal["pyfunc", "file", "hub"]
    """How it loads a model: by MLflow's pyfunc, one saved file by its library, or from the Hugging Face hub."""
    image: str
    """The image that it was described from."""
    packages: int
    """How many Python packages are named."""


class RuntimeList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g runtimes list`."""

    runtimes: tuple[RuntimeSummary, ...]
    """The repository's own first."""


class RuntimeImport(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g runtimes import`."""

    file: str
    """The description that was written."""
    change: Literal["added", "changed", "same"]
    """What became of the file."""
    runtime: str
    """The name to write into model.yaml (`settings: {runtime: …}`)."""
    packages: int
    """How many Python packages it names."""
    python: str
    """The image's Python; empty where neither the file nor `--python` says it."""
