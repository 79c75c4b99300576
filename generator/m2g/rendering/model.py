"""Render records, model.yaml and m2g.yaml into the files that the repository should have, model by model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from m2g.core.disk_tree import DiskTree, select_paths
from m2g.core.finding import Finding
from m2g.core.model import Release, Value
from m2g.core.naming import LABEL_MAX
from m2g.core.stamp import Tree
from m2g.core.teams import find_bounds
from m2g.core.variants import add_candidate
from m2g.rendering.model_files import Deployment, ModelInput, find_problems, render_files, render_record
from m2g.repository.layout import CONFIG, Key
from m2g.repository.state import Repository
from m2g.serving import profile, settings
from m2g.serving.backends import BACKENDS
from m2g.serving.canary import Candidate, split_traffic
from m2g.serving.decide import choose_with_settings, keep_basis, resolve_serving, state_decision
from m2g.serving.spec import ServingChoice


class RenderedTree(Value, frozen=True, kw_only=True):
    """The `files` of all models. `frozen` are the slugs with a finding: only those of their files in `files` change."""

    files: Tree
    frozen: frozenset[str]
    findings: tuple[Finding, ...]


class RenderedModels:
    """Models that were rendered already, to decide about their new releases."""

    def __init__(self) -> None:
        self.files = DiskTree()
        self._models: dict[str, tuple[Mapping[str, Release], tuple[str, ...]]] = {}
        """Slug → the releases of all its environments, and the paths of the rendered files."""

    def put(self, slug: str, releases: Mapping[str, Release], files: Mapping[str, bytes]) -> None:
        """Keep the files that were rendered from these releases."""
        self.files.put(files)
        self._models[slug] = (releases, tuple(files))

    def pop(self, slug: str, releases: Mapping[str, Release]) -> tuple[str, ...] | None:
        """The paths of the model's files; None if it was not rendered from exactly these releases."""
        known = self._models.pop(slug, None)
        return known[1] if known is not None and known[0] == releases else None


def render_models(
    repository: Repository, records: Mapping[Key, Release], rendered: RenderedModels | None = None
) -> RenderedTree:
    """Render every model that has a record. A model with a finding is frozen; the others are not affected."""
    rendered = RenderedModels() if rendered is None else rendered
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
        model = render_model(repository, slug, releases)
        files = model.files
        findings += model.findings
        if model.findings:
            frozen.add(slug)
            files = _render_new_images(repository, slug, releases, model.findings)
        rendered.files.put(files)
        paths += files
    return RenderedTree(files=select_paths(rendered.files, paths), frozen=frozenset(frozen), findings=tuple(findings))


def _render_new_images(
    repository: Repository, slug: str, releases: Mapping[str, Release], findings: Iterable[Finding]
) -> dict[str, bytes]:
    """The records that get an image while another environment waits for one. Otherwise both would wait forever."""
    files: dict[str, bytes] = {}
    if any(finding.rule != profile.IMAGE_MISSING for finding in findings):
        return files
    for environment, release in releases.items():
        before = repository.records.get((slug, environment))
        if before is None or before.image == release.image:
            continue
        if release == msgspec.structs.replace(before, image=release.image, serving=release.serving):
            files |= render_record(slug, release)
    return files


class ModelFiles(msgspec.Struct, frozen=True, kw_only=True):
    """All files of one model and how each environment is served; or findings and no files."""

    files: dict[str, bytes] = {}
    choices: dict[str, ServingChoice] = {}
    findings: list[Finding] = []


def render_model(repository: Repository, slug: str, releases: Mapping[str, Release]) -> ModelFiles:
    """Render one model. `releases` are by environment."""
    config = repository.config
    findings: list[Finding] = []
    deployments: dict[str, Deployment] = {}
    for environment, release in sorted(releases.items()):
        if environment not in config.environments:
            continue
        deployment, errors = _make_deployment(repository, slug, release)
        findings += _attribute(errors, release)
        if deployment is not None:
            deployments[environment] = deployment
    if findings or not deployments:
        return ModelFiles(findings=findings)
    layers, _ = settings.collect_layers(config, slug, "", repository.find_intent(slug), None)
    base, _ = settings.resolve_settings(layers, find_bounds(config, slug), config.kserve)
    files, errors = render_files(config, ModelInput(slug=slug, base=base, deployments=deployments))
    return ModelFiles(
        files=files,
        choices={environment: deployment.choice for environment, deployment in deployments.items()},
        findings=_attribute(errors, next(iter(releases.values()))),
    )


def _make_deployment(repository: Repository, slug: str, release: Release) -> tuple[Deployment | None, list[Finding]]:
    namespace = repository.config.environments[release.environment].namespace
    serving, findings = resolve_serving(repository, slug, release)
    if len(label := BACKENDS[serving.backend].host_label(slug, namespace)) > LABEL_MAX:
        findings.append(_label_too_long(label))
    if findings:  # contradictory settings would cause wrong findings below
        return None, findings
    choice, findings = choose_with_settings(repository, release, serving)
    if findings:
        return None, findings
    split, findings = split_traffic(repository, slug, release, serving, choice)
    if findings:
        return None, findings
    if split is not None and split.candidate is not None and split.candidate.release.serving is not None:
        release = add_candidate(release, _state(repository, slug, split.candidate))
    if release.serving is not None:
        basis = keep_basis(repository, release, serving)
        release = state_decision(repository, slug, release, choice, basis)
    custom = (slug, release.environment) in repository.components
    outward = custom and slug in repository.outward
    deployment = Deployment(
        release=release, serving=serving, choice=choice, custom=custom, outward=outward, split=split
    )
    if problems := list(find_problems(slug, deployment)):
        layers, _ = settings.collect_layers(
            repository.config, slug, release.environment, repository.find_intent(slug), release
        )
        return None, [settings.locate(finding, layers) for finding in problems]
    return deployment, []


def _state(repository: Repository, slug: str, one: Candidate) -> Release:
    """The candidate with how it is served, as its record says it."""
    basis = keep_basis(repository, one.release, one.serving)
    return state_decision(repository, slug, one.release, one.choice, basis)


def _attribute(findings: Iterable[Finding], release: Release) -> list[Finding]:
    return [msgspec.structs.replace(f, model=release.model, environment=release.environment) for f in findings]


def _label_too_long(label: str) -> Finding:
    return Finding(
        rule="name-too-long",
        file=CONFIG,
        path="models.slugs",
        message=f"the host label {label} has {len(label)} characters; Kubernetes allows {LABEL_MAX}",
        hint="give the model a shorter slug in m2g.yaml (models.slugs), or the environment a shorter namespace",
    )
