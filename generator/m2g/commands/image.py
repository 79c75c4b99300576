"""`m2g image`: a version's build context; which versions wait for an image; the digest into the release record."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.changes.update import RenderOptions, update
from m2g.core import tempdirs
from m2g.core.config_types import Config, Profile
from m2g.core.errors import InputError
from m2g.core.model import Image, Mlmodel, Value
from m2g.core.results import PreparedImage, RenderResult
from m2g.image import context, output_folder
from m2g.image import lock as locks
from m2g.image.pending import Subject, subject, waiting
from m2g.registry import Registry, download
from m2g.repository import config as configuration
from m2g.repository.state import Scope
from m2g.resolution.resolve import registry_of
from m2g.serving.decide import choose, serving_of

Open = Callable[[Config], Registry]
_NAME = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+)(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
    r"(?P<digest>@sha256:[0-9a-f]{64})"
)
_LISTS = ("model/requirements.txt", "model/conda.yaml", "model/python_env.yaml")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?")
__all__ = ["ImageOptions", "opened", "prepare", "record", "waiting"]


class ImageOptions(Value, frozen=True, kw_only=True):
    """What to build. `model_dir` is where the version's files are; `before` a date that no package is newer than."""

    model: str
    environment: str
    profile: Profile | None = None
    base: str = ""
    model_dir: Path | None = None
    before: str = ""
    locked: bool = False
    dry_run: bool = False


def opened(root: Path, tell: Callable[[str, int, int], None]) -> Open:
    """The registry that m2g.yaml names, opened when it is asked."""
    return lambda config: registry_of(config, root, tell)


def prepare(root: Path, options: ImageOptions, to: Path, open_registry: Open) -> PreparedImage:
    """Write the build context of the version that an environment follows to the folder `to`.

    Raises InputError for a model that no image can be made of and for a folder that is somebody's; OutsideError for
    registry, index and disk. `to` is then as it was.
    """
    if options.before and not _DATE.fullmatch(options.before):
        raise InputError(f"--before {options.before[:40]!r} is no date", hint="such as 2026-11-25")
    found = subject(root, options.model, options.environment, open_registry, locked=options.locked)
    release = found.release
    profile = options.profile or choose(found.repository, found.slug, release).profile
    if profile not in ("mlserver-image", "mlflow-image"):
        raise InputError(
            f"{release.model} in {release.environment} is served by the profile {profile}, which needs no image",
            hint="name one: --profile mlserver-image or mlflow-image; or set profile in model.yaml",
        )
    output_folder.refuse(to, context.MARKER, _written(to))
    mlmodel = _known(release.mlmodel, release.model)
    config = found.repository.config
    minor = ".".join(mlmodel.python_version.split(".")[:2])
    base = context.base_of(mlmodel.python_version, options.base or config.images.bases.get(minor, ""), profile)
    batch = serving_of(found.repository, found.slug, release)[0].batch
    places = () if batch is None else (batch.input, batch.output)
    wanted = context.wanted(mlmodel.requirements or (), profile, mlmodel.mlflow_version, places)
    lock = locks.lock(wanted.lines, wanted.indexes, python=minor, before=options.before)
    order = context.Order(
        slug=found.slug, release=release, profile=profile, base=base, lock=lock, indexes=wanted.indexes
    )
    notes = (
        wanted.notes if "@sha256:" in base else (*wanted.notes, f"{base} may move: pin it by images.bases in m2g.yaml")
    )
    with tempdirs.open_folder() as place:
        copies = _copies(root, found, options, place) if profile == "mlflow-image" else {}
        cleaned = _cleaned(copies)
        files = context.files(order, tuple(copies)) | cleaned
        copies = {path: file for path, file in copies.items() if path not in cleaned}
        if not options.dry_run:
            output_folder.write(to, files, copies)
    return PreparedImage(
        model=release.model,
        slug=found.slug,
        environment=release.environment,
        model_version=release.version,
        profile=profile,
        base=base,
        folder=str(to),
        files=tuple(sorted([*files, *copies])),
        notes=(*notes, *(f"{path} is written without the user and password in it" for path in cleaned)),
        written=not options.dry_run,
    )


