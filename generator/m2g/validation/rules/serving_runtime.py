"""ServingRuntime and ClusterServingRuntime: what KServe's webhook refuses. It does not look at a disabled runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from m2g.compat.declared import Declaration, read_declaration
from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.serving.stored import MAIN_CONTAINER
from m2g.validation.rules.containers import RUNTIMES, Place
from m2g.validation.rules.rule import WEBHOOK_SOURCE, CheckedObject, Rule
from m2g.validation.rules.worker import SIZES, find_unknown_gpus

_WORKER: Place = ("spec", "workerSpec")
_WORKER_CONTAINER = "worker-container"


def _check_priority(obj: CheckedObject) -> Iterator[Violation]:
    if obj.at("spec", "disabled") is True:
        return
    first: dict[str, object] = {}
    for place in obj.places("spec", "supportedModelFormats"):
        name, priority = obj.text(*place, "name"), obj.at(*place, "priority")
        chosen = obj.at(*place, "autoSelect") is True and priority is not None
        if chosen and first.setdefault(name, priority) != priority:
            message = f"is {priority}, but an earlier entry for {name} has {first[name]}"
            yield Violation(where=(*place, "priority"), message=message)


def _check_conflict(obj: CheckedObject) -> Iterator[Violation]:
    own = read_declaration(obj.manifest)
    if own is None or own.disabled:
        return
    for name, other in _others(obj).items():
        if other.disabled or not set(own.protocol_versions) & set(other.protocol_versions):
            continue
        for index, one in enumerate(own.supported_model_formats):
            for theirs in other.supported_model_formats:
                same = (one.name.lower(), one.version, one.priority) == (
                    theirs.name.lower(),
                    theirs.version,
                    theirs.priority,
                )
                if same and one.priority is not None and one.auto_select and theirs.auto_select:
                    message = f"is {one.priority}, which {name} already has for {one.name} {one.version}".rstrip()
                    yield Violation(where=("spec", "supportedModelFormats", index, "priority"), message=message)


def _others(obj: CheckedObject) -> Mapping[str, Declaration]:
    """The other runtimes of the same scope: those of the overlay; for the cluster also KServe's own."""
    kind, name = obj.at("kind"), obj.text("metadata", "name")
    built = {
        str(get_at(item, "metadata", "name")): declared
        for item in obj.overlay or ()
        if item.get("kind") == kind
        and get_at(item, "metadata", "namespace") == obj.at("metadata", "namespace")
        and (declared := read_declaration(item)) is not None
    }
    stock = obj.declared if kind == "ClusterServingRuntime" else {}
    return {other: declared for other, declared in {**stock, **built}.items() if other != name}


def _check_worker(obj: CheckedObject) -> Iterator[Violation]:
    if obj.at(*_WORKER) is None or obj.at("spec", "disabled") is True:
        return
    workers = obj.places(*_WORKER, "containers")
    if len(workers) != 1:
        message = f"has {len(workers)} containers; exactly one is allowed"
        yield Violation(where=(*_WORKER, "containers"), message=message, hint="keep one, named worker-container")
    for field in SIZES:
        size = obj.number(*_WORKER, field)
        if size is not None and size < 1:
            yield Violation(where=(*_WORKER, field), message=f"is {size}; it must be at least 1")
    main = [place for place in obj.places("spec", "containers") if obj.at(*place, "name") == MAIN_CONTAINER]
    for variable in (place for container in main for place in obj.places(*container, "env")):
        for field, name in SIZES.items():
            if obj.at(*variable, "name") == name:
                hint = f"set workerSpec.{field}"
                yield Violation(where=(*variable, "name"), message=f"is {name}, which KServe sets", hint=hint)
    worker = [place for place in workers[:1] if obj.at(*place, "name") == _WORKER_CONTAINER]
    yield from find_unknown_gpus(obj, (*main, *worker), ("spec", "annotations"))


RULES = (
    Rule(
        id="runtime-priority",
        kinds=RUNTIMES,
        summary="A runtime has one priority for all versions of a format that it is auto-selected for.",
        why="KServe's webhook refuses different priorities.",
        fix="give all entries of the format the same priority",
        link="https://kserve.github.io/website/docs/concepts/resources/servingruntime",
        check=_check_priority,
    ),
    Rule(
        id="runtime-conflict",
        kinds=RUNTIMES,
        summary="No two runtimes have the same priority for one format, version and protocol.",
        why="KServe's webhook refuses the second one: it could not choose between them. A ClusterServingRuntime is "
        "compared with KServe's own, too.",
        fix="use another priority, or autoSelect: false",
        link="https://kserve.github.io/website/docs/concepts/resources/servingruntime",
        check=_check_conflict,
    ),
    Rule(
        id="runtime-worker",
        kinds=RUNTIMES,
        summary="A runtime for several nodes has one worker container, and GPUs that KServe knows.",
        why="KServe's webhook refuses anything else, and fails without a message if there is no container. It sets the "
        "variables for the sizes.",
        fix="keep one container in workerSpec, and set its sizes by workerSpec",
        link=WEBHOOK_SOURCE,
        check=_check_worker,
    ),
)
