"""Only what the record of a new version wrote is routine. Whatever else is built, sleeps or decides is named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.diff import diff
from m2g.commands.explain_model import explain_model
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.model import Image, Release
from m2g.report import diff as report
from m2g.repository.state import Scope
from m2g.review import Review, Risk
from m2g.review.facts import find_concerns
from tests.support.fleet import CONFIG, FakeRegistry, model, release, repository, run, write_record
from tests.support.git_repository import commit, start
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.attack

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
CUSTOM = "models/wine/custom/prod/kustomization.yaml"
BINDING = (
    "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: everything}, "
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}"
)
CRON = (
    "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: NAME}\nspec: {schedule: '* * * * *', jobTemplate: {spec: "
    "{template: {spec: {restartPolicy: Never, containers: [{name: x, image: evil.example/x}]}}}}}\n"
)
POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: wall}\nspec: {podSelector: {}}\n"
DIGEST = "sha256:" + "5f" * 32


def config_map(code: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{score.py: '{code}'}}\n"


def patched(*operations: str) -> str:
    body = "".join(f"    - {operation}\n" for operation in operations)
    return f"{COMPONENT}patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n{body}"


def render(root: Path, *records: Release) -> None:
    for record in records:
        write_record(root, record.model, record)
    run(root, FakeRegistry(), RenderOptions(locked=True))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """wine in prod, cluster-local, with a component that adds an object of its own; tea in dev."""
    root = start(repository(tmp_path / "r"))
    write(
        root,
        {
            ".gitignore": ".m2g/\n",
            CUSTOM: f"{COMPONENT}resources: [x.yaml, wall.yaml]\n",
            "models/wine/custom/prod/x.yaml": config_map("1"),
            "models/wine/custom/prod/wall.yaml": POLICY,
            "models/wine/model.yaml": "settings: {visibility: cluster-local}\n",
        },
    )
    render(root, release("wine", "prod"), release("tea", "dev"))
    commit(root)
    return root


def compare(root: Path) -> Review:
    review = diff(root, "", Scope())
    for form in ("text", "markdown", "json"):  # a review that cannot be shown protects nobody
        assert report.render(review, form)
    return review


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
    for record, words in (
        (
            release("wine", "prod", "2", image=Image(name=f"evil.test/wine@{DIGEST}", profile="mlflow-image")),
            "evil.test",
        ),
        (release("wine", "prod", "2", image=image, artifact_uri="s3://elsewhere/1"), "s3://elsewhere instead of"),
        (
            release("wine", "prod", image=Image(name=f"r.test/models/wine@sha256:{'a' * 64}", profile="mlflow-image")),
            "its image changed",
        ),
    ):
        render(root, record)
        (change,) = compare(root).changes
        assert change.risk is Risk.CAUTION
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


SLEEPING = {
    "a component before the release": (
        {
            "models/tea/custom/prod/kustomization.yaml": f"{COMPONENT}resources: [job.yaml]\n",
            "models/tea/custom/prod/job.yaml": CRON,
        },
        "adds CronJob NAME",
    ),
    "of a model that is not there": (
        {"models/new/custom/dev/kustomization.yaml": patched("{op: remove, path: /x}")},
        "adds Component",
    ),
    "a file beside a component": (
        {"models/wine/custom/prod/later.yaml": BINDING + "\n"},
        "adds ClusterRoleBinding everything",
    ),
    "a program": ({"models/wine/custom/prod/run.sh": "x\n"}, "run.sh"),
    "operations of a patch": (
        {"models/wine/custom/prod/patch.yaml": "- {op: remove, path: /x}\n"},
        "cannot be read as YAML objects",
    ),
    "settings before the release": (
        {"models/new/model.yaml": "settings: {image: evil.test/x}\n"},
        "settings.image: none → evil.test/x",
    ),
    "a file of fleet that applies nothing": (
        {"fleet/dev/churn.yaml": BINDING + "\n"},
        "adds ClusterRoleBinding everything",
    ),
}


@pytest.mark.parametrize("case", SLEEPING.values(), ids=SLEEPING)
def test_what_no_overlay_builds_yet_is_named(root: Path, case: tuple[dict[str, str], str]) -> None:
    files, words = case
    write(root, files)
    review = compare(root)
    assert review.changes == ()
    assert any(words in concern.message and concern.risk is Risk.POWERFUL for concern in review.outside)
    for path in files:
        assert any(concern.message.startswith(path) for concern in review.outside)
    assert not report.render(review, "text").startswith("no model changes")


def test_a_release_wakes_a_component_and_validate_warns_before(root: Path) -> None:
    custom = "models/tea/custom/prod/kustomization.yaml"
    write(
        root,
        {
            custom: f"{COMPONENT}resources: [job.yaml]\n",
            "models/tea/custom/prod/job.yaml": CRON.replace("NAME", "tea-x"),
        },
    )
    (finding,) = (one for one in validate(root, ValidateOptions()).findings if one.rule == "component-unused")
    assert (finding.file, finding.environment, str(finding.severity)) == (custom, "prod", "warning")
    assert "m2g explain --model tea;" in finding.hint
    registry = FakeRegistry([model("tea", challenger="1")])
    reasons = explain_model(root, "tea", (), open_registry=lambda config: registry)
    assert any("alias champion" in text for one in reasons.environments for text in one.reasons)
    commit(root)
    render(root, release("tea", "prod"))
    (change,) = compare(root).changes
    assert (change.slug, change.risk) == ("tea", Risk.POWERFUL)
    assert "adds CronJob models-prod/tea-x" in change.concerns[0].message
    assert not [one for one in validate(root, ValidateOptions()).findings if one.rule == "component-unused"]


@pytest.mark.parametrize(
    "addition",
    ["# a comment\n", "namespace: kube-system\n", "openapi: {path: schema.json}\n", "metadata: {name: x}\n"],
)
def test_a_file_of_people_that_changes_no_object_has_a_line(root: Path, addition: str) -> None:
    write(root, {CUSTOM: (root / CUSTOM).read_text() + addition, "models/wine/custom/prod/schema.json": "{}"})
    render(root, release("wine", "prod", "2"))
    review = compare(root)
    assert [change.risk for change in review.changes] == [Risk.ROUTINE]
    assert any(concern.message.startswith(f"{CUSTOM}: overlays build it") for concern in review.outside)
    assert not report.render(review, "text").startswith("1 change")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("models/wine/overlays/prod", "models/tea/overlays/dev"),
        ('"namespace": "models-prod"', '"namespace": "kube-system"'),
        ("{", "["),
    ],
)
def test_what_argo_cd_deploys_is_not_hidden_by_a_new_version(root: Path, old: str, new: str) -> None:
    render(root, release("wine", "prod", "2"))
    assert compare(root).outside == ()
    path = root / "models/wine/overlays/prod/app.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    (concern,) = compare(root).outside
    assert (concern.risk, concern.message.split(":")[0]) == (Risk.POWERFUL, "models/wine/overlays/prod/app.json")


def test_a_file_of_m2g_without_a_change_is_listed(root: Path) -> None:
    write(root, {"models/wine/README.md": "x\n"})
    assert compare(root).files == ("models/wine/README.md",)


CONFIGS = {
    "behind harmless fields": (
        "models: {slugs: {"
        + ", ".join(f"m{n}: s{n}" for n in range(60))
        + "}}\nsync: {bounds: {podSecurity: privileged}, ",
        "sync.bounds.podSecurity",
    ),
    "a new environment": ("sync: {", ""),
    "the place of images": (
        "images: {registry: evil.test/x, bases: {'3.12': evil.test/base}}\nsync: {",
        "images.registry: none → evil.test/x",
    ),
    "the image of all models": ("defaults: {image: evil.test/x}\nsync: {", "defaults.image: none → evil.test/x"),
    "what is no secret": ("secrets: {allow: [{text: x, reason: y}]}\nsync: {", "secrets.allow"),
}


@pytest.mark.parametrize("case", CONFIGS.values(), ids=CONFIGS)
def test_fields_of_m2g_yaml_are_ranked_before_they_are_cut(root: Path, case: tuple[str, str]) -> None:
    text, words = case
    new = "environments:\n  staging: {namespace: kube-system, follow: {alias: a}, storage: {allow: ['s3://evil/']}}\n"
    config = CONFIG.replace("sync: {", text) if words else CONFIG.replace("environments:\n", new)
    write(root, {"m2g.yaml": config})
    review = compare(root)
    assert review.outside[0].risk is Risk.POWERFUL
    powerful = [concern.message for concern in review.outside if concern.risk is Risk.POWERFUL]
    for field in [words] if words else ["staging.namespace: none → kube-system", "staging.storage.allow"]:
        assert any(field in message for message in powerful)
    if "60" in text or "m59" in text:
        assert review.outside[-1].message == "m2g.yaml: 11 more fields changed: 11 caution"


def test_lines_that_are_left_out_are_counted_by_risk(root: Path) -> None:
    write(root, {f"platform/{n}.yaml": BINDING.replace("everything", f"b{n}") + "\n" for n in range(120)})
    review = compare(root)
    assert "… and 20 more: 20 powerful" in report.render(review, "text")
    assert "… and 60 more: 60 powerful" in report.render(review, "markdown")


FILES = {
    "packages of CI": ({"ci/requirements.txt": "evil==1\n"}, Risk.POWERFUL),
    "packages of models in CI": ({"ci/requirements-models.txt": "evil==1\n"}, Risk.POWERFUL),
    "a page in ci": ({"ci/notes.md": "x\n"}, Risk.POWERFUL),
    "packages of somebody": ({"requirements.txt": "evil==1\n"}, Risk.CAUTION),
    "a page that may be a program": ({"tools/run.md": "x\n"}, Risk.CAUTION),
    "what Argo CD evaluates": ({"platform/argocd/x.jsonnet": "{}\n"}, Risk.POWERFUL),
}


@pytest.mark.parametrize("case", FILES.values(), ids=FILES)
def test_a_suffix_makes_nothing_harmless(root: Path, case: tuple[dict[str, str], Risk]) -> None:
    files, risk = case
    write(root, files)
    assert [concern.risk for concern in compare(root).outside] == [risk]


def test_a_page_that_an_overlay_builds_is_not_a_page(root: Path) -> None:
    text = f"{COMPONENT}configMapGenerator: [{{name: c2, files: [code.md]}}]\nresources: [x.yaml, wall.yaml]\n"
    write(root, {CUSTOM: text, "models/wine/custom/prod/code.md": "1\n"})
    render(root)
    commit(root)
    write(root, {"models/wine/custom/prod/code.md": "2\n"})
    (change,) = compare(root).changes
    assert change.risk is Risk.POWERFUL
    (root / "docs").mkdir()
    (root / "docs/code.md").symlink_to("../models/wine/custom/prod/code.md")
    assert any(concern.message.startswith("docs/code.md") for concern in compare(root).outside)


LISTS = {
    "a List": f"{{apiVersion: v1, kind: List, items: [{BINDING}]}}",
    "the first List": f"{{apiVersion: v1, kind: List, items: [{BINDING}]}}\n---\n{{apiVersion: v1, kind: List}}",
    "a List in a List": f"{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: List, items: [{BINDING}]}}]}}",
    "a list of one kind": "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBindingList, "
    "items: [{metadata: {name: everything}}]}",
    "a list of any name": f"{{apiVersion: x.test/v1, kind: Harmless, items: [{BINDING}]}}",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("path", ["platform/x.yaml", "fleet/dev/namespace/x.yaml"])
def test_objects_in_lists_have_names(root: Path, text: str, path: str) -> None:
    write(root, {path: text + "\n"})
    review = compare(root)
    assert review.outside[0].risk is Risk.POWERFUL
    assert "adds ClusterRoleBinding everything" in review.outside[0].message


@pytest.mark.parametrize("before", ["", "{apiVersion: v1, kind: List, items: [{}]}\n---\n".replace("{}", BINDING)])
def test_two_objects_of_one_identity_hide_nothing(root: Path, before: str) -> None:
    write(root, {"platform/x.yaml": (before or BINDING + "\n---\n") + BINDING + "\n"})
    review = compare(root)
    assert any("has ClusterRoleBinding everything twice" in concern.message for concern in review.outside)
    assert {concern.risk for concern in review.outside} == {Risk.POWERFUL}
    (finding,) = (one for one in validate(root, ValidateOptions()).findings if one.rule == "object-twice")
    assert (finding.file, finding.line) == ("platform/x.yaml", 3)
    assert "ClusterRoleBinding everything is in this file twice" in finding.message
