"""What `m2g environments` answers."""

from __future__ import annotations

from m2g.core.model import Value


class EnvironmentRow(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One serving environment: what it is, whether it has an image, and which releases use it."""

    id: str
    python: str
    server: str
    base: str
    platforms: tuple[str, ...]
    group: str
    model: str
    packages: int
    image: str
    added: str
    releases: tuple[str, ...]


class EnvironmentList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The serving environments of a repository, by id."""

    environments: tuple[EnvironmentRow, ...] = ()


class JoinedEnvironment(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A recorded environment and the versions that it takes."""

    id: str
    image: str
    versions: tuple[str, ...]


class PlannedEnvironment(Value, frozen=True, kw_only=True, omit_defaults=False):
    """An environment to add, and the versions that need it."""

    id: str
    python: str
    server: str
    base: str
    group: str
    model: str
    alone: str
    packages: int
    requirements: tuple[str, ...]
    versions: tuple[str, ...]


class KeptApart(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Versions that cannot share, and what keeps them apart."""

    versions: tuple[str, ...]
    others: tuple[str, ...]
    why: str


class UnplannedVersions(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Versions that get no environment."""

    versions: tuple[str, ...]
    message: str
    hint: str


class PlanResult(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result of `m2g environments plan`."""

    joins: tuple[JoinedEnvironment, ...] = ()
    new: tuple[PlannedEnvironment, ...] = ()
    apart: tuple[KeptApart, ...] = ()
    unplanned: tuple[UnplannedVersions, ...] = ()
    unused: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    written: bool = False


class PreparedEnvironment(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A build context for a serving environment, and the name under which its image is pushed."""

    id: str
    base: str
    platforms: tuple[str, ...]
    image: str
    folder: str
    files: tuple[str, ...]
    notes: tuple[str, ...]
    written: bool


class RecordedImage(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The image that a serving environment has now, and the files that changed."""

    id: str
    image: str
    files: tuple[str, ...]
