"""`m2g image`: build contexts from an index of small wheels by the real uv, and digests into records."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest

from m2g import cli
from m2g.changes.update import RenderOptions
from m2g.commands.image import ImageOptions, list_pending, prepare, record
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Flavor, Image, Mlmodel
from m2g.core.results import PreparedImage
from m2g.image import context, output_folder
from m2g.repository import records as releases
from m2g.repository.state import Scope
from tests.support.fleet import FakeRegistry, model, release, repository, run, tree, write_record
from tests.support.images import UV, instructions, wheel

DIGEST = "@sha256:" + "5f" * 32
CONFIG = """\
version: 1
registry: {uri: "http://mlflow.test"}
images: {registry: ghcr.io/acme/models, bases: {"3.11": "python:3.11-slim%s"}}
environments:
  dev: {namespace: models-dev, follow: {alias: challenger}}
  prod: {namespace: models-prod, follow: {alias: champion}, settings: {profile: %s}}
sync: {argocd: {}}
"""
MLMODEL = Mlmodel(
    sha256="0" * 64,
    flavors=(Flavor(name="sklearn", version="1.9.1", serialization_format="skops", file="model.skops"),),
    mlflow_version="3.17.2",
    python_version="3.11.7",
    requirements=("mlflow==3.17.2", "numpy==2.4.6", "scikit-learn"),
)


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """uv, with nothing but an index of wheels in a folder."""
    if not UV.exists():
        pytest.fail("uv is missing; `make test` installs it", pytrace=False)
    wheels = tmp_path / "wheels"
    wheel(wheels, "mlflow", "3.17.2", "numpy", "uvicorn")
    wheel(wheels, "mlserver", "1.7.1", "uvloop", "pandas")
    wheel(wheels, "mlserver-mlflow", "1.7.1", "mlserver", "mlflow>=2.19")
    wheel(wheels, "lightgbm", "4.6.0")
    wheel(wheels, "boto3", "1.40.0")
    for name, versions in {
        "numpy": ["2.4.6", "2.5.0"],
        "scikit-learn": ["1.9.1"],
        "uvicorn": ["0.54.0"],
        "uvloop": ["0.21.0", "0.22.0"],
        "pandas": ["2.3.3", "3.0.1"],
    }.items():
        for version in versions:
            wheel(wheels, name, version)
    given = {
        "M2G_CACHE_DIR": str(tmp_path / "cache"),
        "M2G_UV": str(UV),
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_CACHE_DIR": str(tmp_path / "uv"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return wheels


def world(root: Path, mlmodel: Mlmodel = MLMODEL, profile: str = "mlserver-image") -> Path:
    repository(root, CONFIG % (DIGEST, profile))
    for environment in ("dev", "prod"):
        write_record(root, "wine", release("wine", environment, mlmodel=mlmodel))
    return root


def nobody(_config: object) -> FakeRegistry:
    raise AssertionError("the registry was asked")


def prepared(root: Path, to: Path, **options: object) -> PreparedImage:
    asked = ImageOptions(model="wine", environment="prod", locked=True)
    return prepare(root, msgspec.structs.replace(asked, **options), to, nobody)


def saved(folder_: Path, mlmodel: Mlmodel = MLMODEL) -> tuple[Path, Mlmodel]:
    """A model's folder, and what its record says of it."""
    import hashlib

    (folder_ / "code").mkdir(parents=True)
    (folder_ / "MLmodel").write_text("flavors: {python_function: {}}\n")
    (folder_ / "code/own.py").write_text("pass\n")
    digest = hashlib.sha256((folder_ / "MLmodel").read_bytes()).hexdigest()
    return folder_, msgspec.structs.replace(mlmodel, sha256=digest)


