"""Only what the record of a new version wrote is routine. Whatever else is built is named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.core.model import Image, Release
from m2g.review import Risk
from m2g.review.facts import find_concerns
from tests.support.fleet import CONFIG, release, repository
from tests.support.git_repository import commit, start
from tests.support.handmade_fleet import write
from tests.support.reviewed_fleet import (
    COMPONENT,
    CRON,
    CUSTOM,
    DIGEST,
    POLICY,
    compare,
    config_map,
    make_fleet,
    patched,
    render,
)

pytestmark = pytest.mark.attack


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_fleet(tmp_path / "r")


ROUTINE = {
    "a runtime": ("", "", None),
    "Knative": ("kserve: {mode: Knative}\ndefaults: {scaleMetric: concurrency, scaleTarget: 5}\n", "", None),
    "an image with the model": ("", "", "mlflow-image"),
    "an image with MLServer": ("", "", "mlserver-image"),
    "a batch": ("", "batch: {input: s3://b/i.csv, output: s3://b/o.json}", "mlflow-image"),
    "a scheduled batch": (
        "",
        "batch: {input: s3://b/i.csv, output: s3://b/o.json, schedule: '0 3 * * *'}, env: {A: b}",
        "mlserver-image",
    ),
}


@pytest.mark.parametrize("case", ROUTINE.values(), ids=ROUTINE)
def test_a_move_of_an_alias_is_routine(tmp_path: Path, case: tuple[str, str, str | None]) -> None:
    """Also with a component that stays as it is."""
    config, settings, profile = case
    root = start(repository(tmp_path / "r", CONFIG + config))
    write(
        root,
        {
            ".gitignore": ".m2g/\n",
            "models/wine/model.yaml": f"settings: {{minReplicas: 1, {settings}}}\n",
            CUSTOM: patched("{op: add, path: /metadata/annotations/team, value: a}"),
        },
    )

    def record(version: str) -> Release:
        name = f"r.test/models/wine@sha256:{version * 64}"
        image = msgspec.convert({"name": name, "profile": profile}, Image) if profile else None
        return release("wine", "prod", version, image=image)

    render(root, record("1"))
    commit(root)
    render(root, record("2"))
    (change,) = compare(root).changes
    assert (change.before, change.after, change.concerns, change.risk) == ("1", "2", (), Risk.ROUTINE)


PEOPLES = {
    "containers": (
        "spec.predictor.containers[x].image",
        "{op: add, path: /spec/predictor/containers, value: [{name: x, image: evil}]}",
    ),
    "a hook": (
        "lifecycle.postStart",
        "{op: add, path: /spec/predictor/model/lifecycle, value: {postStart: {exec: {command: [x]}}}}",
    ),
    "hosts": ("hostAliases", "{op: add, path: /spec/predictor/hostAliases, value: [{ip: 1.2.3.4, hostnames: [s3]}]}"),
    "open to all": ("visibility", "{op: remove, path: /metadata/labels/networking.kserve.io~1visibility}"),
    "another image before it": (
        "spec.transformer",
        "{op: add, path: /spec/transformer, value: {containers: [{name: a, image: b}]}}",
    ),
    "a container named like a size": (
        "[resources].image",
        "{op: add, path: /spec/predictor/containers, value: [{name: resources, image: evil}]}",
    ),
    "copies of all requests": (
        "logger.url",
        "{op: add, path: /spec/predictor/logger, value: {mode: all, url: 'http://x.test'}}",
    ),
    "a probe that runs": (
        "exec.command",
        "{op: add, path: /spec/predictor/model/livenessProbe, value: {exec: {command: [x]}}}",
    ),
    "the version's own fields": (
        "storageUri",
        "{op: replace, path: /spec/predictor/model/storageUri, value: 's3://evil/'}",
    ),
    "the version's own variable": (
        "MLSERVER_MODEL_VERSION",
        "{op: replace, path: /spec/predictor/model/env/0/value, value: '9'}",
    ),
}


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("case", PEOPLES.values(), ids=PEOPLES)
def test_what_a_component_sets_is_powerful_with_and_without_a_new_version(
    root: Path, case: tuple[str, str], version: str
) -> None:
    words, operation = case
    write(root, {CUSTOM: patched(operation) + "resources: [x.yaml, wall.yaml]\n"})
    render(root, release("wine", "prod", version))
    (change,) = compare(root).changes
    assert change.risk is Risk.POWERFUL
    assert words in change.concerns[0].message


def test_what_only_tunes_is_caution(root: Path) -> None:
    operations = (
        "{op: replace, path: /spec/predictor/minReplicas, value: 3}",
        "{op: replace, path: /spec/predictor/model/resources/limits/memory, value: 3Gi}",
        "{op: add, path: /metadata/labels/team, value: a}",
    )
    write(root, {CUSTOM: patched(*operations) + "resources: [x.yaml, wall.yaml]\n"})
    render(root)
    (change,) = compare(root).changes
    (concern,) = change.concerns
    assert change.risk is Risk.CAUTION
    for words in ("spec.predictor.minReplicas", "resources.limits.memory", "metadata.labels.team"):
        assert words in concern.message


LABELS = {
    "a patch": {CUSTOM: patched("{op: add, path: /metadata/labels/app, value: db-client}")},
    "a prefix that m2g uses": {
        CUSTOM: patched("{op: add, path: /metadata/labels/app.kubernetes.io~1part-of, value: database}")
    },
    "a transformer": {CUSTOM: f"{COMPONENT}labels: [{{pairs: {{app: db-client}}}}]\n"},
    "a label that is gone": {CUSTOM: patched("{op: remove, path: /metadata/labels/app.kubernetes.io~1name}")},
    "the settings": {"models/wine/model.yaml": "settings: {visibility: cluster-local, labels: {app: db-client}}\n"},
    "the defaults": {"m2g.yaml": f"{CONFIG}defaults: {{labels: {{app: db-client}}}}\n"},
}


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("files", LABELS.values(), ids=LABELS)
def test_a_label_by_which_others_select_is_never_routine(root: Path, files: dict[str, str], version: str) -> None:
    resources = "resources: [x.yaml, wall.yaml]\n"
    write(root, {path: text + resources if path == CUSTOM else text for path, text in files.items()})
    render(root, release("wine", "prod", version), release("tea", "dev"))
    review = compare(root)
    change = next(one for one in review.changes if one.slug == "wine")
    assert change.risk in (Risk.CAUTION, Risk.POWERFUL)
    words = [one.message for one in (*change.concerns, *review.outside)]
    assert any("label" in text for text in words)
    assert CUSTOM not in files or any("may select by labels" in text for text in words)


OBJECTS = {
    "code in a ConfigMap": ({"x.yaml": config_map("2")}, "changes ConfigMap models-prod/c"),
    "a name that begins like the model's": (
        {"wall.yaml": POLICY + "---\n" + CRON.replace("NAME", "wine-report")},
        "adds CronJob models-prod/wine-report",
    ),
    "a wall that is gone": (
        {"kustomization.yaml": f"{COMPONENT}resources: [x.yaml]\n"},
        "NetworkPolicy models-prod/wall is removed",
    ),
    "a way in": (
        {
            "x.yaml": config_map("1")
            + "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: LoadBalancer}\n"
        },
        "adds Service models-prod/s",
    ),
    "a job under the name of m2g's batch": (
        {"x.yaml": config_map("1") + "---\n" + CRON.replace("NAME", "wine-batch")},
        "adds CronJob models-prod/wine-batch",
    ),
}


@pytest.mark.parametrize("case", OBJECTS.values(), ids=OBJECTS)
def test_objects_of_people_are_powerful(root: Path, case: tuple[dict[str, str], str]) -> None:
    files, words = case
    write(root, {f"models/wine/custom/prod/{name}": text for name, text in files.items()})
    render(root, release("wine", "prod", "2"))
    (change,) = compare(root).changes
    assert change.risk is Risk.POWERFUL
    assert change.concerns[0].message.startswith(words)


def test_a_new_model_brings_only_what_its_record_says(root: Path) -> None:
    operation = "{op: replace, path: /spec/predictor/model/storageUri, value: 's3://evil/'}"
    write(
        root,
        {
            "models/beer/custom/dev/kustomization.yaml": patched(operation) + "resources: [job.yaml]\n",
            "models/beer/custom/dev/job.yaml": CRON.replace("NAME", "beer-report"),
        },
    )
    render(root, release("beer", "dev"), release("cider", "dev"))
    changes = {change.slug: change for change in compare(root).changes}
    assert (changes["cider"].risk, changes["cider"].concerns) == (Risk.ROUTINE, ())
    assert changes["beer"].risk is Risk.POWERFUL
    told = " ".join(concern.message for concern in changes["beer"].concerns)
    assert "adds CronJob models-dev/beer-report" in told
    assert "storageUri" in told


def test_a_record_that_names_another_place_is_not_routine(root: Path) -> None:
    image = Image(name=f"r.test/models/wine@{DIGEST}", profile="mlflow-image")
    render(root, release("wine", "prod", image=image))
    commit(root)

    def with_image(name: str, version: str) -> Release:
        return release("wine", "prod", version, image=Image(name=name, profile="mlflow-image"))

    for record, risk, words in (
        (with_image(f"evil.test/wine@{DIGEST}", "2"), Risk.CAUTION, "evil.test"),
        (
            release("wine", "prod", "2", image=image, artifact_uri="s3://elsewhere/1"),
            Risk.CAUTION,
            "s3://elsewhere instead of",
        ),
        (with_image(f"r.test/models/wine@sha256:{'a' * 64}", "1"), Risk.POWERFUL, "its image changed"),
        (release("wine", "prod", image=image, artifact_uri="s3://mlflow/2"), Risk.POWERFUL, "its artifacts changed"),
    ):
        render(root, record)
        (change,) = compare(root).changes
        assert change.risk is risk
        assert words in change.concerns[0].message


@pytest.mark.parametrize(
    "place",
    ["/home/me/artifacts/m-{}", "mlflow-artifacts:/1/models/m-{}/artifacts", "s3://mlflow/1/models/m-{}/artifacts"],
)
def test_each_version_has_a_folder_of_its_own_in_one_store(root: Path, place: str) -> None:
    assert [
        concern.message
        for concern in find_concerns(
            release("wine", "prod", "1", artifact_uri=place.format(1)),
            release("wine", "prod", "2", artifact_uri=place.format(2)),
        )
    ] == []
