"""Records, intents and configuration become the files that the repository should have, model by model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from m2g.core.disk_tree import DiskTree, select_paths
from m2g.core.finding import Finding
from m2g.core.model import Release, Value
from m2g.core.naming import LABEL_MAX
from m2g.core.stamp import Tree
from m2g.rendering.model_files import Deployment, ModelInput, record, render
from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.serving import profile, settings
from m2g.serving.backends import BACKENDS
from m2g.serving.decide import profiled, serving_of
from m2g.serving.spec import Chosen


class Desired(Value, frozen=True, kw_only=True):
    """`files` of all models that could be rendered; `frozen` are the slugs whose files stay as they are, but for
    those in `files`.
    """

    files: Tree
    frozen: frozenset[str]
    findings: tuple[Finding, ...]


class Rendered:
    """Models that were rendered already, while their releases were admitted."""

    def __init__(self) -> None:
        self.spool = DiskTree()
        self._models: dict[str, tuple[Mapping[str, Release], tuple[str, ...]]] = {}
        """Slug → the releases of all its environments, and the files that they give."""

    def put(self, slug: str, releases: Mapping[str, Release], files: Mapping[str, bytes]) -> None:
        """Keep the files that these releases give."""
        self.spool.put(files)
        self._models[slug] = (releases, tuple(files))

    def pop(self, slug: str, releases: Mapping[str, Release]) -> tuple[str, ...] | None:
        """The paths of the model's files; None where it was not rendered for just these releases."""
        known = self._models.pop(slug, None)
        return known[1] if known is not None and known[0] == releases else None


def desired(repository: Repository, records: Mapping[Key, Release], rendered: Rendered | None = None) -> Desired:
    """Render every model that has a record. A model with a finding is frozen as a whole, the others go on."""
    rendered = Rendered() if rendered is None else rendered
    by_slug: dict[str, dict[str, Release]] = defaultdict(dict)
    for (slug, environment), release in records.items():
        by_slug[slug][environment] = release
    paths: list[str] = []
    frozen: set[str] = set()
    findings: list[Finding] = []
    for slug, releases in sorted(by_slug.items()):
        known = rendered.pop(slug, releases)
        if known is not None:
            paths += known
            continue
        made = model_files(repository, slug, releases)
        files = made.files
        findings += made.findings
        if made.findings:
            frozen.add(slug)
            files = _built(repository, slug, releases, made.findings)
        rendered.spool.put(files)
        paths += files
    return Desired(files=select_paths(rendered.spool, paths), frozen=frozenset(frozen), findings=tuple(findings))


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
    shared, _ = settings.layers(config, slug, "", repository.find_intent(slug), None)
    base, _ = settings.resolve(shared, {}, config.kserve)
    files, wrong = render(config, ModelInput(slug=slug, base=base, deployments=deployments))
    return ModelFiles(
        files=files,
        chosen={environment: deployment.chosen for environment, deployment in deployments.items()},
        findings=_placed(wrong, next(iter(releases.values()))),
    )


def _deployment(repository: Repository, slug: str, release: Release) -> tuple[Deployment | None, list[Finding]]:
    config = repository.config
    place = config.environments[release.environment]
    serving, findings = serving_of(repository, slug, release)
    if len(label := BACKENDS[serving.backend].host_label(slug, place.namespace)) > LABEL_MAX:
        findings.append(_too_long(label))
    if findings:  # of settings that do not hold together nothing can be said
        return None, findings
    made, findings = profiled(repository, release, serving)
    if findings:
        return None, findings
    custom = (slug, release.environment) in repository.components
    return Deployment(release=release, serving=serving, chosen=made, custom=custom), []


def _placed(findings: Iterable[Finding], release: Release) -> list[Finding]:
    return [msgspec.structs.replace(f, model=release.model, environment=release.environment) for f in findings]


def _too_long(label: str) -> Finding:
    return Finding(
        rule="name-too-long",
        file="m2g.yaml",
        path="models.slugs",
        message=f"{label} is longer than the {LABEL_MAX} that a host name allows",
        hint="give the model a shorter slug in m2g.yaml (models.slugs), or the environment a shorter namespace",
    )
