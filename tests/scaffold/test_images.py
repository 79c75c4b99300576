"""The scaffolded pipelines build what models wait for: real m2g, uv and MLflow; docker and buildah are fakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from m2g.image import context
from m2g.mlmodel import parse
from tests.support.fake_github import GitHub
from tests.support.fleet import MLMODEL
from tests.support.images import UV, wheel
from tests.support.pipelines import Remote, Store, gitlab, scaffolded
from tests.support.scaffolded import commit, git, scaffold

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
DIGEST = "sha256:" + "5f" * 32
IMAGES = "ghcr.io/acme/models"
DOCKER = f"""\
#!/bin/sh
# Builds nothing; what it was given and asked is written down.
[ "$1" != login ] || {{ cat > "$FAKE/password"; printf '%s\\n' "$*" >> "$FAKE/calls"; exit 0; }}
printf '%s\\n' "$*" >> "$FAKE/calls"
for last in "$@"; do :; done
case "$*" in
  *broken*) exit 1 ;;
  *imagetools*) [ -e "$FAKE/${{last##*:}}" ] && printf '{{"digest": "{DIGEST}"}}' ;;
  "buildx build"*serving.environment*)
    ! grep --quiet brokenlib "$last/requirements.txt" && cp -r "$last" "$FAKE/${{last##*/}}" ;;
  "build "*serving.environment*)
    ! grep --quiet brokenlib "$last/requirements.txt" && cp -r "$last" "$FAKE/${{last##*/}}" ;;
  "manifest push"*) printf '{DIGEST}' > "$5" ;;
  "inspect "*) [ -e "$FAKE/${{last##*:}}" ] && printf '{DIGEST}' ;;
  *--metadata-file*)
    for last in "$@"; do :; done
    cp -r "$last" "$FAKE/context"
    printf '{{"containerimage.digest": "{DIGEST}"}}' > "$last.json" ;;
  build*)
    for last in "$@"; do :; done
    cp -r "$last" "$FAKE/context" ;;
  push*) printf '{DIGEST}' > "$3" ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """docker, buildah and apt-get on the path, and an index of wheels for uv; where they write."""
    if not UV.exists():
        pytest.fail("uv is missing; `make test` installs it", pytrace=False)
    place = tmp_path / "fake"
    (place / "bin").mkdir(parents=True)
    for name in ("docker", "buildah", "skopeo", "apt-get"):
        (place / "bin" / name).write_text(DOCKER)
        (place / "bin" / name).chmod(0o755)
    wheel(place / "wheels", "mlflow", "2.19.0")
    wheel(place / "wheels", "scikit-learn", "1.5.2")
    wheel(place / "wheels", "brokenlib", "1")
    given = {"FAKE": str(place), "M2G_UV": str(UV), "UV_OFFLINE": "1", "UV_FIND_LINKS": str(place / "wheels")}
    for name, value in {**given, "UV_CACHE_DIR": str(place / "uv")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=":")
    return place


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("mlflow"))
    for name in ("wine", "broken"):
        made.register(name, champion=1, versions=1)
    return made


