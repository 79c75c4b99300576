"""Choose how KServe serves a model, from its files, its settings and the runtimes' verdicts, with the reason."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from m2g.compat.check import explain_no_image
from m2g.compat.signature import explain_no_answer
from m2g.compat.verdict import Verdict
from m2g.core.finding import Finding, Severity
from m2g.core.model import Mlmodel, Profile, Protocol, Release, Value
from m2g.core.sanitize import make_visible
from m2g.serving import batch_source
from m2g.serving.spec import RUNTIMES, Serving, ServingChoice, write_redecide_command

__all__ = [
    "IMAGE_MISSING",
    "PROTOCOLS",
    "STOCK_RUNTIME",
    "ProfileInput",
    "ServingChoice",
    "check_recorded",
    "choose_base_profile",
    "choose_profile",
    "list_candidates",
]

STOCK_RUNTIME = RUNTIMES["mlserver"]
IMAGE_MISSING = "image-missing"
"""The finding for a version that can be served as soon as it has an image."""
PROTOCOLS: Mapping[Profile, Protocol] = {
    "mlserver": "v2",
    "mlserver-image": "v2",
    "mlflow-image": "invocations",
    "native": "v2",
    "huggingface": "v2",
    "oci": "v2",
}
_BY_SETTING = "set by the setting profile"
_NATIVE = {"sklearn": "kserve-sklearnserver", "xgboost": "kserve-xgbserver"}
_FILES = {"sklearn": (".pkl", ".pickle", ".joblib"), "xgboost": (".ubj", ".json", ".bst")}
_AS_BOOSTER = ("xgboost.core.Booster", "xgboost.sklearn.XGBRegressor")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")


class ProfileInput(Value, frozen=True, kw_only=True):
    """What the choice depends on. `storage_uri` is empty if no cluster can read it; `verdicts` are by runtime."""

    release: Release
    serving: Serving
    storage_uri: str
    verdicts: Mapping[str, Verdict] = {}


def list_candidates(mlmodel: Mlmodel) -> list[str]:
    """KServe's own runtimes that could load the model as it was saved."""
    native = _native(mlmodel)
    return [STOCK_RUNTIME] if native is None else [STOCK_RUNTIME, _NATIVE[native]]


def choose_profile(inputs: ProfileInput) -> tuple[ServingChoice, list[Finding]]:
    """The profile of one release, with findings if the release cannot be served like that."""
    recorded = inputs.release.serving if inputs.serving.is_automatic else None
    profile, reason = inputs.serving.profile, _BY_SETTING
    if recorded is not None:
        profile, reason = recorded.profile, recorded.reason
    elif profile == "auto":
        profile, reason = _choose_automatically(inputs)
    runtime = _runtime(profile, inputs)
    image, model = batch_source.find_source(inputs.release, inputs.serving, inputs.storage_uri)
    choice = ServingChoice(
        profile=profile,
        protocol=PROTOCOLS[profile],
        reason=sys.intern(reason),
        verdict=inputs.verdicts.get(runtime),
        runtime=runtime,
        model_format=_format(profile, inputs),
        image=_image(profile, inputs) if profile.endswith("-image") else "",
        storage_uri=_uri(profile, inputs),
        batch_image=image,
        batch_model=model,
    )
    waits_for = profile if profile.endswith("-image") and not choice.image else ""
    if not waits_for and inputs.serving.batch is not None and not image:
        waits_for = "mlflow-image"
    choice = msgspec.structs.replace(choice, waits_for=waits_for)
    findings = (
        *check_recorded(inputs.release, inputs.serving, choice),
        *_CHECKS[profile](choice, inputs),
        *batch_source.check_batch(choice, inputs.release, inputs.serving),
    )
    return choice, list(findings)


def choose_base_profile(serving: Serving) -> Profile:
    """The profile of the base, which does not depend on a release: only the settings decide."""
    if serving.profile != "auto":
        return serving.profile
    if serving.image:
        return "mlserver-image" if serving.image_server == "mlserver" else "mlflow-image"
    return "mlserver"


def _choose_automatically(inputs: ProfileInput) -> tuple[Profile, str]:
    for rule in _RULES:
        choice = rule(inputs)
        if choice is not None:
            return choice
    stock = inputs.verdicts.get(STOCK_RUNTIME)
    if stock is None:
        return "mlserver", f"no reason is known why {STOCK_RUNTIME} should not load it"
    why = f": {stock.reasons[0].text}" if stock.reasons else ""
    if stock.answer == "fails":
        return "mlserver", f"no other server loads it as it was saved, but {STOCK_RUNTIME} does not load it{why}"
    return "mlserver", f"{STOCK_RUNTIME} may load it{why}"


