"""Policies of a platform team: CEL expressions over built objects and their release records, and overrides.

This module is pure: it reads no files, evaluates no CEL and does not know the date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from m2g.core.finding import Finding, Severity
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Release, Value
from m2g.core.setting_fields import Name, Text
from m2g.serving import backends
from m2g.validation.policies.cel_types import MAX_LENGTH, EvaluationResult, Status, Variables

VARIABLES = ("env", "model", "object", "release")

Glob = Annotated[str, Meta(min_length=1, max_length=253)]
Expression = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
Day = Annotated[
    str,
    Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description='a day; write it in quotes, like "2027-03-31"'),
]


class Match(Value, frozen=True, kw_only=True):
    """Which objects a policy checks: all fields must match; `*` and `?` are wildcards."""

    kinds: tuple[Glob, ...] = ()
    """Empty means the objects that serve a model: `InferenceService`."""
    environments: tuple[Glob, ...] = ("*",)
    models: tuple[Glob, ...] = ("*",)
    """Registered names or slugs."""


class Policy(Value, frozen=True, kw_only=True):
    """One policy: a CEL expression that is true for a valid object."""

    id: Name
    description: Text = ""
    match: Match = Match()
    expression: Expression
    """Over `object` (as kustomize builds it), `release` (the record), `model` (name, slug), `env` (name, namespace)."""
    message: Text = ""
    """The message of the finding if the expression is false."""
    message_expression: Annotated[str, Meta(max_length=MAX_LENGTH)] = ""
    """A CEL expression that returns the message; `message` is used if it fails."""
    severity: Literal["error", "warning"] = "error"
    hint: Annotated[str, Meta(max_length=512)] = ""
    """How to fix it."""


class Override(Value, frozen=True, kw_only=True):
    """An exception from one policy for one model in one environment, until a given day."""

    policy: Name
    model: Text
    """Registered name or slug."""
    environment: Text
    reason: Text
    expires: Day
    """The last day on which it is in effect."""


class PolicyFile(Value, frozen=True, kw_only=True):
    """policies/*.yaml: policies, overrides, or both."""

    policies: tuple[Policy, ...] = ()
    overrides: tuple[Override, ...] = ()


class LocatedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy and its location; `line` is the line of the expression."""

    policy: Policy
    file: str
    line: int

    @property
    def id(self) -> str:
        """The rule id of its findings."""
        return f"policy/{self.policy.id}"

    @property
    def location(self) -> str:
        """The location as text."""
        return f"{self.file}:{self.line}"


class LocatedOverride(msgspec.Struct, frozen=True, kw_only=True):
    """An override and its location."""

    override: Override
    file: str
    line: int


class PolicyObject(msgspec.Struct, frozen=True, kw_only=True):
    """One built object, and the model and environment that it was built for. `name` is the registered model's."""

    manifest: Manifest
    slug: str
    name: str
    environment: str
    namespace: str
    release: Release

    def matches(self, match: Match) -> bool:
        """Whether a policy checks it."""
        kind = str(self.manifest.get("kind", ""))
        return (
            any(fnmatchcase(kind, glob) for glob in match.kinds or backends.main_kinds())
            and any(fnmatchcase(self.environment, glob) for glob in match.environments)
            and any(fnmatchcase(name, glob) for name in (self.slug, self.name) for glob in match.models)
        )

    def variables(self) -> Variables:
        """The variables of an expression. Empty fields of the record are present, so it needs no `has` for them."""
        return {
            "object": self.manifest,
            "release": _complete(self.release),
            "model": {"name": self.name, "slug": self.slug},
            "env": {"name": self.environment, "namespace": self.namespace},
        }

    def is_exempt(self, override: Override, policy: str) -> bool:
        """Whether an override exempts this object from the policy."""
        if (override.policy, override.environment) != (policy, self.environment):
            return False
        return override.model in (self.slug, self.name)


def _complete(value: object) -> object:
    """A record with all fields, including the empty ones, which its file leaves out."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {encoded: _complete(getattr(value, name)) for name, encoded in names}
    if isinstance(value, Mapping):
        return {str(key): _complete(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_complete(item) for item in value]
    return value


_BOUND = re.compile(r"\.(?:all|exists|exists_one|existsOne|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
_TYPES = frozenset("int uint double bool string bytes list map null_type type timestamp duration dyn".split())
_LIBRARIES = frozenset(("math", "sets", "strings", "base64", "lists", "optional"))


def explain_invalid(expression: str, names: EvaluationResult) -> str:
    """Why an expression is invalid for every object; empty if it is valid. `names` is the result for Expected.NAMES."""
    if names.status is not Status.DONE:
        return names.problem
    known = {*VARIABLES, *_BOUND.findall(expression), *_TYPES, *_LIBRARIES}
    unknown = sorted(set(names.variables) - known)
    if unknown:
        return f"{unknown[0]!r} is unknown; the variables are {', '.join(VARIABLES)}"
    return f"the function {names.unknown_functions[0]}() does not exist" if names.unknown_functions else ""


def make_invalid_finding(located: LocatedPolicy, problem: str) -> Finding:
    """The finding about a policy with an invalid expression."""
    hint = "fix the expression; docs/how-to/write-a-policy.md shows examples"
    message = f"policy {located.policy.id}: {problem}"
    return Finding(rule="policy-invalid", file=located.file, line=located.line, message=message, hint=hint)


def make_finding(
    located: LocatedPolicy, obj: PolicyObject, result: EvaluationResult, message: EvaluationResult | None
) -> Finding | None:
    """The finding for the result of a policy's expression; None if the object complies.

    `message` is the result of the message expression. The caller adds file and line.
    """
    if result.status is Status.DONE and result.is_true:
        return None
    policy = located.policy
    if result.status is not Status.DONE:
        guard = "; test for it with has(…)" if result.status is Status.MISSING else ""
        text = f"the policy cannot be evaluated: {result.problem}{guard}"
        hint = f"fix the expression in {located.location}"
    else:
        custom = message.text if message is not None and message.status is Status.DONE else ""
        text = custom or policy.message or policy.description or f"does not comply with {policy.expression}"
        hint = f"{policy.hint}{'; ' if policy.hint else ''}the policy is in {located.location}"
    name = f"{obj.manifest.get('kind', 'object')} {get_at(obj.manifest, 'metadata', 'name') or 'without a name'}"
    return Finding(
        rule=located.id,
        severity=Severity(policy.severity),
        message=f"{name}: {text}",
        hint=hint,
        path=".".join(find_mentioned_path(policy.expression, obj.manifest)),
    )


_MENTION = re.compile(r"\bobject((?:\.[A-Za-z_]\w*)+)")


def find_mentioned_path(expression: str, item: Manifest) -> tuple[str, ...]:
    """The deepest path that the expression mentions and the object has: what a user would change."""
    deepest: tuple[str, ...] = ()
    for mention in _MENTION.finditer(expression):
        steps = tuple(mention[1].removeprefix(".").split("."))
        while steps and get_at(item, *steps) is None:
            steps = steps[:-1]
        deepest = max(deepest, steps, key=len)
    return deepest


def find_invalid_overrides(
    overrides: Sequence[LocatedOverride],
    policies: Sequence[LocatedPolicy],
    models: Mapping[str, str],
    environments: Sequence[str],
    today: date,
) -> Iterator[tuple[LocatedOverride, Finding]]:
    """Every override that has no effect, and why: it has expired, or names something that does not exist.

    `models` maps slug to registered name.
    """
    for located in overrides:
        override = located.override
        known = {
            "policy": (override.policy, {other.policy.id for other in policies}),
            "model": (override.model, {*models, *models.values()}),
            "environment": (override.environment, set(environments)),
        }
        unknown = [f"no {kind} {name!r}" for kind, (name, names) in known.items() if name not in names]
        last = _parse_day(override.expires)
        if unknown:
            message, hint = f"there is {' and '.join(unknown)}", "correct the name, or remove the override"
            yield located, _locate(located, Finding(rule="override-unknown", message=message, hint=hint))
        elif last is None:
            message = f"expires is {override.expires!r}, which is not a day of the calendar"
            yield located, _locate(located, Finding(rule="override-unknown", message=message, hint="correct the day"))
        elif last < today:
            message = f"the override of {override.policy} expired on {override.expires}: {override.reason}"
            hint = "comply with the policy and remove the override, or agree on a new day with the policy's owners"
            yield located, _locate(located, Finding(rule="override-expired", message=message, hint=hint))


def make_unused_finding(located: LocatedOverride) -> Finding:
    """The finding about an override that no object needs."""
    message = f"the override of {located.override.policy} is not needed: the objects comply without it"
    finding = Finding(rule="override-unused", severity=Severity.WARNING, message=message, hint="remove the override")
    return _locate(located, finding)


def _locate(located: LocatedOverride, finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, file=located.file, line=located.line)


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
