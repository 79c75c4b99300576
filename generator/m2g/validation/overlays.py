"""Check what overlays build to. Results are cached by a digest of everything that they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.compat.catalogue import read_declared
from m2g.compat.runtime import Runtime
from m2g.core.cache import Cache, key
from m2g.core.config_types import Config, External, Knative, Kserve
from m2g.core.field_path import format_path, parse_path
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import Identity, Manifest, get_at, identify
from m2g.core.model import Value
from m2g.core.setting_fields import KserveVersion
from m2g.repository import layout, locate, model_folder, records
from m2g.repository.layout import Key
from m2g.serving import backends
from m2g.serving.environments import LOCK
from m2g.validation import cel_checks, models, origin, rules
from m2g.validation.base import BaseState
from m2g.validation.bounds import BoundsInForce
from m2g.validation.cel_checks import BuiltOverlay, CelResult, Policies
from m2g.validation.external_files import ExternalFiles
from m2g.validation.schemas import Catalogue
from m2g.validation.secrets import list_public

_WAITING = 10 * kustomize.BATCH_SIZE
"""Overlays whose objects are kept in memory until CEL is evaluated for all of them."""
_REMEMBERED = 1000
"""Texts of kustomizations that are remembered during a run."""
_WITHOUT_FILES = ("replacements", "vars", "labels", "images", "replicas")
"""Fields of a kustomization that name no file, except for the path of a replacement."""
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


class OverlayResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of checking one overlay.

    `broken`: the overlay does not build. `volatile`: another run may have another result, so it is not cached.
    `used` are indexes of `Policies.overrides`. `external` are the digests of the files outside the model's folder that
    the overlay consists of; a missing file has an empty digest.
    """

    findings: tuple[Finding, ...]
    objects: int
    broken: bool = False
    volatile: bool = False
    undecided: tuple[str, ...] = ()
    used: tuple[int, ...] = ()
    external: dict[str, bytes] = {}


class CheckInputs(Value, frozen=True, kw_only=True):
    """Everything that overlays are checked with; `salt` is a digest of it for the cache.

    `substituted`: Flux replaces variables in the objects of this repository. `valid` remembers the texts of valid
    kustomizations by KServe version, because the bases of most models are the same.
    """

    root: Path
    salt: bytes
    config: Config | None
    catalogue: Catalogue
    policies: Policies
    runtimes: tuple[Runtime, ...] = ()
    base: BaseState = BaseState()
    substituted: bool = False
    valid: set[tuple[str, str]] = set()

    @property
    def bounds(self) -> BoundsInForce | None:
        """The bounds of what the repository brings into the clusters; None if no m2g.yaml is valid."""
        config = self.config or self.base.config
        return None if config is None else BoundsInForce(config=config, base=self.base.config, ref=self.base.ref)

    @property
    def external(self) -> External:
        """What exists beside the overlays. The runtimes of serving environments are built in environments/."""
        external = External() if self.config is None else self.config.external
        if isinstance(external.serving_runtimes, msgspec.UnsetType):
            return external
        names = (*external.serving_runtimes, *(one.name for one in self.runtimes if one.source == LOCK))
        return msgspec.structs.replace(external, serving_runtimes=names)

    def get_kserve(self, environment: str) -> Kserve:
        """The KServe of an environment."""
        if self.config is None:
            return Kserve()
        place = self.config.environments.get(environment)
        return self.config.kserve if place is None or isinstance(place.kserve, msgspec.UnsetType) else place.kserve

    def get_namespace(self, environment: str) -> str:
        """The namespace of an environment; empty if it is unknown."""
        place = self.config.environments.get(environment) if self.config is not None else None
        return place.namespace if place is not None else ""


