"""CEL over all that was built: the policies of the platform team, and the rules that CRDs bring along."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g import kustomize
from m2g.core.cache import Cache, key
from m2g.core.config_types import KserveVersion
from m2g.core.field_path import format_path, parse_path
from m2g.core.finding import Finding
from m2g.core.manifest import Manifest
from m2g.core.model import Release
from m2g.repository import fingerprint
from m2g.repository.layout import Key
from m2g.validation import origin
from m2g.validation.policies import cel, load, policy
from m2g.validation.policies.cel_types import Answer, Ending, Question, Wanted
from m2g.validation.policies.policy import Rule, Subject, Waiver
from m2g.validation.schemas import Catalogue
from m2g.validation.schemas.crd_rules import CelRule

Locate: TypeAlias = Callable[[tuple[str | int, ...]], tuple[str, int]]
"""A place in an object → file and line where a person can change it."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The policies of the repository, read once: `rules` to ask, `holding` the overrides that hold today."""

    rules: tuple[Rule, ...]
    holding: tuple[Waiver, ...]
    findings: tuple[Finding, ...]

    def unused(self, used: Collection[int]) -> Iterator[Finding]:
        """A finding for each override (by its place in `holding`) that no object of the whole fleet needs."""
        asked = {rule.policy.id for rule in self.rules}
        for index, waiver in enumerate(self.holding):
            if index not in used and waiver.override.policy in asked:
                yield policy.unused(waiver)


class Overlay(msgspec.Struct, frozen=True, kw_only=True):
    """What one overlay builds to and what is applied beside it; `key` has no slug for files that are no model's."""

    key: Key
    kserve: KserveVersion
    built: kustomize.BuildResult = kustomize.BuildResult(folder="")
    plain: tuple[kustomize.RawFile, ...] = ()
    name: str = ""
    """The registered model's."""
    namespace: str = ""
    release: Release | None = None

    def objects(self, root: Path) -> Iterator[tuple[Manifest, Locate]]:
        """Every object, and where its places come from."""
        for item in self.built.objects:
            yield item, self.source(root, item)
        for file in self.plain:
            for index, other in enumerate(file.objects):
                if isinstance(other, dict):  # what is none is a finding already
                    yield other, _line(file, index)

    def source(self, root: Path, item: Manifest) -> Locate:
        """Where the places of an object that the overlay builds come from."""

        def locate(place: tuple[str | int, ...]) -> tuple[str, int]:
            found = origin.of(root, self.key, self.built.kustomizations, item, place)
            return found.file, found.line

        return locate


def _line(file: kustomize.RawFile, index: int) -> Locate:
    return lambda place: (file.file, file.find_line(index, place))


class Checked(msgspec.Struct, kw_only=True):
    """What CEL says of one overlay.

    `used` are places in `Asked.holding`. `undecided` names the rules of CRDs that only an API server can evaluate: they
    are never passed silently.
    """

    findings: list[Finding] = []
    used: set[int] = set()
    undecided: set[str] = set()
    limited: bool = False
    """An expression met a bound on time or memory: on another day it may not."""


def asked(
    root: Path, places: Callable[[], tuple[Mapping[str, str], Sequence[str]]], today: date | None, cache: Cache
) -> Asked:
    """Read the policies. `today` says which overrides have ended (default: now).

    `places` tells what they may speak of, slug to registered name and environments; it is asked where there are any.

    Raises OutsideError where CEL cannot be evaluated at all.
    """
    read = load.read(root)
    names, environments = places() if read.waivers else ({}, ())
    misplaced = list(policy.misplaced(read.waivers, read.rules, names, environments, today or load.today()))
    wrong = [waiver for waiver, _ in misplaced]
    broken = {id(rule): problem for rule, problem in _unreadable(read.rules, cache)}
    findings = [*read.findings, *(finding for _, finding in misplaced)]
    findings += (policy.unreadable(rule, broken[id(rule)]) for rule in read.rules if id(rule) in broken)
    return Asked(
        rules=tuple(rule for rule in read.rules if id(rule) not in broken),
        holding=tuple(waiver for waiver in read.waivers if waiver not in wrong),
        findings=tuple(findings),
    )


def asks(asked: Asked, overlay: Overlay, catalogue: Catalogue) -> bool:
    """Whether `check` may have to ask CEL about this overlay."""
    if asked.rules and overlay.release is not None:
        return True
    beside = (item for file in overlay.plain for item in file.objects if isinstance(item, dict))
    return any(catalogue.find_cel_rules(item, kserve=overlay.kserve) for item in (*overlay.built.objects, *beside))


def check(root: Path, asked: Asked, overlays: Sequence[Overlay], catalogue: Catalogue) -> dict[Key, Checked]:
    """Policies, and the rules that CRDs bring along, over all objects of these overlays.

    Raises OutsideError where CEL cannot be evaluated at all.
    """
    told = {overlay.key: Checked() for overlay in overlays}
    _policies(root, asked, overlays, told)
    _rules(root, overlays, catalogue, told)
    return told


