"""The shell of the scaffolded CI files, run as the CI service runs it: fresh clone, bare remote, real MLflow store."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.fleet import FILES
from tests.support.scaffolded import at, commit, documents, git, mapping, scaffold, sequence

NEEDS_A_NETWORK = {"Install m2g"}
"""Steps that are left out: pip fetches m2g from its Git repository."""


class Store:
    """A real MLflow store on disk: sqlite, and artifacts beside it."""

    def __init__(self, folder: Path) -> None:
        from mlflow import MlflowClient

        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.artifacts = folder / "artifacts"
        self._client = MlflowClient(self.uri, self.uri)

    def register(self, name: str, *, champion: int, versions: int = 2) -> None:
        """A model with some versions and one alias."""
        self._client.create_registered_model(name)
        for version in range(1, versions + 1):
            folder = self.artifacts / name / str(version)
            folder.mkdir(parents=True)
            for file, content in FILES.items():
                (folder / file).write_bytes(content)
            self._client.create_model_version(name, folder.as_uri())
        self.move(name, "champion", champion)

    def remove(self, name: str) -> None:
        """Delete a model; its artifacts stay."""
        self._client.delete_registered_model(name)

    def move(self, name: str, alias: str, version: int) -> None:
        """Move an alias, as a data scientist does."""
        self._client.set_registered_model_alias(name, alias, str(version))


class Remote:
    """A bare repository, as GitHub or GitLab keeps it: with a scaffolded main, or a copy of another."""

    def __init__(self, folder: Path, origin: Path) -> None:
        self.folder = folder
        self.bare = folder / "remote.git"
        git(folder, "clone", "-q", "--mirror", str(origin), str(self.bare))
        self._clones = 0

    def clone(self, branch: str = "main") -> Path:
        """A fresh clone of all branches with one checked out, as actions/checkout with fetch-depth 0 makes it."""
        self._clones += 1
        to = self.folder / f"clone-{self._clones}"
        git(self.folder, "clone", "-q", "--branch", branch, str(self.bare), str(to))
        return to

    def head(self, branch: str) -> str:
        """The commit of a branch, empty without one."""
        done = subprocess.run(
            ["git", "rev-parse", "--quiet", "--verify", f"refs/heads/{branch}"],
            cwd=self.bare, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.strip()

    def tips(self) -> set[str]:
        """The branches."""
        return set(git(self.bare, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").split())

    def log(self, span: str) -> list[str]:
        """Authors' mail addresses of a span of commits, newest first."""
        return git(self.bare, "log", "--format=%ae", span).split()

    def merge(self, branch: str) -> None:
        """Merge a branch to main, as the button does."""
        to = self.clone()
        git(to, "merge", "-q", "--no-ff", "--no-edit", f"origin/{branch}")
        git(to, "push", "-q", "origin", "main")


def scaffolded(folder: Path, store: Store, *answers: str) -> Path:
    """A repository with one commit, for this store; the clusters read its artifacts from a bucket."""
    to = scaffold(folder, f"tracking_uri={store.uri}", f"artifact_root={store.artifacts.as_uri()}", *answers)
    commit(to, "Scaffold")
    return to