class OverlayResults:
    """The cached results of earlier runs."""

    def __init__(self, inputs: CheckInputs, cache: Cache) -> None:
        self._inputs = inputs
        self._cache = cache
        overrides = msgspec.json.encode(inputs.policies.overrides)
        tool = kustomize.digest_tool(kustomize.find_command(), cache) if cache.is_enabled else b""
        substituted = b"substituted" if inputs.substituted else b""
        self._salt = key("overlay-result", inputs.salt, tool, substituted, overrides)
        self.external_files = ExternalFiles(inputs.root)

    def find(self, digest: bytes, slug: str, environment: str) -> OverlayResult | None:
        """The result for an overlay in the folder with this digest, if nothing that it depends on has changed."""
        if not digest or (slug, environment) in self._inputs.base.overlays:
            return None
        result = self._cache.read(self._key(digest, environment), _DECODER)
        return result if result is not None and self.external_files.are_unchanged(result.external) else None

    def save(self, digests: Mapping[str, bytes], results: Mapping[Key, OverlayResult]) -> None:
        """Cache new results; `digests` are those of the folders (by slug) before the build.

        Folders that changed since are skipped: kustomize may have built either state.
        """
        if not self._cache.is_enabled:
            return
        root = self._inputs.root
        fleet = model_folder.list_fleet_environments(root)
        slugs = {slug for slug, _ in results if digests[slug]}
        unchanged = {slug for slug in slugs if model_folder.read(root, slug, fleet).digest == digests[slug]}
        self._cache.put_all(
            {
                self._key(digests[slug], environment): msgspec.msgpack.encode(result)
                for (slug, environment), result in results.items()
                if slug in unchanged and (slug, environment) not in self._inputs.base.overlays and not result.volatile
            }
        )

    def _key(self, digest: bytes, environment: str) -> bytes:
        return key(self._salt, digest, environment)


_DECODER = msgspec.msgpack.Decoder(OverlayResult)


def check_overlays(
    inputs: CheckInputs,
    keys: Iterable[Key],
    results: OverlayResults,
    checked: Mapping[str, models.ModelResult],
    progress: kustomize.Progress,
) -> Iterator[dict[Key, OverlayResult]]:
    """Build and check these overlays, some while others are built. `checked` are the results of their models by slug.

    Overlays that need CEL are collected: its process costs as much as building a dozen overlays.
    """
    folders = (layout.overlay(*overlay_key) for overlay_key in keys)
    waiting: list[BuiltOverlay] = []
    for batch in kustomize.stream_builds(inputs.root, folders, progress=progress):
        overlays = [_read_overlay(inputs, built, checked) for built in batch]
        with_cel = [cel_checks.needs_cel(inputs.policies, overlay, inputs.catalogue) for overlay in overlays]
        yield _check(inputs, [overlay for overlay, cel in zip(overlays, with_cel, strict=True) if not cel], results)
        waiting += (overlay for overlay, cel in zip(overlays, with_cel, strict=True) if cel)
        if len(waiting) >= _WAITING:
            yield _check(inputs, waiting, results)
            waiting = []
    yield _check(inputs, waiting, results)


def _read_overlay(
    inputs: CheckInputs, built: kustomize.BuildResult, checked: Mapping[str, models.ModelResult]
) -> BuiltOverlay:
    slug, environment = layout.parse_overlay_folder(built.folder)
    record = model_folder.read_record(inputs.root, slug, environment)
    return BuiltOverlay(
        key=(slug, environment),
        kserve=inputs.get_kserve(environment).version,
        built=built,
        raw_files=models.read_flux_file(inputs.root, slug, environment),
        name=checked[slug].name,
        namespace=inputs.get_namespace(environment),
        release=records.read_records(inputs.root, record)[0].get(environment),
    )


def _check(inputs: CheckInputs, overlays: Sequence[BuiltOverlay], results: OverlayResults) -> dict[Key, OverlayResult]:
    cel = cel_checks.check_cel(inputs.root, inputs.policies, overlays, inputs.catalogue)
    return {overlay.key: _make_result(inputs, overlay, cel[overlay.key], results) for overlay in overlays}


def _make_result(inputs: CheckInputs, overlay: BuiltOverlay, cel: CelResult, results: OverlayResults) -> OverlayResult:
    built = overlay.built
    findings = [*_check_overlay(inputs, overlay), *cel.findings]
    for file in overlay.raw_files:
        findings += check_raw_file(inputs, file, inputs.get_kserve(overlay.key[1]).version)
    external = results.external_files.find(overlay.key[0], built)
    return OverlayResult(
        findings=tuple(findings),
        objects=len(built.objects),
        broken=bool(built.error),
        volatile=bool(built.error) or cel.limited or external is None,
        undecided=tuple(sorted(cel.undecided)),
        used=tuple(sorted(cel.used)),
        external=external or {},
    )