def waiting(folder: Path, store: Store, *answers: str) -> Path:
    """A repository whose two models each want an image of their own: no cluster can read their files."""
    root = scaffolded(folder, store, f"image_registry={IMAGES}", *answers)
    config = (root / "m2g.yaml").read_text()
    assert "\nstorage:\n" in config
    (root / "m2g.yaml").write_text(re.sub(r"\nstorage:\n(  .*\n)+", "\nstorage: {}\n", config))
    for slug in ("wine", "broken"):
        (root / f"models/{slug}").mkdir(parents=True)
        (root / f"models/{slug}/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    commit(root, "Images")
    return root


def proposed(remote: Remote) -> dict[str, object]:
    """The record of wine that the pipeline pushed."""
    text = git(remote.bare, "show", "m2g/render:models/wine/releases/prod.json")
    assert "broken" not in git(
        remote.bare, "ls-tree", "-r", "--name-only", "m2g/render", "fleet", "models/broken/releases"
    )
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def was_built(fake: Path, record: dict[str, object]) -> None:
    assert record["image"] == {"name": f"{IMAGES}/wine@{DIGEST}", "profile": "mlflow-image"}
    said = context.decode_marker((fake / "context" / context.MARKER).read_bytes())
    assert (said.model, said.version, said.mlmodel) == ("wine", "1", parse(MLMODEL).sha256)
    assert (fake / "context/model/MLmodel").read_bytes() == MLMODEL


def test_github_builds_records_and_proposes_the_others(
    tmp_path: Path, store: Store, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = GitHub(tmp_path, waiting(tmp_path / "models", store))
    service.use(monkeypatch)
    job = service.render()
    assert job.failed == ["Report images that were not built"], job.said
    was_built(fake, proposed(service.remote))
    assert (fake / "password").read_text() == "t"
    login, *_ = (fake / "calls").read_text().splitlines()
    assert login == "login --username ada --password-stdin ghcr.io"
    assert "::error::no image for broken 1" in job.said
    assert [line for line in (fake / "calls").read_text().splitlines() if f"{IMAGES}/wine:1" in line]


def test_gitlab_builds_records_and_proposes_the_others(tmp_path: Path, store: Store, fake: Path) -> None:
    remote = Remote(tmp_path, waiting(tmp_path / "models", store, "ci=gitlab"))
    git(remote.bare, "config", "receive.advertisePushOptions", "true")
    given = {"CI_REGISTRY_USER": "ci", "CI_REGISTRY_PASSWORD": "s3cret"}
    done = gitlab(remote.clone(), "render", "git remote set-url", given)
    assert done.returncode == 1, done.stdout + done.stderr
    was_built(fake, proposed(remote))
    assert (fake / "password").read_text() == "s3cret"
    assert "no image for broken 1" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def sharing(folder: Path, tmp_path: Path, *answers: str) -> Path:
    """A repository whose clusters can read three models: two have the same packages, the build of the third fails."""
    store = Store(tmp_path)
    for name in ("wine", "iris", "hard"):
        store.register(name, champion=1, versions=1)
    place = store.artifacts / "hard/1/requirements.txt"
    place.write_text(f"{place.read_text()}brokenlib==1\n")
    root = scaffolded(folder, store, f"image_registry={IMAGES}", *answers)
    for slug in ("wine", "iris", "hard"):
        (root / f"models/{slug}").mkdir(parents=True)
        (root / f"models/{slug}/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    config = (root / "m2g.yaml").read_text()
    groups = 'sharing: {groups: {all: ["*"]}, packages: [scikit-learn]}'
    (root / "m2g.yaml").write_text(config.replace("  bases: {}", f"  {groups}\n  bases: {{}}"))
    commit(root, "Shared images")
    return root


def shared_and_proposed(remote: Remote, fake: Path) -> str:
    """The id of the environment that both models share in the proposal."""
    names = git(remote.bare, "ls-tree", "-r", "--name-only", "m2g/render").splitlines()
    records = {
        name: json.loads(git(remote.bare, "show", f"m2g/render:{name}")) for name in names if "/releases/" in name
    }
    assert sorted(records) == ["models/iris/releases/prod.json", "models/wine/releases/prod.json"]
    (shared,) = {record["serving"]["environment"] for record in records.values()}
    assert f"environments/{shared}/overlays/prod/kustomization.yaml" in names
    said = json.loads(git(remote.bare, "show", f"m2g/render:environments/{shared}/environment.json"))
    assert said["image"] == f"{IMAGES}/serving.environment@{DIGEST}"
    assert (fake / shared / "Dockerfile").is_file()
    assert not (fake / shared / "model").exists()
    return str(shared)


def test_github_builds_an_environment_once_and_holds_only_what_fails(
    tmp_path: Path, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = GitHub(tmp_path, sharing(tmp_path / "models", tmp_path))
    service.use(monkeypatch)
    job = service.render()
    assert job.failed == ["Report images that were not built"], job.said
    shared = shared_and_proposed(service.remote, fake)
    assert "::error::no image for the serving environment " in job.said
    calls = (fake / "calls").read_text()
    assert calls.count(f"--tag {IMAGES}/serving.environment:{shared}") == 1
    again = service.render()
    assert again.failed == ["Report images that were not built"], again.said
    assert (fake / "calls").read_text().count(f"--tag {IMAGES}/serving.environment:{shared}") == 1, "it is pushed"


def test_gitlab_builds_an_environment_once_and_holds_only_what_fails(tmp_path: Path, fake: Path) -> None:
    remote = Remote(tmp_path, sharing(tmp_path / "models", tmp_path, "ci=gitlab"))
    git(remote.bare, "config", "receive.advertisePushOptions", "true")
    given = {"CI_REGISTRY_USER": "ci", "CI_REGISTRY_PASSWORD": "s3cret"}
    done = gitlab(remote.clone(), "render", "git remote set-url", given)
    assert done.returncode == 1, done.stdout + done.stderr
    shared_and_proposed(remote, fake)
    assert "no image for the serving environment " in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_without_a_registry_nothing_is_built(tmp_path: Path, ci: str) -> None:
    root = scaffold(tmp_path / "models", f"ci={ci}")
    file = root / (".gitlab-ci.yml" if ci == "gitlab" else ".github/workflows/render.yml")
    assert "m2g image" not in file.read_text()
    assert "uv>=" not in file.read_text()


@pytest.mark.parametrize(
    "answer", ["https://ghcr.io/acme", "ghcr.io", "ghcr.io/acme/", "ghcr.io/Acme", "ghcr.io/a:1", "a b/c"]
)
def test_a_registry_that_is_none_is_refused(tmp_path: Path, answer: str) -> None:
    from m2g.core.errors import InputError

    with pytest.raises(InputError, match="image_registry"):
        scaffold(tmp_path / "models", f"image_registry={answer}")
