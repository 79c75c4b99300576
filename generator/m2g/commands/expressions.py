"""CEL over all that was built: the policies of the platform team, and the rules that CRDs bring along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g import cel, kustomize, policies, policy, releases
from m2g.commands import sources
from m2g.expression import Answer, Ending, Question, Wanted
from m2g.finding import Finding
from m2g.intent import Config, KserveVersion
from m2g.manifest import Manifest, path_text, place_of
from m2g.policies import Policies
from m2g.policy import Rule, Subject, Waiver
from m2g.schemas import Catalogue
from m2g.schemas.structural import Demand

Key: TypeAlias = tuple[str, str]
"""(slug, environment)."""
Locate: TypeAlias = Callable[[tuple[str | int, ...]], tuple[str, int]]
"""A place in an object → file and line where a person can change it."""


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """What was read and built. `names` is slug to registered name; `whole` says that no scope left something out."""

    root: Path
    config: Config | None
    names: Mapping[str, str]
    built: Mapping[Key, kustomize.Built]
    plain: Sequence[kustomize.PlainFile]
    kserve: Callable[[str], KserveVersion]
    whole: bool

    def objects(self) -> Iterator[tuple[Manifest, str, Locate]]:
        """Every object with its environment and where its places come from."""
        for key, built in self.built.items():
            for item in built.objects:
                yield item, key[1], self.source(key, item)
        for file in self.plain:
            for index, other in enumerate(file.objects):
                if isinstance(other, dict):  # what is none is a finding already
                    yield other, _environment_of(file.file), _line(file, index)

    def source(self, key: Key, item: Manifest) -> Locate:
        """Where the places of an object of an overlay come from."""

        def locate(place: tuple[str | int, ...]) -> tuple[str, int]:
            found = sources.of(self.root, key, self.built[key].kustomizations, item, place)
            return found.file, found.line

        return locate


def _line(file: kustomize.PlainFile, index: int) -> Locate:
    return lambda place: (file.file, file.line_of(index, place))


def _environment_of(file: str) -> str:
    parts = file.split("/")
    return parts[1] if parts[0] == "fleet" and len(parts) == 3 else ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """`undecided` names the rules of CRDs that only an API server can evaluate: they are never passed silently."""

    findings: tuple[Finding, ...]
    undecided: tuple[str, ...] = ()


def check(tree: Tree, catalogue: Catalogue, today: date | None = None) -> Checked:
    """Every finding of policies and of CRDs' rules; `today` says which overrides have ended, by default this day.

    Raises OutsideError where CEL cannot be evaluated at all.
    """
    read = policies.read(tree.root)
    broken, undecided = _rules(tree, catalogue)
    found = (*read.findings, *_policies(tree, read, today or policies.today()), *broken)
    return Checked(findings=found, undecided=tuple(sorted(undecided)))


def _policies(tree: Tree, read: Policies, today: date) -> Iterator[Finding]:
    environments = tree.config.environments if tree.config else {environment for _, environment in tree.built}
    misplaced = list(policy.misplaced(read.waivers, read.rules, tree.names, list(environments), today))
    yield from (finding for _, finding in misplaced)
    wrong = [waiver for waiver, _ in misplaced]
    holding = [waiver for waiver in read.waivers if waiver not in wrong]
    broken = {id(rule): problem for rule, problem in _unreadable(read.rules)}
    yield from (policy.unreadable(rule, broken[id(rule)]) for rule in read.rules if id(rule) in broken)
    rules = [rule for rule in read.rules if id(rule) not in broken]
    used: list[Waiver] = []
    for finding, subject, locate, rule in _judged(tree, rules):
        waivers = [waiver for waiver in holding if subject.waived(waiver, rule.policy.id)]
        used += waivers
        if not waivers:
            yield _located(finding, locate, subject.environment)
    asked = {rule.policy.id for rule in rules}
    if tree.whole and all(not built.error for built in tree.built.values()):
        yield from (policy.unused(w) for w in holding if w not in used and w.override.policy in asked)


def _unreadable(rules: Sequence[Rule]) -> Iterator[tuple[Rule, str]]:
    """The policies that cannot be asked, and why: this is said although no object meets them."""
    both = [(rule, text) for rule in rules for text in (rule.policy.expression, rule.policy.message_expression) if text]
    answers = cel.evaluate([], [Question(expression=text, wanted=Wanted.NOTHING) for _, text in both])
    for (rule, text), answer in zip(both, answers, strict=True):
        problem = policy.readable(text, answer)
        if problem:
            yield rule, problem


def _judged(tree: Tree, rules: Sequence[Rule]) -> Iterator[tuple[Finding, Subject, Locate, Rule]]:
    subjects = list(_subjects(tree)) if rules else []
    pairs = [
        (index, subject, locate, rule)
        for index, (subject, locate) in enumerate(subjects)
        for rule in rules
        if subject.about(rule.policy.match)
    ]
    asked = [(index, rule.policy.expression, rule.policy.message_expression) for index, _, _, rule in pairs]
    answers = _answers([subject.variables() for subject, _ in subjects], asked)
    for (_, subject, locate, rule), (answer, said) in zip(pairs, answers, strict=True):
        finding = policy.judged(rule, subject, answer, said)
        if finding is not None:
            yield finding, subject, locate, rule


def _subjects(tree: Tree) -> Iterator[tuple[Subject, Locate]]:
    """Objects of overlays that have a record; where there is none, that is a finding already."""
    records, _ = releases.read_all(tree.root)
    for key, built in tree.built.items():
        slug, environment = key
        place = tree.config.environments.get(environment) if tree.config else None
        if key not in records:
            continue
        for item in built.objects:
            subject = Subject(
                item=item,
                slug=slug,
                name=tree.names.get(slug, slug),
                environment=environment,
                namespace=place.namespace if place else "",
                release=records[key],
            )
            yield subject, tree.source(key, item)


def _rules(tree: Tree, catalogue: Catalogue) -> tuple[list[Finding], set[str]]:
    asked: list[tuple[str, Demand, Locate, str]] = []
    for item, environment, locate in tree.objects():
        kserve = tree.kserve(environment)
        demands = catalogue.demands(item, kserve=kserve)
        if demands and not catalogue.violations(item, kserve=kserve):
            asked += ((f"{item['apiVersion']} {item['kind']}", demand, locate, environment) for demand in demands)
    answers = _answers(
        [{"self": demand.self_} for _, demand, _, _ in asked],
        [(index, demand.rule, demand.message_expression) for index, (_, demand, _, _) in enumerate(asked)],
    )
    findings: list[Finding] = []
    undecided: set[str] = set()
    for (kind, demand, locate, environment), (answer, said) in zip(asked, answers, strict=True):
        if answer.ending not in (Ending.DONE, Ending.ABSENT):
            undecided.add(f"{kind}: {' '.join(demand.rule.split())} ({answer.problem})")
        elif not answer.truth:
            findings.append(_located(_broken(demand, answer, said), locate, environment))
    return findings, undecided


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


def _broken(demand: Demand, answer: Answer, said: Answer | None) -> Finding:
    words = said.text if said is not None and said.ending is Ending.DONE else ""
    if answer.ending is Ending.ABSENT:
        words = f"a rule of its CRD cannot be decided: {answer.problem}"
    message = words or demand.message or f"does not fulfil {demand.rule}"
    hint = f"the CRD's rule is: {demand.rule}" if words or demand.message else ""
    return Finding(rule="schema-rule", message=message, hint=hint, path=path_text(demand.place))


def _located(finding: Finding, locate: Locate, environment: str) -> Finding:
    file, line = locate(place_of(finding.path))
    return msgspec.structs.replace(finding, file=file, line=line, environment=environment)
