"""What `m2g render` does to a repository, by what the registry says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core import manifest, process
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.core.model import ModelVersion
from m2g.core.results import ChangeKind
from m2g.repository import records
from m2g.repository.load import InvalidRepository
from m2g.repository.state import Scope
from tests.support.fleet import CONFIG, FakeRegistry, model, release, repository, run, tree, write_record


def test_a_version_reaches_the_environments_whose_alias_names_it(tmp_path: Path) -> None:
    root = repository(tmp_path)
    outcome = run(root, FakeRegistry([model(champion="1", challenger="2")]))
    assert [(c.kind, c.environment, c.after) for c in outcome.releases] == [
        (ChangeKind.ADDED, "dev", "2"),
        (ChangeKind.ADDED, "prod", "1"),
    ]
    record = json.loads((root / "models/wine/releases/prod.json").read_bytes())
    assert (record["version"], record["run"]["id"], record["follows"]) == ("1", "run-1", "alias champion")
    assert record["mlmodel"]["flavors"][1] == {
        "name": "sklearn",
        "version": "1.5.2",
        "serializationFormat": "cloudpickle",
        "file": "model.pkl",
    }
    assert record["mlmodel"]["requirements"] == ["mlflow==2.19.0", "scikit-learn==1.5.2"]


def test_a_record_without_requirements_is_asked_for_once_more_and_never_made_worse(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1", challenger="1")])
    run(root, registry)
    path = root / "models/wine/releases/prod.json"
    whole = path.read_bytes()
    for environment in ("dev", "prod"):
        record, _ = records.read_all(root)
        kept = record["wine", environment]
        assert kept.mlmodel is not None
        old = msgspec.structs.replace(kept, mlmodel=msgspec.structs.replace(kept.mlmodel, requirements=None))
        write_record(root, "wine", old)
    as_an_older_m2g_wrote_it = path.read_bytes()
    registry.asked.clear()
    registry.problems["wine", "1"] = "the files are gone since"
    assert run(root, registry).findings == ()
    assert (registry.asked, path.read_bytes()) == ([("wine", "1")], as_an_older_m2g_wrote_it)
    registry.problems.clear()
    run(root, registry)
    assert path.read_bytes() == whole
    registry.asked.clear()
    run(root, registry)
    assert registry.asked == []


def test_moving_one_alias_touches_only_that_environment(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1", challenger="1"), model("fraud", champion="1")])
    run(root, registry)
    registry.known[0] = model(champion="1", challenger="2")
    outcome = run(root, registry)
    assert {file.path for file in outcome.files} == {
        "fleet/dev/wine.yaml",  # the health check waits for the pods of this version
        "models/wine/README.md",
        "models/wine/overlays/dev/patch.yaml",
        "models/wine/releases/dev.json",
    }


def test_what_a_record_knows_of_a_version_is_not_asked_again(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1", challenger="2")])
    run(root, registry)
    registry.asked.clear()
    run(root, registry)
    assert registry.asked == []
    # What another environment has is asked again: tests/attack/test_records.py.
    registry.known[0] = model(champion="2", challenger="2")
    run(root, registry)
    run(root, registry)
    assert registry.asked == [("wine", "2")]


def test_a_recreated_model_is_read_anew(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1")])
    run(root, registry)
    registry.asked.clear()
    registry.changes["wine", "1"] = ModelVersion(
        name="wine", version="1", source="s3://mlflow/9/models/m-9/artifacts", created_at=9, run_id="run-9"
    )
    run(root, registry)
    assert registry.asked == [("wine", "1")]
    assert b"m-9" in (root / "models/wine/overlays/prod/patch.yaml").read_bytes()


def test_locked_asks_no_registry(tmp_path: Path) -> None:
    root = repository(tmp_path)
    write_record(root, "wine", release())
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True))
    assert outcome.written
    assert (root / "models/wine/overlays/prod/kustomization.yaml").exists()
    assert outcome.releases == ()


def test_check_and_dry_run_write_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path)
    before = tree(root)
    registry = FakeRegistry([model(champion="1")])
    for options in (RenderOptions(check=True), RenderOptions(dry_run=True)):
        outcome = run(root, registry, options)
        assert outcome.files
        assert not outcome.written
        assert tree(root) == before
        assert not (root / ".m2g").exists()
    assert any(
        "storageUri" in line for file in run(root, registry, RenderOptions(check=True)).files for line in file.diff
    )


def test_model_and_env_narrow_a_run(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1", challenger="1"), model("Fraud Detector", champion="1")])
    scope = Scope(models=frozenset(["Fraud Detector"]))
    assert {c.slug for c in run(root, registry, RenderOptions(scope=scope)).releases} == {"fraud-detector"}
    scope = Scope(models=frozenset(["wine"]), environments=frozenset(["dev"]))
    outcome = run(root, registry, RenderOptions(scope=scope))
    assert [(c.slug, c.environment) for c in outcome.releases] == [("wine", "dev")]
    assert not (root / "models/wine/releases/prod.json").exists()


def test_an_unknown_model_or_environment_is_said(tmp_path: Path) -> None:
    root = repository(tmp_path)
    scope = Scope(models=frozenset(["wien"]))
    outcome = run(root, FakeRegistry([model(champion="1")]), RenderOptions(scope=scope))
    assert [finding.rule for finding in outcome.findings] == ["model-unknown"]
    outcome = run(root, FakeRegistry(), RenderOptions(scope=scope, locked=True))
    assert [finding.rule for finding in outcome.findings] == ["model-unknown"]
    with pytest.raises(InputError, match="no environment 'qa'"):
        run(root, FakeRegistry(), RenderOptions(scope=Scope(environments=frozenset(["qa"]))))


class TestRemoval:
    """Nothing is removed because a listing was short."""

    def test_an_alias_that_is_gone_removes_its_release(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1", challenger="1")])
        run(root, registry)
        (root / "models/wine/custom/dev").mkdir(parents=True)
        (root / "models/wine/custom/dev/notes.txt").write_text("mine")
        registry.known[0] = model(champion="1")
        outcome = run(root, registry)
        assert [(c.kind, c.environment) for c in outcome.releases] == [(ChangeKind.REMOVED, "dev")]
        assert not (root / "models/wine/overlays/dev").exists()
        assert not (root / "fleet/dev/wine.yaml").exists()
        assert (root / "models/wine/overlays/prod/patch.yaml").exists()
        assert (root / "models/wine/custom/dev/notes.txt").read_text() == "mine"

    def test_a_file_of_fleet_without_its_model_is_its_own_when_the_model_comes_back(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1"), model("fraud", champion="1")])
        run(root, registry)
        shutil.rmtree(root / "models/wine")
        outcome = run(root, registry)
        assert {change.kind for change in outcome.files} == {ChangeKind.ADDED}
        assert (root / "fleet/prod/wine.yaml").exists()
        assert run(root, registry, RenderOptions(check=True)).files == ()

    def test_a_model_missing_from_the_listing_is_asked_for_by_name_and_stays(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1"), model("fraud", champion="1")])
        run(root, registry)
        registry.hidden.add("wine")
        outcome = run(root, registry)
        assert outcome.releases == ()
        assert outcome.files == ()

    def test_more_than_the_cap_is_refused_and_the_tree_stays(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(f"m{n}", champion="1") for n in range(5)])
        run(root, registry)
        before = tree(root)
        registry.known.clear()
        with pytest.raises(InputError, match="would remove 5 of 5"):
            run(root, registry)
        assert tree(root) == before
        assert len(run(root, registry, RenderOptions(allow_removals=5)).releases) == 5
        assert set(tree(root)) == {"m2g.yaml"}

    def test_an_empty_registry_removes_nothing_however_small_the_fleet(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1")])
        run(root, registry)
        before = tree(root)
        registry.known.clear()
        with pytest.raises(InputError, match="would remove 1 of 1"):
            run(root, registry)
        assert tree(root) == before

    def test_a_record_of_another_registry_stays(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        write_record(root, "old", release("old", registry="http://elsewhere"))
        outcome = run(root, FakeRegistry([model(champion="1")]))
        assert [finding.rule for finding in outcome.findings] == ["record-of-another-registry"]
        assert (root / "models/old/releases/prod.json").exists()

    def test_an_environment_without_anything_to_follow_keeps_its_release(self, tmp_path: Path) -> None:
        root = repository(tmp_path, CONFIG.replace("follow: {alias: champion}, ", ""))
        write_record(root, "wine", release(version="2"))
        outcome = run(root, FakeRegistry([model(challenger="3")]))
        assert [(c.environment, c.after) for c in outcome.releases] == [("dev", "3")]
        assert b'"version": "2"' in (root / "models/wine/releases/prod.json").read_bytes()


class TestOneBadModelDoesNotStopTheFleet:
    """A model with a finding keeps the files it has; the others go on."""

    def test_artifacts_that_are_gone(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1"), model("fraud", champion="1")])
        run(root, registry)
        before = tree(root)
        registry.known = [model(champion="2"), model("fraud", champion="2")]
        registry.problems["wine", "2"] = "the artifacts are deleted"
        outcome = run(root, registry)
        assert [(f.rule, f.model, f.environment) for f in outcome.findings] == [("version-unreadable", "wine", "prod")]
        after = tree(root)
        assert {p: c for p, c in after.items() if "wine" in p} == {p: c for p, c in before.items() if "wine" in p}
        assert b'"version": "2"' in after["models/fraud/releases/prod.json"]

    def test_a_source_that_no_cluster_can_read(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1"), model("fraud", champion="1")])
        registry.changes["wine", "1"] = ModelVersion(name="wine", version="1", source="dbfs:/x", created_at=1)
        outcome = run(root, registry)
        assert [(f.rule, f.model) for f in outcome.findings] == [("storage-refused", "wine")]
        assert "rewrites" in outcome.findings[0].hint
        assert [c.slug for c in outcome.releases] == ["fraud"]
        assert not (root / "models/wine").exists()

    @pytest.mark.parametrize("status", ["PENDING_REGISTRATION", "FAILED_REGISTRATION"])
    def test_a_version_that_is_not_ready(self, tmp_path: Path, status: str) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1")])
        registry.changes["wine", "1"] = ModelVersion(
            name="wine", version="1", source="s3://b/x", created_at=1, status=status
        )
        outcome = run(root, registry)
        assert [(f.rule, f.model) for f in outcome.findings] == [("version-not-ready", "wine")]
        assert outcome.releases == ()

    def test_two_names_with_one_slug(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model("Wine Quality", champion="1"), model("fraud", champion="1")])
        run(root, registry)
        registry.known.append(model("wine_quality", champion="3"))
        outcome = run(root, registry)
        assert [(f.rule, f.model) for f in outcome.findings] == [("slug-collision", "wine_quality")]
        assert "'Wine Quality' and 'wine_quality'" in outcome.findings[0].message
        assert outcome.files == ()
        (root / "m2g.yaml").write_text(CONFIG + "models: {slugs: {wine_quality: other-wine}}\n")
        assert [c.slug for c in run(root, registry).releases] == ["other-wine"]

    def test_two_new_names_with_one_slug_are_both_left_out(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        outcome = run(root, FakeRegistry([model("a b", champion="1"), model("a_b", champion="1")]))
        assert sorted(f.model for f in outcome.findings) == ["a b", "a_b"]
        assert outcome.releases == ()

    def test_a_tag_out_of_bounds(self, tmp_path: Path) -> None:
        root = repository(tmp_path, CONFIG + "tags: {replicas: minReplicas}\nbounds: {minReplicas: {min: 1, max: 3}}\n")
        registry = FakeRegistry([model(champion="1", tags={"replicas": "3"}), model("fraud", champion="1")])
        assert run(root, registry).findings == ()
        assert b"value: 3" in (root / "models/wine/overlays/prod/patch.yaml").read_bytes()
        registry.known[0] = model(champion="2", tags={"replicas": "4000"})
        outcome = run(root, registry)
        assert [(f.rule, f.model) for f in outcome.findings] == [("tag-out-of-bounds", "wine")]
        assert "'replicas'" in outcome.findings[0].message
        assert "above the maximum 3" in outcome.findings[0].message
        assert outcome.files == ()


class TestPins:
    """A person's pin wins over what the environment follows."""

    def test_a_pinned_version_holds_whatever_the_alias_does(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="3")])
        run(root, registry)
        (root / "models/wine/model.yaml").write_text(
            "environments: {prod: {version: 2, reason: version 3 times out}}\n"
        )
        outcome = run(root, registry)
        assert [(c.before, c.after, c.follows) for c in outcome.releases] == [
            ("3", "2", "pinned in model.yaml: version 3 times out")
        ]

    def test_a_pin_to_a_version_that_is_not_there_changes_nothing(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="3")])
        run(root, registry)
        (root / "models/wine/model.yaml").write_text("environments: {prod: {version: 99}}\n")
        outcome = run(root, registry)
        assert [finding.rule for finding in outcome.findings] == ["version-not-ready"]
        assert outcome.files == ()


