"""Whether KServe finds a runtime for the model: by format, version and protocol, from the runtimes' declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import UNSET

from m2g.compat.declared import Declaration, read_declaration
from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import RUNTIMES, Place
from m2g.validation.rules.rule import CheckedObject, Rule

_DEFAULT_V2 = ("triton", "vLLM")
"""Formats for which the webhook sets protocol v2."""


def _check_runtime(obj: CheckedObject) -> Iterator[Violation]:
    for here in obj.predictors:
        place = (*here, "model")
        if obj.text(*place, "modelFormat", "name"):
            yield from _check_named(obj, place) if obj.text(*place, "runtime") else _check_selected(obj, place)


def _check_named(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    runtime = obj.text(*here, "runtime")
    declared = _known(obj).get(runtime)
    if declared is None:
        return  # the cluster's own: reference-exists
    if declared.disabled:
        yield Violation(where=(*here, "runtime"), message=f"is {runtime!r}, which is disabled")
        return
    name, version, protocol = _asked(obj, here)
    if not declared.supports_format(name, version, named=True):
        yield _wrong_format(obj, here, {runtime: declared}, named=True)
    elif protocol and not declared.supports_protocol(protocol) and not _has_protocol_rule(name, protocol):
        message = f"is {protocol!r}, but {runtime} supports {' and '.join(declared.protocol_versions)}"
        yield Violation(where=(*here, "protocolVersion"), message=message, hint="use a protocol that it supports")


def _check_selected(obj: CheckedObject, here: Place) -> Iterator[Violation]:
    name, version, protocol = _asked(obj, here)
    protocol = protocol or ("v2" if name in _DEFAULT_V2 else "v1")
    known = {key: declared for key, declared in _known(obj).items() if not declared.disabled}
    if _has_protocol_rule(name, protocol) or _may_have_others(obj, known, name):
        return
    by_format = {
        key: declared for key, declared in known.items() if declared.supports_format(name, version, named=False)
    }
    if not by_format:
        yield _wrong_format(obj, here, known, named=False)
    elif not any(declared.supports_protocol(protocol) for declared in by_format.values()):
        current = "is missing, which means v1" if protocol == "v1" and obj.at(*here, "protocolVersion") is None else ""
        spoken = sorted({one for declared in by_format.values() for one in declared.protocol_versions})
        message = f"{current or f'is {protocol!r}'}; KServe's runtimes for {name} support {' and '.join(spoken)}"
        yield Violation(where=(*here, "protocolVersion"), message=message, hint=f"set it to {spoken[-1]}")


def _wrong_format(obj: CheckedObject, here: Place, known: Mapping[str, Declaration], *, named: bool) -> Violation:
    name, version, _ = _asked(obj, here)
    formats = [one for declared in known.values() for one in declared.supported_model_formats]
    versions = sorted({one.version for one in formats if one.name == name})
    who = next(iter(known)) if named else "no runtime of KServe"
    if versions:
        message = f"is {version!r}; {who} supports {' and '.join(versions)} of {name}"
        if not named:
            message = f"is {version!r}; KServe's runtimes support {' and '.join(versions)} of {name}"
        return Violation(where=(*here, "modelFormat", "version"), message=message, hint="remove the version")
    same = [one.name for one in formats if one.name.lower() == name.lower()]
    hint = f"write it as {same[0]}" if same else ""
    verb = f"{who} does not support it" if named else f"{who} supports it"
    return Violation(where=(*here, "modelFormat", "name"), message=f"is {name!r}; {verb}", hint=hint)


def _asked(obj: CheckedObject, here: Place) -> tuple[str, str, str]:
    version = obj.at(*here, "modelFormat", "version")
    shown = version if isinstance(version, str) else ""
    return obj.text(*here, "modelFormat", "name"), shown, obj.text(*here, "protocolVersion")


def _known(obj: CheckedObject) -> dict[str, Declaration]:
    """KServe's own runtimes and those that the overlay builds; a namespace's own come first."""
    own = {
        str(get_at(item, "metadata", "name")): declared
        for item in obj.overlay or ()
        if item.get("kind") in RUNTIMES and (declared := read_declaration(item)) is not None
    }
    return {**obj.declared, **own}


def _may_have_others(obj: CheckedObject, known: Mapping[str, Declaration], name: str) -> bool:
    """Whether a runtime that nobody names here may serve the format: KServe has none for it in any spelling."""
    external = obj.external.serving_runtimes
    formats = {one.name.lower() for declared in known.values() for one in declared.supported_model_formats}
    return bool(external) if external is not UNSET else name.lower() not in formats


def _has_protocol_rule(name: str, protocol: str) -> bool:
    """The rule `mlflow-protocol` says more about these."""
    return name == "mlflow" and protocol not in ("", "v2", "grpc-v2")


RULES = (
    Rule(
        id="runtime-format",
        covers=("L07",),
        summary="A runtime supports the model's format, its version and the protocol.",
        why="KServe accepts any text and compares it exactly, also its case. If no runtime fits, the state is "
        "InvalidSpec and nothing is deployed.",
        fix="set modelFormat, protocolVersion and runtime to what the runtime declares",
        link="https://kserve.github.io/website/docs/concepts/resources/servingruntime",
        check=_check_runtime,
    ),
)
