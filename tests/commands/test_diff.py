"""`m2g diff` on repositories with real history, rendered by m2g and built by the real kustomize."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.diff import diff
from m2g.core.errors import InputError
from m2g.core.model import Dataset, Field, Flavor, Mlmodel, Release, Run, Signature
from m2g.core.results import ChangeKind
from m2g.report import diff as report
from m2g.repository.state import Scope
from m2g.review import Compatibility, Review, Risk
from tests.support.fleet import FakeRegistry, model, narrowed, release, repository, run, write_record
from tests.support.git_repository import commit, git, start
from tests.support.handmade_fleet import write

COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
CUSTOM = "models/wine/custom/prod/kustomization.yaml"


def mlmodel(*inputs: str, digest: str = "1") -> Mlmodel:
    fields = tuple(Field(name=name, type="double") for name in inputs)
    flavor = Flavor(name="sklearn", version="1.5.2", serialization_format="cloudpickle")
    return Mlmodel(
        sha256=digest * 64,
        flavors=(Flavor(name="python_function"), flavor),
        python_version="3.10.12",
        signature=Signature(inputs=fields, outputs=()),
        requirements=("scikit-learn==1.5.2",),
    )


def rendered(root: Path, *records: Release) -> Path:
    for record in records:
        write_record(root, record.model, record)
    run(root, FakeRegistry(), RenderOptions(locked=True))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """wine and beer in dev and prod, committed."""
    root = start(repository(tmp_path / "repository"))
    (root / ".gitignore").write_text(".m2g/\n")
    records = [release(name, env, "1", mlmodel=mlmodel("a")) for name in ("wine", "beer") for env in ("dev", "prod")]
    rendered(root, *records)
    commit(root)
    return root


def compare(root: Path, against: str = "", **scope: str) -> Review:
    return diff(root, against, narrowed(scope))


def test_no_change(root: Path) -> None:
    found = compare(root)
    assert (found.changes, found.files, found.notes) == ((), (), ())
    assert report.render(found, "text").startswith("no model changes\n")


def test_a_new_version_with_its_facts_and_objects(root: Path) -> None:
    new = Run(
        id="run-2",
        metrics={"rmse": 0.4, "r2": 0.9},
        params={"alpha": "0.5"},
        tags={"mlflow.source.git.commit": "abc", "mlflow.user": "alice"},
        datasets=(Dataset(name="wine", digest="d2"),),
    )
    rendered(root, release("wine", "prod", "2", mlmodel=mlmodel("a", digest="2"), run=new))
    (change,) = compare(root).changes
    assert (change.kind, change.risk, change.slug, change.environment) == (
        ChangeKind.CHANGED,
        Risk.ROUTINE,
        "wine",
        "prod",
    )
    assert (change.before, change.after) == ("1", "2")
    rmse = next(metric for metric in change.metrics if metric.name == "rmse")
    assert (rmse.before, rmse.after, round(rmse.delta or 0, 6)) == (0.5, 0.4, -0.1)
    assert {fact.name: fact.after for fact in change.lineage} == {
        "source": "s3://mlflow/1/models/m-2/artifacts",
        "artifacts": "s3://mlflow/1/models/m-2/artifacts",
        "run": "run-2",
        "git commit": "abc",
        "made by": "alice",
        "datasets": "wine@d2",
        "MLmodel sha256": "2" * 64,
    }
    assert [fact.name for fact in change.params] == ["alpha"]
    assert change.contract is not None
    assert change.contract.verdict is Compatibility.COMPATIBLE
    item = next(item for item in change.objects if item.object_kind == "InferenceService")
    assert {item.object_kind for item in change.objects} == {"InferenceService", "Kustomization"}
    assert (item.object_kind, item.namespace, item.name, item.kind) == (
        "InferenceService",
        "models-prod",
        "wine",
        ChangeKind.CHANGED,
    )
    assert "+      storageUri: s3://mlflow/1/models/m-2/artifacts/" in item.diff


def test_the_riskiest_come_first(root: Path) -> None:
    rendered(
        root,
        release("beer", "dev", "2", mlmodel=mlmodel("a", digest="2")),
        release("beer", "prod", "2", mlmodel=mlmodel("a", "b", digest="2")),
        release("wine", "dev", "2", mlmodel=None),
        release("tea", "dev", "1"),
    )
    found = compare(root)
    assert [(item.risk, item.model, item.environment) for item in found.changes] == [
        (Risk.BREAKING, "beer", "prod"),
        (Risk.BREAKING, "wine", "dev"),
        (Risk.ROUTINE, "beer", "dev"),
        (Risk.ROUTINE, "tea", "dev"),
    ]
    assert found.changes[3].kind is ChangeKind.ADDED
    assert report.render(found, "text").splitlines()[0] == "4 changes in 3 models: 2 breaking, 2 routine"


def test_a_removed_model_is_breaking(root: Path) -> None:
    shutil.rmtree(root / "models/beer")
    changes = compare(root).changes
    assert [(item.kind, item.risk, item.environment) for item in changes] == [
        (ChangeKind.REMOVED, Risk.BREAKING, "dev"),
        (ChangeKind.REMOVED, Risk.BREAKING, "prod"),
    ]
    assert {item.kind for change in changes for item in change.objects} == {ChangeKind.REMOVED}


@pytest.mark.parametrize(
    ("changes", "risk", "words"),
    [
        ({"mlmodel": mlmodel("a", digest="3")}, Risk.POWERFUL, "its artifacts changed"),
        ({"artifact_uri": "s3://other/place"}, Risk.POWERFUL, "its artifacts changed"),
        ({"registry": "http://other.test"}, Risk.CAUTION, "the registry changes"),
    ],
)
def test_unusual_moves_are_named(root: Path, changes: dict[str, object], risk: Risk, words: str) -> None:
    rendered(root, release("wine", "prod", "1", **{"mlmodel": mlmodel("a"), **changes}))
    (change,) = compare(root).changes
    assert change.risk is risk
    assert words in change.concerns[0].message


def test_a_step_back_is_named(root: Path) -> None:
    rendered(root, release("wine", "prod", "3", mlmodel=mlmodel("a", digest="3")))
    commit(root, "three")
    rendered(root, release("wine", "prod", "2", mlmodel=mlmodel("a", digest="2")))
    (change,) = compare(root).changes
    assert [(item.risk, item.message) for item in change.concerns] == [
        (Risk.CAUTION, "version 2 is older than version 3"),
    ]


def test_settings_and_components_show_in_the_objects(root: Path) -> None:
    operation = "- {op: add, path: /spec/predictor/timeout, value: 9}"
    patch = f"patches:\n- target: {{kind: InferenceService}}\n  patch: |-\n    {operation}\n"
    write(root, {CUSTOM: COMPONENT + patch})
    rendered(root)
    (change,) = compare(root).changes
    assert (change.before, change.after, change.lineage) == ("1", "1", ())
    assert [line for item in change.objects for line in item.diff if line.startswith("+")] == ["+    timeout: 9"]
    write(root, {CUSTOM: COMPONENT + patch.replace("9", "8")})
    commit(root)
    write(root, {CUSTOM: COMPONENT + patch.replace("9", "7")})
    (change,) = compare(root).changes
    assert [line.strip() for line in change.objects[0].diff if line[0] in "+-"] == [
        "-    timeout: 8",
        "+    timeout: 7",
    ]


def test_a_shared_component_outside_the_models(root: Path) -> None:
    write(root, {"shared/kustomization.yaml": COMPONENT + "commonAnnotations: {team: a}\n"})
    write(root, {CUSTOM: COMPONENT + "components: [../../../../shared]\n"})
    rendered(root)
    commit(root)
    write(root, {"shared/kustomization.yaml": COMPONENT + "commonAnnotations: {team: b}\n"})
    found = compare(root)
    (change,) = found.changes
    assert (change.slug, change.environment) == ("wine", "prod")
    assert found.files == ("shared/kustomization.yaml",)


def test_the_mode_of_a_service_that_exists(root: Path) -> None:
    config = (root / "m2g.yaml").read_text()
    write(
        root, {"m2g.yaml": config + "kserve: {mode: Knative}\ndefaults: {scaleMetric: concurrency, scaleTarget: 5}\n"}
    )
    rendered(root)
    found = compare(root)
    assert {item.risk for item in found.changes} == {Risk.BREAKING}
    assert "the deployment mode changes from Standard to Knative" in found.changes[0].concerns[0].message
    assert found.files == ("m2g.yaml",)


def test_secrets_show_that_they_changed_not_what_they_are(root: Path) -> None:
    def secret(value: str) -> str:
        return (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
            f"stringData: {{same: hush, other: {value}}}\ndata: {{x: aHVzaA==}}\n"
        )

    here = "models/wine/custom/prod/secret.yaml"
    write(root, {CUSTOM: COMPONENT + "resources: [secret.yaml]\n", here: secret("first")})
    rendered(root)
    added = compare(root)
    commit(root)
    write(root, {here: secret("second")})
    changed = compare(root)
    for found in (added, changed):
        text = "".join(report.render(found, form) for form in report.FORMATS)
        assert not any(word in text for word in ("hush", "first", "second", "aHVzaA"))
    (item,) = changed.changes[0].objects
    assert [line.strip() for line in item.diff if line[0] in "+-"] == [
        '-  other: "(hidden: before)"',
        '+  other: "(hidden: after)"',
    ]


def test_an_overlay_that_does_not_build_is_breaking_and_the_rest_is_shown(root: Path) -> None:
    write(root, {CUSTOM: COMPONENT + "resources: [nothing.yaml]\n"})
    rendered(root, release("beer", "prod", "2", mlmodel=mlmodel("a", digest="2")))
    found = compare(root)
    assert [(item.risk, item.slug, len(item.objects)) for item in found.changes] == [
        (Risk.BREAKING, "wine", 0),
        (Risk.ROUTINE, "beer", 2),
    ]
    assert "nothing.yaml" in found.changes[0].concerns[0].message
    commit(root)
    (root / CUSTOM).unlink()
    rendered(root)
    (change,) = compare(root).changes
    assert (change.risk, change.objects) == (Risk.CAUTION, ())


def test_the_merge_base_counts_not_the_branch(root: Path) -> None:
    git(root, "switch", "-q", "-c", "work")
    rendered(root, release("wine", "prod", "2", mlmodel=mlmodel("a", digest="2")))
    commit(root, "work")
    git(root, "switch", "-q", "main")
    rendered(root, release("beer", "prod", "5", mlmodel=mlmodel("a", digest="5")))
    commit(root, "main")
    git(root, "switch", "-q", "work")
    assert [change.slug for change in compare(root, "main").changes] == ["wine"]


def test_a_repository_below_the_top(tmp_path: Path) -> None:
    top = start(tmp_path / "mono")
    root = rendered(repository(top / "deploy/gitops"), release("wine", "prod", "1"))
    write(top, {"unrelated.txt": "1"})
    commit(top)
    write(top, {"unrelated.txt": "2"})
    rendered(root, release("wine", "prod", "2"))
    found = compare(root)
    assert [(change.slug, change.before, change.after) for change in found.changes] == [("wine", "1", "2")]
    assert found.files == ()


def test_a_record_that_cannot_be_read_is_a_note(root: Path) -> None:
    (root / "models/wine/releases/prod.json").write_text("<<<<<<< ours\n{}\n")
    found = compare(root)
    assert found.notes == ("models/wine/releases/prod.json is not a release record, so its facts are missing",)
    assert "note: models/wine" in report.render(found, "text")


def test_scope(root: Path) -> None:
    for name in ("wine", "beer"):
        rendered(root, release(name, "prod", "2"), release(name, "dev", "2"))
    assert {(c.slug, c.environment) for c in compare(root, models="wine", environments="dev").changes} == {
        ("wine", "dev")
    }


def test_the_working_tree_is_not_touched(root: Path) -> None:
    rendered(root, release("wine", "prod", "2"))
    before = git(root, "status", "--porcelain")
    compare(root)
    assert git(root, "status", "--porcelain") == before


@pytest.mark.parametrize("ref", ["--output=evil", "nowhere", "-p"])
def test_wrong_refs(root: Path, ref: str) -> None:
    with pytest.raises(InputError):
        compare(root, ref)


def test_json_is_whole_and_plain_ascii(root: Path) -> None:
    rendered(root, release("wine", "prod", "2", mlmodel=mlmodel("a", digest="2"), follows="\x9b31m\u202ex"))
    data = json.loads(report.render(compare(root), "json"))
    assert data["version"] == 1
    assert data["verdict"] == "1 change in 1 model: 1 routine"
    (change,) = data["changes"]
    assert (change["slug"], change["before"], change["after"], change["risk"]) == ("wine", "1", "2", "routine")
    assert change["contract"]["verdict"] == "compatible"
    assert report.render(compare(root), "json").isascii()


def test_another_profile_is_named_with_its_reason_and_breaks_callers(root: Path) -> None:
    (root / "models/wine/model.yaml").write_text("settings: {runtime: ours}\n")
    rendered(root)
    commit(root)
    assert not [c for c in compare(root).changes for concern in c.concerns if "the profile changes" in concern.message]
    (root / "models/wine/model.yaml").write_text(f"settings: {{image: r.test/wine@sha256:{'5f' * 32}}}\n")
    rendered(root)
    changes = {change.environment: change for change in compare(root, "HEAD").changes}
    assert {change.risk for change in changes.values()} == {Risk.BREAKING}
    (message,) = (item.message for item in changes["prod"].concerns if "the profile changes" in item.message)
    assert message == (
        "the profile changes from mlserver to mlflow-image: image is set, and imageServer is mlflow; "
        "callers must use the protocol invocations instead of v2"
    )


def test_what_a_newer_m2g_learned_of_the_same_version_is_no_risk(tmp_path: Path) -> None:
    flavors = (Flavor(name="sklearn", version="1.9.1", serialization_format="cloudpickle", file="model.pkl"),)
    old = msgspec.structs.replace(mlmodel("a"), flavors=flavors, python_version="3.11.7", requirements=None)
    root = rendered(start(repository(tmp_path)), release("wine", "prod", "1", mlmodel=old))
    commit(root)
    known = msgspec.structs.replace(old, requirements=("no-such-package==3.0.0",))
    rendered(root, release("wine", "prod", "1", mlmodel=known))
    (change,) = compare(root).changes
    assert (change.risk, change.concerns) == (Risk.ROUTINE, ())
    # Of another version it is.
    rendered(root, release("wine", "prod", "2", mlmodel=known))
    (change,) = compare(root).changes
    assert change.risk is Risk.BREAKING
    assert change.concerns[0].message.startswith("kserve-mlserver does not load the model (before: ")


def test_a_misspelled_scope_does_not_look_like_success(tmp_path: Path) -> None:
    root = repository(start(tmp_path))
    run(root, FakeRegistry([model(champion="1")]))
    commit(root)
    for scope, hint in (
        (Scope(models=frozenset({"win"})), "did you mean wine?"),
        (Scope(environments=frozenset({"prd"})), "did you mean prod?"),
    ):
        with pytest.raises(InputError, match="this repository has no") as caught:
            diff(root, "HEAD", scope)
        assert caught.value.hint == hint
    assert diff(root, "HEAD", Scope(models=frozenset({"wine"}), environments=frozenset({"prod"}))).changes == ()