class TestFollow:
    def test_a_stage_and_a_tag_take_the_highest_ready_version(self, tmp_path: Path) -> None:
        config = CONFIG.replace("{alias: challenger}", "{stage: Staging}").replace("{alias: champion}", "{tag: ok=yes}")
        root = repository(tmp_path, config)
        registry = FakeRegistry([model()], last=11)
        for number in ("2", "10"):
            registry.changes["wine", number] = ModelVersion(
                name="wine", version=number, source="s3://b/x", created_at=1, stage="Staging", tags={"ok": "yes"}
            )
        registry.changes["wine", "11"] = ModelVersion(
            name="wine", version="11", source="s3://b/x", created_at=1, stage="Production", tags={"ok": "no"}
        )
        outcome = run(root, registry)
        assert [(c.environment, c.after) for c in outcome.releases] == [("dev", "10"), ("prod", "10")]


class TestPeoplesFiles:
    def test_a_hand_edit_is_named_and_never_overwritten(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1")])
        run(root, registry)
        patch = root / "models/wine/overlays/prod/patch.yaml"
        patch.write_text(patch.read_text().replace("value: 4", "value: 9"))
        registry.known[0] = model(champion="2")
        before = tree(root)
        with pytest.raises(InputError, match=r"models/wine/overlays/prod/patch\.yaml") as caught:
            run(root, registry)
        assert "models/wine/custom/prod/" in caught.value.hint
        assert tree(root) == before
        checked = run(root, registry, RenderOptions(check=True))
        assert "hand-edit" in {finding.rule for finding in checked.findings}
        run(root, registry, RenderOptions(discard_edits=True))
        assert "value: 4" in patch.read_text()

    def test_a_file_without_our_mark_is_never_overwritten_or_removed(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1")])
        mine = root / "models/wine/README.md"
        mine.parent.mkdir(parents=True)
        mine.write_text("# mine\n")
        with pytest.raises(InputError, match=r"README\.md"):
            run(root, registry)
        assert mine.read_text() == "# mine\n"
        mine.unlink()
        run(root, registry)
        extra = root / "models/wine/overlays/prod/extra.yaml"
        extra.write_text("a: 1\n")
        registry.known[0] = model()
        outcome = run(root, registry)
        assert [(f.rule, f.file) for f in outcome.findings] == [
            ("foreign-file", "models/wine/overlays/prod/extra.yaml")
        ]
        assert extra.read_text() == "a: 1\n"

    def test_a_component_is_used_where_it_exists(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1", challenger="1")])
        folder = root / "models/wine/custom/prod"
        folder.mkdir(parents=True)
        (folder / "kustomization.yaml").write_text("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n")
        run(root, registry)
        assert b"../../custom/prod" in (root / "models/wine/overlays/prod/kustomization.yaml").read_bytes()
        assert b"components" not in (root / "models/wine/overlays/dev/kustomization.yaml").read_bytes()

    @pytest.mark.parametrize(
        ("content", "rule"),
        [
            (b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n", "record-conflicted"),
            (b"{}", "record-foreign"),
            (
                b'{\n  "generated": "Generated by m2g; do not edit sha256:0000000000000000",\n  "a": 1\n}',
                "record-edited",
            ),
        ],
    )
    def test_a_record_that_is_not_as_written_stops_the_run(self, tmp_path: Path, content: bytes, rule: str) -> None:
        root = repository(tmp_path)
        write_record(root, "wine", release()).write_bytes(content)
        before = tree(root)
        with pytest.raises(InvalidRepository) as caught:
            run(root, FakeRegistry([model(champion="1")]))
        assert [(f.rule, f.file) for f in caught.value.findings] == [(rule, "models/wine/releases/prod.json")]
        assert caught.value.findings[0].hint
        assert tree(root) == before

    def test_crlf_line_ends_are_no_edit_and_no_drift(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1")])
        run(root, registry)
        patch = root / "models/wine/overlays/prod/patch.yaml"
        patch.write_bytes(patch.read_bytes().replace(b"\n", b"\r\n"))
        assert run(root, registry, RenderOptions(check=True)).files == ()
        registry.known[0] = model(champion="2")
        run(root, registry)
        assert b"\r" not in patch.read_bytes()

    def test_a_merge_of_m2gs_own_output_is_rendered_anew(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1")])
        run(root, registry)
        card = root / "models/wine/README.md"
        ours = card.read_bytes()
        card.write_bytes(b"<<<<<<< HEAD\n" + ours + b"=======\n" + ours[:-3] + b">>>>>>> other\n")
        run(root, registry, RenderOptions(locked=True))
        assert card.read_bytes() == ours


class TestPeopleHaveTheLastWord:
    def test_a_component_wins_over_what_m2g_patches(self, tmp_path: Path, kustomize: Path) -> None:
        root = repository(tmp_path)
        folder = root / "models/wine/custom/prod"
        folder.mkdir(parents=True)
        (folder / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
            "kind: Component\n"
            "resources: [extra.yaml]\n"
            "patches:\n"
            "- target: {kind: InferenceService}\n"
            "  patch: |-\n"
            "    - {op: replace, path: /spec/predictor/maxReplicas, value: 9}\n"
        )
        (folder / "extra.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n")
        run(root, FakeRegistry([model(champion="1")]))
        built = process.run([str(kustomize), "build", str(root / "models/wine/overlays/prod")])
        objects = {str(manifest.get_at(item, "kind")): item for item in manifest.read_all(built.stdout.decode())}
        assert manifest.get_at(objects["InferenceService"], "spec", "predictor", "maxReplicas") == 9
        assert manifest.get_at(objects["InferenceService"], "spec", "predictor", "minReplicas") == 2
        assert {manifest.get_at(item, "metadata", "namespace") for item in objects.values()} == {"models-prod"}

    def test_a_component_that_comes_or_goes_moves_the_patch(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1")])
        run(root, registry)
        folder = root / "models/wine/custom/prod"
        folder.mkdir(parents=True)
        (folder / "kustomization.yaml").write_text("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n")
        run(root, registry)
        overlay = root / "models/wine/overlays/prod"
        assert not (overlay / "patch.yaml").exists()
        assert (overlay / "release/patch.yaml").exists()
        shutil.rmtree(folder)
        run(root, registry)
        assert (overlay / "patch.yaml").exists()
        assert not (overlay / "release").exists()

    def test_a_pin_that_was_not_rendered_is_said_without_a_registry(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="3")])
        run(root, registry)
        (root / "models/wine/model.yaml").write_text("environments: {prod: {version: 2}}\n")
        for options in (RenderOptions(locked=True), RenderOptions(locked=True, check=True)):
            (finding,) = run(root, registry, options).findings
            assert (finding.rule, finding.file) == ("pin-not-rendered", "models/wine/model.yaml")
        run(root, registry)
        assert run(root, registry, RenderOptions(locked=True, check=True)).findings == ()

    @pytest.mark.parametrize("hand_moved", [True, False])
    def test_what_a_person_holds_stays_when_its_model_is_deleted(self, tmp_path: Path, hand_moved: bool) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1"), model("fraud", champion="1")])
        run(root, registry)
        if hand_moved:
            (root / "m2g.yaml").write_text(CONFIG.replace("follow: {alias: champion}, ", ""))
        else:
            (root / "models/wine/model.yaml").write_text("environments: {prod: {version: 1}}\n")
            run(root, registry)
        del registry.known[0]
        outcome = run(root, registry)
        assert [(f.rule, f.severity, f.model) for f in outcome.findings] == [("model-gone", "warning", "wine")]
        assert outcome.releases == ()
        config = root / "m2g.yaml"
        config.write_text(config.read_text() + "models: {exclude: [wine]}\n")
        for options in (RenderOptions(locked=True, check=True), RenderOptions()):
            assert [(c.kind, c.slug) for c in run(root, registry, options).releases] == [(ChangeKind.REMOVED, "wine")]


class TestNarrowedRuns:
    """A run for one environment or model must leave a tree that is right as a whole."""

    def test_a_changed_base_takes_all_overlays_along(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model(champion="1", challenger="1")])
        run(root, registry)
        (root / "m2g.yaml").write_text(CONFIG + "defaults: {image: ghcr.io/acme/x:1}\n")
        registry.known[0] = model(champion="2", challenger="2")
        run(root, registry, RenderOptions(scope=Scope(environments=frozenset(["dev"]))))
        assert run(root, registry, RenderOptions(locked=True, check=True)).files == ()
        assert b'"version": "1"' in (root / "models/wine/releases/prod.json").read_bytes()

    def test_a_new_model_by_its_registered_name(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model("Wine Quality", champion="1")])
        run(root, registry, RenderOptions(scope=Scope(models=frozenset(["Wine Quality"]))))
        assert run(root, registry).files == ()
        assert (root / "models/wine-quality/releases/prod.json").exists()


class TestIdentity:
    def test_a_model_renamed_in_mlflow_keeps_its_service(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model("Wine", champion="1")])
        run(root, registry)
        registry.known[0] = model("wine", champion="1")
        outcome = run(root, registry)
        assert outcome.findings == ()
        assert [(c.kind, c.model, c.before, c.after) for c in outcome.releases] == [
            (ChangeKind.CHANGED, "wine", "1", "1")
        ]

    def test_another_model_under_the_slug_of_one_that_is_gone_changes_nothing(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model("Wine", champion="1"), model("fraud", champion="1")])
        run(root, registry)
        registry.known[0] = model("wine", champion="1")
        registry.changes["wine", "1"] = ModelVersion(name="wine", version="1", source="s3://b/other", created_at=9)
        outcome = run(root, registry)
        assert {finding.rule for finding in outcome.findings} == {"slug-collision"}
        assert outcome.files == ()

    def test_a_record_in_another_models_folder_stops_the_run(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        write_record(root, "beer", release("wine"))
        with pytest.raises(InvalidRepository) as caught:
            run(root, FakeRegistry(), RenderOptions(locked=True))
        assert [finding.rule for finding in caught.value.findings] == ["record-misplaced"]

    def test_a_slug_that_people_change_moves_the_model(self, tmp_path: Path) -> None:
        root = repository(tmp_path)
        registry = FakeRegistry([model("wine", champion="1")])
        run(root, registry)
        (root / "m2g.yaml").write_text(CONFIG + "models: {slugs: {wine: vino}}\n")
        assert {(c.kind, c.slug) for c in run(root, registry).releases} == {
            (ChangeKind.REMOVED, "wine"),
            (ChangeKind.ADDED, "vino"),
        }


def test_lost_records_are_under_the_cap_too(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(f"m{n}", champion="1") for n in range(5)])
    run(root, registry)
    for record in root.glob("models/*/releases/*.json"):
        record.unlink()
    before = tree(root)
    with pytest.raises(InputError, match="would remove 5 of 5"):
        run(root, registry, RenderOptions(locked=True))
    assert tree(root) == before


@pytest.mark.parametrize(
    "source", [f"hf://owner/model:{'0' * 40}", f"oci://registry.test/m@sha256:{'0' * 64}", "pvc://claim/m"]
)
def test_sources_that_only_clusters_read_need_no_mlmodel(tmp_path: Path, source: str) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1")])
    registry.changes["wine", "1"] = ModelVersion(name="wine", version="1", source=source, created_at=1, run_id="r")
    registry.problems["wine", "1"] = "MLflow cannot read this"
    assert run(root, registry).findings == ()
    assert source.encode() in (root / "models/wine/overlays/prod/patch.yaml").read_bytes()


def test_a_password_in_a_source_is_never_shown(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1")])
    source = "https://user:hunter2@host.test/model"
    registry.changes["wine", "1"] = ModelVersion(name="wine", version="1", source=source, created_at=1)
    for problem in ("", f"cannot read {source}"):
        registry.problems["wine", "1"] = problem
        (finding,) = run(root, registry).findings
        assert "hunter2" not in finding.message + finding.hint


def test_what_people_wrote_is_not_forgotten_where_a_model_gets_another_slug(tmp_path: Path) -> None:
    root = repository(tmp_path)
    registry = FakeRegistry([model(champion="1")])
    path = root / "models/wine/model.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("settings: {minReplicas: 2, maxReplicas: 3}\n")
    assert run(root, registry).findings == ()  # there before the first release: it is used now
    (root / "m2g.yaml").write_text(CONFIG + "models: {slugs: {wine: vino}}\n")
    for findings in (run(root, registry).findings, validate(root, ValidateOptions()).findings):
        assert [(f.rule, f.file, f.severity) for f in findings] == [
            ("model-unused", "models/wine/model.yaml", Severity.WARNING)
        ]
    path.write_text("settings: {profile: mlflow-image}\n")
    (finding,) = validate(root, ValidateOptions()).findings
    assert "m2g image --missing" in finding.hint
    path.write_text("settings: {minReplicas: 2, maxReplicas: 3}\n")
    path.rename(root / "models/vino/model.yaml")
    assert run(root, registry).findings == validate(root, ValidateOptions()).findings == ()
    assert b"maxReplicas: 3" in (root / "models/vino/base/inferenceservice.yaml").read_bytes()
