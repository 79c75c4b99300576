"""Plan few serving environments for many models: who joins a recorded one, and which new ones to lock.

The plan is a function of the models, the recorded environments and a function that locks requirements. The same input
gives the same plan, in any order. A recorded environment never changes, so an addition moves no other model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from m2g.compat.requirement import normalize_name, parse_requirement
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Value
from m2g.core.serving_environment import RecordedEnvironment, ServingEnvironment, digest_lock, parse_lock
from m2g.image.context import choose_base
from m2g.serving.environments import PROFILES, EnvironmentNeed, choose_environment

Lock = Callable[[EnvironmentNeed], str]
"""Locks the lines of a need. Raises InputError if they do not fit each other."""


class Candidate(Value, frozen=True, kw_only=True):
    """A version of a model that needs a serving environment, and the environments that follow it."""

    model: str
    version: str
    environments: tuple[str, ...]
    need: EnvironmentNeed
    mlmodel: Mlmodel | None = None

    @property
    def name(self) -> str:
        return f"{self.model}/{self.version}"


class NewEnvironment(Value, frozen=True, kw_only=True):
    """An environment that the plan adds, with the versions that will use it. `alone` says why nobody shares it."""

    recorded: RecordedEnvironment
    versions: tuple[str, ...]
    alone: str = ""


class Apart(Value, frozen=True, kw_only=True):
    """Versions whose requirements cannot be in one environment, and what keeps them apart."""

    versions: tuple[str, ...]
    others: tuple[str, ...]
    why: str


class Unplanned(Value, frozen=True, kw_only=True):
    """Versions for which no environment can be made."""

    versions: tuple[str, ...]
    message: str
    hint: str = ""


class EnvironmentPlan(Value, frozen=True, kw_only=True):
    """`joins` are recorded environments (by id) with the versions that use them; `new` are those to add."""

    joins: dict[str, tuple[str, ...]] = {}
    new: tuple[NewEnvironment, ...] = ()
    apart: tuple[Apart, ...] = ()
    unplanned: tuple[Unplanned, ...] = ()


class _Set(msgspec.Struct, frozen=True, kw_only=True):
    """One set of requirement lines, with the versions that need exactly these."""

    lines: tuple[str, ...]
    versions: tuple[str, ...]


class _Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Sets that are locked together."""

    sets: tuple[_Set, ...]
    lock: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(sorted({line for one in self.sets for line in one.lines}))

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(sorted({name for one in self.sets for name in one.versions}))


def plan_environments(
    config: Config, candidates: Iterable[Candidate], recorded: Mapping[str, RecordedEnvironment], lock: Lock
) -> EnvironmentPlan:
    """The plan for these versions. `recorded` are the environments that exist (none, to plan from the beginning)."""
    joins: dict[str, list[str]] = defaultdict(list)
    groups: dict[EnvironmentNeed, list[Candidate]] = defaultdict(list)
    known: dict[tuple[EnvironmentNeed, Mlmodel | None], str] = {}
    for one in sorted(candidates, key=lambda one: (one.model, one.version)):
        # Versions and models with the same needs share the answer, so a fleet costs one search per kind of model.
        kind = (_without_name(one.need), None if one.mlmodel is None else _facts(one.mlmodel))
        if kind not in known:
            taken = choose_environment(config, one.need, recorded.values(), kind[1])
            known[kind] = "" if taken is None else taken.id
        if known[kind]:
            joins[known[kind]].append(one.name)
        else:
            groups[_bucket(one.need)].append(one)
    planner = _Planner(config, lock)
    for bucket, members in sorted(groups.items(), key=lambda item: _order(item[0])):
        planner.add(bucket, members)
    return EnvironmentPlan(
        joins={name: tuple(versions) for name, versions in sorted(joins.items())},
        new=tuple(planner.new),
        apart=tuple(planner.apart),
        unplanned=tuple(planner.unplanned),
    )


def _without_name(need: EnvironmentNeed) -> EnvironmentNeed:
    """Who the model is matters only if it shares with nobody."""
    return msgspec.structs.replace(need, model="") if need.group else need


def _facts(mlmodel: Mlmodel) -> Mlmodel:
    """What decides whether packages load a model. No package replaces a missing signature."""
    return msgspec.structs.replace(mlmodel, sha256="", size_bytes=None, example="", signature=None)


def _bucket(need: EnvironmentNeed) -> EnvironmentNeed:
    """What all models of one environment have in common. A model that shares with nobody has its own buckets."""
    return _without_name(msgspec.structs.replace(need, lines=() if need.group else need.lines))


def _order(bucket: EnvironmentNeed) -> tuple[bool, bytes]:
    """Those that are shared come first."""
    return not bucket.group, msgspec.json.encode(bucket)


