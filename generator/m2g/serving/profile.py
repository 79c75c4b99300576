"""How a model is served, chosen from its files, its settings and the runtimes' verdicts, with the reason."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from m2g.compat.verdict import Verdict
from m2g.core.config_types import Profile, Protocol
from m2g.core.finding import Finding, Severity
from m2g.core.model import Mlmodel, Release, Value
from m2g.serving import batch_source
from m2g.serving.spec import RUNTIMES, Chosen, Serving

__all__ = ["PROTOCOLS", "STOCK", "WAITS", "Chosen", "Subject", "base", "chosen", "runtimes"]

STOCK = RUNTIMES["mlserver"]
WAITS = "image-missing"
"""The finding about a version that is served once it has an image."""
PROTOCOLS: Mapping[Profile, Protocol] = {
    "mlserver": "v2",
    "mlserver-image": "v2",
    "mlflow-image": "invocations",
    "native": "v2",
    "huggingface": "v2",
    "oci": "v2",
}
_NATIVE = {"sklearn": "kserve-sklearnserver", "xgboost": "kserve-xgbserver"}
_FILES = {"sklearn": (".pkl", ".pickle", ".joblib"), "xgboost": (".ubj", ".json", ".bst")}
_AS_BOOSTER = ("xgboost.core.Booster", "xgboost.sklearn.XGBRegressor")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")


class Subject(Value, frozen=True, kw_only=True):
    """What decides it. `storage_uri` is empty where no cluster can read the model; `verdicts` are by runtime."""

    release: Release
    serving: Serving
    storage_uri: str
    verdicts: Mapping[str, Verdict] = {}


def runtimes(mlmodel: Mlmodel) -> list[str]:
    """KServe's own runtimes that could load the model as it was saved: those whose verdict is wanted."""
    native = _native(mlmodel)
    return [STOCK] if native is None else [STOCK, _NATIVE[native]]


def chosen(subject: Subject) -> tuple[Chosen, list[Finding]]:
    """The profile of one release. With findings it was asked for and cannot be; each says the way out."""
    asked = subject.serving.profile
    profile, reason = (asked, "set by the setting profile") if asked != "auto" else _automatic(subject)
    runtime = _runtime(profile, subject)
    image, model = batch_source.source(subject.release, subject.serving, subject.storage_uri)
    made = Chosen(
        profile=profile,
        protocol=PROTOCOLS[profile],
        reason=sys.intern(reason),
        verdict=subject.verdicts.get(runtime),
        runtime=runtime,
        model_format=_format(profile, subject),
        image=_image(profile, subject) if profile.endswith("-image") else "",
        storage_uri=_uri(profile, subject),
        batch_image=image,
        batch_model=model,
    )
    waits = profile if profile.endswith("-image") and not made.image else ""
    if not waits and subject.serving.batch is not None and not image:
        waits = "mlflow-image"
    made = msgspec.structs.replace(made, waits_for=waits)
    return made, [*_CHECKS[profile](made, subject), *batch_source.unfit(made, subject.release, subject.serving)]


def base(serving: Serving) -> Profile:
    """The profile of the base, which knows no release: what settings alone say."""
    if serving.profile != "auto":
        return serving.profile
    if serving.image:
        return "mlserver-image" if serving.image_server == "mlserver" else "mlflow-image"
    return "mlserver"


def _automatic(subject: Subject) -> tuple[Profile, str]:
    for rule in _RULES:
        found = rule(subject)
        if found is not None:
            return found
    stock = subject.verdicts.get(STOCK)
    if stock is None:
        return "mlserver", f"nothing speaks against {STOCK}"
    why = f": {stock.reasons[0].text}" if stock.reasons else ""
    if stock.answer == "fails":
        return "mlserver", f"nothing else serves it as it was saved, but {STOCK} does not load it{why}"
    return "mlserver", f"{STOCK} may load it{why}"


def _by_image(subject: Subject) -> tuple[Profile, str] | None:
    if subject.serving.image:
        return base(subject.serving), f"image is set, and imageServer is {subject.serving.image_server or 'mlflow'}"
    return None


def _by_build(subject: Subject) -> tuple[Profile, str] | None:
    image, stock = subject.release.image, subject.verdicts.get(STOCK)
    if image is None:
        return None
    if PROTOCOLS[image.profile] != "v2" and stock is not None and stock.answer != "fails":
        # It may be a batch's, or another environment's: that callers must ask otherwise is a person's decision.
        return None
    return image.profile, "an image was built for this version"


def _by_runtime(subject: Subject) -> tuple[Profile, str] | None:
    return ("mlserver", f"runtime is set to {subject.serving.runtime}") if subject.serving.runtime else None


def _by_reference(subject: Subject) -> tuple[Profile, str] | None:
    if subject.storage_uri.startswith("hf://"):
        return "huggingface", "the model is at the Hugging Face hub"
    mlmodel = subject.release.mlmodel
    if mlmodel is not None and mlmodel.source_model:
        return "huggingface", f"transformers saved a reference: {mlmodel.source_model.partition('@')[0]}"
    return ("oci", "the model is an OCI image") if subject.storage_uri.startswith("oci://") else None


