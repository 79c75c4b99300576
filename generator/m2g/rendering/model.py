"""Records, intents and configuration become the files that the repository should have, model by model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.compat.runtime import Runtime
from m2g.core.config_types import Config, ModelIntent
from m2g.core.disk_tree import Spool, part
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.manifest import place_of
from m2g.core.model import Image, Release, Value
from m2g.core.naming import LABEL_MAX
from m2g.core.stamp import Tree
from m2g.rendering.model_files import Deployment, ModelInput, record, render
from m2g.serving import gate, profile, settings, storage_uri
from m2g.serving.spec import Chosen, Serving

Key = tuple[str, str]
"""(slug, environment)."""


class Repository(Value, frozen=True, kw_only=True):
    """What people and earlier runs have committed; `components` are the kustomize Components that people wrote."""

    config: Config
    records: dict[Key, Release]
    intents: dict[str, ModelIntent]
    components: frozenset[Key]
    runtimes: tuple[Runtime, ...] = ()
    """Described runtimes, the repository's own first."""
    slugs: frozenset[str] = frozenset()
    """Those that have a folder."""
    settled: frozenset[str] = frozenset()
    """Those whose folder is known to be exactly what render gives."""
    images: dict[tuple[str, str], Image] = {}
    """(registered model, version) to an image that was built just now, and is in no record yet."""
    root: Path | None = None
    """Where it lies; None for a state that is only looked at."""

    def intent(self, slug: str) -> ModelIntent:
        """model.yaml of a model, or an empty one."""
        return self.intents.get(slug, ModelIntent())


class Desired(Value, frozen=True, kw_only=True):
    """`files` of all models that could be rendered; `frozen` are the slugs whose files stay as they are, but for
    those in `files`.
    """

    files: Tree
    frozen: frozenset[str]
    findings: tuple[Finding, ...]


