"""The template: whatever is answered, the files are right and say what was answered."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from release.version import find_named

from m2g.commands.init import init
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.repository import config
from m2g.validation.schemas import Catalogue
from tests.support.codeowners import owners
from tests.support.paths import ROOT
from tests.support.scaffolded import (
    at,
    commit,
    documents,
    fleet,
    git,
    mapping,
    program,
    scaffold,
    sequence,
    strings,
)

pytestmark = pytest.mark.slow
CATALOGUE = Catalogue()
COMBINATIONS = [
    (sync, ci, environments, mode, kserve)
    for (sync, ci), (environments, mode, kserve) in zip(
        itertools.product(["argocd", "flux", "both"], ["github", "gitlab", "gitea"]),
        itertools.cycle(
            [
                ("dev,staging,prod", "Standard", "0.21"),
                ("prod", "Knative", "0.15"),
                ("[test, live]", "Standard", "0.16"),
            ]
        ),
        strict=False,
    )
]


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    sync, ci, environments, mode, kserve = request.param
    return scaffold(
        tmp_path / "repository",
        f"sync={sync}", f"ci={ci}", f"environments={environments}", f"deployment_mode={mode}",
        f"kserve_version={kserve}", "owners=@acme/ml  @bob",
    )  # fmt: skip


def test_all_yaml_is_yaml_and_nothing_is_left_unrendered(repository: Path) -> None:
    for path in repository.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert text.endswith("\n"), path
            assert not text.endswith("\n\n"), path
            assert not text.startswith("\n"), path
            assert not re.search(r"\[\[ |\[% | %\]|\[# |[ \t]+$", text, re.MULTILINE), path
            assert "\n\n\n" not in text, path
        if path.suffix in {".yaml", ".yml"}:
            assert all(document for document in documents(path)), path


@pytest.mark.parametrize("sync", ["argocd", "flux", "both"])
@pytest.mark.parametrize("ci", ["github", "gitlab", "gitea"])
def test_the_template_uses_no_name_that_nobody_defines(tmp_path: Path, sync: str, ci: str) -> None:
    """`undefined` is no setting of the template itself: copier 9.14, with which people may update, does not know it."""
    template = tmp_path / "template"
    shutil.copytree(ROOT / "template", template / "template")
    shutil.copytree(ROOT / "schemas/m2g", template / "schemas/m2g")
    questions = (ROOT / "copier.yml").read_text()
    strict = questions.replace("_envops:\n", "_envops:\n  undefined: jinja2.StrictUndefined\n")
    assert strict != questions
    (template / "copier.yml").write_text(strict)
    init(tmp_path / "r", template=str(template), data=[f"sync={sync}", f"ci={ci}"], defaults=True)


def test_m2g_yaml_is_what_m2g_reads(repository: Path) -> None:
    loaded = config.load(repository)
    assert not loaded.findings
    assert loaded.config is not None
    (data,) = documents(repository / "m2g.yaml")
    msgspec.convert(data, Config)
    schema = json.loads((repository / "schemas/m2g.schema.json").read_text())
    assert jsonschema_rs.validator_for(schema).is_valid(data)
    assert (
        (repository / "m2g.yaml").read_text().startswith("# yaml-language-server: $schema=./schemas/m2g.schema.json\n")
    )


def test_editors_get_the_schemas_of_this_version(repository: Path) -> None:
    for name in ("m2g", "model"):
        theirs = (repository / f"schemas/{name}.schema.json").read_bytes()
        assert theirs == (ROOT / f"schemas/m2g/{name}.schema.json").read_bytes()


def test_platform_files_are_what_their_schemas_allow(repository: Path) -> None:
    paths = [*repository.glob("platform/**/*.yaml"), *repository.glob("fleet/**/*.yaml")]
    assert paths
    for path in paths:
        for document in documents(path):
            assert CATALOGUE.find_violations(mapping(document), kserve="0.21") == [], path


def test_kustomize_reads_the_platform(repository: Path, kustomize: Path) -> None:
    """Types, quoting and duplicate objects as Kubernetes' own reader sees them."""
    paths = sorted(repository.glob("platform/**/*.yaml")) + sorted(repository.glob("fleet/**/*.yaml"))
    listed = "".join(f"- {path.relative_to(repository).as_posix()}\n" for path in paths)
    (repository / "kustomization.yaml").write_text(f"resources:\n{listed}")
    done = program([kustomize, "build", repository], repository)
    assert done.returncode == 0, done.stderr
    (repository / "kustomization.yaml").unlink()


