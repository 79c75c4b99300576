"""Which profile a model gets, why, and that what is written for it is right for every KServe."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.compat.verdict import Reason, Verdict
from m2g.core import manifest, process
from m2g.core.config_types import Kserve
from m2g.core.finding import Finding, Severity
from m2g.core.model import Flavor, Image, Mlmodel, ModelVersion, Release, VersionFacts
from m2g.report.render import render_text
from m2g.repository import records as releases
from m2g.serving import profile
from m2g.serving.profile import ProfileInput
from m2g.serving.spec import Serving, ServingChoice
from tests.support.fleet import FakeRegistry, model, release, repository, run, tree, write_record

DIGEST = "@sha256:" + "5f" * 32
COMMIT = "0c" * 20
STOCK, SKLEARN, XGBOOST = "kserve-mlserver", "kserve-sklearnserver", "kserve-xgbserver"
PICKLE = Flavor(name="sklearn", version="1.5.2", serialization_format="cloudpickle", file="model.pkl")
SKOPS = Flavor(name="sklearn", version="1.9.1", serialization_format="skops", file="model.skops")
UBJ = Flavor(name="xgboost", version="3.2.0", file="model.ubj", model_class="xgboost.sklearn.XGBRegressor")
PROPHET = Flavor(name="prophet", version="1.1.5")
TRANSFORMERS = Flavor(name="transformers", version="4.57.1")


def saved(*flavors: Flavor, **more: object) -> Mlmodel:
    made = Mlmodel(sha256="0" * 64, flavors=(Flavor(name="python_function"), *flavors), mlflow_version="3.17.2")
    return msgspec.structs.replace(made, **more)


def says(runtime: str, answer: str, text: str = "") -> Verdict:
    return msgspec.convert({"answer": answer, "runtime": runtime, "reasons": [{"text": text}] if text else []}, Verdict)


def choose(
    record: Release, serving: Serving | None = None, uri: str = "s3://b/m/", *verdicts: Verdict
) -> tuple[ServingChoice, list[Finding]]:
    asked = serving or Serving(kserve=Kserve())
    return profile.choose_profile(
        ProfileInput(release=record, serving=asked, storage_uri=uri, verdicts={v.runtime: v for v in verdicts})
    )


def serving(**settings: object) -> Serving:
    return msgspec.structs.replace(Serving(kserve=Kserve()), **settings)


FAILS = says(STOCK, "fails", "mlflow 2.19 cannot read skops")


@pytest.mark.parametrize(
    ("record", "asked", "uri", "verdicts", "wanted", "because"),
    [
        (release(), {}, "s3://b/m/", [says(STOCK, "serves")], "mlserver", f"{STOCK} loads it"),
        (release(), {}, "s3://b/m/", [], "mlserver", "no reason is known why"),
        (release(), {}, "s3://b/m/", [says(STOCK, "unknown", "Python")], "mlserver", f"{STOCK} may load it: Python"),
        (release(mlmodel=saved(SKOPS)), {}, "s3://b/m/", [FAILS], "mlserver", "cannot read skops"),
        (
            release(mlmodel=saved(PICKLE)),
            {},
            "s3://b/m/",
            [says(STOCK, "fails", "Python 3.10"), says(SKLEARN, "serves")],
            "native",
            f"{SKLEARN} loads the saved file, {STOCK} does not (Python 3.10)",
        ),
        (
            release(mlmodel=saved(UBJ)),
            {},
            "s3://b/m/",
            [says(STOCK, "fails"), says(XGBOOST, "serves")],
            "native",
            XGBOOST,
        ),
        # xgbserver would take the example's files for models.
        *(
            (
                release(mlmodel=saved(UBJ, **example)),
                {},
                "s3://b/m/",
                [says(STOCK, "fails"), says(XGBOOST, "serves")],
                "mlserver",
                "does not load it",
            )
            for example in ({"example": '{"inputs":[[1.0]]}'}, {"with_example": True})
        ),
        # A file that a native server reads, with code of its own that it does not have.
        (
            release(mlmodel=saved(PICKLE, code=True)),
            {},
            "s3://b/m/",
            [says(STOCK, "fails"), says(SKLEARN, "serves")],
            "mlserver",
            "does not load it",
        ),
        (release(), {"image": "r/x" + DIGEST}, "", [], "mlflow-image", "image is set"),
        (
            release(),
            {"image": "r/x" + DIGEST, "image_server": "mlserver"},
            "s3://b/m/",
            [],
            "mlserver-image",
            "image is",
        ),
        (
            release(image=Image(name="r/x" + DIGEST, profile="mlserver-image")),
            {},
            "s3://b/m/",
            [says(STOCK, "serves")],
            "mlserver-image",
            "an image was built for this version",
        ),
        # Another protocol is a person's decision: the image may be there for a batch.
        *(
            (
                release(image=Image(name="r/x" + DIGEST, profile="mlflow-image")),
                {},
                "s3://b/m/",
                [says(STOCK, answer, "why")],
                wanted,
                because,
            )
            for answer, wanted, because in (
                ("serves", "mlserver", f"{STOCK} loads it"),
                ("unknown", "mlserver", f"{STOCK} may load it"),
                ("fails", "mlflow-image", "an image was built for this version"),
            )
        ),
        (release(), {"runtime": "ours"}, "s3://b/m/", [], "mlserver", "runtime is set to ours"),
        (
            release(image=Image(name="r/x" + DIGEST, profile="mlflow-image")),
            {"runtime": "ours"},
            "s3://b/m/",
            [],
            "mlserver",
            "runtime is set to ours",
        ),
        (release(), {}, f"hf://a/b:{COMMIT}", [], "huggingface", "Hugging Face hub"),
        (
            release(mlmodel=saved(TRANSFORMERS, source_model=f"a/b@{COMMIT}")),
            {},
            "s3://b/m/",
            [says(STOCK, "serves")],
            "huggingface",
            "a reference to the hub: a/b",
        ),
        (release(), {}, "oci://r/x" + DIGEST, [], "oci", "OCI image"),
    ],
)
def test_auto_takes_what_fits_and_says_why(
    record: Release, asked: dict[str, object], uri: str, verdicts: list[Verdict], wanted: str, because: str
) -> None:
    made, findings = choose(record, serving(**asked), uri, *verdicts)
    assert (made.profile, findings) == (wanted, [])
    assert because in made.reason
    assert made.protocol == ("invocations" if wanted == "mlflow-image" else "v2")


@pytest.mark.parametrize(
    ("record", "asked", "uri", "rule", "way_out"),
    [
        (release(), "mlserver-image", "s3://b/m/", "image-missing", "m2g image wine --env prod -o DIR"),
        (release(), "mlflow-image", "", "image-missing", "--record"),
        (
            release(image=Image(name="r/x" + DIGEST, profile="mlserver-image")),
            "mlflow-image",
            "",
            "image-missing",
            "m2g image",
        ),
        (release(mlmodel=saved(SKOPS)), "native", "s3://b/m/", "profile-unfit", "cloudpickle"),
        (
            release(mlmodel=saved(PICKLE, predict_fn="predict_proba")),
            "native",
            "s3://b/m/",
            "profile-unfit",
            "cloudpickle",
        ),
        (
            release(mlmodel=saved(msgspec.structs.replace(UBJ, model_class="xgboost.sklearn.XGBClassifier"))),
            "native",
            "s3://b/m/",
            "profile-unfit",
            "mlflow-image",
        ),
        (release(mlmodel=None), "native", "s3://b/m/", "profile-unfit", "cloudpickle"),
        (release(), "huggingface", "s3://b/m/", "profile-unfit", "save_pretrained=False"),
        (release(), "huggingface", "hf://a/b", "model-not-pinned", "40 digits"),
        (release(), "huggingface", "hf://a/b:main", "model-not-pinned", "40 digits"),
        (release(), "oci", "s3://b/m/", "profile-unfit", "oci://REGISTRY/NAME@sha256"),
        (release(), "oci", "oci://r/x:1.0", "model-not-pinned", "crane digest"),
        (release(mlmodel=saved(PROPHET)), "mlserver-image", "", "profile-unfit", "mlflow-image"),
        (
            release(mlmodel=saved(PROPHET), image=Image(name="r/x" + DIGEST, profile="mlserver-image")),
            "mlserver-image",
            "",
            "profile-unfit",
            "mlflow-image",
        ),
    ],
)
def test_a_profile_that_cannot_be_is_a_finding_with_the_way_out(
    record: Release, asked: str, uri: str, rule: str, way_out: str
) -> None:
    made, findings = choose(record, serving(profile=asked), uri)
    assert made.profile == asked
    assert [finding.rule for finding in findings] == [rule]
    assert way_out in findings[0].hint


def test_a_reason_is_told_by_the_first_of_the_verdict() -> None:
    verdict = Verdict(answer="fails", runtime=STOCK, reasons=(Reason(text="one"), Reason(text="two")))
    made, _ = choose(release(), None, "s3://b/m/", verdict)
    assert made.verdict == verdict
    assert "one" in made.reason
    assert "two" not in made.reason


VERSIONS = ("0.15", "0.16", "0.17", "0.18", "0.19", "0.20", "0.21")
FLEET: dict[str, dict[str, object]] = {
    "stock": {"mlmodel": saved(PICKLE)},
    "own-runtime": {"image": Image(name="r.test/x" + DIGEST, profile="mlserver-image")},
    "own-server": {"image": Image(name="r.test/x" + DIGEST, profile="mlflow-image")},
    "pickle": {"mlmodel": saved(PICKLE)},
    "trees": {"mlmodel": saved(UBJ)},
    "words": {"mlmodel": saved(TRANSFORMERS, source_model=f"a/b@{COMMIT}")},
    "hub": {"mlmodel": None, "artifact_uri": f"hf://a/b:{COMMIT}"},
    "packed": {"mlmodel": None, "artifact_uri": "oci://r.test/m" + DIGEST},
}


@pytest.mark.slow
def test_every_profile_is_valid_for_every_kserve_in_both_modes(tmp_path: Path, kustomize: Path) -> None:
    places = [(version, mode) for version in VERSIONS for mode in ("Standard", "Knative")]
    environments = {
        f"e{index}": {"namespace": f"models-e{index}", "kserve": {"version": version, "mode": mode}}
        for index, (version, mode) in enumerate(places)
    }
    config = {"version": 1, "registry": {"uri": "http://mlflow.test"}, "environments": environments}
    root = repository(tmp_path, msgspec.json.encode(config).decode())
    for slug, changes in FLEET.items():
        for environment in environments:
            write_record(root, slug, msgspec.structs.replace(release(slug, environment), **changes))
    for slug in ("pickle", "trees"):
        (root / f"models/{slug}/model.yaml").write_text("settings: {profile: native}\n")
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True))
    assert outcome.findings == ()
    report = validate(root, ValidateOptions())
    assert [finding for finding in report.findings if finding.severity == "error"] == []
    assert report.checked.objects == len(places) * (len(FLEET) + 1)
    for slug, (runtime, format_) in {
        "stock": (STOCK, "mlflow"),
        "own-runtime": ("own-runtime-mlserver", "mlflow"),
        "pickle": (SKLEARN, "sklearn"),
        "trees": (XGBOOST, "xgboost"),
        "words": ("kserve-huggingfaceserver", "huggingface"),
        "packed": (STOCK, "mlflow"),
    }.items():
        item = built(kustomize, root, f"models/{slug}/overlays/e1")["InferenceService"]
        place = ("spec", "predictor", "model")
        assert manifest.get_at(item, *place, "runtime") == runtime
        assert manifest.get_at(item, *place, "modelFormat", "name") == format_
        assert manifest.get_at(item, *place, "protocolVersion") == "v2"


def built(kustomize: Path, root: Path, folder: str) -> dict[str, manifest.Manifest]:
    done = process.run([str(kustomize), "build", str(root / folder)])
    assert done.code == 0, done.stderr
    objects = manifest.read_all(done.stdout.decode())
    return {str(item["kind"]): item for item in objects if isinstance(item, dict)}


def test_our_runtime_is_found_through_a_component_of_a_person_too(tmp_path: Path, kustomize: Path) -> None:
    root = repository(tmp_path)
    write_record(root, "wine", release(image=Image(name="r.test/x" + DIGEST, profile="mlserver-image")))
    custom = root / "models/wine/custom/prod/kustomization.yaml"
    custom.parent.mkdir(parents=True)
    custom.write_text(
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
        "patches:\n- target: {kind: ServingRuntime}\n  patch: |-\n"
        "    - {op: add, path: /metadata/labels/team, value: wine}\n"
    )
    run(root, FakeRegistry(), RenderOptions(locked=True))
    objects = built(kustomize, root, "models/wine/overlays/prod")
    assert manifest.get_at(objects["ServingRuntime"], "metadata", "labels", "team") == "wine"
    assert manifest.get_at(objects["ServingRuntime"], "metadata", "namespace") == "models-prod"
    assert [finding.rule for finding in validate(root, ValidateOptions()).findings] == []


def test_a_version_that_waits_for_its_image_leaves_the_old_one_in_place(tmp_path: Path) -> None:
    root = repository(tmp_path)
    record = release(image=Image(name="r.test/x" + DIGEST, profile="mlflow-image"))
    write_record(root, "wine", record)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    run(root, FakeRegistry(), RenderOptions(locked=True))
    before = tree(root)
    outcome = run(root, FakeRegistry([model(champion="2")]))
    assert [(finding.rule, finding.environment) for finding in outcome.findings] == [("image-missing", "prod")]
    assert outcome.releases == ()
    assert tree(root) == before


class _Skops(FakeRegistry):
    """The third version of each model is saved as no stock MLServer reads it, and nobody knows what to install."""

    def _facts(self, version: ModelVersion) -> VersionFacts:
        facts = super()._facts(version)
        if version.version != "3":
            return facts
        return msgspec.structs.replace(
            facts, files={"MLmodel": facts.files["MLmodel"].replace(b"cloudpickle", b"skops")}
        )


def test_a_version_that_its_runtime_cannot_load_stays_out_and_the_others_go_on(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = _Skops([model(champion="1", challenger="1"), model("beer", champion="1")])
    run(root, registry)
    registry.known = [model(champion="3", challenger="2"), model("beer", champion="2"), model("port", champion="3")]
    for _ in range(2):
        outcome = run(root, registry)
        refused = [(f.model, f.environment) for f in outcome.findings if f.rule == "runtime-fails"]
        assert sorted(refused) == [("port", "prod"), ("wine", "prod")]
        assert all(f.severity is Severity.ERROR and "does not change" in f.message and f.hint for f in outcome.findings)
    records = [f"{r.model} {r.environment} {r.version}" for r in releases.read_all(root)[0].values()]
    assert records == ["beer prod 2", "wine dev 2", "wine prod 1"]
    assert validate(root, ValidateOptions()).findings == ()
    # Somebody says that the version is known: it stays out, and the scheduled run is green.
    (root / "models/port").mkdir(exist_ok=True)
    for slug in ("wine", "port"):
        (root / f"models/{slug}/model.yaml").write_text("environments: {prod: {knownBad: [3]}}\n")
    outcome = run(root, registry)
    known = [f for f in outcome.findings if f.rule == "runtime-fails"]
    assert {(f.model, f.severity) for f in known} == {("wine", Severity.WARNING), ("port", Severity.WARNING)}
    assert all("says that it is known" in f.message for f in known)
    assert "left out: 2 releases (runtime-fails 2)" in render_text(outcome)
    (root / "models/port/model.yaml").unlink()
    # A person who has another server for it says so, and then it goes out.
    (root / "models/wine/model.yaml").write_text("settings: {runtime: ours}\n")
    assert ("prod", "3") in [(change.environment, change.after) for change in run(root, registry).releases]


def test_a_version_that_is_there_is_not_taken_back_because_its_runtime_fails(tmp_path: Path) -> None:
    root = repository(tmp_path)
    skops = saved(msgspec.structs.replace(PICKLE, serialization_format="skops"))
    write_record(root, "wine", release(version="3", mlmodel=skops, created_at=1, follows="by hand"))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    outcome = run(root, _Skops([model(champion="3")]))
    assert [(f.rule, f.severity, "stays" in f.message) for f in outcome.findings] == [
        ("record-differs", Severity.WARNING, False),
        ("runtime-fails", Severity.WARNING, False),
    ]
    assert [(change.environment, change.before, change.after) for change in outcome.releases] == [("prod", "3", "3")]


def test_a_setting_that_waits_for_an_image_can_be_merged(tmp_path: Path) -> None:
    """CI builds the image from main: the pull request with the setting must pass its checks before."""
    root = repository(tmp_path)
    write_record(root, "wine", release())
    run(root, FakeRegistry(), RenderOptions(locked=True))
    before = tree(root)
    text = "settings: {profile: mlflow-image}\n"
    (root / "models/wine/model.yaml").write_text(text)
    checked = run(root, FakeRegistry(), RenderOptions(locked=True, check=True))
    assert checked.files == ()
    for findings in (checked.findings, validate(root, ValidateOptions()).findings):
        assert [(finding.rule, finding.severity) for finding in findings] == [("image-missing", "warning")]
    run(root, FakeRegistry(), RenderOptions(locked=True))
    assert tree(root) == {**before, "models/wine/model.yaml": text.encode()}


def test_render_tells_profile_and_reason_once(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1")])
    outcome = run(root, registry)
    assert [(s.environment, s.profile, s.protocol, s.before) for s in outcome.served] == [
        ("prod", "mlserver", "v2", "")
    ]
    assert run(root, registry).served == ()
    (root / "models/wine/model.yaml").write_text(f"settings: {{image: r.test/x{DIGEST}}}\n")
    (served,) = run(root, registry).served
    assert (served.profile, served.before) == ("mlflow-image", "mlserver")
    assert served.reason in (root / "models/wine/README.md").read_text()


def test_a_model_called_kserve_does_not_replace_the_runtime_of_all_others(tmp_path: Path, kustomize: Path) -> None:
    root = repository(tmp_path)
    write_record(root, "kserve", release("kserve", image=Image(name="r.test/x" + DIGEST, profile="mlserver-image")))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    built = manifest.read_all(
        process.run([str(kustomize), "build", "models/kserve/overlays/prod"], cwd=root).stdout.decode()
    )
    ours, service = sorted(built, key=lambda item: str(manifest.get_at(item, "kind")), reverse=True)
    assert manifest.get_at(ours, "metadata", "name") == "kserve-own-mlserver"
    assert manifest.get_at(service, "spec", "predictor", "model", "runtime") == "kserve-own-mlserver"


def test_a_runtime_that_kserve_refuses_for_mlflow_fails(tmp_path: Path) -> None:
    root = repository(tmp_path)
    write_record(root, "wine", release(mlmodel=saved(PICKLE, python_version="3.11.7", requirements=())))
    for settings, rules in (
        (f"{{runtime: {SKLEARN}}}", ["runtime-fails"]),
        (f"{{profile: native, runtime: {SKLEARN}}}", []),
        ("{runtime: nobody-knows}", []),
    ):
        (root / "models/wine/model.yaml").write_text(f"settings: {settings}\n")
        run(root, FakeRegistry(), RenderOptions(locked=True))
        found = [f for f in validate(root, ValidateOptions()).findings if f.rule == "runtime-fails"]
        assert [finding.rule for finding in found] == rules
        assert all("refuses it for mlflow" in finding.message for finding in found)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (f"{{profile: native, image: r.test/x{DIGEST}}}", "image"),
        (f"{{profile: mlserver-image, imageServer: mlflow, image: r.test/x{DIGEST}}}", "imageServer"),
        (f"{{runtime: ours, image: r.test/x{DIGEST}}}", "runtime"),
        ("{runtime: ours, profile: mlflow-image}", "runtime"),
    ],
)
def test_settings_that_contradict_the_profile(tmp_path: Path, settings: str, path: str) -> None:
    root = repository(tmp_path)
    write_record(root, "wine", release())
    (root / "models/wine/model.yaml").write_text(f"settings: {settings}\n")
    (finding,) = run(root, FakeRegistry(), RenderOptions(locked=True)).findings
    assert (finding.rule, finding.path) == ("setting-contradiction", f"settings.{path}")
    assert finding.hint


@pytest.mark.parametrize(
    ("tag", "rules"), [("native", []), ("oci", ["tag-out-of-bounds"]), ("own", ["tag-out-of-bounds"])]
)
def test_a_tag_chooses_the_profile_inside_its_bounds(tmp_path: Path, tag: str, rules: list[str]) -> None:
    config = (
        'version: 1\nregistry: {uri: "http://mlflow.test"}\nenvironments: {prod: {namespace: models}}\n'
        "tags: {m2g.dev/profile: profile}\nbounds: {profile: {oneOf: [auto, native]}}\n"
    )
    root = repository(tmp_path, config)
    write_record(root, "wine", release(mlmodel=saved(PICKLE), tags={"m2g.dev/profile": tag}))
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True))
    assert [finding.rule for finding in outcome.findings] == rules
    if not rules:
        assert b"value: native" in (root / "models/wine/overlays/prod/patch.yaml").read_bytes()