def _policies(root: Path, asked: Asked, overlays: Sequence[Overlay], told: Mapping[Key, Checked]) -> None:
    subjects = list(_subjects(root, overlays)) if asked.rules else []
    pairs = [
        (index, subject, locate, rule)
        for index, (subject, locate) in enumerate(subjects)
        for rule in asked.rules
        if subject.about(rule.policy.match)
    ]
    questions = [(index, rule.policy.expression, rule.policy.message_expression) for index, _, _, rule in pairs]
    answers = _answers([subject.variables() for subject, _ in subjects], questions)
    for (_, subject, locate, rule), (answer, said) in zip(pairs, answers, strict=True):
        told[subject.slug, subject.environment].limited |= answer.ending is Ending.LIMIT
        finding = policy.judged(rule, subject, answer, said)
        if finding is None:
            continue
        checked = told[subject.slug, subject.environment]
        waived = {i for i, waiver in enumerate(asked.holding) if subject.waived(waiver, rule.policy.id)}
        checked.used |= waived
        if not waived:
            checked.findings.append(_located(finding, locate, subject.environment))


def _unreadable(rules: Sequence[Rule], cache: Cache) -> Iterator[tuple[Rule, str]]:
    """The policies that cannot be asked, and why: this is said although no object meets them."""
    both = [(rule, text) for rule in rules for text in (rule.policy.expression, rule.policy.message_expression) if text]
    if not both:
        return
    known = key("readable", fingerprint.digest_m2g(), *(text for _, text in both))
    if cache.get(known) is not None:
        return
    answers = cel.evaluate([], [Question(expression=text, wanted=Wanted.NOTHING) for _, text in both])
    problems = [policy.readable(text, answer) for (_, text), answer in zip(both, answers, strict=True)]
    if not any(problems):
        cache.put(known, b"")
    yield from ((rule, problem) for (rule, _), problem in zip(both, problems, strict=True) if problem)


def _subjects(root: Path, overlays: Sequence[Overlay]) -> Iterator[tuple[Subject, Locate]]:
    """Objects of overlays that have a record; where there is none, that is a finding already."""
    for overlay in overlays:
        slug, environment = overlay.key
        if overlay.release is None:
            continue
        for item in overlay.built.objects:
            subject = Subject(
                item=item,
                slug=slug,
                name=overlay.name,
                environment=environment,
                namespace=overlay.namespace,
                release=overlay.release,
            )
            yield subject, overlay.source(root, item)


def _rules(root: Path, overlays: Sequence[Overlay], catalogue: Catalogue, told: Mapping[Key, Checked]) -> None:
    asked: list[tuple[str, CelRule, Locate, Key]] = []
    for overlay in overlays:
        for item, locate in overlay.objects(root):
            demands = catalogue.find_cel_rules(item, kserve=overlay.kserve)
            if demands and not catalogue.find_violations(item, kserve=overlay.kserve):
                kind = f"{item['apiVersion']} {item['kind']}"
                asked += ((kind, demand, locate, overlay.key) for demand in demands)
    answers = _answers(
        [{"self": demand.self_} for _, demand, _, _ in asked],
        [(index, demand.rule, demand.message_expression) for index, (_, demand, _, _) in enumerate(asked)],
    )
    for (kind, demand, locate, where), (answer, said) in zip(asked, answers, strict=True):
        told[where].limited |= answer.ending is Ending.LIMIT
        if answer.ending not in (Ending.DONE, Ending.ABSENT):
            told[where].undecided.add(f"{kind}: {' '.join(demand.rule.split())} ({answer.problem})")
        elif not answer.truth:
            told[where].findings.append(_located(_broken(demand, answer, said), locate, where[1]))


def _answers(
    scopes: Sequence[Mapping[str, object]], asked: Sequence[tuple[int, str, str]]
) -> list[tuple[Answer, Answer | None]]:
    """(place of its variables, expression, expression of its message) → what each gives."""
    if not asked:
        return []
    truths = [Question(expression=rule, scope=scope) for scope, rule, _ in asked]
    words = [Question(expression=text, wanted=Wanted.TEXT, scope=scope) for scope, _, text in asked if text]
    answers = cel.evaluate(scopes, [*truths, *words])
    said = iter(answers[len(truths) :])
    return [(answer, next(said) if text else None) for answer, (_, _, text) in zip(answers, asked, strict=False)]


def _broken(demand: CelRule, answer: Answer, said: Answer | None) -> Finding:
    words = said.text if said is not None and said.ending is Ending.DONE else ""
    if answer.ending is Ending.ABSENT:
        words = f"a rule of its CRD cannot be decided: {answer.problem}"
    message = words or demand.message or f"does not fulfil {demand.rule}"
    hint = f"the CRD's rule is: {demand.rule}" if words or demand.message else ""
    return Finding(rule="schema-rule", message=message, hint=hint, path=format_path(demand.path))


def _located(finding: Finding, locate: Locate, environment: str) -> Finding:
    file, line = locate(parse_path(finding.path))
    return msgspec.structs.replace(finding, file=file, line=line, environment=environment)