def _check_overlay(inputs: CheckInputs, overlay: BuiltOverlay) -> Iterator[Finding]:
    slug, environment = overlay.key
    built = overlay.built
    if inputs.config is not None and environment not in inputs.config.environments:
        message = f"m2g.yaml has no environment {environment!r}"
        hint = "add the environment to m2g.yaml, or remove its overlays: `m2g render --locked`"
        yield Finding(rule="environment-unknown", file=built.folder, message=message, hint=hint)
    if built.error:
        hint = built.hint or f"run `kustomize build {built.folder}`; m2g builds without network and plugins"
        message = f"does not build: {built.error}"
        yield Finding(rule="overlay-build", file=built.at, message=message, hint=hint, environment=environment)
    elif not any(backends.find_backend(item) and get_at(item, "metadata", "name") == slug for item in built.objects):
        message = f"builds no {' or '.join(backends.main_kinds())} {slug!r}, because a component deletes or renames it"
        hint = f"fix {layout.component(slug, environment)}/kustomization.yaml, or retire the model"
        yield Finding(rule="service-missing", file=built.folder, message=message, hint=hint, environment=environment)
    for warning in built.warnings:
        message = f"kustomize warns: {warning}"
        hint = f"run `kustomize build {built.folder}` to see it; fix the file under custom/ or shared/ that it is about"
        yield Finding(
            rule="kustomize-warning",
            severity=Severity.WARNING,
            file=built.folder,
            message=message,
            hint=hint,
            environment=environment,
        )
    for item in built.objects:
        yield from _check_object(inputs, overlay, item)
    for kustomization in built.kustomizations:
        yield from _check_kustomization(inputs, overlay, kustomization)


def _check_object(inputs: CheckInputs, overlay: BuiltOverlay, item: Manifest) -> Iterator[Finding]:
    slug, environment = overlay.key
    built = overlay.built
    release = overlay.release if get_at(item, "metadata", "name") == slug else None
    backend = backends.find_backend(item)
    obj = rules.CheckedObject(
        manifest=item,
        kserve=overlay.kserve,
        knative=inputs.get_kserve(environment).knative,
        overlay=built.objects,
        release=release,
        verdict=backend.verdict(item, built.objects, release, overlay.kserve, inputs.runtimes) if backend else None,
        declared=read_declared(overlay.kserve),
        external=inputs.external,
        public=list_public(inputs.config),
        before=inputs.base.find_object(environment, item),
        substituted=inputs.substituted,
    )
    found = (
        *_check_schema(item, inputs.catalogue, overlay.kserve),
        *rules.check(obj),
        *_check_bounds(inputs, built.folder, item, environment, changed=inputs.base.is_changed(overlay.key, item)),
    )
    for finding in found:
        source = origin.find_source(inputs.root, overlay.key, built.kustomizations, item, parse_path(finding.path))
        yield msgspec.structs.replace(finding, file=source.file, line=source.line, environment=environment)


def _check_kustomization(
    inputs: CheckInputs, overlay: BuiltOverlay, kustomization: kustomize.Kustomization
) -> Iterator[Finding]:
    built = overlay.built
    # A component depends on what the overlay builds to, so only other kustomizations are remembered by their text.
    text = kustomization.text if kustomization.fields.get("kind") != rules.COMPONENT and not built.error else ""
    if (text, overlay.kserve) in inputs.valid:
        return
    item = {**_KUSTOMIZATION, **kustomization.fields}
    obj = rules.CheckedObject(
        manifest={**item, **kustomization.data},
        kserve=overlay.kserve,
        overlay=None if built.error else built.objects,
        shared=not kustomization.file.startswith(f"{layout.custom(overlay.key[0])}/"),
    )
    findings = [*_check_spelled(item, inputs.catalogue, overlay.kserve), *rules.check(obj)]
    if text and not findings and len(inputs.valid) < _REMEMBERED:
        inputs.valid.add((text, overlay.kserve))
    for finding in findings:
        line = locate.find_line(inputs.root, kustomization.file, parse_path(finding.path))
        yield msgspec.structs.replace(finding, file=kustomization.file, line=line)


