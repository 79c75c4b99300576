"""Which new releases may take the place of the recorded ones: each is rendered first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from m2g.core.finding import Finding
from m2g.core.model import Release
from m2g.rendering.model import ModelFiles, Rendered, model_files
from m2g.repository.layout import Key
from m2g.repository.state import Repository
from m2g.resolution.resolve import Resolved
from m2g.serving import gate
from m2g.serving.decide import choose
from m2g.serving.spec import Chosen


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """`resolved` without the releases that cannot be rendered or served; the rest is known of the others already."""

    resolved: Resolved
    rendered: Rendered = msgspec.field(default_factory=Rendered)
    chosen: dict[Key, Chosen] = {}

    def choose(self, repository: Repository, key: Key, release: Release) -> Chosen:
        """How a release of `resolved` is served and why."""
        return self.chosen.get(key) or choose(repository, key[0], release)


def admit(repository: Repository, resolved: Resolved) -> Admitted:
    """Render each model that moves. A release that cannot be rendered leaves its record as it was, with a finding."""
    before = repository.records
    recorded: dict[str, dict[str, Release]] = defaultdict(dict)
    for (slug, environment), release in before.items():
        recorded[slug][environment] = release
    moved: dict[str, dict[str, Release]] = defaultdict(dict)
    for (slug, environment), release in resolved.records.items():
        if release != before.get((slug, environment)):
            moved[slug][environment] = release
    records = dict(resolved.records)
    rendered = Rendered()
    chosen: dict[Key, Chosen] = {}
    findings = list(resolved.findings)
    for slug, releases in moved.items():
        whole = {**recorded.get(slug, {}), **releases}
        made = model_files(repository, slug, whole)
        refused = _refused(repository, slug, releases, made)
        findings += (finding for found in refused.values() for finding in found)
        for environment in refused:
            key = (slug, environment)
            if key in before:
                records[key] = before[key]
            else:
                del records[key]
        if not made.findings and not refused:
            rendered.put(slug, whole, made.files)
            chosen |= {(slug, name): one for name, one in made.chosen.items() if name in releases}
    return Admitted(
        resolved=msgspec.structs.replace(resolved, records=records, findings=tuple(findings)),
        rendered=rendered,
        chosen=chosen,
    )


def _refused(
    repository: Repository, slug: str, releases: Mapping[str, Release], made: ModelFiles
) -> dict[str, list[Finding]]:
    """Environment → why its new release cannot be rendered or served; `made` is of the model as a whole."""
    if made.findings:
        alone = {name: model_files(repository, slug, {name: release}) for name, release in releases.items()}
        wrong = {
            name: found.findings or _unfit(repository, found, slug, releases[name]) for name, found in alone.items()
        }
    else:
        wrong = {name: _unfit(repository, made, slug, release) for name, release in releases.items()}
    return {name: findings for name, findings in wrong.items() if findings}


def _unfit(repository: Repository, made: ModelFiles, slug: str, release: Release) -> list[Finding]:
    """Why a version is not even proposed. One that is there already stays; `m2g validate` says the same of it."""
    before = repository.records.get((slug, release.environment))
    chosen = made.chosen.get(release.environment)
    known = before is not None and before.identity == release.identity
    return [] if chosen is None or known else gate.refused(release, chosen)
