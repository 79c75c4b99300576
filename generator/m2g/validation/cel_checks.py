"""Evaluate CEL over the built objects: the platform team's policies, and the CEL rules of CRDs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g import kustomize
from m2g.core.cache import Cache, key
from m2g.core.field_path import format_path, parse_path
from m2g.core.finding import Finding
from m2g.core.manifest import Manifest
from m2g.core.model import Release
from m2g.core.setting_fields import KserveVersion
from m2g.repository import fingerprint
from m2g.repository.layout import Key
from m2g.validation import origin
from m2g.validation.policies import cel, load, policy
from m2g.validation.policies.cel_types import Evaluation, EvaluationResult, Expected, Status
from m2g.validation.policies.policy import LocatedOverride, LocatedPolicy, PolicyObject
from m2g.validation.schemas import Catalogue
from m2g.validation.schemas.crd_rules import CelRule

Locate: TypeAlias = Callable[[tuple[str | int, ...]], tuple[str, int]]
"""The path of a field in an object → the file and line where a user can change it."""


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """The valid policies of the repository, the overrides that are in effect today, and findings about the rest."""

    policies: tuple[LocatedPolicy, ...]
    overrides: tuple[LocatedOverride, ...]
    findings: tuple[Finding, ...]

    def find_unused_overrides(self, used: Collection[int]) -> Iterator[Finding]:
        """A finding for each override (by its index) that no object of the whole fleet needs."""
        evaluated = {located.policy.id for located in self.policies}
        for index, located in enumerate(self.overrides):
            if index not in used and located.override.policy in evaluated:
                yield policy.make_unused_finding(located)


class BuiltOverlay(msgspec.Struct, frozen=True, kw_only=True):
    """What one overlay builds to, and the raw files that apply it.

    `key` has an empty slug for files that belong to no model. `name` is the registered model's.
    """

    key: Key
    kserve: KserveVersion
    built: kustomize.BuildResult = kustomize.BuildResult(folder="")
    raw_files: tuple[kustomize.RawFile, ...] = ()
    name: str = ""
    namespace: str = ""
    release: Release | None = None

    def list_objects(self, root: Path) -> Iterator[tuple[Manifest, Locate]]:
        """Every object, and how to locate its fields."""
        for item in self.built.objects:
            yield item, self.make_locate(root, item)
        for file in self.raw_files:
            for index, raw in enumerate(file.objects):
                if isinstance(raw, dict):  # anything else is already a finding
                    yield raw, _locate_in_file(file, index)

    def make_locate(self, root: Path, item: Manifest) -> Locate:
        """How to locate the fields of an object that the overlay builds."""

        def locate(path: tuple[str | int, ...]) -> tuple[str, int]:
            source = origin.find_source(root, self.key, self.built.kustomizations, item, path)
            return source.file, source.line

        return locate


def _locate_in_file(file: kustomize.RawFile, index: int) -> Locate:
    return lambda path: (file.file, file.find_line(index, path))


class CelResult(msgspec.Struct, kw_only=True):
    """The result of all CEL expressions for one overlay.

    `used` are indexes of `Policies.overrides`. `undecided` names the CRD rules that only an API server can evaluate,
    so that they are never skipped silently. `limited`: an expression reached a limit on time or memory, so another run
    may have another result.
    """

    findings: list[Finding] = []
    used: set[int] = set()
    undecided: set[str] = set()
    limited: bool = False


def load_policies(
    root: Path, read_names: Callable[[], tuple[Mapping[str, str], Sequence[str]]], today: date | None, cache: Cache
) -> Policies:
    """Read the policies. `today` decides which overrides have expired (default: the current day).

    `read_names` returns what overrides may name: slug to registered name of all models, and the environments. It is
    called only if there are overrides.

    Raises OutsideError if CEL cannot be evaluated at all.
    """
    files = load.read_policies(root)
    names, environments = read_names() if files.overrides else ({}, ())
    rejected = list(
        policy.find_invalid_overrides(files.overrides, files.policies, names, environments, today or load.get_today())
    )
    without_effect = [located for located, _ in rejected]
    problems = {id(located): problem for located, problem in _find_invalid(files.policies, cache)}
    findings = [*files.findings, *(finding for _, finding in rejected)]
    findings += (
        policy.make_invalid_finding(located, problems[id(located)])
        for located in files.policies
        if id(located) in problems
    )
    return Policies(
        policies=tuple(located for located in files.policies if id(located) not in problems),
        overrides=tuple(located for located in files.overrides if located not in without_effect),
        findings=tuple(findings),
    )


def needs_cel(policies: Policies, overlay: BuiltOverlay, catalogue: Catalogue) -> bool:
    """Whether `check_cel` may have to evaluate CEL for this overlay."""
    if policies.policies and overlay.release is not None:
        return True
    raw = (item for file in overlay.raw_files for item in file.objects if isinstance(item, dict))
    return any(catalogue.find_cel_rules(item, kserve=overlay.kserve) for item in (*overlay.built.objects, *raw))


def check_cel(
    root: Path, policies: Policies, overlays: Sequence[BuiltOverlay], catalogue: Catalogue
) -> dict[Key, CelResult]:
    """Evaluate the policies and the CEL rules of CRDs for all objects of these overlays.

    Raises OutsideError if CEL cannot be evaluated at all.
    """
    results = {overlay.key: CelResult() for overlay in overlays}
    _check_policies(root, policies, overlays, results)
    _check_crd_rules(root, overlays, catalogue, results)
    return results


def _check_policies(
    root: Path, policies: Policies, overlays: Sequence[BuiltOverlay], results: Mapping[Key, CelResult]
) -> None:
    objects = list(_list_objects(root, overlays)) if policies.policies else []
    pairs = [
        (index, obj, locate, located)
        for index, (obj, locate) in enumerate(objects)
        for located in policies.policies
        if obj.matches(located.policy.match)
    ]
    outcomes = _evaluate(
        [obj.variables() for obj, _ in objects],
        [(index, located.policy.expression, located.policy.message_expression) for index, _, _, located in pairs],
    )
    for (_, obj, locate, located), (outcome, message) in zip(pairs, outcomes, strict=True):
        result = results[obj.slug, obj.environment]
        result.limited |= outcome.status is Status.LIMIT
        finding = policy.make_finding(located, obj, outcome, message)
        if finding is None:
            continue
        exempting = {
            index
            for index, override in enumerate(policies.overrides)
            if obj.is_exempt(override.override, located.policy.id)
        }
        result.used |= exempting
        if not exempting:
            result.findings.append(_add_location(finding, locate, obj.environment))


def _find_invalid(policies: Sequence[LocatedPolicy], cache: Cache) -> Iterator[tuple[LocatedPolicy, str]]:
    """The policies with an invalid expression, and why: they are reported even if they match no object."""
    expressions = [
        (located, text)
        for located in policies
        for text in (located.policy.expression, located.policy.message_expression)
        if text
    ]
    if not expressions:
        return
    place = key("valid-policies", fingerprint.digest_m2g(), *(text for _, text in expressions))
    if cache.get(place) is not None:
        return
    outcomes = cel.evaluate([], [Evaluation(expression=text, expected=Expected.NAMES) for _, text in expressions])
    problems = [policy.explain_invalid(text, names) for (_, text), names in zip(expressions, outcomes, strict=True)]
    if not any(problems):
        cache.put(place, b"")
    yield from ((located, problem) for (located, _), problem in zip(expressions, problems, strict=True) if problem)


def _list_objects(root: Path, overlays: Sequence[BuiltOverlay]) -> Iterator[tuple[PolicyObject, Locate]]:
    """The objects of overlays that have a record; a missing record is already a finding."""
    for overlay in overlays:
        slug, environment = overlay.key
        if overlay.release is None:
            continue
        for item in overlay.built.objects:
            obj = PolicyObject(
                manifest=item,
                slug=slug,
                name=overlay.name,
                environment=environment,
                namespace=overlay.namespace,
                release=overlay.release,
            )
            yield obj, overlay.make_locate(root, item)


def _check_crd_rules(
    root: Path, overlays: Sequence[BuiltOverlay], catalogue: Catalogue, results: Mapping[Key, CelResult]
) -> None:
    pending: list[tuple[str, CelRule, Locate, Key]] = []
    for overlay in overlays:
        for item, locate in overlay.list_objects(root):
            cel_rules = catalogue.find_cel_rules(item, kserve=overlay.kserve)
            if cel_rules and not catalogue.find_violations(item, kserve=overlay.kserve):
                kind = f"{item['apiVersion']} {item['kind']}"
                pending += ((kind, rule, locate, overlay.key) for rule in cel_rules)
    outcomes = _evaluate(
        [{"self": rule.self_} for _, rule, _, _ in pending],
        [(index, rule.rule, rule.message_expression) for index, (_, rule, _, _) in enumerate(pending)],
    )
    for (kind, rule, locate, overlay_key), (outcome, message) in zip(pending, outcomes, strict=True):
        result = results[overlay_key]
        result.limited |= outcome.status is Status.LIMIT
        if outcome.status not in (Status.DONE, Status.MISSING):
            result.undecided.add(f"{kind}: {' '.join(rule.rule.split())} ({outcome.problem})")
        elif not outcome.is_true:
            result.findings.append(_add_location(_make_rule_finding(rule, outcome, message), locate, overlay_key[1]))


def _evaluate(
    scopes: Sequence[Mapping[str, object]], rules: Sequence[tuple[int, str, str]]
) -> list[tuple[EvaluationResult, EvaluationResult | None]]:
    """(index of its variables, expression, message expression) → the results of both."""
    if not rules:
        return []
    conditions = [Evaluation(expression=rule, scope=scope) for scope, rule, _ in rules]
    texts = [Evaluation(expression=text, expected=Expected.TEXT, scope=scope) for scope, _, text in rules if text]
    results = cel.evaluate(scopes, [*conditions, *texts])
    messages = iter(results[len(conditions) :])
    return [(result, next(messages) if text else None) for result, (_, _, text) in zip(results, rules, strict=False)]


def _make_rule_finding(rule: CelRule, outcome: EvaluationResult, message: EvaluationResult | None) -> Finding:
    text = message.text if message is not None and message.status is Status.DONE else ""
    if outcome.status is Status.MISSING:
        text = f"a rule of its CRD cannot be evaluated: {outcome.problem}"
    hint = f"the rule of the CRD is: {rule.rule}" if text or rule.message else ""
    text = text or rule.message or f"does not comply with {rule.rule}"
    return Finding(rule="schema-rule", message=text, hint=hint, path=format_path(rule.path))


def _add_location(finding: Finding, locate: Locate, environment: str) -> Finding:
    file, line = locate(parse_path(finding.path))
    return msgspec.structs.replace(finding, file=file, line=line, environment=environment)
