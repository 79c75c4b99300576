"""Names: the hosts that KServe makes of an object's name, and keys of lists that must differ."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.core.naming import LABEL_MAX
from m2g.validation.rules.containers import KINDS, Place
from m2g.validation.rules.rule import Fault, Rule, Subject, issue

_POD_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_CONTAINER_KEYS = {"env": ("name",), "volumeMounts": ("mountPath",), "ports": ("containerPort", "protocol")}
_DEFAULTS = {"protocol": "TCP"}


def _budget(subject: Subject) -> Iterator[Fault]:
    for place, host in _hosts(subject):
        if len(host) > LABEL_MAX >= len(subject.text(*place)):  # a longer name is the schema's matter
            yield Fault(place=place, message=f"{host} is {len(host)} long; at most {LABEL_MAX} is allowed")


def _hosts(subject: Subject) -> Iterator[tuple[Place, str]]:
    name, namespace = subject.text("metadata", "name"), subject.text("metadata", "namespace")
    longest = max(subject.components, key=len, default="")
    yield ("metadata", "name"), f"{name}-{longest}-{namespace}" if subject.standard else f"{name}-{longest}-00001"
    for here in subject.predictors:
        own = subject.text(*here, "name")
        if own:
            yield (*here, "name"), f"{name}-{own}-predictor"


def _lists(subject: Subject) -> Iterator[tuple[Place, tuple[str, ...]]]:
    """The place of each list whose items must differ, and in which fields."""
    for places, fields in ((subject.pods, _POD_KEYS), (subject.containers, _CONTAINER_KEYS)):
        for place in places:
            yield from (((*place, key), fields[key]) for key in subject.mapping(*place) if key in fields)


def _unique(subject: Subject) -> Iterator[Fault]:
    for place, keys in _lists(subject):
        seen: set[tuple[str, ...]] = set()
        for index, item in enumerate(subject.items(*place)):
            values = [get_at(item, key) or _DEFAULTS.get(key) for key in keys]
            if not all(isinstance(value, str | int) for value in values):
                continue  # the schema's matter
            identity = tuple(str(value) for value in values)
            if identity in seen:
                message = f"{' '.join(identity)!r} is there twice in this list"
                yield Fault(place=(*place, index, keys[0]), message=message)
            seen.add(identity)


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
        summary="Containers, volumes, variables, ports, mount paths and pull secrets differ within their list.",
        why="The API server takes these lists as maps. A second entry is refused, or silently wins.",
        fix="remove one of the two",
        link="https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        check=_unique,
        kinds=KINDS,
    ),
)