def test_mlserver_gets_locked_packages_and_no_model(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    made = prepared(root, tmp_path / "out")
    assert made.files == (".dockerignore", "Dockerfile", "m2g-image.json", "requirements.txt")
    assert made.notes == ()
    assert sorted(tree(tmp_path / "out")) == list(made.files)
    lock = (tmp_path / "out/requirements.txt").read_text()
    pins = {line.split(" ")[0] for line in lock.splitlines() if "==" in line}
    assert pins == {
        *("mlflow==3.17.2", "mlserver==1.7.1", "mlserver-mlflow==1.7.1", "numpy==2.4.6", "pandas==2.3.3"),
        *("scikit-learn==1.9.1", "uvicorn==0.54.0", "uvloop==0.21.0"),
    }
    assert lock.count("--hash=sha256:") >= len(pins)
    assert str(tmp_path) not in lock
    read = instructions((tmp_path / "out/Dockerfile").read_text())
    assert read.names == ["FROM", "LABEL", "COPY", "RUN", "ENV", "WORKDIR", "USER", "EXPOSE", "CMD"]
    assert (read.cmd, read.user) == (["mlserver", "start", "/opt/m2g"], "1000:1000")
    assert read.env["MLSERVER_DEBUG"] == "false"
    assert f"FROM python:3.11-slim{DIGEST}\n" in (tmp_path / "out/Dockerfile").read_text()


def test_mlflows_server_gets_the_model_of_this_very_version(tmp_path: Path) -> None:
    place, mlmodel = saved(tmp_path / "model")
    os.chmod(place / "MLmodel", 0o600)
    root = world(tmp_path / "r", mlmodel, "mlflow-image")
    made = prepared(root, tmp_path / "out", model_dir=place)
    assert {"model/MLmodel", "model/code/own.py"} <= set(made.files)
    assert stat.S_IMODE((tmp_path / "out/model/MLmodel").stat().st_mode) == 0o644
    assert "COPY model /opt/ml/model\n" in (tmp_path / "out/Dockerfile").read_text()
    assert made.notes == ()
    # A password that its author logged stays out of the image.
    for name, line in {"requirements.txt": "--extra-index-url %s\nx\n", "conda.yaml": "- pip: ['-i %s']\n"}.items():
        (place / name).write_text(line % "https://alice:secret@pypi.acme.test/simple")
        made = prepared(root, tmp_path / "out", model_dir=place)
        assert (tmp_path / "out/model" / name).read_text() == line % "https://pypi.acme.test/simple"
    assert [note.partition(" ")[0] for note in made.notes] == ["model/requirements.txt", "model/conda.yaml"]
    (place / "MLmodel").write_text("flavors: {other: {}}\n")
    with pytest.raises(InputError, match="is not version 1 of"):
        prepared(root, tmp_path / "out2", model_dir=place)
    assert not (tmp_path / "out2").exists()


def test_the_same_bytes_again_and_over_its_own_folder(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    prepared(root, tmp_path / "one")
    prepared(root, tmp_path / "two")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    before = tree(tmp_path / "one")
    prepared(root, tmp_path / "one")
    assert tree(tmp_path / "one") == before
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".m2g")] == []


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    made = prepared(world(tmp_path / "r"), tmp_path / "out", dry_run=True)
    assert (made.written, len(made.files)) == (False, 4)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["foreign", "extra", "edited", "file", "link"])
def test_a_folder_with_anything_of_somebodys_is_refused(tmp_path: Path, what: str) -> None:
    root, out = world(tmp_path / "r"), tmp_path / "out"
    match what:
        case "foreign":
            out.mkdir()
            (out / "thesis.tex").write_text("years of work")
        case "file":
            out.write_text("years of work")
        case "link":
            (tmp_path / "else").mkdir()
            out.symlink_to(tmp_path / "else")
        case _:
            prepared(root, out)
            name = "mine.txt" if what == "extra" else context.MARKER
            (out / name).write_text((out / name).read_text() + " " if what == "edited" else "mine")
    before = tree(out) if out.is_dir() else {"": out.read_bytes()}
    with pytest.raises(InputError) as caught:
        prepared(root, out)
    assert caught.value.hint
    assert (tree(out) if out.is_dir() else {"": out.read_bytes()}) == before


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("no-such-package==1.0", "no-such-package"),
        ("numpy==9.9", "numpy"),
        ("own @ git+https://token:secret@github.com/acme/own", "own"),
        ("own @ https://user:secret@host.test/own-1.0-py3-none-any.whl", "own"),
        ("git+ssh://git@github.com/acme/own.git", "github.com/acme/own"),
        ("-e .", "-e ."),
        ("./own-1.0-py3-none-any.whl", "own-1.0"),
        ("file:///home/ada/own.whl", "own.whl"),
        ("-r other.txt", "other.txt"),
        ("--index-url file:///srv/index", "file:///srv/index"),
        ("numpy==2.4.6 $(touch /tmp/x)", "numpy"),
    ],
)
def test_a_requirement_that_no_lock_can_hold_is_named(tmp_path: Path, requirement: str, words: str) -> None:
    mlmodel = msgspec.structs.replace(MLMODEL, requirements=("mlflow==3.17.2", requirement))
    with pytest.raises(InputError) as caught:
        prepared(world(tmp_path / "r", mlmodel), tmp_path / "out")
    assert words in caught.value.message
    assert "secret" not in caught.value.message + caught.value.hint
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_an_index_loses_its_password_and_a_note_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "--extra-index-url https://ada:hunter2@pypi.test/simple"
    lines = (line, "-c constraints.txt", "mlflow==3.17.2  # the server", "pandas==3.0.1 ; python_version >= '3.9'")
    mlmodel = msgspec.structs.replace(MLMODEL, requirements=lines)
    with pytest.raises(InputError, match="a model may not choose its index") as refused:
        prepared(world(tmp_path / "r", mlmodel), tmp_path / "out")
    assert "hunter2" not in refused.value.message + refused.value.hint
    name, _, value = refused.value.hint.partition("export ")[2].split()[0].partition("=")
    monkeypatch.setenv(name, value)
    made = prepared(world(tmp_path / "r", mlmodel), tmp_path / "out")
    written = b"".join(tree(tmp_path / "out").values()).decode()
    assert written.count("--extra-index-url https://pypi.test/simple\n") == 1
    assert "hunter2" not in written
    assert [note for note in made.notes if "pip_conf" in note and "hunter2" not in note]
    assert [note for note in made.notes if "constraints.txt" in note]
    assert [note for note in made.notes if "pandas 3" in note]
    assert "pandas==3.0.1" in written


