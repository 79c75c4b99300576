"""Policies of a platform team: CEL rules over built objects and their release records, and reviewed exceptions.

Reading files, evaluating CEL and knowing today's date are the matter of others; here is what it all means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from m2g.core.config_types import Name, Text
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Release, Value
from m2g.serving import backends
from m2g.validation.policies.cel_types import MAX_LENGTH, Answer, Ending, Variables

VARIABLES = ("env", "model", "object", "release")

Glob = Annotated[str, Meta(min_length=1, max_length=253)]
Expression = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
Day = Annotated[
    str,
    Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description='a day; write it in quotes, like "2027-03-31"'),
]


class Match(Value, frozen=True, kw_only=True):
    """Which objects a policy is about: all of the fields must fit; `*` and `?` stand for other text."""

    kinds: tuple[Glob, ...] = ()
    """Without any, the objects that serve a model: `InferenceService`."""
    environments: tuple[Glob, ...] = ("*",)
    models: tuple[Glob, ...] = ("*",)
    """Registered names or slugs."""


class Policy(Value, frozen=True, kw_only=True):
    """One rule: a CEL expression that is true for what may be merged."""

    id: Name
    description: Text = ""
    match: Match = Match()
    expression: Expression
    """Over `object` (as kustomize builds it), `release` (the record), `model` (name, slug), `env` (name, namespace)."""
    message: Text = ""
    """What to say where the expression is false."""
    message_expression: Annotated[str, Meta(max_length=MAX_LENGTH)] = ""
    """CEL that gives the message as text; `message` is said where it cannot."""
    severity: Literal["error", "warning"] = "error"
    hint: Annotated[str, Meta(max_length=512)] = ""
    """What to do about it."""


class Override(Value, frozen=True, kw_only=True):
    """An exception from one policy for one model in one environment, until a day comes."""

    policy: Name
    model: Text
    """Registered name or slug."""
    environment: Text
    reason: Text
    expires: Day
    """The last day on which it holds."""


class PolicyFile(Value, frozen=True, kw_only=True):
    """policies/*.yaml: rules, exceptions, or both."""

    policies: tuple[Policy, ...] = ()
    overrides: tuple[Override, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A policy and where it is written; `line` is that of the expression."""

    policy: Policy
    file: str
    line: int

    @property
    def id(self) -> str:
        """The rule id of its findings."""
        return f"policy/{self.policy.id}"

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.file}:{self.line}"


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """An override and where it is written."""

    override: Override
    file: str
    line: int


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One built object, and what it was built for."""

    item: Manifest
    slug: str
    name: str
    """The registered model's."""
    environment: str
    namespace: str
    release: Release

    def about(self, match: Match) -> bool:
        """Whether a policy is about it."""
        kind = str(self.item.get("kind", ""))
        return (
            any(fnmatchcase(kind, glob) for glob in match.kinds or backends.main_kinds())
            and any(fnmatchcase(self.environment, glob) for glob in match.environments)
            and any(fnmatchcase(name, glob) for name in (self.slug, self.name) for glob in match.models)
        )

    def variables(self) -> Variables:
        """What an expression sees; a record's empty fields are there, so that nobody needs `has` for them."""
        return {
            "object": self.item,
            "release": _complete(self.release),
            "model": {"name": self.name, "slug": self.slug},
            "env": {"name": self.environment, "namespace": self.namespace},
        }

    def waived(self, waiver: Waiver, policy: str) -> bool:
        """Whether an override is about this object and that policy."""
        said = waiver.override
        return said.policy == policy and said.environment == self.environment and said.model in (self.slug, self.name)


def _complete(value: object) -> object:
    """A record with every field, also the empty ones, which its file leaves out."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {outside: _complete(getattr(value, inside)) for inside, outside in names}
    if isinstance(value, Mapping):
        return {str(key): _complete(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_complete(item) for item in value]
    return value


_BOUND = re.compile(r"\.(?:all|exists|exists_one|existsOne|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
_TYPES = frozenset("int uint double bool string bytes list map null_type type timestamp duration dyn".split())
_SPACES = frozenset(("math", "sets", "strings", "base64", "lists", "optional"))


def readable(expression: str, answer: Answer) -> str:
    """What is wrong with an expression before it meets an object (`answer` to NOTHING wanted); empty where nothing."""
    if answer.ending is not Ending.DONE:
        return answer.problem
    known = {*VARIABLES, *_BOUND.findall(expression), *_TYPES, *_SPACES}
    strange = sorted(set(answer.variables) - known)
    if strange:
        return f"{strange[0]!r} is not known; there are {', '.join(VARIABLES)}"
    return f"the function {answer.unknown[0]}() is not known" if answer.unknown else ""


def unreadable(rule: Rule, problem: str) -> Finding:
    """The finding for a policy that cannot be asked at all."""
    hint = "docs/how-to/write-a-policy.md shows what an expression can say"
    message = f"policy {rule.policy.id}: {problem}"
    return Finding(rule="policy-invalid", file=rule.file, line=rule.line, message=message, hint=hint)


def judged(rule: Rule, subject: Subject, answer: Answer, said: Answer | None) -> Finding | None:
    """What an answer means: nothing, a fault of the object, or a policy that fails on it.

    `said` is what the message expression gave. File and line are for who knows the sources.
    """
    if answer.ending is Ending.DONE and answer.truth:
        return None
    policy, whole = rule.policy, subject.item
    name = f"{whole.get('kind', 'object')} {get_at(whole, 'metadata', 'name') or 'without name'}"
    severity = Severity(policy.severity)
    if answer.ending is not Ending.DONE:
        guard = " (ask for it with has(…) first)" if answer.ending is Ending.ABSENT else ""
        return Finding(
            rule=rule.id,
            severity=severity,
            message=f"{name}: the policy cannot be decided: {answer.problem}{guard}",
            hint=f"mend the expression in {rule.place}",
            path=".".join(mentioned(policy.expression, whole)),
        )
    words = said.text if said is not None and said.ending is Ending.DONE else ""
    words = words or policy.message or policy.description or f"does not fulfil {policy.expression}"
    return Finding(
        rule=rule.id,
        severity=severity,
        message=f"{name}: {words}",
        hint=f"{policy.hint}{'; ' if policy.hint else ''}the policy is in {rule.place}",
        path=".".join(mentioned(policy.expression, whole)),
    )


_MENTION = re.compile(r"\bobject((?:\.[A-Za-z_]\w*)+)")


def mentioned(expression: str, item: Manifest) -> tuple[str, ...]:
    """The deepest place of the object that the expression names and the object has; what a person would change."""
    deepest: tuple[str, ...] = ()
    for found in _MENTION.finditer(expression):
        steps = tuple(found[1].removeprefix(".").split("."))
        while steps and get_at(item, *steps) is None:
            steps = steps[:-1]
        deepest = max(deepest, steps, key=len)
    return deepest


def misplaced(
    waivers: Sequence[Waiver],
    rules: Sequence[Rule],
    models: Mapping[str, str],
    environments: Sequence[str],
    today: date,
) -> Iterator[tuple[Waiver, Finding]]:
    """Every override that does not hold, and why: over, or about what is not there.

    `models` is slug to registered name.
    """
    for waiver in waivers:
        said = waiver.override
        known = {
            "policy": (said.policy, {rule.policy.id for rule in rules}),
            "model": (said.model, {*models, *models.values()}),
            "environment": (said.environment, set(environments)),
        }
        strange = [f"no {what} {word!r}" for what, (word, there) in known.items() if word not in there]
        last = _day(said.expires)
        if strange:
            message, hint = f"there is {' and '.join(strange)}", "correct the name, or remove the override"
            yield waiver, _about(waiver, Finding(rule="override-unknown", message=message, hint=hint))
        elif last is None:
            message = f"{said.expires!r} is no day of the calendar"
            yield waiver, _about(waiver, Finding(rule="override-unknown", message=message, hint="correct it"))
        elif last < today:
            message = f"the override of {said.policy} ended on {said.expires}: {said.reason}"
            hint = "solve what the policy asks for, then remove it; or ask its reviewers for a new day"
            yield waiver, _about(waiver, Finding(rule="override-expired", message=message, hint=hint))


def unused(waiver: Waiver) -> Finding:
    """For an override that nothing needs."""
    message = f"the override of {waiver.override.policy} is not needed: the policy holds without it"
    hint = "remove it"
    return _about(waiver, Finding(rule="override-unused", severity=Severity.WARNING, message=message, hint=hint))


def _about(waiver: Waiver, finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, file=waiver.file, line=waiver.line)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