@pytest.mark.usefixtures("kustomize")
def test_m2g_finds_nothing_to_say(repository: Path) -> None:
    """Before the first model and with three, in the environments that there are."""
    for _ in range(2):
        for verb in (["validate"], ["render", "--locked", "--check"]):
            done = program(["m2g", *verb], repository)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "finding" not in done.stdout
            assert "warning" not in done.stderr
        fleet(repository)


@pytest.mark.usefixtures("kustomize")
def test_what_the_readme_shows_works(tmp_path: Path) -> None:
    repository = fleet(scaffold(tmp_path / "r"))
    shown = re.findall(r"```yaml\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    settings = [text for text in shown if "kind:" not in text]
    assert [len(shown), len(settings)] == [2, 1]
    for text in settings:
        (repository / "models/wine/model.yaml").write_text(text)
        found, findings = config.read_intents(repository)
        assert not findings
        assert found["wine"].environments
    (component,) = set(shown) - set(settings)
    path = repository / "models/wine/custom/prod/kustomization.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(component)
    fleet(repository)
    done = program(["m2g", "validate"], repository)
    assert done.returncode == 0, done.stdout + done.stderr
    built = program(["kustomize", "build", repository / "models/wine/overlays/prod"], repository)
    assert 'prometheus.io/scrape: "true"' in built.stdout


def test_nothing_secret_and_no_other_writer(repository: Path) -> None:
    """No path that the generator owns comes from the template, and no Secret comes at all."""
    for path in repository.rglob("*"):
        name = path.relative_to(repository).as_posix()
        assert not re.match(r"models/|fleet/[^/]+/[a-z][-a-z0-9]*\.yaml", name)
    for path in repository.rglob("*.y*ml"):
        for document in documents(path):
            assert at(document, "kind") != "Secret" if isinstance(document, dict) and "kind" in document else True


@pytest.mark.parametrize(
    ("environments", "followed"),
    [
        ("prod", {"prod": "champion"}),
        ("staging, prod", {"staging": "challenger", "prod": "champion"}),
        ("dev, staging, prod", {"dev": "candidate", "staging": "challenger", "prod": "champion"}),
        ("a, b, c, d", {"a": "candidate", "b": "candidate", "c": "challenger", "d": "champion"}),
        ("on, no", {"on": "challenger", "no": "champion"}),
    ],
)
def test_the_last_environment_follows_the_champion(
    tmp_path: Path, environments: str, followed: Mapping[str, str]
) -> None:
    (data,) = documents(scaffold(tmp_path / "r", f"environments={environments}") / "m2g.yaml")
    found = mapping(data, "environments")
    assert {name: at(found, name, "follow", "alias") for name in found} == followed
    assert list(found) == list(followed)
    assert [at(found, name, "namespace") for name in found] == [f"models-{name}" for name in found]


def test_the_defaults(tmp_path: Path) -> None:
    (data,) = documents(scaffold(tmp_path / "r") / "m2g.yaml")
    assert at(data, "kserve") == {"version": "0.21", "mode": "Standard"}
    assert at(data, "storage") == {
        "rewrites": [{"from": "mlflow-artifacts:/", "to": "s3://mlflow/"}], "allow": ["s3://mlflow/"],
    }  # fmt: skip
    assert at(data, "sync") == {"argocd": {}}
    assert at(data, "registry") == {}
    assert at(data, "defaults", "serviceAccountName") == "models"


def test_storage_without_a_bucket_or_without_a_proxy(tmp_path: Path) -> None:
    (data,) = documents(scaffold(tmp_path / "a", "storage_bucket=") / "m2g.yaml")
    assert at(data, "storage") == {"rewrites": [], "allow": []}
    (data,) = documents(scaffold(tmp_path / "b", "artifact_root=", "storage_bucket=gs://b/c") / "m2g.yaml")
    assert at(data, "storage") == {"rewrites": [], "allow": ["gs://b/c/"]}
    (data,) = documents(scaffold(tmp_path / "c", "artifact_root=/srv/my runs") / "m2g.yaml")
    assert sequence(data, "storage", "rewrites") == [{"from": "/srv/my runs/", "to": "s3://mlflow/"}]


HOSTILE = """sqlite:////home/o'brien/a "b": #c, {d} [e] & *f % @g \\n ${H} {{ i }} [[ j ]] [% k %] é😀.db"""


def test_quotes_and_signs_arrive_as_they_were_written(tmp_path: Path) -> None:
    repository = scaffold(tmp_path / "r", f"tracking_uri={HOSTILE}", f"artifact_root=/{HOSTILE}")
    (data,) = documents(repository / "m2g.yaml")
    assert at(data, "registry", "uri") == HOSTILE
    assert at(data, "storage", "rewrites", 0, "from") == f"/{HOSTILE}/"
    (answers,) = documents(repository / ".copier-answers.yml")
    assert at(answers, "tracking_uri") == HOSTILE


@pytest.mark.parametrize(
    "question",
    "repository_name environments namespace_prefix tracking_uri storage_bucket artifact_root kserve_version "
    "deployment_mode service_account sync ci repository_url default_branch runner owners m2g_install "
    "m2g_source".split(),
)
@pytest.mark.parametrize("answer", ["a\nb: c", "x\u0085y", "' #", '"', "$(id)", "-rf", "@", "${{ x }}", "[[ 7*7 ]]"])
def test_what_no_file_could_hold_is_refused(tmp_path: Path, question: str, answer: str) -> None:
    try:
        scaffold(tmp_path / "r", f"{question}={answer}")
    except InputError as error:
        assert question in error.message
        assert not (tmp_path / "r").exists()
    else:
        pytest.fail("accepted")


@pytest.mark.parametrize(
    "answer",
    ["tracking_uri=https://me:secret@mlflow.test", "repository_url=https://me:secret@git.test/r.git",
     "storage_bucket=s3://key:secret@bucket", "m2g_source=https://me:secret@git.test/m2g"],
)  # fmt: skip
def test_credentials_are_refused(tmp_path: Path, answer: str) -> None:
    with pytest.raises(InputError):
        scaffold(tmp_path / "r", answer)


@pytest.mark.parametrize(
    ("url", "flux"),
    [
        ("https://git.test:8443/ml/models.git", "https://git.test:8443/ml/models.git"),
        ("ssh://git@git.test:22/ml/models.git", "ssh://git@git.test:22/ml/models.git"),
        ("git@git.test:ml/models.git", "ssh://git@git.test/ml/models.git"),
    ],
)
def test_each_tool_gets_the_url_in_its_own_spelling(tmp_path: Path, url: str, flux: str) -> None:
    repository = scaffold(tmp_path / "r", f"repository_url={url}", "sync=both")
    (source,) = documents(repository / "platform/flux/_source.yaml")
    assert at(source, "spec", "url") == flux
    project, applications = documents(repository / "platform/argocd/prod.yaml")
    assert at(project, "spec", "sourceRepos") == [url]
    assert at(applications, "spec", "template", "spec", "source", "repoURL") == url


def test_one_place_for_version_and_source_of_m2g(tmp_path: Path) -> None:
    version = find_named(ROOT)
    for ci in ("github", "gitlab", "gitea"):
        repository = scaffold(tmp_path / ci, f"ci={ci}", "m2g_source=https://git.test/us/m2g")
        installed = [
            text for path in [*repository.glob(".git*/*/*.yml"), *repository.glob(".gitlab-ci.yml")]
            for document in documents(path) for text in strings(document) if "git+" in text
        ]  # fmt: skip
        assert set(installed) == {f"mlflow-gitops @ git+https://git.test/us/m2g@v{version}"}
        (hooks,) = documents(repository / ".pre-commit-config.yaml")
        assert at(hooks, "repos", 0, "repo") == "https://git.test/us/m2g"
        assert at(hooks, "repos", 0, "rev") == f"v{version}"
        assert "m2g-dev" not in "".join(
            p.read_text() for p in repository.rglob("*") if p.suffix != ".json" and p.is_file()
        )


def test_pre_commit_takes_the_hooks_that_this_repository_offers(tmp_path: Path) -> None:
    (offered,) = documents(ROOT / ".pre-commit-hooks.yaml")
    assert isinstance(offered, list)
    (config_file,) = documents(scaffold(tmp_path / "r") / ".pre-commit-config.yaml")
    taken = [at(h, "id") for h in sequence(config_file, "repos", 0, "hooks")]
    elsewhere = "m2g-manifests"  # it is for repositories that m2g has not made
    assert [*taken, elsewhere] == [at(h, "id") for h in offered]
    done = program(["pre-commit", "validate-config", tmp_path / "r/.pre-commit-config.yaml"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_git_takes_the_attributes(tmp_path: Path) -> None:
    repository = scaffold(tmp_path / "r")
    commit(repository, "Scaffold")
    shown = git(repository, "check-attr", "linguist-generated", "eol", "--", "models/wine/overlays/prod/patch.yaml")
    assert re.findall(r": ([\w-]+): (\w+)", shown) == [("linguist-generated", "unset"), ("eol", "lf")]


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_the_platform_team_owns_what_reaches_production(tmp_path: Path, ci: str) -> None:
    file = scaffold(tmp_path / "r", "owners=@acme/ml @bob", f"ci={ci}", "sync=both") / "CODEOWNERS"
    text = file.read_text()
    file.write_text(text.replace("# /models/wine/ @my-org/wine-team", "/models/wine/ @wine"))
    owned = {
        "m2g.yaml", "CODEOWNERS", ".github/workflows/check.yml", ".gitlab-ci.yml", "new", "a/b", ".gitmodules",
        "platform/argocd/prod.yaml", "policies/x.yaml", "schemas/x/y.json", "runtimes/x.json", "models/x.yaml",
        "models/wine/model.yaml", "models/wine/base/x.yaml", "models/wine/overlays/prod/patch.yaml",
        "models/wine/overlays/prod/release/patch.yaml", "models/wine/releases/prod.json", "models/wine/custom/prod/x",
        "models/wine/notes/overlays/prod/app.json", "models/wine/overlays/dev/overlays/prod/app.json",
        "models/wine/custom/dev/a/overlays/prod/app.json", "fleet/prod/wine.yaml", "fleet/prod/a/b.yaml",
        "fleet/dev/namespace/x.yaml", "fleet/x.yaml", "fleet/dev/a/b.yaml",
    }  # fmt: skip
    assert {path: owners(file, path, ci) for path in owned} == {key: ["@acme/ml", "@bob"] for key in owned}
    assert owners(file, "models/wine/notes.md", ci) == ["@wine"]
    assert owners(file, "models/beer/notes/overlays/dev/app.json", ci) == ["@acme/ml", "@bob"]
    free = {"models/beer/overlays/dev/patch.yaml", "models/beer/releases/staging.json", "fleet/dev/beer.yaml"}
    assert {path: owners(file, path, ci) for path in free} == {key: [] for key in free}
    unowned = scaffold(tmp_path / "s") / "CODEOWNERS"
    rules = [line for line in unowned.read_text().splitlines() if line and not line.startswith("#")]
    assert rules == [], "a team that does not exist would make every rule an error"
    assert "# /models/**/overlays/prod/** @" in unowned.read_text()
