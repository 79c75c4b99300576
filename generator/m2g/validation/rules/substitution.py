"""Text that something between Git and the pod takes for its own and replaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.validation.rules.containers import INFERENCE_SERVICE, RUNTIMES, texts
from m2g.validation.rules.rule import ANY, Fault, Rule, Subject

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*[^}$]*\}")
_SWITCH = "kustomize.toolkit.fluxcd.io/substitute"
_ACTION = re.compile(r"\{\{([^{}]*)\}\}")
_KNOWN = re.compile(r"\.(Name|Namespace|(Labels|Annotations)\.[A-Za-z_][A-Za-z0-9_]*)")


def _flux(subject: Subject) -> Iterator[Fault]:
    if not subject.substituted or "${" not in subject.words:
        return
    if any(subject.at("metadata", field, _SWITCH) == "disabled" for field in ("labels", "annotations")):
        return
    for place, text in texts(dict(subject.item)):
        found = _VARIABLE.search(text)
        if found:
            yield Fault(place=place, message=f"has {found[0][:80]}, which Flux replaces before it applies the object")


def _template(subject: Subject) -> Iterator[Fault]:
    for container in subject.containers if "{{" in subject.words else ():
        if subject.at("kind") == INFERENCE_SERVICE and "model" not in container:
            continue  # only what is merged with a runtime is a template
        for place, text in texts(subject.at(*container), container):
            for action in _ACTION.findall(text) or ([""] if "{{" in text else []):
                if not _KNOWN.fullmatch(action.strip("- \t\n")):
                    message = f"has {{{{{action[:80]}}}}}, which KServe's template does not know"
                    yield Fault(place=place, message=message)


RULES = (
    Rule(
        id="flux-variable",
        kinds=ANY,
        summary="Nothing is written like a variable where Flux replaces variables.",
        why="A Flux Kustomization of this repository has postBuild: it replaces ${NAME} in every object by a value of "
        "the cluster or by nothing.",
        fix=f"annotate the object with {_SWITCH}: disabled, or write $${{NAME}}",
        link="https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution",
        check=_flux,
    ),
    Rule(
        id="runtime-template",
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        summary="Double braces in a runtime's container, and in what is merged with it, name something KServe knows.",
        why="KServe takes the container of a ServingRuntime with predictor.model laid over it as a template of the "
        "InferenceService's Name, Namespace, Labels and Annotations. What it cannot read is never deployed.",
        fix="use {{.Name}}, {{.Namespace}}, {{.Labels.key}} or {{.Annotations.key}}, or put the text into a ConfigMap",
        link="https://kserve.github.io/website/docs/concepts/resources/servingruntime",
        check=_template,
    ),
)
