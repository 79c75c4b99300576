"""Overlays → what is wrong in what they build to; remembered by a digest of everything that it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.compat.runtime import Runtime
from m2g.core.cache import Cache, key
from m2g.core.config_types import Config, External, Kserve
from m2g.core.field_path import parse_path
from m2g.core.finding import Finding
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Value
from m2g.repository import layout, locate, model_folder, records
from m2g.repository.layout import Key
from m2g.serving import backends
from m2g.validation import cel_checks, origin, rules
from m2g.validation import models as units
from m2g.validation.base import Past
from m2g.validation.cel_checks import Asked
from m2g.validation.external_files import Outside
from m2g.validation.schemas import Catalogue

_WAITING = 10 * kustomize.BATCH_SIZE
"""Overlays whose objects wait in memory until CEL is asked about all of them."""
_ALIKE = 1000
"""Texts that are remembered during a run."""
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one overlay. `broken`: it does not build; `fleeting`: another run may find otherwise.

    `used` are places in `Asked.holding`. `outside` are files beyond the model's own folder that it is made of, with
    their digests (empty: not there).
    """

    findings: tuple[Finding, ...]
    objects: int
    broken: bool = False
    fleeting: bool = False
    undecided: tuple[str, ...] = ()
    used: tuple[int, ...] = ()
    outside: dict[str, bytes] = {}


class Court(Value, frozen=True, kw_only=True):
    """Everything that overlays are judged by, and the salt of it."""

    root: Path
    salt: bytes
    config: Config | None
    catalogue: Catalogue
    asked: Asked
    runtimes: tuple[Runtime, ...] = ()
    past: Past = Past()
    substituted: bool = False
    """Whether Flux expands variables in what this repository applies."""
    right: set[tuple[str, str]] = set()
    """Texts of kustomizations in which nothing is wrong under a KServe version: the bases of most models are alike."""

    def kserve(self, environment: str) -> Kserve:
        """The KServe of an environment."""
        if self.config is None:
            return Kserve()
        place = self.config.environments.get(environment)
        return self.config.kserve if place is None or isinstance(place.kserve, msgspec.UnsetType) else place.kserve

    def namespace(self, environment: str) -> str:
        """The namespace of an environment."""
        place = self.config.environments.get(environment) if self.config is not None else None
        return place.namespace if place is not None else ""


class Judgements:
    """What earlier runs found out about overlays, and what this one will leave behind."""

    def __init__(self, court: Court, cache: Cache) -> None:
        self._court = court
        self._cache = cache
        holding = msgspec.json.encode(court.asked.holding)
        tool = kustomize.digest_tool(kustomize.find_command(), cache) if cache.is_enabled else b""
        substituted = b"substituted" if court.substituted else b""
        self._salt = key("judgement", court.salt, tool, substituted, holding)
        self.outside = Outside(court.root)

    def known(self, digest: bytes, slug: str, environment: str) -> Judgement | None:
        """The judgement on an overlay of the folder with this digest, where nothing that it depends on has changed."""
        if not digest or (slug, environment) in self._court.past.overlays:
            return None
        found = self._cache.read(self._key(digest, environment), _DECODER)
        return found if found is not None and self.outside.same(found.outside) else None

    def keep(self, digests: Mapping[str, bytes], judgements: Mapping[Key, Judgement]) -> None:
        """Remember what was found; `digests` are of the folders (by slug) as they were before.

        Those that were touched since are left out: kustomize may have built what they are now, or were in between.
        """
        if not self._cache.is_enabled:
            return
        root = self._court.root
        fleet = model_folder.list_fleet_environments(root)
        slugs = {slug for slug, _ in judgements if digests[slug]}
        still = {slug for slug in slugs if model_folder.read(root, slug, fleet).digest == digests[slug]}
        self._cache.put_all(
            {
                self._key(digests[slug], environment): msgspec.msgpack.encode(judgement)
                for (slug, environment), judgement in judgements.items()
                if slug in still and (slug, environment) not in self._court.past.overlays and not judgement.fleeting
            }
        )

    def _key(self, digest: bytes, environment: str) -> bytes:
        return key(self._salt, digest, environment)


_DECODER = msgspec.msgpack.Decoder(Judgement)


def judge(
    court: Court,
    keys: Iterable[Key],
    known: Judgements,
    models: Mapping[str, units.Unit],
    progress: kustomize.Progress,
) -> Iterator[dict[Key, Judgement]]:
    """Build and judge these overlays of these models (by slug), some while others are built.

    Those that CEL is asked about wait for each other: its process costs as much as building a dozen of them.
    """
    overlays = (f"models/{slug}/overlays/{environment}" for slug, environment in keys)
    waiting: list[cel_checks.Overlay] = []
    for batch in kustomize.stream_builds(court.root, overlays, progress=progress):
        subjects = [_subject(court, built, models) for built in batch]
        asking = [cel_checks.asks(court.asked, subject, court.catalogue) for subject in subjects]
        yield _judged(court, [subject for subject, asks in zip(subjects, asking, strict=True) if not asks], known)
        waiting += (subject for subject, asks in zip(subjects, asking, strict=True) if asks)
        if len(waiting) >= _WAITING:
            yield _judged(court, waiting, known)
            waiting = []
    yield _judged(court, waiting, known)


def _subject(court: Court, built: kustomize.BuildResult, models: Mapping[str, units.Unit]) -> cel_checks.Overlay:
    _, slug, _, environment = built.folder.split("/")
    record = model_folder.read_single(court.root, slug, f"releases/{environment}.json")
    return cel_checks.Overlay(
        key=(slug, environment),
        kserve=court.kserve(environment).version,
        built=built,
        plain=units.applied(court.root, slug, environment),
        name=models[slug].name,
        namespace=court.namespace(environment),
        release=records.read_records(court.root, record)[0].get(environment),
    )


