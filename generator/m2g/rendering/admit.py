"""Decide which new releases may replace the recorded ones. Each is rendered first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from m2g.core.finding import Finding, Severity
from m2g.core.model import Release
from m2g.rendering.model import ModelFiles, RenderedModels, render_model
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.resolution.resolve import Resolved
from m2g.serving import gate
from m2g.serving.decide import choose_serving
from m2g.serving.spec import ServingChoice


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """`resolved` without the releases that cannot be rendered or served, and what is rendered already."""

    resolved: Resolved
    rendered: RenderedModels = msgspec.field(default_factory=RenderedModels)
    choices: dict[Key, ServingChoice] = {}

    def choose(self, repository: Repository, key: Key, release: Release) -> ServingChoice:
        """How a release of `resolved` is served and why."""
        return self.choices.get(key) or choose_serving(repository, key[0], release)


def admit(repository: Repository, resolved: Resolved) -> Admission:
    """Render each model with a new release. If that fails, the environment keeps the old record, with a finding."""
    before = repository.records
    recorded: dict[str, dict[str, Release]] = defaultdict(dict)
    for (slug, environment), release in before.items():
        recorded[slug][environment] = release
    moved: dict[str, dict[str, Release]] = defaultdict(dict)
    for (slug, environment), release in resolved.records.items():
        if release != before.get((slug, environment)):
            moved[slug][environment] = release
    records = dict(resolved.records)
    rendered = RenderedModels()
    choices: dict[Key, ServingChoice] = {}
    findings = list(resolved.findings)
    for slug, releases in moved.items():
        all_releases = {**recorded.get(slug, {}), **releases}
        model = render_model(repository, slug, all_releases)
        refused = _acknowledge(repository, slug, releases, _find_refused(repository, slug, releases, model))
        findings += (finding for errors in refused.values() for finding in errors)
        for environment in refused:
            key = (slug, environment)
            if key in before:
                records[key] = before[key]
            else:
                del records[key]
        if not model.findings and not refused:
            rendered.put(slug, all_releases, model.files)
            choices |= {(slug, name): choice for name, choice in model.choices.items() if name in releases}
    return Admission(
        resolved=msgspec.structs.replace(resolved, records=records, findings=tuple(findings)),
        rendered=rendered,
        choices=choices,
    )


def _acknowledge(
    repository: Repository, slug: str, releases: Mapping[str, Release], refused: Mapping[str, list[Finding]]
) -> dict[str, list[Finding]]:
    """What is said of versions that people call known bad is a warning, so that a scheduled run is not red for ever."""
    return {
        environment: [_soften(one, slug) for one in findings]
        if int(releases[environment].version) in repository.find_intent(slug).find_pin(environment).known_bad
        else findings
        for environment, findings in refused.items()
    }


def _soften(finding: Finding, slug: str) -> Finding:
    place = layout.model_yaml(slug)
    message = f"{finding.message}; {place} says that it is known"
    return msgspec.structs.replace(finding, severity=Severity.WARNING, message=message)


def _find_refused(
    repository: Repository, slug: str, releases: Mapping[str, Release], model: ModelFiles
) -> dict[str, list[Finding]]:
    """Environment → why its new release cannot be rendered or served. `model` has all environments."""
    errors: dict[str, list[Finding]] = {}
    for environment, release in releases.items():
        # With a finding, each environment is rendered alone to learn which one it is about.
        rendered = render_model(repository, slug, {environment: release}) if model.findings else model
        errors[environment] = rendered.findings or _check_runtime(repository, rendered, slug, release)
    return {environment: findings for environment, findings in errors.items() if findings}


def _check_runtime(repository: Repository, model: ModelFiles, slug: str, release: Release) -> list[Finding]:
    """Why a new version is not rendered. A version that is recorded already stays; `m2g validate` reports it."""
    before = repository.records.get((slug, release.environment))
    choice = model.choices.get(release.environment)
    known = before is not None and before.identity == release.identity
    return [] if choice is None or known else gate.check_change(release, choice, layout.model_yaml(slug))
