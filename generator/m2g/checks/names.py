"""The names of an InferenceService, and of the hosts that KServe makes of it."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.checks.rule import Fault, Place, Rule, Subject
from m2g.manifest import at
from m2g.naming import LABEL_MAX, is_dns_1035


def _name(subject: Subject) -> Iterator[Fault]:
    name = subject.text("metadata", "name")
    if not is_dns_1035(name):
        yield Fault(place=("metadata", "name"), message=f"{name!r} is not lower-case letters, digits and hyphens")


def _budget(subject: Subject) -> Iterator[Fault]:
    name, namespace = subject.text("metadata", "name"), subject.text("metadata", "namespace")
    hosts: dict[Place, str] = {("metadata", "name"): f"{name}-predictor-{namespace}"}
    for index, canary in enumerate(subject.items("spec", "canary")):
        hosts["spec", "canary", index, "predictor", "name"] = f"{name}-{at(canary, 'predictor', 'name')}-predictor"
    for place, host in hosts.items():
        if len(host) > LABEL_MAX:
            yield Fault(place=place, message=f"{host} is {len(host)} long; a host label has at most {LABEL_MAX}")


RULES = (
    Rule(
        id="name-dns-1035",
        summary="The name starts with a letter and is a host label.",
        fix="give the model another slug in m2g.yaml (models.slugs)",
        check=_name,
        why="KServe's webhook; the name is part of host names",
    ),
    Rule(
        id="name-budget",
        summary="<name>-predictor-<namespace> fits a host label of 63.",
        fix="give the model a shorter slug in m2g.yaml (models.slugs), or the environment a shorter namespace",
        check=_budget,
        why="https://github.com/kserve/kserve/issues/4807",
    ),
)