def _check_spelled(item: Manifest, catalogue: Catalogue, version: str) -> Iterator[Finding]:
    """The schema's findings, without keys that kustomize reads in any case.

    Only where no key names a file: m2g itself reads those, and reads them as they are documented.
    """
    for finding in _check_schema(item, catalogue, version):
        where = parse_path(finding.path)
        meant = finding.hint.removeprefix("did you mean ").removesuffix("?")
        same = meant != finding.hint and meant.lower() == str(where[-1]).lower()
        if not (same and where[0] in _WITHOUT_FILES and meant != "path"):
            yield finding


def check_raw_file(inputs: CheckInputs, file: kustomize.RawFile, kserve: KserveVersion) -> Iterator[Finding]:
    """Check the objects of a file of the repository that is applied without kustomize."""
    knative = inputs.get_kserve(layout.find_environment(file.file)).knative
    yield from check_stream(inputs.catalogue, file, kserve, knative, public=list_public(inputs.config))
    installs = inputs.config is not None and inputs.config.platform is not msgspec.UNSET
    if layout.is_owned(file.file) and (installs or not layout.is_install(file.file)):
        return  # records and m2g.yaml decide what m2g's files say
    changed, environment = file.file in inputs.base.changed, layout.find_environment(file.file)
    yield from _find_twins(file)
    for index, item in enumerate(file.objects):
        if isinstance(item, dict):
            found = _check_bounds(inputs, file.file, _complete(file, item), environment, changed=changed)
            yield from _locate_in_file(file, index, found)


def _find_twins(file: kustomize.RawFile) -> Iterator[Finding]:
    """A finding for each object that has the identity of an earlier one: a cluster keeps only the last one."""
    seen: set[Identity] = set()
    for index, item in enumerate(file.objects):
        if isinstance(item, dict):
            _, kind, namespace, name = identity = identify(item)
            if identity in seen:
                message = f"{kind} {f'{namespace}/{name}' if namespace else name} is in this file twice"
                hint = "keep one of them; the last one counts"
                twin = Finding(rule="object-twice", path="metadata.name", message=message, hint=hint)
                yield from _locate_in_file(file, index, [twin])
            seen.add(identity)


def check_stream(
    catalogue: Catalogue,
    file: kustomize.RawFile,
    kserve: KserveVersion,
    knative: Knative | None = None,
    *,
    public: tuple[str, ...] = (),
) -> Iterator[Finding]:
    """Check the objects of a file or stream, on a cluster with this KServe version.

    `knative` is what m2g.yaml says of the cluster's Knative; None outside of a repository of m2g's.
    """
    if file.error:
        hint = "fix the YAML of this file"
        yield Finding(rule="yaml-invalid", file=file.file, line=file.line, message=file.error, hint=hint)
    for index, item in enumerate(file.objects):
        if not isinstance(item, dict):
            message = "is not a Kubernetes object, which must be a mapping"
            yield Finding(rule="schema", file=file.file, line=file.find_line(index, ()), message=message)
            continue
        obj = rules.CheckedObject(
            manifest=item,
            kserve=kserve,
            knative=knative or Knative(),
            declared=read_declared(kserve),
            of_repository=knative is not None,
            public=public,
        )
        found = (*_check_schema(_complete(file, item), catalogue, kserve), *rules.check(obj))
        yield from _locate_in_file(file, index, found)


def _complete(file: kustomize.RawFile, item: Manifest) -> Manifest:
    """A kustomization may leave out its kind."""
    return {**_KUSTOMIZATION, **item} if file.file.rpartition("/")[2] in kustomize.FILE_NAMES else item


def _locate_in_file(file: kustomize.RawFile, index: int, found: Iterable[Finding]) -> Iterator[Finding]:
    for finding in found:
        where = parse_path(finding.path)
        path = format_path([*file.places[index][1], *where])
        yield msgspec.structs.replace(finding, file=file.file, line=file.find_line(index, where), path=path)


def _check_bounds(
    inputs: CheckInputs, file: str, item: Manifest, environment: str, *, changed: bool
) -> Iterator[Finding]:
    bounds = inputs.bounds
    for violation in () if bounds is None else bounds.check(file, item, changed=changed, environment=environment):
        yield Finding(rule="outside-bounds", message=violation.message, hint=violation.hint, path=violation.path)


def _check_schema(item: Manifest, catalogue: Catalogue, version: str) -> Iterator[Finding]:
    for violation in catalogue.find_violations(item, kserve=version):
        yield Finding(rule="schema", message=violation.message, hint=violation.hint, path=violation.path)
