"""Names: the host names that KServe builds from an object's name, and list keys that must be unique."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.core.naming import LABEL_MAX
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import KINDS, Place
from m2g.validation.rules.rule import CheckedObject, Rule, issue_url

_POD_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_CONTAINER_KEYS = {"env": ("name",), "volumeMounts": ("mountPath",), "ports": ("containerPort", "protocol")}
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_MAX = 253
_DEFAULTS = {"protocol": "TCP"}


def _check_budget(obj: CheckedObject) -> Iterator[Violation]:
    for place, host in _hosts(obj):
        if len(host) > LABEL_MAX >= len(obj.text(*place)):  # the schema reports a longer name
            message = f"gives the host name {host}, which has {len(host)} characters; at most {LABEL_MAX} are allowed"
            yield Violation(where=place, message=message)


def _hosts(obj: CheckedObject) -> Iterator[tuple[Place, str]]:
    name, namespace = obj.text("metadata", "name"), obj.text("metadata", "namespace")
    longest = max(obj.components, key=len, default="")
    yield ("metadata", "name"), f"{name}-{longest}-{namespace}" if obj.standard else f"{name}-{longest}-00001"
    for here in obj.predictors:
        own = obj.text(*here, "name")
        if own:
            yield (*here, "name"), f"{name}-{own}-predictor"


def _lists(obj: CheckedObject) -> Iterator[tuple[Place, tuple[str, ...]]]:
    """The place of each list whose items must be unique, and the fields that must differ."""
    for places, fields in ((obj.pods, _POD_KEYS), (obj.containers, _CONTAINER_KEYS)):
        for place in places:
            yield from (((*place, key), fields[key]) for key in obj.mapping(*place) if key in fields)


def _check_unique(obj: CheckedObject) -> Iterator[Violation]:
    for place, keys in _lists(obj):
        seen: set[tuple[str, ...]] = set()
        for index, item in enumerate(obj.items(*place)):
            values = [get_at(item, key) or _DEFAULTS.get(key) for key in keys]
            if not all(isinstance(value, str | int) for value in values):
                continue  # the schema reports it
            identity = tuple(str(value) for value in values)
            if identity in seen:
                message = f"is {' '.join(identity)!r}, which an earlier item of this list already has"
                yield Violation(where=(*place, index, keys[0]), message=message)
            seen.add(identity)


def _check_account(obj: CheckedObject) -> Iterator[Violation]:
    for pod in obj.pods:
        account = obj.text(*pod, "serviceAccountName")
        if account and (len(account) > _SUBDOMAIN_MAX or not _SUBDOMAIN.fullmatch(account)):
            message = f"is {account[:80]!r}, which cannot be the name of a ServiceAccount"
            yield Violation(where=(*pod, "serviceAccountName"), message=message)


RULES = (
    Rule(
        id="account-name",
        kinds=KINDS,
        summary="A pod's ServiceAccount has a name that Kubernetes accepts.",
        why="KServe takes any text, and then Kubernetes refuses the pods. The usual cause is a variable such as "
        "`${account}` that nothing replaces.",
        fix="write the name of the ServiceAccount: lower-case letters, digits, hyphens and dots",
        link=issue_url(1543, "fluxcd/kustomize-controller"),
        check=_check_account,
    ),
    Rule(
        id="name-budget",
        covers=("V1b", "L01"),
        summary="The names that KServe builds from the object's name have at most 63 characters.",
        why="KServe builds host labels, Services and revisions from the name, the component and the namespace. It "
        "accepts a name that is too long, and then deploys nothing.",
        fix="give the model a shorter slug in m2g.yaml (models.slugs), or the environment a shorter namespace",
        link=issue_url(4807),
        check=_check_budget,
    ),
    Rule(
        id="names-unique",
        summary="Containers, volumes, variables, ports, mounts and pull secrets are not repeated.",
        why="The API server treats these lists as maps. A duplicate entry is refused, or wins without a warning.",
        fix="remove one of the two",
        link="https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
        check=_check_unique,
        kinds=KINDS,
    ),
)
