"""Which recorded serving environment takes a model, and what a model needs of one. No file is read, nothing is run."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import msgspec

from m2g.compat.check import check_runtime
from m2g.compat.requirement import normalize_name, parse_requirement, parse_version
from m2g.compat.runtime import Runtime
from m2g.core.config_types import Config, Platform, Server
from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.model import Mlmodel, Profile, Release, Value
from m2g.core.sanitize import make_visible
from m2g.core.serving_environment import RecordedEnvironment
from m2g.repository.state import Repository
from m2g.serving.environment_runtime import name_runtime
from m2g.serving.requirements import image_requirements
from m2g.serving.spec import Serving, ServingChoice, write_redecide_command

PROFILES: Mapping[Server, Profile] = {"mlserver": "mlserver-image", "mlflow": "mlflow-image"}
LOCK = "the lock of a serving environment"
"""The source of a runtime's description."""
_NEWEST_FOR_MLSERVER = (3, 12)
_MACHINES: Mapping[Platform, str] = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


class EnvironmentNeed(Value, frozen=True, kw_only=True):
    """What a model needs of a serving environment.

    `group` is the trust group within which it shares. If it is empty, the environment is the model's own, and `alone`
    says why.
    """

    model: str
    python: str
    server: Server
    lines: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    group: str = ""
    alone: str = ""


def describe_need(config: Config, model: str, mlmodel: Mlmodel, server: Server) -> EnvironmentNeed:
    """What the registered model `model` needs. Raises InputError if no environment can be made for it."""
    python = parse_version(mlmodel.python_version)[:2]
    if len(python) < 2 or python < (3, 9):
        hint = "log the model again with Python 3.9 or newer"
        raise InputError(f"{model} does not say a Python version of 3.9 or newer", hint=hint)
    if server == "mlserver" and python > _NEWEST_FOR_MLSERVER:
        hint = "set profile: mlflow-image in model.yaml, or log the model again with Python 3.12 or older"
        raise InputError(f"{model} was logged with Python {mlmodel.python_version}; MLServer has none", hint=hint)
    if not mlmodel.requirements:
        hint = "log the model again: MLflow writes requirements.txt beside it"
        raise InputError(f"{model} does not say which packages it needs", hint=hint)
    required = image_requirements(mlmodel.requirements, PROFILES[server], mlmodel.mlflow_version)
    group, alone = _find_group(config, model, required.lines, required.indexes)
    lines = required.lines if alone else tuple(_relax(line, config.images.sharing.relax) for line in required.lines)
    return EnvironmentNeed(
        model=model,
        python=f"{python[0]}.{python[1]}",
        server=server,
        lines=tuple(sorted(set(lines))),
        indexes=tuple(sorted(required.indexes)),
        group=group,
        alone=alone,
    )


def find_environment(
    repository: Repository, model: str, mlmodel: Mlmodel, server: Server
) -> RecordedEnvironment | None:
    """The recorded environment that takes a model: its pins are a subset of the lock, and the trust group is its own.

    None if there is none, or if no environment can be made for the model.
    """
    if not repository.environments:
        return None
    try:
        need = describe_need(repository.config, model, mlmodel, server)
    except InputError:
        return None
    return choose_environment(repository.config, need, repository.environments.values(), mlmodel)