def record(root: Path, options: ImageOptions, name: str, of: Path | str, open_registry: Open) -> RenderResult:
    """Note the image that was built, and render with it. `of` is the context's folder, or the version as text.

    Raises InputError for a name without a digest, outside of images.registry, or of another version than is followed.
    """
    found = subject(root, options.model, options.environment, open_registry, locked=options.locked)
    config = found.repository.config
    _allowed(config, name)
    version, profile = (of, options.profile) if isinstance(of, str) else _marked(of, found, options)
    if profile is None:
        profile = choose(found.repository, found.slug, found.release).profile
    if profile not in ("mlserver-image", "mlflow-image"):
        raise InputError(
            f"is it for MLServer or for MLflow's server? {found.release.model} is served by {profile}",
            hint="name it: --profile mlserver-image or mlflow-image",
        )
    if version != found.release.version:
        raise InputError(
            f"the image is of version {version}, but {options.environment} follows {found.release.version} now",
            hint="build one for the new version; the old one stays where it is recorded",
        )
    image = msgspec.convert({"name": name, "profile": profile}, Image)
    asked = RenderOptions(
        locked=options.locked,
        dry_run=options.dry_run,
        scope=Scope(models=frozenset([found.slug]), environments=found.beside | {options.environment}),
        images={(found.release.model, version): image},
    )
    return update(root, asked, open_registry=open_registry)


def _allowed(config: Config, name: str) -> None:
    found = _NAME.fullmatch(name)
    if found is None:
        raise InputError(
            f"{name[:200]!r} is no image by digest",
            hint="registry/name@sha256:…; docker build --metadata-file and buildah push --digestfile say it",
        )
    home = "" if config.images.registry is UNSET else config.images.registry.rstrip("/")
    if home and not name.startswith(f"{home}/"):
        raise InputError(
            f"{name[:200]!r} is not in {home}", hint="push it there, or change images.registry in m2g.yaml"
        )


def _marked(place: Path, found: Subject, options: ImageOptions) -> tuple[str, Profile]:
    content = output_folder.own(place, context.MARKER)
    if content is None:
        raise InputError(
            f"{place} is no build context of m2g", hint="name the folder that `m2g image` wrote, or --version N"
        )
    try:
        said = context.marker(content)
    except msgspec.MsgspecError as error:
        raise InputError(f"{place}/{context.MARKER}: {error}", hint="write the context again") from error
    hint = "write the context of this one, and build it: m2g image MODEL --env E -o DIR"
    if said.model != found.release.model:
        raise InputError(f"{place} is the context of {said.model!r}, not of {found.release.model!r}", hint=hint)
    if options.profile not in (None, said.profile):
        raise InputError(f"{place} is of the profile {said.profile}, not {options.profile}", hint="leave out --profile")
    mlmodel = found.release.mlmodel
    if said.version == found.release.version and said.mlmodel != (mlmodel.sha256 if mlmodel else ""):
        # A registered model that was deleted and made again starts at version 1 again.
        raise InputError(f"{place} is of another version {said.version}: its MLmodel differs", hint=hint)
    return said.version, said.profile


def _written(to: Path) -> tuple[str, ...]:
    content = output_folder.own(to, context.MARKER)
    try:
        return () if content is None else context.marker(content).files
    except msgspec.MsgspecError:
        return ()


def _known(mlmodel: Mlmodel | None, name: str) -> Mlmodel:
    if mlmodel is None:
        raise InputError(
            f"{name} has no MLmodel file, so nobody knows what it needs", hint="serve it by another profile"
        )
    if mlmodel.requirements is None:
        hint = "run `m2g render` where the registry can be reached: the record learns them"
        raise InputError(f"the record of {name} does not know the model's requirements", hint=hint)
    if not mlmodel.requirements:
        hint = "log it again: MLflow writes requirements.txt beside the model; or set profile: mlserver"
        raise InputError(
            f"{name} has neither requirements.txt nor conda.yaml: its image would lack its packages", hint=hint
        )
    return mlmodel


def _copies(root: Path, found: Subject, options: ImageOptions, place: Path) -> dict[str, Path]:
    """Path in the context to the file of the model. The MLmodel must be the one that the record is of."""
    release = found.release
    source = options.model_dir
    if source is None:
        uri = configuration.find_registry_uri(found.repository.config)
        source = download.download_version(
            download.ModelDownload(name=release.model, number=release.version), uri, place, root=root
        )
    files = output_folder.contents(source)
    digest = hashlib.sha256(files["MLmodel"].read_bytes()).hexdigest() if "MLmodel" in files else "no MLmodel"
    if release.mlmodel is None or digest != release.mlmodel.sha256:
        raise InputError(
            f"{source} does not have the files of version {release.version} of {release.model}: its MLmodel differs",
            hint="name the folder of this very version: --model-dir DIR, or leave it out",
        )
    return {f"model/{path}": file for path, file in files.items()}


def _cleaned(copies: Mapping[str, Path]) -> dict[str, bytes]:
    """MLflow's lists of packages that have a password in them: nobody installs by them, and everybody can read them."""
    listed = {path: copies[path].read_bytes() for path in _LISTS if path in copies}
    cleaned = {path: context.without_credentials(content) for path, content in listed.items()}
    return {path: content for path, content in cleaned.items() if content != listed[path]}
