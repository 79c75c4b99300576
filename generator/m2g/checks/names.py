"""Names: the hosts that KServe makes of an object's name, and keys of lists that must differ."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.checks.containers import COMPONENTS, KINDS, Place
from m2g.checks.rule import Fault, Rule, Subject, issue
from m2g.manifest import at
from m2g.naming import LABEL_MAX

_KEYS = {"env": "name", "volumeMounts": "mountPath"}


def _budget(subject: Subject) -> Iterator[Fault]:
    for place, host in _hosts(subject):
        if len(host) > LABEL_MAX >= len(subject.text(*place)):  # a longer name is the schema's matter
            yield Fault(place=place, message=f"{host} is {len(host)} long; at most {LABEL_MAX} is allowed")


def _hosts(subject: Subject) -> Iterator[tuple[Place, str]]:
    name, namespace = subject.text("metadata", "name"), subject.text("metadata", "namespace")
    longest = max((component for component in COMPONENTS if subject.mapping("spec", component)), key=len, default="")
    yield ("metadata", "name"), f"{name}-{longest}-{namespace}" if subject.standard else f"{name}-{longest}-00001"
    for here in subject.predictors:
        own = subject.text(*here, "name")
        if own:
            yield (*here, "name"), f"{name}-{own}-predictor"


def _unique(subject: Subject) -> Iterator[Fault]:
    lists: list[tuple[Place, str]] = []
    for pod in subject.pods:
        lists += [((*pod, "containers"), "name"), ((*pod, "initContainers"), "name"), ((*pod, "volumes"), "name")]
    for container in subject.containers:
        lists += [((*container, field), key) for field, key in _KEYS.items()]
    for place, key in lists:
        seen: set[object] = set()
        for index, item in enumerate(subject.items(*place)):
            value = at(item, key)
            if isinstance(value, str) and value in seen:
                yield Fault(place=(*place, index, key), message=f"{value!r} is there twice in this list")
            seen.add(value if isinstance(value, str) else None)


RULES = (
    Rule(
        id="name-budget",
        covers=("V1b", "L01"),
        summary="The names that KServe makes of the object's name have at most 63 characters.",
        why="KServe builds host labels, Services and revisions of name, component and namespace. One that is too long "
        "is accepted, and then nothing is deployed.",
        fix="give the model a shorter slug in m2g.yaml (models.slugs), or the environment a shorter namespace",
        link=issue(4807),
        check=_budget,
    ),
    Rule(
        id="names-unique",
        summary="Containers, volumes, variables and mount paths differ within their list.",
        why="The API server takes these lists as maps. A second entry is refused, or silently wins.",
        fix="remove one of the two",
        link="https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        check=_unique,
        kinds=KINDS,
    ),
)
