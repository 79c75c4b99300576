"""`m2g image`: write a version's build context, list the versions that wait for an image, record the image's digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.changes.update import RenderOptions, update
from m2g.compat.signature import explain_no_answer
from m2g.core import tempdirs
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.model import Image, Mlmodel, Profile, Release, Value
from m2g.core.results import PreparedImage, RenderResult
from m2g.image import context, output_folder
from m2g.image.lock import lock_requirements
from m2g.image.package_index import check_indexes
from m2g.image.pending import PendingImage, find_pending_image, list_pending
from m2g.registry import Progress, Registry, download
from m2g.repository import cache_location, layout
from m2g.repository.state import Scope
from m2g.repository.trusted_registry import choose_registry
from m2g.resolution.release_image import is_named_for
from m2g.resolution.resolve import open_configured_registry
from m2g.serving.decide import choose_serving, resolve_serving

Open = Callable[[Config], Registry]
_NAME = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+)(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
    r"(?P<digest>@sha256:[0-9a-f]{64})"
)
_PACKAGE_LISTS = ("model/requirements.txt", "model/conda.yaml", "model/python_env.yaml")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?")
__all__ = ["ImageOptions", "list_pending", "prepare", "record", "registry_opener"]


class ImageOptions(Value, frozen=True, kw_only=True):
    """The options of `m2g image`.

    `model_dir` has the version's files; None downloads them. `before` is a date: no newer package is used.
    """

    model: str
    environment: str
    profile: Profile | None = None
    base: str = ""
    model_dir: Path | None = None
    before: str = ""
    locked: bool = False
    dry_run: bool = False


def registry_opener(root: Path, progress: Progress) -> Open:
    """A function that opens the registry named in m2g.yaml; it is called only if the registry is needed."""
    return lambda config: open_configured_registry(config, root, progress)


def prepare(root: Path, options: ImageOptions, to: Path, open_registry: Open) -> PreparedImage:
    """Write the build context of the version that an environment follows to the directory `to`.

    Raises InputError if no image can be built for the model, or if `to` has files that m2g did not write; OutsideError
    if the registry, the package index or the disk fails. Then `to` is unchanged.
    """
    if options.before and not _DATE.fullmatch(options.before):
        hint = "write it as YYYY-MM-DD: --before 2026-11-25"
        raise InputError(f"--before {options.before[:40]!r} is not a date", hint=hint)
    pending = find_pending_image(root, options.model, options.environment, open_registry, locked=options.locked)
    release = pending.release
    profile = options.profile or choose_serving(pending.repository, pending.slug, release).profile
    if profile not in ("mlserver-image", "mlflow-image"):
        raise InputError(
            f"{release.model} in {release.environment} uses the profile {profile}, which needs no image",
            hint="choose one that does: --profile mlserver-image or --profile mlflow-image "
            f"(or set profile in {layout.model_yaml(pending.slug)})",
        )
    _check_server(release, profile)
    output_folder.check_folder(to, context.MARKER, _files_in_marker(to))
    mlmodel = _check_requirements(release.mlmodel, release.model)
    config = pending.repository.config
    minor = ".".join(mlmodel.python_version.split(".")[:2])
    base = context.choose_base(mlmodel.python_version, options.base or config.images.bases.get(minor, ""), profile)
    batch = resolve_serving(pending.repository, pending.slug, release)[0].batch
    batch_uris = () if batch is None else (batch.input, batch.output)
    required = context.image_requirements(mlmodel.requirements or (), profile, mlmodel.mlflow_version, batch_uris)
    check_indexes(release.model, required.indexes)
    spec = context.ContextSpec(
        slug=pending.slug,
        release=release,
        profile=profile,
        base=base,
        lock=lock_requirements(required.lines, python=minor, before=options.before),
        indexes=required.indexes,
    )
    notes = required.notes
    if "@sha256:" not in base:
        notes = (*notes, f"the tag {base} can change: set images.bases in m2g.yaml to an image with a digest")
    with tempdirs.open_folder() as download_dir:
        copies = _find_model_files(root, pending, options, download_dir) if profile == "mlflow-image" else {}
        cleaned = _remove_credentials(copies)
        files = context.make_files(spec, tuple(copies)) | cleaned
        copies = {path: file for path, file in copies.items() if path not in cleaned}
        if not options.dry_run:
            output_folder.write_folder(to, files, copies)
    return PreparedImage(
        model=release.model,
        slug=pending.slug,
        environment=release.environment,
        model_version=release.version,
        profile=profile,
        base=base,
        folder=str(to),
        files=tuple(sorted([*files, *copies])),
        notes=(*notes, *(f"{path} had a user and a password; m2g removed them" for path in cleaned)),
        written=not options.dry_run,
    )


def _check_server(release: Release, profile: Profile) -> None:
    refused = explain_no_answer(release.mlmodel) if profile == "mlserver-image" and release.mlmodel else None
    if refused is not None:
        text = f"an image for MLServer would not answer for {release.model}: {refused.text}"
        raise InputError(text, hint=refused.fix)


def record(root: Path, options: ImageOptions, name: str, built_of: Path | str, open_registry: Open) -> RenderResult:
    """Write the image to the release record and render with it. `built_of` is the build context or the version.

    Raises InputError if the name has no digest or lies outside of images.registry, or if the image is for another
    version than the environment follows.
    """
    pending = find_pending_image(root, options.model, options.environment, open_registry, locked=options.locked)
    release = pending.release
    _check_name(pending.repository.config, pending.slug, name)
    if isinstance(built_of, str):
        version, profile = built_of, options.profile
    else:
        version, profile = _read_context(built_of, pending, options)
    if profile is None:
        profile = choose_serving(pending.repository, pending.slug, release).profile
    if profile not in ("mlserver-image", "mlflow-image"):
        raise InputError(
            f"m2g cannot tell which server the image runs: {release.model} uses the profile {profile}",
            hint="name the server: --profile mlserver-image or --profile mlflow-image",
        )
    if version != release.version:
        raise InputError(
            f"the image is for version {version}, but {options.environment} now follows version {release.version}",
            hint=f"build an image for the new version: {_write_command(pending, options)}",
        )
    image = msgspec.convert({"name": name, "profile": profile}, Image)
    render = RenderOptions(
        locked=options.locked,
        dry_run=options.dry_run,
        scope=Scope(models=frozenset([pending.slug]), environments=pending.others | {options.environment}),
        images={(release.model, version): image},
        cache=cache_location.find_cache_folder(root),
    )
    return update(root, render, open_registry=open_registry)


def _write_command(pending: PendingImage, options: ImageOptions) -> str:
    return f"m2g image {pending.slug} --env {options.environment} -o DIR"


def _check_name(config: Config, slug: str, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise InputError(
            f"{name[:200]!r} is not an image name with a digest",
            hint="write REGISTRY/NAME@sha256:…; `docker build --metadata-file FILE` and `buildah push --digestfile "
            "FILE` write the digest to FILE",
        )
    if config.images.registry is UNSET:
        raise InputError(
            f"{layout.CONFIG} does not say where the images of this repository are, so no record may have one",
            hint=f"add `images: {{registry: REGISTRY}}` to {layout.CONFIG}, with the place that CI pushes to, such as "
            "ghcr.io/acme/models; merge that first",
        )
    if not is_named_for(config, slug, name):
        raise InputError(
            f"{name[:200]!r} is not in {config.images.registry}/{slug}",
            hint="push it there, or change images.registry in m2g.yaml",
        )


def _read_context(folder: Path, pending: PendingImage, options: ImageOptions) -> tuple[str, Profile]:
    """Version and profile of a build context. Raises InputError if it is not for the model that is pending."""
    command = _write_command(pending, options)
    content = output_folder.read_marker(folder, context.MARKER)
    if content is None:
        raise InputError(
            f"{folder} is not a build context that m2g wrote",
            hint="name the directory that `m2g image` wrote, or the model version: --version N",
        )
    try:
        marker = context.decode_marker(content)
    except msgspec.MsgspecError as error:
        hint = f"write the context again: {command}"
        raise InputError(f"{folder}/{context.MARKER}: {error}", hint=hint) from error
    hint = f"write and build the context of this one: {command}"
    release = pending.release
    if marker.model != release.model:
        raise InputError(f"{folder} is the context of {marker.model!r}, not of {release.model!r}", hint=hint)
    if options.profile not in (None, marker.profile):
        raise InputError(
            f"{folder} is for the profile {marker.profile}, not for {options.profile}", hint="remove --profile"
        )
    digest = release.mlmodel.sha256 if release.mlmodel else ""
    if marker.version == release.version and marker.mlmodel != digest:
        # The version numbers of a registered model that was deleted and created again start at 1.
        raise InputError(
            f"{folder} is the context of another version {marker.version}: its MLmodel file differs", hint=hint
        )
    return marker.version, marker.profile


def _files_in_marker(to: Path) -> tuple[str, ...]:
    content = output_folder.read_marker(to, context.MARKER)
    try:
        return () if content is None else context.decode_marker(content).files
    except msgspec.MsgspecError:
        return ()


def _check_requirements(mlmodel: Mlmodel | None, name: str) -> Mlmodel:
    """The model's facts. Raises InputError if they do not say what to install."""
    if mlmodel is None:
        raise InputError(
            f"{name} has no MLmodel file, so m2g does not know what to install",
            hint="log the model with MLflow and register it again, or set another profile in model.yaml",
        )
    if mlmodel.requirements is None:
        hint = "read them from the registry: m2g render"
        raise InputError(f"the release record of {name} does not have the model's requirements", hint=hint)
    if not mlmodel.requirements:
        raise InputError(
            f"{name} has neither requirements.txt nor conda.yaml: its image would lack its packages",
            hint="log the model again (MLflow writes requirements.txt beside it), or set profile: mlserver",
        )
    return mlmodel