def test_a_system_library_that_the_slim_image_lacks(tmp_path: Path) -> None:
    mlmodel = msgspec.structs.replace(MLMODEL, requirements=("lightgbm==4.6.0",))
    prepared(world(tmp_path / "r", mlmodel), tmp_path / "out")
    text = (tmp_path / "out/Dockerfile").read_text()
    assert "libgomp1 \\\n" in text
    assert "mlflow==3.17.2" in (tmp_path / "out/requirements.txt").read_text()


@pytest.mark.parametrize(
    ("python", "profile", "words"),
    [
        ("", "mlflow-image", "does not say"),
        ("3.6.9", "mlflow-image", "3.9 or newer"),
        ("3.13.1", "mlserver-image", "3.12"),
    ],
)
def test_a_python_without_a_server(tmp_path: Path, python: str, profile: str, words: str) -> None:
    mlmodel = msgspec.structs.replace(MLMODEL, python_version=python)
    with pytest.raises(InputError) as caught:
        prepared(world(tmp_path / "r", mlmodel, profile), tmp_path / "out")
    assert words in caught.value.message + caught.value.hint


@pytest.mark.parametrize("base", ["python", "python:latest", "py thon:3", "x\nRUN id", "python:3.11@sha256:0", "-x"])
def test_a_base_that_moves_or_is_none_is_refused(tmp_path: Path, base: str) -> None:
    with pytest.raises(InputError, match="not a base image with a version tag or a digest"):
        prepared(world(tmp_path / "r"), tmp_path / "out", base=base)


@pytest.mark.parametrize("before", ["--config-file=/etc/x", "yesterday", "2026-11-25\n"])
def test_a_date_that_is_none(tmp_path: Path, before: str) -> None:
    with pytest.raises(InputError, match="is not a date"):
        prepared(world(tmp_path / "r"), tmp_path / "out", before=before)


def test_a_batch_brings_what_mlflow_needs_for_its_store(tmp_path: Path) -> None:
    root = world(tmp_path / "r", profile="auto")
    (root / "models/wine/model.yaml").write_text("settings: {batch: {input: s3://b/x.csv, output: s3://b/y.json}}\n")
    (waits, *_) = list_pending(root, Scope(environments=frozenset(["prod"])), nobody, locked=True)
    assert (waits.profile, waits.environments) == ("mlflow-image", ("prod",))
    prepared(root, tmp_path / "out", profile="mlserver-image")
    assert "boto3==1.40.0 \\\n" in (tmp_path / "out/requirements.txt").read_text()


def test_a_name_cannot_break_out_of_its_label(tmp_path: Path) -> None:
    evil = 'a"\nRUN touch /x\n$HOME \\'
    text = context.make_files(
        context.ContextSpec(
            slug="a", release=release(evil), profile="mlflow-image", base="python:3.11-slim", lock="mlflow==3.17.2"
        )
    )["Dockerfile"].decode()
    assert instructions(text).names == instructions(text.replace("%0A", "")).names
    assert "\nRUN touch" not in text
    assert "$HOME" not in text


