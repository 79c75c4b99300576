"""kserve-samples.md: which of KServe's own sample InferenceServices model.yaml can say, from kserve_samples.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import msgspec
import ryaml
from docs._generate.words import table

DATA = Path(__file__).parent / "kserve_samples.yaml"
_PAGE = """# KServe's own samples

KServe has sample InferenceServices for predictive models in
[docs/samples](https://github.com/kserve/kserve/tree/master/docs/samples). This table has every form in which they are
written, from KServe 0.15 to 0.21, and the settings that say the same in `model.yaml`. A test renders each row and
checks the object by all rules.

Three things are in every sample and in no setting, because the registry has them: the format of the model, its
storage URI, and the protocol. KServe's servers for TensorFlow, PyTorch, ONNX, Paddle and PMML cannot read the files as
MLflow lays them out, so m2g serves such a model with MLServer or with an image; the other fields stay the same. The
values are examples.

"""


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One form, and the samples that have it. The fields of `shape` are those of the sample, in KServe's newer form."""

    samples: tuple[str, ...]
    shape: tuple[str, ...]
    mode: Literal["Standard", "Knative"] = "Standard"
    image: bool = False
    """Whether a container of its own serves the model."""
    profile: Literal["auto", "native"] = "auto"
    has: tuple[str, ...] = ()
    """Where the fields are in the object that m2g writes; empty if at the same places."""
    settings: dict[str, object] = {}
    cannot: str = ""
    """Why no settings say it."""


def read() -> tuple[Sample, ...]:
    """The committed facts."""
    return msgspec.convert(ryaml.loads(DATA.read_text()), tuple[Sample, ...])


def page() -> str:
    """The tables of what can be said and of what cannot."""
    known = read()
    said = [(_list(one.samples), _list(one.shape) or "nothing more", _settings(one)) for one in known if not one.cannot]
    unsaid = [(_list(one.samples), _list(one.shape), one.cannot) for one in known if one.cannot]
    return (
        _PAGE
        + table(("samples", "fields", "settings"), said)
        + "\n## What model.yaml cannot say\n\n"
        + table(("samples", "fields", "why"), unsaid)
    )


def _list(texts: tuple[str, ...]) -> str:
    return "<br>".join(f"`{text}`" for text in texts)


def _settings(sample: Sample) -> str:
    lines = [f"`{name}: {_flow(value)}`" for name, value in sample.settings.items()]
    if sample.mode == "Knative":
        lines.append("with `kserve: {mode: Knative}` in m2g.yaml")
    if sample.image:
        lines.append("`profile: mlflow-image`, with the image that `m2g image` recorded")
    return "<br>".join(lines) or "none"


def _flow(value: object) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return json.dumps(value)