def _find_model_files(root: Path, pending: PendingImage, options: ImageOptions, download_dir: Path) -> dict[str, Path]:
    """Path in the context to file on disk. Raises InputError if the MLmodel file is not the one that was recorded."""
    release = pending.release
    source = options.model_dir
    if source is None:
        chosen = choose_registry(root, pending.repository.config)
        version = download.ModelDownload(
            name=release.model, number=release.version, distrust=chosen.distrust, workspace=chosen.workspace
        )
        source = download.download_version(version, chosen.uri, download_dir, root=root)
    files = output_folder.list_files(source)
    digest = hashlib.sha256(files["MLmodel"].read_bytes()).hexdigest() if "MLmodel" in files else "no MLmodel"
    if release.mlmodel is None or digest != release.mlmodel.sha256:
        raise InputError(
            f"{source} is not version {release.version} of {release.model}: its MLmodel file differs",
            hint="name the directory of that version (--model-dir DIR), or remove --model-dir to download it",
        )
    return {f"model/{path}": file for path, file in files.items()}


def _remove_credentials(copies: Mapping[str, Path]) -> dict[str, bytes]:
    """MLflow's package lists without the passwords in them. The image does not use these files, but contains them."""
    lists = {path: copies[path].read_bytes() for path in _PACKAGE_LISTS if path in copies}
    cleaned = {path: context.remove_credentials(content) for path, content in lists.items()}
    return {path: content for path, content in cleaned.items() if content != lists[path]}