def test_without_uv_or_with_a_broken_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = world(tmp_path / "r")
    monkeypatch.setenv("M2G_UV", "no-such-uv")
    with pytest.raises(OutsideError, match="M2G_UV"):
        prepared(root, tmp_path / "out")
    monkeypatch.setenv("M2G_UV", str(UV))
    monkeypatch.delenv("UV_OFFLINE")
    monkeypatch.setenv("UV_INDEX_URL", "http://ada:hunter2@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    with pytest.raises(OutsideError, match="index") as caught:
        prepared(root, tmp_path / "out")
    assert "hunter2" not in caught.value.message


def test_a_record_that_does_not_know_and_a_profile_without_an_image(tmp_path: Path) -> None:
    root = world(tmp_path / "r", msgspec.structs.replace(MLMODEL, requirements=None))
    with pytest.raises(InputError, match="does not have the model's requirements"):
        prepared(root, tmp_path / "out")
    with pytest.raises(InputError, match="would lack its packages"):
        prepared(world(tmp_path / "s", msgspec.structs.replace(MLMODEL, requirements=())), tmp_path / "out")
    with pytest.raises(InputError, match="needs no image"):
        prepared(root, tmp_path / "out", environment="dev")
    with pytest.raises(InputError, match="no model 'beer'"):
        prepared(root, tmp_path / "out", model="beer")
    with pytest.raises(InputError, match="no environment 'test'"):
        prepared(root, tmp_path / "out", environment="test")


def moving(tmp_path: Path) -> tuple[Path, FakeRegistry]:
    """Version 1 runs with its image in prod; the alias has moved to 2, which waits."""
    root = repository(tmp_path / "r", CONFIG % (DIGEST, "mlflow-image"))
    registry = FakeRegistry([model(champion="1")])
    built(root, registry, "1")
    registry.known = [model(champion="2", challenger="2")]
    return root, registry


def built(root: Path, registry: FakeRegistry, version: str, name: str = f"ghcr.io/acme/models/wine{DIGEST}") -> object:
    return record(root, ImageOptions(model="wine", environment="prod"), name, version, lambda _config: registry)


def test_a_version_waits_is_built_recorded_and_promoted_with_its_image(tmp_path: Path) -> None:
    root, registry = moving(tmp_path)
    (waits,) = list_pending(root, Scope(), lambda _config: registry, locked=False)
    assert (waits.slug, waits.version, waits.profile, waits.environments) == ("wine", "2", "mlflow-image", ("prod",))
    outcome = run(root, registry)
    assert [finding.rule for finding in outcome.findings] == ["image-missing"]
    built(root, registry, "2")
    records, _ = releases.read_all(root)
    image = Image(name=f"ghcr.io/acme/models/wine{DIGEST}", profile="mlflow-image")
    assert (records["wine", "prod"].version, records["wine", "prod"].image) == ("2", image)
    assert list_pending(root, Scope(), lambda _config: registry, locked=False) == ()
    # dev runs the same version without one, and goes on so until it asks for one; the files settle.
    assert run(root, registry).findings == ()
    assert releases.read_all(root)[0]["wine", "dev"].image is None
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    assert list_pending(root, Scope(), lambda _config: registry, locked=False) == ()
    assert run(root, registry).findings == ()
    assert releases.read_all(root)[0]["wine", "dev"].image == image
    assert run(root, registry).files == ()
    assert run(root, registry, RenderOptions(locked=True, check=True)).files == ()
    with pytest.raises(InputError, match="no registered model with this name or slug"):
        list_pending(root, Scope(models=frozenset(["whine"])), lambda _config: registry, locked=False)
    registry.known = [model(champion="3", challenger="3")]
    assert [w.version for w in list_pending(root, Scope(), lambda _config: registry, locked=False)] == ["3"]


def test_two_environments_that_wait_for_images_of_two_versions_both_get_them(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", CONFIG % (DIGEST, "auto"))
    registry = FakeRegistry([model(champion="1", challenger="2")])
    run(root, registry)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlserver-image}\n")
    before = tree(root)
    name = f"ghcr.io/acme/models/wine{DIGEST}"
    for environment, version in (("dev", "2"), ("prod", "1")):
        assert tree(root)["models/wine/overlays/prod/patch.yaml"] == before["models/wine/overlays/prod/patch.yaml"]
        options = ImageOptions(model="wine", environment=environment)
        outcome = record(root, options, name, version, lambda _config: registry)
        assert [(change.environment, change.after) for change in outcome.releases] == [(environment, version)]
    assert list_pending(root, Scope(), lambda _config: registry, locked=False) == ()
    assert (root / "models/wine/overlays/dev/servingruntime.yaml").is_file()
    assert run(root, registry).files == ()


def test_a_promotion_takes_the_image_along(tmp_path: Path) -> None:
    root, registry = moving(tmp_path)
    registry.known = [model(champion="1", challenger="2")]
    name = f"ghcr.io/acme/models/wine{DIGEST}"
    options = ImageOptions(model="wine", environment="dev", profile="mlflow-image")
    record(root, options, name, "2", lambda _config: registry)
    registry.known = [model(champion="2", challenger="2")]
    assert run(root, registry).findings == ()
    assert releases.read_all(root)[0]["wine", "prod"].image == Image(name=name, profile="mlflow-image")


def test_a_run_does_not_tell_what_it_left_out(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", CONFIG % (DIGEST, "auto"))
    registry = FakeRegistry([model(champion="1", challenger="1")])
    run(root, registry)
    (root / "models/wine/model.yaml").write_text("environments: {prod: {settings: {profile: mlserver-image}}}\n")
    registry.known = [model(champion="1", challenger="2")]
    before = tree(root)
    outcome = run(root, registry)
    assert [(finding.rule, finding.environment) for finding in outcome.findings] == [
        ("image-missing", "prod"),
        ("release-withheld", "dev"),
    ]
    assert (outcome.releases, tree(root)) == ((), before)


def commit(root: Path, message: str) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(root)]
    if not (root / ".git").exists():
        subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", message], check=True)


def test_a_rollback_and_a_late_promotion_run_the_image_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, registry = moving(tmp_path)
    monkeypatch.setenv("M2G_CACHE_DIR", str(tmp_path / "cache of another machine"))
    first, second = (f"ghcr.io/acme/models/wine@sha256:{digit * 64}" for digit in "12")
    built(root, registry, "2", second)
    commit(root, "two")
    registry.known = [model(champion="1", challenger="2")]
    assert [wait.version for wait in list_pending(root, Scope(), lambda _config: registry, locked=False)] == ["1"]
    built(root, registry, "1", first)
    commit(root, "one")
    # Forth and back, and to what another environment had: no image is built again.
    for champion, name in (("2", second), ("1", first), ("2", second)):
        registry.known = [model(champion=champion, challenger="3")]
        run(root, registry)
        commit(root, f"prod {champion}")
        records, _ = releases.read_all(root)
        found = records["wine", "prod"]
        assert (found.version, found.image) == (champion, Image(name=name, profile="mlflow-image"))
    # A model that was deleted and made again starts at version 1 again: that is another one.
    registry.known = [model(champion="1", challenger="3")]
    registry.changes["wine", "1"] = msgspec.structs.replace(registry.list_versions()[0], created_at=2)
    assert [wait.version for wait in list_pending(root, Scope(), lambda _config: registry, locked=False)] == ["1"]
    # Nor does an image count that is not where images are now.
    registry.changes.clear()
    text = (root / "m2g.yaml").read_text()
    (root / "m2g.yaml").write_text(text.replace("ghcr.io/acme/models,", "ghcr.io/acme/others,"))
    assert [wait.version for wait in list_pending(root, Scope(), lambda _config: registry, locked=False)] == ["1"]


@pytest.mark.parametrize("moves", [True, False])
def test_what_waits_to_be_merged_is_not_built_again(tmp_path: Path, moves: bool) -> None:
    """The cache of CI has it, not the branch of the proposal, to which others may push."""
    root = repository(tmp_path / "r", CONFIG % (DIGEST, "auto"))
    registry = FakeRegistry([model(champion="1", challenger="1")])
    run(root, registry)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    commit(root, "main")
    version = "2" if moves else "1"
    registry.known = [model(champion=version, challenger=version)]
    built(root, registry, version)
    run(root, registry)
    wanted = tree(root)
    git = ("git", "-C", str(root))
    subprocess.run([*git, "reset", "--quiet", "--hard"], check=True)
    subprocess.run([*git, "clean", "--quiet", "--force", "-d"], check=True)
    assert list_pending(root, Scope(), lambda _config: registry, locked=False) == ()
    run(root, registry, RenderOptions(cache=tmp_path / "cache"))
    assert tree(root) == wanted


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("ghcr.io/acme/models/wine:2", "2", "not an image name with a digest"),
        (f"wine{DIGEST}", "2", "not an image name with a digest"),
        (f"ghcr.io/acme/models-evil/wine{DIGEST}", "2", "not in ghcr.io/acme/models"),
        (f"https://ghcr.io/acme/models/wine{DIGEST}", "2", "not an image name with a digest"),
        (f"ghcr.io/acme/models/wine{DIGEST}", "1", "now follows version 2"),
    ],
)
def test_an_image_that_is_not_this_versions_is_not_recorded(
    tmp_path: Path, name: str, version: str, words: str
) -> None:
    root, registry = moving(tmp_path)
    before = tree(root)
    with pytest.raises(InputError, match=words) as caught:
        built(root, registry, version, name)
    assert caught.value.hint
    assert tree(root) == before