def _judged(court: Court, overlays: Sequence[cel_checks.Overlay], known: Judgements) -> dict[Key, Judgement]:
    told = cel_checks.check(court.root, court.asked, overlays, court.catalogue)
    return {overlay.key: _judgement(court, overlay, told[overlay.key], known) for overlay in overlays}


def _judgement(court: Court, overlay: cel_checks.Overlay, checked: cel_checks.Checked, known: Judgements) -> Judgement:
    built = overlay.built
    findings = [*_overlay(court, overlay, built), *checked.findings]
    for file in overlay.plain:
        findings += plain(court, file)
    outside = known.outside.of(overlay.key[0], built)
    return Judgement(
        findings=tuple(findings),
        objects=len(built.objects),
        broken=bool(built.error),
        fleeting=bool(built.error) or checked.limited or outside is None,
        undecided=tuple(sorted(checked.undecided)),
        used=tuple(sorted(checked.used)),
        outside=outside or {},
    )


def _overlay(court: Court, subject: cel_checks.Overlay, built: kustomize.BuildResult) -> Iterator[Finding]:
    slug, environment = subject.key
    if court.config is not None and environment not in court.config.environments:
        message = f"m2g.yaml has no environment {environment!r}"
        yield Finding(rule="environment-unknown", file=built.folder, message=message, hint="run `m2g render --locked`")
    if built.error:
        hint = built.hint or "run `kustomize build` on the overlay to see it; m2g builds with no network and no plugins"
        message = f"does not build: {built.error}"
        yield Finding(rule="overlay-build", file=built.at, message=message, hint=hint, environment=environment)
    elif not any(backends.find_backend(i) and get_at(i, "metadata", "name") == slug for i in built.objects):
        message = f"builds no {' or '.join(backends.main_kinds())} {slug!r}: a component deletes or renames it"
        hint = f"mend {layout.component(slug, environment)}/, or retire the model"
        yield Finding(rule="service-missing", file=built.folder, message=message, hint=hint, environment=environment)
    for item in built.objects:
        yield from _object(court, subject, built, item)
    for found in built.kustomizations:
        yield from _kustomization(court, subject, built, found)


def _object(
    court: Court, subject: cel_checks.Overlay, built: kustomize.BuildResult, item: Manifest
) -> Iterator[Finding]:
    slug, environment = subject.key
    release = subject.release if get_at(item, "metadata", "name") == slug else None
    backend = backends.find_backend(item)
    asked = rules.CheckedObject(
        manifest=item,
        kserve=subject.kserve,
        overlay=built.objects,
        release=release,
        verdict=backend.verdict(item, built.objects, release, subject.kserve, court.runtimes) if backend else None,
        external=External() if court.config is None else court.config.external,
        before=court.past.before(environment, item),
        substituted=court.substituted,
    )
    for finding in (*_against_schema(item, court.catalogue, subject.kserve), *rules.check(asked)):
        source = origin.of(court.root, subject.key, built.kustomizations, item, parse_path(finding.path))
        yield msgspec.structs.replace(finding, file=source.file, line=source.line, environment=environment)


def _kustomization(
    court: Court, subject: cel_checks.Overlay, built: kustomize.BuildResult, found: kustomize.Kustomization
) -> Iterator[Finding]:
    alone = found.text if found.fields.get("kind") != rules.COMPONENT and not built.error else ""
    if (alone, subject.kserve) in court.right:
        return
    item = {**_KUSTOMIZATION, **found.fields}
    asked = rules.CheckedObject(
        manifest={**item, **found.data}, kserve=subject.kserve, overlay=None if built.error else built.objects
    )
    findings = [*_against_schema(item, court.catalogue, subject.kserve), *rules.check(asked)]
    if alone and not findings and len(court.right) < _ALIKE:
        court.right.add((alone, subject.kserve))
    for finding in findings:
        line = locate.find_line(court.root, found.file, parse_path(finding.path))
        yield msgspec.structs.replace(finding, file=found.file, line=line)


def plain(court: Court, file: kustomize.RawFile) -> Iterator[Finding]:
    """What is wrong in a file that is applied as it is."""
    parts = file.file.split("/")
    environment = parts[1] if parts[0] == "fleet" and len(parts) == 3 else ""
    version = court.kserve(environment).version
    if file.error:
        yield Finding(rule="yaml-invalid", file=file.file, line=file.line, message=file.error, hint="mend the file")
    for index, item in enumerate(file.objects):
        if not isinstance(item, dict):
            message = "is no Kubernetes object: a mapping is needed"
            yield Finding(rule="schema", file=file.file, line=file.find_line(index, ()), message=message)
            continue
        defaults = _KUSTOMIZATION if parts[-1] == "kustomization.yaml" else {}
        subject = rules.CheckedObject(manifest=item, kserve=version)
        for finding in (*_against_schema({**defaults, **item}, court.catalogue, version), *rules.check(subject)):
            line = file.find_line(index, parse_path(finding.path))
            yield msgspec.structs.replace(finding, file=file.file, line=line)


def _against_schema(item: Manifest, catalogue: Catalogue, version: str) -> Iterator[Finding]:
    for violation in catalogue.find_violations(item, kserve=version):
        yield Finding(rule="schema", message=violation.message, hint=violation.hint, path=violation.path)