def share_environment(
    repository: Repository, release: Release, serving: Serving, choice: ServingChoice, uri: str
) -> tuple[ServingChoice, list[Finding]]:
    """The choice with a serving environment in place of an image of the version's own, if one takes the model.

    The environment in the record stays; a version without one gets the best that takes it. An image that people set, or
    that was built for the version, stays. A batch needs an image with the model's packages of its own.
    """
    server = next((name for name, profile in PROFILES.items() if profile == choice.profile), None)
    if server is None or choice.image or serving.batch is not None or release.mlmodel is None or not uri:
        return choice, []
    recorded = "" if release.serving is None else release.serving.environment
    one = repository.environments.get(recorded)
    if not recorded:
        one = find_environment(repository, release.model, release.mlmodel, server)
        if one is None:
            return choice, []
    elif one is None or not _still_takes(repository, release, server, one):
        return msgspec.structs.replace(choice, environment=recorded), [_refuse_recorded(release, recorded, one)]
    shared = msgspec.structs.replace(
        choice,
        environment=one.id,
        runtime=name_runtime(one),
        image=one.environment.image,
        storage_uri=uri,
        waits_for="" if one.environment.image else choice.profile,
        model_format="mlflow",
    )
    waits = Finding(
        rule="image-missing",
        severity=Severity.WARNING,
        message=f"it waits for the image of the serving environment {one.id}",
        hint=f"build it: m2g environments context {one.id} -o DIR (then push it, and m2g environments record {one.id} "
        "IMAGE)",
    )
    return shared, [] if one.environment.image else [waits]


def _still_takes(repository: Repository, release: Release, server: Server, one: RecordedEnvironment) -> bool:
    """Whether the recorded environment is one that the model may use and that has what it needs."""
    if release.mlmodel is None:
        return False
    try:
        need = describe_need(repository.config, release.model, release.mlmodel, server)
    except InputError:
        return False
    return takes(repository.config, need, one)


def _refuse_recorded(release: Release, recorded: str, one: RecordedEnvironment | None) -> Finding:
    again = write_redecide_command(release)
    if one is None:
        return Finding(
            rule="environment-missing",
            message=f"version {release.version} uses the serving environment {make_visible(recorded, 60)}, which is "
            "not in environments/",
            hint=f"restore it from Git, or decide again: {again}",
        )
    return Finding(
        rule="environment-forbidden",
        message=f"version {release.version} may not use the serving environment {recorded}: it belongs to another "
        "model or group, or lacks what the model needs",
        hint=f"see images.sharing in m2g.yaml, or decide again: {again}",
    )


def choose_environment(
    config: Config, need: EnvironmentNeed, environments: Iterable[RecordedEnvironment], mlmodel: Mlmodel | None
) -> RecordedEnvironment | None:
    """The best of those that take the model: one with an image, with today's base, with the fewest packages."""

    def rank(recorded: RecordedEnvironment) -> tuple[bool, bool, int, str]:
        environment = recorded.environment
        other_base = environment.base != config.images.bases.get(environment.python, environment.base)
        return not environment.image, other_base, len(recorded.packages), recorded.id

    fitting = (one for one in environments if takes(config, need, one) and _loads(mlmodel, one))
    return min(fitting, key=rank, default=None)


def takes(config: Config, need: EnvironmentNeed, recorded: RecordedEnvironment) -> bool:
    """Whether an environment has all that the model needs, and whether the model may use it."""
    environment = recorded.environment
    if (environment.python, environment.server) != (need.python, need.server):
        return False
    # The trust group: whoever registers one model must not choose a package for the others.
    if (environment.group, environment.model) != (need.group, "" if need.group else need.model):
        return False
    if environment.indexes != need.indexes or not set(config.images.platforms) <= set(environment.platforms):
        return False
    extras = _list_extras(environment.requirements)
    return all(_contains(line, recorded.packages, extras, need.python, environment.platforms) for line in need.lines)


def describe_runtime(recorded: RecordedEnvironment, name: str) -> Runtime:
    """The environment as a runtime for the gate: all of its packages are known."""
    environment = recorded.environment
    packages = recorded.packages
    if environment.server == "mlflow":  # the gate must not check what only MLServer needs
        packages = {package: version for package, version in packages.items() if package != "mlserver"}
    formats, protocols = ("mlflow",), ("v2" if environment.server == "mlserver" else "invocations",)
    return Runtime(
        name=name,
        image=environment.image,
        python=environment.python,
        formats=formats,
        protocols=protocols,  # type: ignore[arg-type]  # both are protocols
        packages=packages,
        complete=True,
        source=LOCK,
    )