def test_the_folder_says_of_which_version_it_is(tmp_path: Path) -> None:
    root = world(tmp_path / "r")
    prepared(root, tmp_path / "out")
    options = ImageOptions(model="wine", environment="prod", locked=True)
    name = f"ghcr.io/acme/models/wine{DIGEST}"
    record(root, options, name, tmp_path / "out", nobody)
    records, _ = releases.read_all(root)
    assert records["wine", "prod"].image == Image(name=name, profile="mlserver-image")
    assert (root / "models/wine/overlays/prod/servingruntime.yaml").is_file()
    with pytest.raises(InputError, match="not a build context that m2g wrote"):
        record(root, options, name, tmp_path, nobody)
    before = tree(root)
    other = msgspec.structs.replace(options, profile="mlflow-image")
    with pytest.raises(InputError, match="is for the profile mlserver-image, not for mlflow-image"):
        record(root, other, name, tmp_path / "out", nobody)
    assert tree(root) == before
    again = msgspec.structs.replace(MLMODEL, sha256="1" * 64)
    write_record(root, "wine", release("wine", "prod", "1", mlmodel=again))
    with pytest.raises(InputError, match="is the context of another version 1: its MLmodel file differs"):
        record(root, options, name, tmp_path / "out", nobody)
    write_record(root, "wine", release("wine", "prod", "2", mlmodel=MLMODEL))
    with pytest.raises(InputError, match="for version 1, but prod now follows version 2"):
        record(root, options, name, tmp_path / "out", nobody)


