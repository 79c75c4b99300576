"""`m2g import mlflow2seldon`: each value finds its place, and hostile values stay text."""

from __future__ import annotations

from pathlib import Path

import pytest
import ryaml

from m2g.changes.update import RenderOptions, update
from m2g.commands.import_values import import_mlflow2seldon
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.results import ImportedConfig
from m2g.registry import open_registry
from m2g.repository.config import load
from tests.support.scaffolded import scaffold
from tests.support.stages import OldService, Stages

VALUES = """\
serviceAccountName: mlflow2seldon-sa
serviceConfigs:
  M2S_MLFLOW_NEURO_TOKEN: eyJ0b2tlbiI6IjEifQ
  M2S_MLFLOW_HOST: "https://mlflow.test"
  M2S_MLFLOW_STORAGE_ROOT: storage:my-project/mlruns
  M2S_MLFLOW_DEPLOY_IMG_TAG: deployment-image
  M2S_SELDON_NEURO_DEF_IMAGE: ghcr.io/acme/wrapper:1
  M2S_SELDON_DEPLOYMENT_NS: seldon
"""


def convert(folder: Path, *texts: str, artifact_root: str = "", storage: str = "") -> ImportedConfig:
    """The result of these values; the m2g.yaml is one that m2g reads."""
    files = [folder / f"values-{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    result = import_mlflow2seldon(folder, files, artifact_root=artifact_root, storage=storage)
    (folder / "m2g.yaml").write_text(result.config)
    load(folder)
    return result


def remark(result: ImportedConfig, name: str) -> str:
    return next(f"{one.becomes}: {one.remark}" for one in result.values if one.name == name)


def test_each_value_finds_its_place(tmp_path: Path) -> None:
    result = convert(tmp_path, VALUES, artifact_root="/mlruns", storage="s3://mlflow")
    assert ryaml.loads(result.config) == {
        "version": 1,
        "registry": {"uri": "https://mlflow.test"},
        "storage": {"rewrites": [{"from": "/mlruns/", "to": "s3://mlflow/"}], "allow": ["s3://mlflow/"]},
        "defaults": {"backend": "seldon-core-1", "imageServer": "mlserver"},
        "tags": {"deployment-image": "image"},
        "bounds": {"image": {"oneOf": ["ghcr.io/acme/*"]}},
        "environments": {
            "staging": {"namespace": "seldon-staging", "follow": {"stage": "Staging"}},
            "prod": {"namespace": "seldon-prod", "follow": {"stage": "Production"}},
        },
        "removals": {"maxCount": 2, "maxPercent": 10},
        "sync": {"argocd": {}, "bounds": {"backends": ["seldon-core-1"]}},
    }
    assert "revoke it" in remark(result, "M2S_MLFLOW_NEURO_TOKEN")
    assert "eyJ0" not in result.config + str(result.values)


def test_later_files_win_and_placeholders_of_make_are_no_values(tmp_path: Path) -> None:
    later = "serviceConfigs: {M2S_SELDON_DEPLOYMENT_NS: models, M2S_MLFLOW_HOST: $M2S_MLFLOW_HOST}\n"
    config = convert(tmp_path, VALUES, later).config
    assert "models-prod" in config
    assert "registry" not in config


def test_storage_that_no_cluster_reads_is_named_with_what_to_do(tmp_path: Path) -> None:
    result = convert(tmp_path, VALUES)
    assert "storage" not in ryaml.loads(result.config)
    assert "add --artifact-root and --storage" in remark(result, "M2S_MLFLOW_STORAGE_ROOT")
    helped = convert(tmp_path, VALUES, artifact_root="/mlruns", storage="gs://bucket")
    assert remark(helped, "M2S_MLFLOW_STORAGE_ROOT").startswith("storage.rewrites")


@pytest.mark.parametrize(
    "value",
    [
        "a: b",
        'x"}\nremovals: {maxCount: 99}',
        "${HOME}",
        "https://user:secret@host.test",
        "ghcr.io/x/*/y:1",
        "# no",
        "\u2028",
    ],
)
@pytest.mark.parametrize(
    "name",
    ["HOST", "STORAGE_ROOT", "DEPLOY_IMG_TAG"],
)
def test_hostile_values_stay_text(tmp_path: Path, name: str, value: str) -> None:
    values = {"serviceConfigs": {f"M2S_MLFLOW_{name}": value, "M2S_SELDON_NEURO_DEF_IMAGE": "ghcr.io/a/b:1"}}
    result = convert(tmp_path, ryaml.dumps(values), artifact_root=value, storage=f"s3://{value}")
    assert "secret" not in result.config
    assert ryaml.loads(result.config)["removals"] == {"maxCount": 2, "maxPercent": 10}


@pytest.mark.parametrize("value", ["../../kube-system", "a b", "UPPER", "x" * 60])
def test_a_namespace_that_kubernetes_does_not_take_is_not_taken(tmp_path: Path, value: str) -> None:
    values = {"serviceConfigs": {"M2S_SELDON_DEPLOYMENT_NS": value, "M2S_MLFLOW_HOST": "http://a"}}
    assert "seldon-prod" in convert(tmp_path, ryaml.dumps(values)).config


@pytest.mark.parametrize("text", ["", "[]", "a: 1", "serviceConfigs: []", "serviceConfigs: {OTHER: 1}"])
def test_a_file_without_values_is_refused_with_the_command_that_prints_them(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        convert(tmp_path, text)
    assert "helm get values" in str(caught.value.hint)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_mlflow2seldon(tmp_path, [Path("none.yaml")])


@pytest.mark.slow
def test_the_life_of_a_model_beside_the_old_service(tmp_path: Path) -> None:
    """Stages move on a real MLflow: m2g serves what the old service would have applied, and loses nothing at once."""
    with Stages() as stages:
        root = scaffold(
            tmp_path / "fleet", "environments=staging, prod", "namespace_prefix=seldon", "serving_backend=seldon-core-1"
        )
        values = tmp_path / "values.yaml"
        values.write_text(VALUES.replace("https://mlflow.test", stages.url))
        result = import_mlflow2seldon(tmp_path, [values], artifact_root="mlflow-artifacts:/", storage="s3://mlflow")
        (root / "m2g.yaml").write_text(result.config)
        old = OldService()

        def step() -> tuple[set[str], set[str]]:
            """What the old service has in the cluster after a pass, and what the fleet has after a render."""
            old.poll(stages)
            render(root, stages.url)
            assert [one for one in validate(root, ValidateOptions()).findings if one.severity == "error"] == []
            return old.deployed, served(root)

        for name in ("wine", "fraud", "churn"):
            stages.register(name)
        stages.move("wine", "1", "Staging")
        assert step() == ({"wine-staging:1"}, {"wine-staging:1"})
        stages.register("wine")
        stages.move("wine", "1", "Production")
        stages.move("wine", "2", "Staging")
        stages.move("fraud", "1", "Production")
        assert step() == ({"wine-staging:2", "wine-production:1", "fraud-production:1"},) * 2
        stages.move("fraud", "1", "Archived")
        assert step() == ({"wine-staging:2", "wine-production:1"},) * 2
        stages.rename("wine", "wine new")
        # The old service deletes both services, and kubectl refuses the names of the new ones.
        assert step() == (
            {"wine new-production:1", "wine new-staging:2"},
            {"wine-new-staging:2", "wine-new-production:1"},
        )
        stages.delete("wine new")
        assert step() == (set(), set())


def render(root: Path, uri: str) -> None:
    update(root, RenderOptions(), open_registry=lambda _config: open_registry(uri), waiting=lambda: None)


def served(root: Path) -> set[str]:
    """`<slug>-<stage>:<version>` of every overlay."""
    stage = {"staging": "staging", "prod": "production"}
    found = set()
    for file in root.glob("models/*/releases/*.json"):
        version = ryaml.loads(file.read_text())["version"]
        found.add(f"{file.parts[-3]}-{stage[file.stem]}:{version}")
    return found