class _Planner:
    """New environments, bucket by bucket."""

    def __init__(self, config: Config, lock: Lock) -> None:
        self.new: list[NewEnvironment] = []
        self.apart: list[Apart] = []
        self.unplanned: list[Unplanned] = []
        self._config = config
        self._lock = lock

    def add(self, bucket: EnvironmentNeed, members: Sequence[Candidate]) -> None:
        """Plan the environments of one bucket."""
        by_lines: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for one in members:
            by_lines[one.need.lines].append(one.name)
        sets = [_Set(lines=lines, versions=tuple(names)) for lines, names in by_lines.items()]
        # Those that most versions need come first: the others are put beside them.
        sets.sort(key=lambda one: (-len(one.versions), one.lines))
        try:
            python, profile = bucket.python, PROFILES[bucket.server]
            base = choose_base(python, self._config.images.bases.get(python, ""), profile)
        except InputError as error:
            self._give_up(sets, error)
            return
        locked = [one for packed in _pack(sets) for one in self._split(bucket, packed)]
        for packed in self._join_again(bucket, locked):
            environment = ServingEnvironment(
                schema=1,
                python=bucket.python,
                server=bucket.server,
                base=base,
                platforms=self._config.images.platforms,
                lock=digest_lock(packed.lock),
                requirements=packed.lines,
                indexes=bucket.indexes,
                group=bucket.group,
                model=bucket.model,
            )
            recorded = RecordedEnvironment(
                id=environment.id,
                environment=environment,
                packages=dict(parse_lock(packed.lock) or {}),
                text=packed.lock,
            )
            self.new.append(NewEnvironment(recorded=recorded, versions=packed.versions, alone=bucket.alone))

    def _split(self, bucket: EnvironmentNeed, packed: _Bin) -> Iterator[_Bin]:
        """Lock a bin; if its sets do not fit each other, halve it until they do."""
        try:
            yield self._lock_bin(bucket, packed)
        except InputError as error:
            if len(packed.sets) == 1:
                self._give_up(packed.sets, error)
                return
            middle = len(packed.sets) // 2
            for half in (packed.sets[:middle], packed.sets[middle:]):
                yield from self._split(bucket, _Bin(sets=half))

    def _join_again(self, bucket: EnvironmentNeed, bins: Iterable[_Bin]) -> list[_Bin]:
        """Put bins together again where they fit: one odd set must not leave a row of small environments.

        What keeps the others apart is known then, and noted.
        """
        done: list[_Bin] = []
        for one in sorted(bins, key=lambda one: (-len(one.sets), one.lines)):
            for index, other in enumerate(done):
                reason = _contradict(other, one)
                if reason is None:
                    try:
                        done[index] = self._lock_bin(bucket, _Bin(sets=(*other.sets, *one.sets)))
                    except InputError as error:
                        reason = Apart(versions=one.versions, others=other.versions, why=error.message)
                    else:
                        break
                self.apart.append(reason)
            else:
                done.append(one)
        return done

    def _lock_bin(self, bucket: EnvironmentNeed, packed: _Bin) -> _Bin:
        """The bin with its lock. Raises InputError if the sets do not fit each other or are too many packages."""
        text = self._lock(msgspec.structs.replace(bucket, lines=packed.lines))
        most = self._config.images.sharing.max_packages
        count = len(parse_lock(text) or ())
        if count > most and len(packed.sets) > 1:
            raise InputError(f"together they have {count} packages; images.sharing.maxPackages is {most}")
        return msgspec.structs.replace(packed, lock=text)

    def _give_up(self, sets: Iterable[_Set], error: InputError) -> None:
        versions = tuple(sorted(name for one in sets for name in one.versions))
        self.unplanned.append(Unplanned(versions=versions, message=error.message, hint=error.hint or ""))


def _add_lines(one: _Set, by_package: dict[str, dict[str, _Set]]) -> None:
    for line in one.lines:
        requirement = parse_requirement(line)
        if requirement is not None:
            by_package.setdefault(normalize_name(requirement.name), {}).setdefault(line, one)


def _pack(sets: Iterable[_Set]) -> list[_Bin]:
    """Put each set into the first bin whose pins do not contradict its own. This asks no index."""
    bins: list[tuple[list[_Set], dict[str, dict[str, _Set]]]] = []
    for one in sets:
        for members, by_package in bins:
            if _find_contradiction(one, by_package) is None:
                members.append(one)
                _add_lines(one, by_package)
                break
        else:
            fresh: dict[str, dict[str, _Set]] = {}
            _add_lines(one, fresh)
            bins.append(([one], fresh))
    return [_Bin(sets=tuple(members)) for members, _ in bins]


def _find_contradiction(one: _Set, by_package: Mapping[str, Mapping[str, _Set]]) -> Apart | None:
    """A pin of a set that a line of a bin excludes, or the other way around; None if there is none."""
    for line in one.lines:
        requirement = parse_requirement(line)
        if requirement is None or requirement.marker is not None:
            continue
        for other, owner in by_package.get(normalize_name(requirement.name), {}).items():
            if other != line and _exclude(line, other):
                return Apart(versions=one.versions, others=owner.versions, why=f"{line} and {other}")
    return None


def _contradict(first: _Bin, second: _Bin) -> Apart | None:
    by_package: dict[str, dict[str, _Set]] = {}
    for one in first.sets:
        _add_lines(one, by_package)
    found = (_find_contradiction(one, by_package) for one in second.sets)
    return next((reason for reason in found if reason is not None), None)


def _exclude(line: str, other: str) -> bool:
    """Whether one of two requirements of a package is an exact pin that the other one does not allow."""
    pair = (parse_requirement(line), parse_requirement(other))
    for mine, theirs in (pair, pair[::-1]):
        if mine is None or theirs is None or mine.marker is not None or theirs.marker is not None:
            return False
        pins = [one.version for one in mine.specifier if one.operator == "==" and not one.version.endswith(".*")]
        if any(not theirs.specifier.contains(version, prereleases=True) for version in pins):
            return True
    return False