def test_a_write_that_fails_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    output_folder.write_folder(out, {"a": b"1"}, {})
    with pytest.raises(OutsideError):
        output_folder.write_folder(out, {"a": b"2"}, {"b": tmp_path / "gone"})
    assert tree(out) == {"a": b"1"}
    assert [path.name for path in tmp_path.iterdir()].count("out") == 1
    assert not list(tmp_path.glob(".out*"))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root = world(tmp_path / "r")
    monkeypatch.chdir(root)

    def m2g(*arguments: str) -> int:
        return int(cli.run(lambda: cli.group.main(["image", *arguments], standalone_mode=False)))

    assert m2g("--missing", "--locked", "--format", "json") == 0
    (waits,) = json.loads(capsys.readouterr().out)["missing"]
    assert waits["slug"] == "wine"
    assert m2g("wine", "--env", "prod", "--locked", "-o", "../ctx") == 0
    assert capsys.readouterr().out.startswith(f"wrote {tmp_path}/ctx: mlserver-image of wine 1, 4 files\n")
    assert m2g("wine", "--env", "prod", "--locked", "-o", "../ctx", "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["base"].startswith("python:3.11-slim@")
    assert (told["version"], told["modelVersion"]) == (1, "1")
    name = f"ghcr.io/acme/models/wine{DIGEST}"
    assert m2g("wine", "--env", "prod", "--locked", "--record", name) == 2
    assert "--version" in capsys.readouterr().err
    assert m2g("wine", "--env", "prod", "--locked", "--record", name, "-o", "../ctx") == 0
    assert "served by mlserver-image: set by the setting profile" in capsys.readouterr().out
    assert m2g("wine", "--locked", "-o", "../ctx") == 2
    assert "--env" in capsys.readouterr().err
    assert m2g("wine", "--env", "prod", "--locked") == 2
    assert "-o DIR" in capsys.readouterr().err
    assert m2g("wine", "--env", "prod", "--locked", "--version", "3", "-o", "../ctx") == 2
    assert "--version works only with --record" in capsys.readouterr().err