def _loads(mlmodel: Mlmodel | None, recorded: RecordedEnvironment) -> bool:
    """Whether nothing is known against loading the model with these packages."""
    if mlmodel is None:
        return True
    environment = recorded.environment
    needed = tuple(
        line
        for line in mlmodel.requirements or ()
        if any(_applies(line, environment.python, platform) for platform in environment.platforms)
    )
    concerned = msgspec.structs.replace(mlmodel, requirements=needed)
    return check_runtime(concerned, describe_runtime(recorded, recorded.id), {}).answer != "fails"


def _find_group(config: Config, model: str, lines: Iterable[str], indexes: Iterable[str]) -> tuple[str, str]:
    """The trust group of a model; or an empty one, and why its environment is its own."""
    sharing = config.images.sharing
    groups = [name for name, patterns in sharing.groups.items() if any(fnmatchcase(model, one) for one in patterns)]
    if not groups:
        return "", "no group in images.sharing.groups has this model"
    if len(groups) > 1:
        return "", f"the groups {' and '.join(groups[:3])} both have this model"
    allowed = {normalize_name(name) for name in sharing.packages} | _OF_SERVERS
    for line in lines:
        requirement = parse_requirement(line)
        if requirement is None or normalize_name(requirement.name) not in allowed:
            name = line if requirement is None else requirement.name
            return "", f"images.sharing.packages does not have {name[:80]}"
    for index in indexes:
        if index.partition(" ")[2] not in sharing.indexes:
            return "", "images.sharing.indexes does not have the model's package index"
    return groups[0], ""


_OF_SERVERS = frozenset({"mlflow", "mlserver", "mlserver-mlflow", "uvloop", "pandas", "starlette"})
"""What m2g itself adds to each model's packages."""


def _relax(line: str, relaxed: Iterable[str]) -> str:
    """The line; for a package of images.sharing.relax, any later version of the same major version will do."""
    requirement = parse_requirement(line)
    if requirement is None or normalize_name(requirement.name) not in {normalize_name(name) for name in relaxed}:
        return line
    pins = [pin.version for pin in requirement.specifier if pin.operator == "==" and not pin.version.endswith(".*")]
    if len(requirement.specifier) != 1 or not pins or not parse_version(pins[0]):
        return line
    return line.replace(f"=={pins[0]}", f">={pins[0]},<{parse_version(pins[0])[0] + 1}")


@functools.lru_cache(maxsize=256)
def _list_extras(requirements: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """Package to the extras that the lock has the packages of."""
    found: dict[str, frozenset[str]] = {}
    for line in requirements:
        requirement = parse_requirement(line)
        if requirement is not None and requirement.extras:
            name = normalize_name(requirement.name)
            found[name] = found.get(name, frozenset()) | requirement.extras
    return found


def _contains(
    line: str,
    packages: Mapping[str, str],
    extras: Mapping[str, frozenset[str]],
    python: str,
    platforms: tuple[Platform, ...],
) -> bool:
    """Whether a lock satisfies a requirement on all platforms."""
    requirement = parse_requirement(line)
    if requirement is None:
        return False
    if not any(_applies(line, python, platform) for platform in platforms):
        return True
    name = normalize_name(requirement.name)
    has = packages.get(name, "")
    if not has or not requirement.extras <= extras.get(name, frozenset()):
        return False
    return _satisfies(line, has)


@functools.lru_cache(maxsize=1 << 14)
def _satisfies(line: str, version: str) -> bool:
    requirement = parse_requirement(line)
    return requirement is not None and requirement.specifier.contains(version, prereleases=True)


@functools.lru_cache(maxsize=1 << 12)
def _applies(line: str, python: str, platform: Platform) -> bool:
    """Whether the marker of a requirement is true in an image."""
    requirement = parse_requirement(line)
    if requirement is None or requirement.marker is None:
        return True
    values = {"python_version": python, "python_full_version": f"{python}.0", "implementation_name": "cpython"}
    values |= {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"}
    values |= {"platform_python_implementation": "CPython", "platform_machine": _MACHINES[platform], "extra": ""}
    return requirement.marker.evaluate(values)