def check_recorded(release: Release, serving: Serving, choice: ServingChoice) -> Iterator[Finding]:
    """Whether the record has what `auto` never decides: somebody edited it."""
    recorded = release.serving if serving.is_automatic else None
    if recorded is None or (recorded.protocol, recorded.runtime) == (choice.protocol, choice.runtime):
        return
    yield Finding(
        rule="serving-forbidden",
        message=f"its record says {recorded.protocol} by {make_visible(recorded.runtime, 100) or 'an image'}, which "
        f"auto never decides for the profile {choice.profile}",
        hint=f"decide it again: {write_redecide_command(release)}",
    )


def _by_image(inputs: ProfileInput) -> tuple[Profile, str] | None:
    if inputs.serving.image:
        server = inputs.serving.image_server or "mlflow"
        return choose_base_profile(inputs.serving), f"image is set, and imageServer is {server}"
    return None


def _by_build(inputs: ProfileInput) -> tuple[Profile, str] | None:
    image, stock = inputs.release.image, inputs.verdicts.get(STOCK_RUNTIME)
    if image is None:
        return None
    if PROTOCOLS[image.profile] != "v2" and stock is not None and stock.answer != "fails":
        # The image may be for a batch or another environment. Another protocol for callers must be set by people.
        return None
    return image.profile, "an image was built for this version"


def _by_runtime(inputs: ProfileInput) -> tuple[Profile, str] | None:
    return ("mlserver", f"runtime is set to {inputs.serving.runtime}") if inputs.serving.runtime else None


def _by_reference(inputs: ProfileInput) -> tuple[Profile, str] | None:
    if inputs.storage_uri.startswith("hf://"):
        return "huggingface", "the model is on the Hugging Face hub"
    mlmodel = inputs.release.mlmodel
    if mlmodel is not None and mlmodel.source_model:
        return "huggingface", f"the model is a reference to the hub: {mlmodel.source_model.partition('@')[0]}"
    return ("oci", "the model is an OCI image") if inputs.storage_uri.startswith("oci://") else None


def _by_verdict(inputs: ProfileInput) -> tuple[Profile, str] | None:
    stock = inputs.verdicts.get(STOCK_RUNTIME)
    if stock is None or stock.answer == "serves":
        return None if stock is None else ("mlserver", f"{STOCK_RUNTIME} loads it")
    native = _native(inputs.release.mlmodel)
    verdict = inputs.verdicts.get(_NATIVE[native]) if native else None
    if stock.answer == "fails" and verdict is not None and verdict.answer == "serves":
        why = f" ({stock.reasons[0].text})" if stock.reasons else ""
        return "native", f"{verdict.runtime} loads the saved file, {STOCK_RUNTIME} does not{why}"
    return None


def _by_own_image(inputs: ProfileInput) -> tuple[Profile, str] | None:
    """The stock runtime does not load it: an image with the version's own packages does, as soon as it is built."""
    stock, mlmodel = inputs.verdicts.get(STOCK_RUNTIME), inputs.release.mlmodel
    if inputs.release.schema == 1 or mlmodel is None or stock is None or stock.answer != "fails":
        return None
    if explain_no_image(mlmodel, inputs.serving.limits) is not None:
        return None
    no_answer = explain_no_answer(mlmodel)
    if no_answer is not None:
        return "mlflow-image", f"no MLServer answers for it ({no_answer.text}), but MLflow's own server does"
    why = f" ({stock.reasons[0].text})" if stock.reasons else ""
    return "mlserver-image", f"{STOCK_RUNTIME} does not load it{why}, but MLServer in an image with its packages does"


_RULES: Sequence[Callable[[ProfileInput], tuple[Profile, str] | None]] = (
    _by_image,
    _by_runtime,
    _by_build,
    _by_reference,
    _by_verdict,
    _by_own_image,
)
"""How `auto` chooses: the first rule that returns a profile decides."""


def _native(mlmodel: Mlmodel | None) -> str | None:
    """The flavor whose saved file one of KServe's native servers loads, with the same answers as pyfunc; else None."""
    if mlmodel is None or mlmodel.code or mlmodel.predict_fn:
        return None
    for flavor in mlmodel.flavors:
        # xgbserver calls a Booster: for a classifier it returns a probability, while pyfunc returns the class. And it
        # loads every .json file as a model, also those of an input example, and refuses more than one.
        alone = not mlmodel.has_example
        same = flavor.name != "xgboost" or (flavor.model_class in _AS_BOOSTER and alone)
        if same and flavor.name in _FILES and flavor.file.endswith(_FILES[flavor.name]) and "/" not in flavor.file:
            return flavor.name
    return None


def _runtime(profile: Profile, inputs: ProfileInput) -> str:
    if profile.endswith("-image"):
        return ""
    native = _NATIVE.get(_native(inputs.release.mlmodel) or "", "")
    return inputs.serving.runtime or RUNTIMES.get(profile, native)


