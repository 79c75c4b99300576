"""Text that Flux or KServe treats as its own template syntax and replaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import INFERENCE_SERVICE, RUNTIMES, texts
from m2g.validation.rules.rule import ANY, CheckedObject, Rule

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*[^}$]*\}")
_SWITCH = "kustomize.toolkit.fluxcd.io/substitute"
_ACTION = re.compile(r"\{\{([^{}]*)\}\}")
_FIELD = r"\.(?:Name|Namespace|(?:Labels|Annotations)(?:\.[A-Za-z_][A-Za-z0-9_]*)?)"
_FUNCTION = r"(?:len|index|slice|printf?|println|html|js|urlquery|and|or|not|eq|ne|lt|le|gt|ge)"
_KNOWN = re.compile(
    rf"(?:{_FUNCTION}\s+)?{_FIELD}(?:\s+(?:{_FIELD}|`[^`]*`|[0-9]+))*|{_FUNCTION}\s+`[^`]*`(?:\s+{_FIELD})*"
)
"""Go's own functions on these fields. A text in quotes is not among them: KServe parses the container as JSON."""


def _check_flux(obj: CheckedObject) -> Iterator[Violation]:
    if not obj.substituted or "${" not in obj.all_text:
        return
    if any(obj.at("metadata", field, _SWITCH) == "disabled" for field in ("labels", "annotations")):
        return
    for place, text in texts(dict(obj.manifest)):
        variable = _VARIABLE.search(text)
        if variable:
            message = f"contains {variable[0][:80]}, which Flux replaces before it applies the object"
            yield Violation(where=place, message=message)


def _check_template(obj: CheckedObject) -> Iterator[Violation]:
    for container in obj.containers if "{{" in obj.all_text else ():
        if obj.at("kind") == INFERENCE_SERVICE and "model" not in container:
            continue  # only what KServe merges with a runtime is a template
        for place, text in texts(obj.at(*container), container):
            for action in _ACTION.findall(text) or ([""] if "{{" in text else []):
                if not _KNOWN.fullmatch(action.strip("- \t\n")):
                    message = f"contains {{{{{action[:80]}}}}}, which KServe's template does not support"
                    yield Violation(where=place, message=message)


RULES = (
    Rule(
        id="flux-variable",
        kinds=ANY,
        summary="No text looks like a variable where Flux replaces variables.",
        why="A Flux Kustomization of this repository has postBuild: Flux replaces ${NAME} in every object with a value "
        "from the cluster, or with nothing.",
        fix=f"annotate the object with {_SWITCH}: disabled, or write $${{NAME}}",
        link="https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution",
        check=_check_flux,
    ),
    Rule(
        id="runtime-template",
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        summary="Double braces in a runtime's container name a field that KServe supports.",
        why="KServe merges predictor.model into the container of a ServingRuntime and reads the result as a template "
        "with the InferenceService's Name, Namespace, Labels and Annotations. If that fails, nothing is deployed.",
        fix="use {{.Name}}, {{.Namespace}}, {{.Labels.key}} or {{.Annotations.key}}, or move the text to a ConfigMap",
        link="https://kserve.github.io/website/docs/concepts/resources/servingruntime",
        check=_check_template,
    ),
)