def bash(script: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub does with `shell: bash`; nobody is at the terminal."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
        cwd=folder, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


class Job:
    """One job of a workflow of GitHub or Gitea. `context` answers the `${{ … }}` that the forge would answer.

    `artifacts` is the job whose files it downloads.
    """

    def __init__(
        self, clone: Path, file: str, context: Mapping[str, str], name: str = "", artifacts: Job | None = None
    ) -> None:
        (path,) = clone.glob(f".git*/workflows/{file}.yml")
        (workflow,) = documents(path)
        self._job = mapping(workflow, "jobs", name or file)
        self._always = mapping(workflow, "env")
        self._clone = clone
        self._context = dict(context)
        self.temp = clone.with_name(f"{clone.name}-{name or file}-temp")
        self.temp.mkdir(exist_ok=True)
        for kept in artifacts.temp.glob("[sc]*.*") if artifacts is not None else ():
            shutil.copy(kept, self.temp)
        self._variables = self.temp / "variables"
        self._variables.write_text("")
        self.ran: list[str] = []
        self.skipped: list[str] = []
        self.failed: list[str] = []
        self.said = ""

    def run(self) -> Job:
        """Every step in order, under its `if`; after a failed one, only those that do not mind."""
        for step in sequence(self._job, "steps"):
            found = mapping(step)
            if "run" not in found:
                continue
            name = str(found["name"])
            wanted = self._condition(str(found.get("if", "success()")))
            if name in NEEDS_A_NETWORK or not wanted:
                self.skipped.append(name)
                continue
            self._step(name, found)
        return self

    @property
    def summary(self) -> str:
        """The job's step summary."""
        return (self.temp / "summary").read_text()

    def _step(self, name: str, step: Mapping[str, object]) -> None:
        output = self.temp / "output"
        output.write_text("")
        (self.temp / "summary").touch()
        environment = {
            key: self._expand(str(value))
            for key, value in {
                **self._always,
                **mapping(dict(self._job).get("env", {})),
                **dict(line.split("=", 1) for line in self._variables.read_text().splitlines()),
                **mapping(dict(step).get("env", {})),
            }.items()
        } | {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_ENV": str(self._variables),
            "GITHUB_REPOSITORY": "acme/models",
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            "RUNNER_TEMP": str(self.temp),
        }
        done = bash(str(step["run"]), self._clone, environment)
        self.said += done.stdout + done.stderr
        self.ran.append(name)
        if done.returncode != 0:
            self.failed.append(name)
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            self._context[f"steps.{step['id']}.outputs.{key}"] = value

    def _condition(self, text: str) -> bool:
        text = text.removeprefix("${{").removesuffix("}}").strip()
        words = [part.strip() for part in text.split("&&")]
        if not any(word in {"success()", "!cancelled()"} for word in words):
            words.append("success()")
        return all(self._true(word) for word in words)

    def _true(self, word: str) -> bool:
        if word == "success()":
            return not self.failed
        if word == "!cancelled()":
            return True
        left, equals, right = word.partition(" == ")
        assert equals, f"this runner does not know {word!r}"
        return self._value(left) == self._value(right)

    def _expand(self, text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: self._value(found[1]), text)

    def _value(self, expression: str) -> str:
        if expression.startswith("'"):
            return expression.strip("'")
        for name in expression.split(" || "):
            if value := self._context.get(name, ""):
                return value
        assert re.fullmatch(r"(secrets|vars|steps)\.[\w.]+( \|\| github\.(token|actor))?", expression), expression
        return ""


REGISTRY = {"secrets.MLFLOW_TRACKING_TOKEN": "registry"}
"""What only the job has that reads the registry."""


class Run(NamedTuple):
    """Both jobs of one run of the pipeline `render`."""

    code: int
    said: str
    failed: tuple[str, ...]
    render: str
    """What the first job said."""


def render(clones: Callable[[], Path], token: str = "", context: Mapping[str, str] | None = None) -> Run:
    """Run the jobs render and propose, each in a fresh clone. Only a file passes between them."""
    clone = clones()
    if (clone / ".gitlab-ci.yml").exists():
        return _run_gitlab(clone, clones(), token)
    known = {"github.actor": "ada", **(context or {})}
    first = Job(clone, "render", {**REGISTRY, "github.token": "t", **known}, "render").run()
    second = Job(clones(), "render", {"secrets.M2G_TOKEN": token, **known}, "propose", first).run()
    failed = (*first.failed, *second.failed)
    return Run(len(failed), first.said + second.said, failed, first.said)


def _run_gitlab(clone: Path, other: Path, token: str) -> Run:
    given = {"CI_REGISTRY_USER": "ci", "CI_REGISTRY_PASSWORD": "s3cret", "MLFLOW_TRACKING_TOKEN": "registry"}
    first = gitlab(clone, "render", given)
    file = clone / "m2g-snapshot.json"
    if file.exists():
        shutil.copy(file, other)
    second = gitlab(other, "propose", {"M2G_TOKEN": token})
    failed = [name for name, done in (("render", first), ("propose", second)) if done.returncode]
    said = [done.stdout + done.stderr for done in (first, second)]
    return Run(len(failed), "".join(said), tuple(failed), said[0])


def gitlab(clone: Path, job: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The script of a GitLab job in one shell, without before_script."""
    (pipeline,) = documents(clone / ".gitlab-ci.yml")
    variables = {**mapping(pipeline, "variables"), **mapping(mapping(pipeline, job).get("variables", {}))}
    lines = [str(line) for line in sequence(pipeline, job, "script")]
    assert at(pipeline, "default", "image") == "python:3.12-bookworm"
    text = {key: str(value).replace("$CI_PROJECT_DIR", str(clone)) for key, value in variables.items()}
    return bash("\n".join(lines), clone, text | dict(environment))
