"""The scaffolded pipelines build what models wait for: real m2g, uv and MLflow; docker and buildah are fakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from m2g.image import context
from m2g.mlmodel import parse
from tests.support.fleet import MLMODEL
from tests.support.images import UV, wheel
from tests.support.pipelines import Remote, Store, render, scaffolded
from tests.support.scaffolded import commit, git, program, scaffold

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
DIGEST = "sha256:" + "5f" * 32
IMAGES = "ghcr.io/acme/models"
FAILED = {"github": "Build missing images", "gitlab": "render"}
"""The step or job that fails, after the others are proposed."""
PROGRAM = f"""\
#!/bin/sh
# Builds nothing; what it was given and asked is written down.
printf '%s\\n' "$*" >> "$FAKE/calls"
for last in "$@"; do :; done
name="$(printf '%s' "$*" | tr ' ' '\\n' | grep '^{IMAGES}/[^@]*:[^@]*$' | sed 1q | tr '/:' '__')"
case "$*" in
  login*|*" login "*) cat > "$FAKE/password" ;;
  *inspect*)
    name="$(printf '%s' "${{last#docker://}}" | tr '/:' '__')"
    [ -e "$FAKE/pushed/$name" ] || exit 1
    case "$*" in *imagetools*) printf '{{"digest": "{DIGEST}"}}' ;; *) printf '{DIGEST}' ;; esac ;;
  "manifest push"*) touch "$FAKE/pushed/$name" ;;
  *build*)
    case "$name" in *broken*) exit 1 ;; esac
    ! grep --quiet brokenlib "$last/requirements.txt" || exit 1
    rm -rf "$FAKE/built/$name" && cp -r "$last" "$FAKE/built/$name"
    case "$*" in *--push*) touch "$FAKE/pushed/$name" ;; esac ;;
esac
"""


@pytest.fixture(params=["github", "gitlab"])
def ci(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fake(tmp_path: Path, ci: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """docker, or buildah and skopeo on the path, and an index of wheels for uv; where they write."""
    if not UV.exists():
        pytest.fail("uv is missing; `make test` installs it", pytrace=False)
    place = tmp_path / "fake"
    for name in ("bin", "built", "pushed"):
        (place / name).mkdir(parents=True)
    for name in ("docker",) if ci == "github" else ("buildah", "skopeo"):
        (place / "bin" / name).write_text(PROGRAM)
        (place / "bin" / name).chmod(0o755)
    if ci == "gitlab":
        (place / "bin/docker").write_text("#!/bin/sh\nexit 1\n")
        (place / "bin/docker").chmod(0o755)
    wheel(place / "wheels", "mlflow", "2.19.0")
    wheel(place / "wheels", "scikit-learn", "1.5.2")
    wheel(place / "wheels", "brokenlib", "1")
    given = {"FAKE": str(place), "M2G_UV": str(UV), "UV_OFFLINE": "1", "UV_FIND_LINKS": str(place / "wheels")}
    for name, value in {**given, "UV_CACHE_DIR": str(place / "uv")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("M2G_CACHE_DIR", str(tmp_path / "cache"))
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


def record_of(remote: Remote, slug: str) -> dict[str, object]:
    """The record that the pipeline proposes."""
    found = json.loads(git(remote.bare, "show", f"m2g/prod/{slug}:models/{slug}/releases/prod.json"))
    assert isinstance(found, dict)
    return found


def test_it_builds_records_and_proposes_the_others(tmp_path: Path, store: Store, fake: Path, ci: str) -> None:
    remote = Remote(tmp_path, waiting(tmp_path / "models", store, f"ci={ci}"))
    done = render(remote.clone)
    assert done.failed == (FAILED[ci],), done.said
    assert remote.tips() == {"main", "m2g/prod/wine"}
    record = record_of(remote, "wine")
    assert record["image"] == {"name": f"{IMAGES}/wine@{DIGEST}", "profile": "mlflow-image"}
    built = fake / "built" / f"{IMAGES}/wine:1".translate(str.maketrans("/:", "__"))
    said = context.decode_marker((built / context.MARKER).read_bytes())
    assert (said.model, said.version, said.mlmodel) == ("wine", "1", parse(MLMODEL).sha256)
    assert (built / "model/MLmodel").read_bytes() == MLMODEL
    assert (fake / "password").read_text() == ("t" if ci == "github" else "s3cret")
    assert (
        f"login --username {'ada' if ci == 'github' else 'ci'} --password-stdin ghcr.io" in (fake / "calls").read_text()
    )
    assert "no image for broken 1" in done.said
    assert "s3cret" not in done.said


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


def test_an_environment_is_built_once_and_only_what_fails_is_held(tmp_path: Path, fake: Path, ci: str) -> None:
    """Each proposal has the environment that it needs, so that either one can be merged first."""
    remote = Remote(tmp_path, sharing(tmp_path / "models", tmp_path, f"ci={ci}"))
    done = render(remote.clone)
    assert done.failed == (FAILED[ci],), done.said
    assert remote.tips() == {"main", "m2g/prod/wine", "m2g/prod/iris"}
    assert "no image for the serving environment " in done.said
    serving = [record_of(remote, slug)["serving"] for slug in ("wine", "iris")]
    (shared,) = {str(one["environment"]) for one in serving if isinstance(one, dict)}
    for branch in ("m2g/prod/wine", "m2g/prod/iris"):
        names = git(remote.bare, "ls-tree", "-r", "--name-only", branch).splitlines()
        assert f"environments/{shared}/overlays/prod/kustomization.yaml" in names
        said = json.loads(git(remote.bare, "show", f"{branch}:environments/{shared}/environment.json"))
        assert said["image"] == f"{IMAGES}/serving.environment@{DIGEST}"
    (built,) = (fake / "built").glob(f"*{shared}")
    assert (built / "Dockerfile").is_file()
    assert not (built / "model").exists()

    before = {name: remote.head(name) for name in remote.tips()}
    assert render(remote.clone).failed == done.failed
    assert {name: remote.head(name) for name in remote.tips()} == before, "a second run changes nothing"
    pushes = [line for line in (fake / "calls").read_text().splitlines() if "build" in line and shared in line]
    assert len([line for line in pushes if "inspect" not in line]) == 1, "it is in the registry"

    remote.merge("m2g/prod/wine")
    remote.merge("m2g/prod/iris")
    assert render(remote.clone).failed == done.failed
    assert remote.tips() == {"main"}
    checked = program(["m2g", "validate"], remote.clone())
    assert checked.returncode == 0, checked.stdout + checked.stderr


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
