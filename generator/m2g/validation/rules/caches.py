"""TrainedModel and LocalModelCache: what their webhook and their CRD refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.validation.rules.rule import CheckedObject, Rule

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_SCHEMES = ("s3", "gs", "https", "http")


def _check_trained_model(obj: CheckedObject) -> Iterator[Violation]:
    name, uri = obj.text("metadata", "name"), obj.text("spec", "model", "storageUri")
    if name and not _NAME.fullmatch(name):
        message = f"is {name!r}; KServe allows only letters, digits, - and _"
        yield Violation(where=("metadata", "name"), message=message, hint="remove the dots")
    if uri and uri.partition("://")[0] not in _SCHEMES:
        message = f"is {uri[:120]!r}; a TrainedModel reads {', '.join(_SCHEMES)} only"
        yield Violation(where=("spec", "model", "storageUri"), message=message)


def _check_node_groups(obj: CheckedObject) -> Iterator[Violation]:
    if obj.at("spec", "nodeGroups") == []:
        yield Violation(where=("spec", "nodeGroups"), message="is empty", hint="name a LocalModelNodeGroup")


RULES = (
    Rule(
        id="trained-model",
        kinds=("TrainedModel",),
        summary="A TrainedModel has a name without dots and reads s3, gs, http or https.",
        why="KServe's webhook refuses anything else.",
        fix="copy the model to a bucket",
        link="https://kserve.github.io/website/docs/model-serving/predictive-inference/multi-model-serving",
        check=_check_trained_model,
    ),
    Rule(
        id="cache-node-groups",
        kinds=("LocalModelCache",),
        summary="A LocalModelCache names at least one node group.",
        why="The CRD refuses an empty list: the model would be copied to no node.",
        fix="name a LocalModelNodeGroup",
        link="https://kserve.github.io/website/docs/model-serving/generative-inference/modelcache/localmodel",
        check=_check_node_groups,
    ),
)