def _format(profile: Profile, inputs: ProfileInput) -> str:
    if profile == "native":
        return _native(inputs.release.mlmodel) or ""
    return {"huggingface": "huggingface", "mlflow-image": ""}.get(profile, "mlflow")


def _image(profile: Profile, inputs: ProfileInput) -> str:
    """The setting `image`, otherwise the image that was built for this profile."""
    built = inputs.release.image
    if inputs.serving.image or built is None or built.profile != profile:
        return inputs.serving.image
    return built.name


def _uri(profile: Profile, inputs: ProfileInput) -> str:
    """The storage URI. For a saved reference, the URI of its target."""
    mlmodel = inputs.release.mlmodel
    if profile == "huggingface" and not inputs.storage_uri.startswith("hf://") and mlmodel is not None:
        return f"hf://{mlmodel.source_model.replace('@', ':')}" if mlmodel.source_model else ""
    return "" if profile == "mlflow-image" else inputs.storage_uri


def _check_nothing(_choice: ServingChoice, _inputs: ProfileInput) -> Iterator[Finding]:
    return iter(())


def _check_image(choice: ServingChoice, inputs: ProfileInput) -> Iterator[Finding]:
    mlmodel = inputs.release.mlmodel
    refused = explain_no_answer(mlmodel) if choice.profile == "mlserver-image" and mlmodel is not None else None
    if refused is not None:
        yield _unfit(choice, refused.text, refused.fix)
    elif not choice.image:
        yield _explain_missing_image(choice, inputs.release)


def _explain_missing_image(choice: ServingChoice, release: Release) -> Finding:
    built = f"; the image that was built is for {release.image.profile}" if release.image is not None else ""
    why = "" if choice.reason == _BY_SETTING else f": {choice.reason}"
    return Finding(
        rule="image-missing",
        severity=Severity.WARNING,  # not an error: CI builds the image after the setting is merged
        message=f"version {release.version} waits for an image for the profile {choice.profile}{built}{why}",
        hint=f"build one: m2g image {shlex.quote(release.model)} --env {release.environment} -o DIR (then record it "
        "with --record), or set image in model.yaml",
    )


def _check_native(choice: ServingChoice, inputs: ProfileInput) -> Iterator[Finding]:
    if choice.model_format:
        return
    yield _unfit(
        choice,
        "no native server loads the saved file with the same answers as MLflow. A native server needs one "
        "scikit-learn pickle without custom code that is called by predict, or an XGBoost regressor or Booster as .ubj "
        "without an input example",
        "log the model again (scikit-learn: serialization_format='cloudpickle'), or set profile: mlflow-image",
    )


def _check_huggingface(choice: ServingChoice, inputs: ProfileInput) -> Iterator[Finding]:
    if not choice.storage_uri:
        yield _unfit(
            choice,
            "the model is not a reference to the Hugging Face hub",
            "log it with mlflow.transformers.log_model(…, save_pretrained=False), or register hf://owner/model:commit",
        )
    elif not _COMMIT.fullmatch(choice.storage_uri.rpartition(":")[2]):
        yield Finding(
            rule="model-not-pinned",
            message=f"{choice.storage_uri[:200]} has no commit: the model can change without a change in Git",
            hint="register hf://owner/model:COMMIT with the 40 digits of a commit from the model's page on the hub",
        )


def _check_oci(choice: ServingChoice, inputs: ProfileInput) -> Iterator[Finding]:
    if not choice.storage_uri.startswith("oci://"):
        where = f"at {choice.storage_uri[:200]}" if choice.storage_uri else "where no cluster can read it"
        yield _unfit(
            choice,
            f"the model is {where}, not in an OCI image",
            "push it as an OCI image and register oci://REGISTRY/NAME@sha256:… (or map to it by storage.rewrites)",
        )
    elif not _DIGEST.search(choice.storage_uri):
        yield Finding(
            rule="model-not-pinned",
            message=f"{choice.storage_uri[:200]} has no digest: the model can change without a change in Git",
            hint="register oci://REGISTRY/NAME@sha256:…; print the digest with: crane digest REGISTRY/NAME:TAG",
        )


def _unfit(choice: ServingChoice, message: str, hint: str) -> Finding:
    return Finding(rule="profile-unfit", path="profile", message=f"the profile {choice.profile}: {message}", hint=hint)


_CHECKS: Mapping[Profile, Callable[[ServingChoice, ProfileInput], Iterator[Finding]]] = {
    "mlserver": _check_nothing,
    "mlserver-image": _check_image,
    "mlflow-image": _check_image,
    "native": _check_native,
    "huggingface": _check_huggingface,
    "oci": _check_oci,
}