class Trial:
    """Renders what a run would release, model by model, and keeps what came of it: most is wanted in the end."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._chosen: dict[Key, tuple[Release, Chosen]] = {}
        self._kept: dict[str, dict[str, Release]] = defaultdict(dict)
        for (slug, environment), release in repository.records.items():
            self._kept[slug][environment] = release
        self.spool = Spool()
        self.files: dict[str, tuple[Mapping[str, Release], Collection[str]]] = {}
        """Slug → the releases of all its environments, and the files of the spool that they give."""

    def problems(self, slug: str, releases: Mapping[str, Release]) -> dict[str, list[Finding]]:
        """Environment → why its new release cannot be rendered; of those that can nothing is said."""
        whole = {**self._kept.get(slug, {}), **releases}
        made = model_files(self._repository, slug, whole)
        if made.findings:
            alone = {name: model_files(self._repository, slug, {name: release}) for name, release in releases.items()}
            wrong = {name: found.findings or self._unfit(found, slug, releases[name]) for name, found in alone.items()}
        else:
            wrong = {name: self._unfit(made, slug, release) for name, release in releases.items()}
        refused = {name: findings for name, findings in wrong.items() if findings}
        if not made.findings and not refused:
            self.spool.put(made.files)
            self.files[slug] = (whole, tuple(made.files))
            self._chosen |= {(slug, name): (whole[name], chosen) for name, chosen in made.chosen.items()}
        return refused

    def _unfit(self, made: ModelFiles, slug: str, release: Release) -> list[Finding]:
        """Why a version is not even proposed. One that is there already stays; `m2g validate` says the same of it."""
        before = self._kept.get(slug, {}).get(release.environment)
        chosen = made.chosen.get(release.environment)
        known = before is not None and before.identity == release.identity
        return [] if chosen is None or known else gate.refused(release, chosen)

    def choose(self, slug: str, release: Release) -> Chosen:
        """How a release is served and why; found out once."""
        known = self._chosen.get((slug, release.environment))
        return known[1] if known is not None and known[0] == release else choose(self._repository, slug, release)


def desired(repository: Repository, records: Mapping[Key, Release], trial: Trial | None = None) -> Desired:
    """Render every model that has a record. A model with a finding is frozen as a whole, the others go on."""
    by_slug: dict[str, dict[str, Release]] = defaultdict(dict)
    for (slug, environment), release in records.items():
        by_slug[slug][environment] = release
    spool = trial.spool if trial is not None else Spool()
    paths: list[str] = []
    frozen: set[str] = set()
    findings: list[Finding] = []
    for slug, releases in sorted(by_slug.items()):
        tried = trial.files.pop(slug, None) if trial is not None else None
        if tried is not None and tried[0] == releases:
            paths += tried[1]
            continue
        made = model_files(repository, slug, releases)
        files = made.files
        findings += made.findings
        if made.findings:
            frozen.add(slug)
            files = _built(repository, slug, releases, made.findings)
        spool.put(files)
        paths += files
    return Desired(files=part(spool, paths), frozen=frozenset(frozen), findings=tuple(findings))


def _built(
    repository: Repository, slug: str, releases: Mapping[str, Release], wrong: Iterable[Finding]
) -> dict[str, bytes]:
    """Records that learn an image while another environment waits for its own; else each would wait for the other."""
    files: dict[str, bytes] = {}
    if any(finding.rule != profile.WAITS for finding in wrong):
        return files
    for environment, release in releases.items():
        before = repository.records.get((slug, environment))
        if before is not None and before != release == msgspec.structs.replace(before, image=release.image):
            files |= record(slug, release)
    return files


class ModelFiles(msgspec.Struct, frozen=True, kw_only=True):
    """All files of one model and how each environment is served; or no files and the reasons."""

    files: dict[str, bytes] = {}
    chosen: dict[str, Chosen] = {}
    findings: list[Finding] = []


def model_files(repository: Repository, slug: str, releases: Mapping[str, Release]) -> ModelFiles:
    """Render one model: environment to release."""
    config = repository.config
    findings: list[Finding] = []
    deployments: dict[str, Deployment] = {}
    for environment, release in sorted(releases.items()):
        if environment not in config.environments:
            continue
        made, wrong = _deployment(repository, slug, release)
        findings += _placed(wrong, release)
        if made is not None:
            deployments[environment] = made
    if findings or not deployments:
        return ModelFiles(findings=findings)
    shared, _ = settings.layers(config, slug, "", repository.intent(slug), None)
    base, _ = settings.resolve(shared, {}, config.kserve)
    files, wrong = render(config, ModelInput(slug=slug, base=base, profile=profile.base(base), deployments=deployments))
    return ModelFiles(
        files=files,
        chosen={environment: deployment.chosen for environment, deployment in deployments.items()},
        findings=_placed(wrong, next(iter(releases.values()))),
    )


def _deployment(repository: Repository, slug: str, release: Release) -> tuple[Deployment | None, list[Finding]]:
    config = repository.config
    place = config.environments[release.environment]
    serving, findings = serving_of(repository, slug, release)
    if len(slug) + len("-predictor-") + len(place.namespace) > LABEL_MAX:
        findings.append(_too_long(slug, place.namespace))
    if findings:  # of settings that do not hold together nothing can be said
        return None, findings
    made, findings = _chosen(repository, release, serving)
    if findings:
        return None, findings
    custom = (slug, release.environment) in repository.components
    return Deployment(release=release, serving=serving, chosen=made, custom=custom), []


def choose(repository: Repository, slug: str, release: Release) -> Chosen:
    """How one release is served and why, whatever is wrong with it."""
    serving, _ = serving_of(repository, slug, release)
    return _chosen(repository, release, serving)[0]


def serving_of(repository: Repository, slug: str, release: Release) -> tuple[Serving, list[Finding]]:
    """The settings of one release, complete, and what is wrong with them."""
    config = repository.config
    place = config.environments[release.environment]
    kserve = config.kserve if place.kserve is UNSET else place.kserve
    given, findings = settings.layers(config, slug, release.environment, repository.intent(slug), release)
    serving, wrong = settings.resolve(given, config.bounds, kserve)
    return serving, findings + wrong


def _chosen(repository: Repository, release: Release, serving: Serving) -> tuple[Chosen, list[Finding]]:
    """The profile; a place that no cluster can read is a finding only where the profile reads it."""
    config = repository.config
    refused: list[Finding] = []
    uri = ""
    try:
        uri = _readable(config, release.environment, release.artifact_uri)
    except InputError as error:
        refused = [Finding(rule="storage-refused", message=error.message, hint=error.hint)]
    made, findings = profile.chosen(
        profile.Subject(
            release=release,
            serving=serving,
            storage_uri=uri,
            verdicts=gate.of(release, serving, repository.runtimes),
        )
    )
    if made.storage_uri and made.storage_uri != uri:  # what a saved reference refers to
        try:
            uri = _readable(config, release.environment, made.storage_uri)
        except InputError as error:
            findings.append(Finding(rule="storage-refused", message=error.message, hint=error.hint))
        return made, findings
    return made, findings if made.profile == "mlflow-image" or not refused else [*refused, *findings]


def _readable(config: Config, environment: str, uri: str) -> str:
    place = config.environments[environment]
    rewrites = (*place.storage.rewrites, *config.storage.rewrites)
    return storage_uri.cluster_uri(uri, rewrites, place.storage.allow or config.storage.allow)


def located(root: Path, findings: Iterable[Finding]) -> list[Finding]:
    """The findings about m2g.yaml and model.yaml with the line of their path."""
    return [
        _located(root, finding) if finding.file.endswith(".yaml") and finding.path and not finding.line else finding
        for finding in findings
    ]


def _located(root: Path, finding: Finding) -> Finding:
    from m2g.validation import origin  # with all that reads kustomizations; mostly there is nothing to look for

    return msgspec.structs.replace(finding, line=origin.line(root, finding.file, place_of(finding.path)))


def _placed(findings: Iterable[Finding], release: Release) -> list[Finding]:
    return [msgspec.structs.replace(f, model=release.model, environment=release.environment) for f in findings]


def _too_long(slug: str, namespace: str) -> Finding:
    return Finding(
        rule="name-too-long",
        file="m2g.yaml",
        path="models.slugs",
        message=f"{slug}-predictor-{namespace} is longer than the {LABEL_MAX} that a host name allows",
        hint="give the model a shorter slug in m2g.yaml (models.slugs), or the environment a shorter namespace",
    )