def _by_verdict(subject: Subject) -> tuple[Profile, str] | None:
    stock = subject.verdicts.get(STOCK)
    if stock is None or stock.answer == "serves":
        return None if stock is None else ("mlserver", f"{STOCK} loads it")
    native = _native(subject.release.mlmodel)
    verdict = subject.verdicts.get(_NATIVE[native]) if native else None
    if stock.answer == "fails" and verdict is not None and verdict.answer == "serves":
        why = f" ({stock.reasons[0].text})" if stock.reasons else ""
        return "native", f"{verdict.runtime} loads the saved file, {STOCK} does not{why}"
    return None


_RULES: Sequence[Callable[[Subject], tuple[Profile, str] | None]] = (
    _by_image,
    _by_runtime,
    _by_build,
    _by_reference,
    _by_verdict,
)
"""What `auto` looks at, in order; the first that has an answer decides."""


def _native(mlmodel: Mlmodel | None) -> str | None:
    """The flavor whose saved file a native server reads as it is, and answers for as pyfunc does; None for none."""
    if mlmodel is None or mlmodel.code or mlmodel.predict_fn:
        return None
    for flavor in mlmodel.flavors:
        # xgbserver asks a Booster: for a classifier that is a probability, where pyfunc gives the class; and it takes
        # the .json files of an input example for models, of which it wants one.
        alone = not mlmodel.has_example
        same = flavor.name != "xgboost" or (flavor.model_class in _AS_BOOSTER and alone)
        if same and flavor.name in _FILES and flavor.file.endswith(_FILES[flavor.name]) and "/" not in flavor.file:
            return flavor.name
    return None


def _runtime(profile: Profile, subject: Subject) -> str:
    if profile.endswith("-image"):
        return ""
    native = _NATIVE.get(_native(subject.release.mlmodel) or "", "")
    return subject.serving.runtime or RUNTIMES.get(profile, native)


def _format(profile: Profile, subject: Subject) -> str:
    if profile == "native":
        return _native(subject.release.mlmodel) or ""
    return {"huggingface": "huggingface", "mlflow-image": ""}.get(profile, "mlflow")


def _image(profile: Profile, subject: Subject) -> str:
    """A person's image first, then the one that was built for this profile."""
    built = subject.release.image
    if subject.serving.image or built is None or built.profile != profile:
        return subject.serving.image
    return built.name


def _uri(profile: Profile, subject: Subject) -> str:
    """The storage URI; for a saved reference, what it refers to."""
    mlmodel = subject.release.mlmodel
    if profile == "huggingface" and not subject.storage_uri.startswith("hf://") and mlmodel is not None:
        return f"hf://{mlmodel.source_model.replace('@', ':')}" if mlmodel.source_model else ""
    return "" if profile == "mlflow-image" else subject.storage_uri


def _anything(_made: Chosen, _subject: Subject) -> Iterator[Finding]:
    return iter(())


def _with_image(made: Chosen, subject: Subject) -> Iterator[Finding]:
    if made.image:
        return
    release = subject.release
    built = f"; the one that was built is for {release.image.profile}" if release.image is not None else ""
    yield Finding(
        rule="image-missing",
        severity=Severity.WARNING,  # it waits: CI builds the image once the setting is merged
        message=f"version {release.version} has no image for the profile {made.profile} yet{built}",
        hint=f"`m2g image {shlex.quote(release.model)} --env {release.environment} -o DIR` writes what builds it, and "
        "--record notes it; or set image in model.yaml",
    )


def _as_saved(made: Chosen, subject: Subject) -> Iterator[Finding]:
    if made.model_format:
        return
    yield _unfit(
        made,
        "no native server reads what was saved and answers as MLflow does: it needs one pickle of scikit-learn without "
        "own code that is asked by predict, or a regressor or Booster of XGBoost as .ubj without input example",
        "log the model again (scikit-learn: serialization_format='cloudpickle'), or set profile: mlflow-image",
    )


def _at_the_hub(made: Chosen, subject: Subject) -> Iterator[Finding]:
    if not made.storage_uri:
        yield _unfit(
            made,
            "the model is no reference to the Hugging Face hub",
            "log it with mlflow.transformers.log_model(…, save_pretrained=False), or register hf://owner/model:commit",
        )
    elif not _COMMIT.fullmatch(made.storage_uri.rpartition(":")[2]):
        yield Finding(
            rule="model-not-pinned",
            message=f"{made.storage_uri[:200]} names no commit: what is served changes without one here",
            hint="register hf://owner/model:<the 40 digits of a commit>, as its page at the hub says",
        )


def _in_a_registry(made: Chosen, subject: Subject) -> Iterator[Finding]:
    if not made.storage_uri.startswith("oci://"):
        yield _unfit(
            made,
            f"the model is at {made.storage_uri[:200] or 'no place that a cluster reads'}, which is no OCI image",
            "push it as an OCI image and register or rewrite it (storage.rewrites) to oci://name@sha256:…",
        )
    elif not _DIGEST.search(made.storage_uri):
        yield Finding(
            rule="model-not-pinned",
            message=f"{made.storage_uri[:200]} names no digest: what is served changes without a commit",
            hint="register oci://registry/name@sha256:…; `crane digest registry/name:tag` prints it",
        )


def _unfit(made: Chosen, message: str, hint: str) -> Finding:
    return Finding(rule="profile-unfit", path="profile", message=f"the profile {made.profile}: {message}", hint=hint)


_CHECKS: Mapping[Profile, Callable[[Chosen, Subject], Iterator[Finding]]] = {
    "mlserver": _anything,
    "mlserver-image": _with_image,
    "mlflow-image": _with_image,
    "native": _as_saved,
    "huggingface": _at_the_hub,
    "oci": _in_a_registry,
}
