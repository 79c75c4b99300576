"""The image in a release record: only one that CI pushed for this version reaches an environment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.image import ImageOptions, list_pending, record
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.image.pending import find_pending_image
from m2g.repository import records as releases
from m2g.repository.state import Scope
from m2g.validation.base import Against
from tests.support.fleet import CONFIG, model, run, tree
from tests.support.forged_records import (
    DIGEST,
    FORGED,
    OURS,
    PLACE,
    WITH_IMAGES,
    fleet,
    forge,
    image,
    of_mlmodel,
    of_record,
)
from tests.support.git_repository import commit, follow, git, start

pytestmark = pytest.mark.attack


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2G_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", [f"evil.example/backdoor{DIGEST}", OURS])
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_branch_of_the_proposal_chooses_no_image(tmp_path: Path, name: str, environment: str) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    main = commit(root)
    forge(root, image(name), environment)
    commit(root, "Render the fleet")
    git(root, "update-ref", "refs/remotes/origin/m2g/render", "HEAD")
    git(root, "reset", "-q", "--hard", main)
    assert {finding.rule for finding in run(root, registry).findings} == {"image-missing"}
    assert DIGEST.encode() not in b"".join(tree(root).values())
    assert len(list_pending(root, Scope(), lambda _config: registry, locked=False)) == 2


def test_an_image_in_old_records_must_fit_too(tmp_path: Path) -> None:
    """A forged record that was merged and reverted is in Git's history."""
    root = start(tmp_path / "r")
    registry = fleet(root)
    main = commit(root)
    for change in (image(f"evil.example/wine{DIGEST}"), FORGED["an image of other packages"]):
        forge(root, change)
        commit(root)
        git(root, "checkout", "-q", main, "--", ".")
        commit(root)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    registry.known = [model(champion="2", challenger="2")]
    assert {finding.rule for finding in run(root, registry).findings} == {"image-missing"}
    forge(root, image(OURS))
    commit(root)
    git(root, "checkout", "-q", main, "--", "models/wine/releases")
    commit(root)
    run(root, registry)
    found = releases.read_all(root)[0]["wine", "prod"].image
    assert found is not None
    assert found.name == OURS


def test_a_foreign_image_does_not_stay(tmp_path: Path) -> None:
    registry = fleet(tmp_path)
    before = tree(tmp_path)
    forge(tmp_path, image(f"evil.example/wine{DIGEST}"))
    run(tmp_path, registry)
    assert tree(tmp_path) == before


def test_packages_of_an_image_are_the_registrys(tmp_path: Path) -> None:
    registry = fleet(tmp_path)
    (tmp_path / "models/wine/model.yaml").write_text("environments: {dev: {settings: {profile: mlflow-image}}}\n")
    forge(tmp_path, of_mlmodel(requirements=("evil==1",)))
    pending = find_pending_image(tmp_path, "wine", "dev", lambda _config: registry, locked=False)
    assert pending.release.mlmodel is not None
    assert pending.release.mlmodel.requirements == ("mlflow==2.19.0", "scikit-learn==1.5.2")
    record(tmp_path, ImageOptions(model="wine", environment="dev"), OURS, "2", lambda _config: registry)
    mlmodel = releases.read_all(tmp_path)[0]["wine", "dev"].mlmodel
    assert mlmodel is not None
    assert mlmodel.requirements == ("mlflow==2.19.0", "scikit-learn==1.5.2")


def test_an_image_that_waits_for_a_merge_is_of_the_cache(tmp_path: Path) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    main = commit(root)
    record(root, ImageOptions(model="wine", environment="dev"), OURS, "2", lambda _config: registry)
    git(root, "reset", "-q", "--hard", main)
    pending = list_pending(root, Scope(), lambda _config: registry, locked=False)
    assert [(one.version, one.environments) for one in pending] == [("1", ("prod",))]
    # The same version with other facts is another image.
    text = (root / "m2g.yaml").read_text()
    (root / "m2g.yaml").write_text(text.replace(PLACE, f"{PLACE}-2"))
    assert len(list_pending(root, Scope(), lambda _config: registry, locked=False)) == 2


@pytest.mark.usefixtures("kustomize")
def test_the_image_of_another_model_is_foreign(tmp_path: Path) -> None:
    """Whoever registers a model of their own gets an image in images.registry."""
    root = start(tmp_path / "r")
    registry = fleet(root)
    main = commit(root)
    forge(root, image(f"{PLACE}/mallory{DIGEST}"), "prod")
    commit(root)
    found = validate(root, ValidateOptions(against=Against(ref=main))).findings
    assert [one.file for one in found if one.rule == "image-elsewhere"] == ["models/wine/releases/prod.json"]
    run(root, registry)
    assert releases.read_all(root)[0]["wine", "prod"].image is None


def find_elsewhere(root: Path, base: str) -> list[Finding]:
    found = validate(root, ValidateOptions(against=Against(ref=base))).findings
    return [one for one in found if one.rule == "image-elsewhere"]


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("widens", [True, False])
def test_a_change_with_a_foreign_image_is_refused(tmp_path: Path, widens: bool) -> None:
    root = start(tmp_path / "r")
    fleet(root)
    commit(root)
    git(root, "checkout", "-q", "-b", "pr")
    if widens:
        (root / "m2g.yaml").write_text(WITH_IMAGES.replace(PLACE, "evil.example"))
    forge(root, image(f"evil.example/wine{DIGEST}"))
    commit(root)
    (found,) = find_elsewhere(root, "main")
    assert (found.file, found.severity) == ("models/wine/releases/dev.json", Severity.ERROR)
    assert f"is not in {PLACE}" in found.message
    follow(root, found.hint.partition("restore the record: ")[2].partition(";")[0])
    assert find_elsewhere(root, "main") == []
    git(root, "checkout", "main", "--", "m2g.yaml")
    forge(root, image(OURS))
    assert find_elsewhere(root, "main") == []


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("name", [OURS, f"evil.example/wine{DIGEST}"])
def test_without_a_place_of_images_no_record_gets_one(tmp_path: Path, name: str) -> None:
    root = start(tmp_path / "r")
    fleet(root, CONFIG)
    commit(root)
    git(root, "checkout", "-q", "-b", "pr")
    forge(root, image(name))
    (root / "m2g.yaml").write_text(f"{CONFIG}images: {{registry: {name.partition('/wine')[0]}}}\n")
    commit(root)
    (found,) = find_elsewhere(root, "main")  # the change cannot use the place that it names itself
    assert (found.file, found.severity) == ("models/wine/releases/dev.json", Severity.ERROR)
    assert "m2g.yaml of main does not name images.registry" in found.message
    follow(root, found.hint.partition("restore the record: ")[2].partition(";")[0])
    assert find_elsewhere(root, "main") == []
    # The other way of the hint: the place is merged first.
    git(root, "checkout", "-q", "-f", "main")
    text = re.search(r"add `images: \{registry: REGISTRY\}` to m2g.yaml", found.hint)
    assert text is not None
    (root / "m2g.yaml").write_text(WITH_IMAGES)
    commit(root)
    git(root, "checkout", "-q", "-b", "second")
    forge(root, image(OURS))
    assert find_elsewhere(root, "main") == []


@pytest.mark.usefixtures("kustomize")
def test_an_image_of_before_stays_and_goes_nowhere_else(tmp_path: Path) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root, CONFIG)
    forge(root, image(OURS))
    commit(root)
    git(root, "checkout", "-q", "-b", "pr")
    forge(root, of_record(tags={"team": "wine"}))
    commit(root)
    assert find_elsewhere(root, "main") == []
    for change, environment in (
        (image(OURS), "prod"),
        (image(f"{OURS[:-1]}0"), "dev"),
        (of_record(version="3"), "dev"),
    ):
        forge(root, change, environment)
        assert [one.environment for one in find_elsewhere(root, "main")] == [environment]
        git(root, "checkout", "-q", "main", "--", ".")
    registry.known = [model(champion="2", challenger="2")]
    run(root, registry)
    records = releases.read_all(root)[0]
    assert [bool(records["wine", name].image) for name in ("dev", "prod")] == [True, False]


@pytest.mark.usefixtures("kustomize")
def test_a_new_record_with_a_foreign_image(tmp_path: Path) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root)
    registry.known = [model(champion="1")]
    run(root, registry, RenderOptions(allow_removals=1))
    commit(root)
    git(root, "checkout", "-q", "-b", "pr")
    registry.known = [model(champion="1", challenger="2")]
    run(root, registry)
    forge(root, image(f"evil.example/wine{DIGEST}"))
    commit(root)
    (found,) = find_elsewhere(root, "main")
    remove, render = found.hint.partition("remove the image: ")[2].partition(";")[0].split(" && ")
    assert render == "m2g render --model wine --env dev"
    follow(root, remove)
    scope = Scope(models=frozenset({"wine"}), environments=frozenset({"dev"}))
    run(root, registry, RenderOptions(scope=scope))
    assert find_elsewhere(root, "main") == []
    assert releases.read_all(root)[0]["wine", "dev"].image is None


def test_no_image_is_recorded_without_a_place(tmp_path: Path) -> None:
    registry = fleet(tmp_path, CONFIG)
    options = ImageOptions(model="wine", environment="dev", profile="mlflow-image")
    with pytest.raises(InputError, match="does not say where the images") as raised:
        record(tmp_path, options, OURS, "2", lambda _config: registry)
    assert "add `images: {registry: REGISTRY}` to m2g.yaml" in raised.value.hint
    (tmp_path / "m2g.yaml").write_text(WITH_IMAGES)
    record(tmp_path, options, OURS, "2", lambda _config: registry)
    assert releases.read_all(tmp_path)[0]["wine", "dev"].image is not None


OWNED = "* @admins\n/models/*/releases/dev.json\n/models/**/releases/prod.json @admins\n"
OTHER = f"{PLACE}/wine@sha256:{'a' * 64}"
OWNERS = {
    "prod has owners": (OWNED, False),
    "dev has others": ("* @admins\n/models/*/releases/dev.json @dev\n", False),
    "a rule for any depth": ("releases/prod.json @admins\n", False),
    "a section of GitLab": ("[Prod][2] @admins\nprod.json\n", False),
    "a rule that m2g cannot read": ("/models/[a-z]*/releases/prod.json @admins\n", False),
    "one owner": ("# all\n* @admins\n/models/*/releases/* @wine\n", True),
    "a rule of another model": ("* @admins\n/models/beer/releases/prod.json @beer\n", True),
    "no file": ("", True),
}


@pytest.mark.parametrize("place", ["CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS"])
@pytest.mark.parametrize(("text", "taken"), OWNERS.values(), ids=OWNERS)
def test_an_image_comes_from_records_with_the_same_owners_only(
    tmp_path: Path, place: str, text: str, taken: bool
) -> None:
    """Whoever may edit dev must not choose which digest of the right image runs in prod."""
    root = start(tmp_path / "r")
    registry = fleet(root)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    if text:
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).write_text(text)
    forge(root, image(OTHER))
    commit(root)
    forge(root, of_record(image=None))
    commit(root)  # also in the history
    forge(root, image(OTHER))
    commit(root)
    registry.known = [model(champion="2", challenger="2")]
    found = run(root, registry).findings
    prod = releases.read_all(root)[0]["wine", "prod"]
    assert (prod.version, bool(prod.image)) == (("2", True) if taken else ("1", False))
    assert taken or ("image-missing", "prod") in {(one.rule, one.environment) for one in found}


def test_what_m2g_built_for_dev_is_what_prod_gets(tmp_path: Path) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root)
    (root / "CODEOWNERS").write_text(OWNED)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    record(root, ImageOptions(model="wine", environment="dev"), OURS, "2", lambda _config: registry)
    commit(root)
    registry.known = [model(champion="2", challenger="2")]
    forge(root, image(OTHER))  # also if somebody changes the record of dev before
    run(root, registry, RenderOptions(cache=tmp_path / "cache"))
    prod = releases.read_all(root)[0]["wine", "prod"]
    assert (prod.version, prod.image and prod.image.name) == ("2", OURS)


def test_what_a_branch_had_on_its_way_is_no_history(tmp_path: Path) -> None:
    """A pull request changes the record of prod in one commit and takes it back in the next: nobody is asked."""
    root = start(tmp_path / "r")
    registry = fleet(root)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    commit(root)
    git(root, "checkout", "-q", "-b", "pr")
    forge(root, image(OTHER), "prod")
    commit(root)
    forge(root, of_record(image=None), "prod")
    commit(root)
    git(root, "checkout", "-q", "main")
    git(root, "merge", "-q", "--no-ff", "-m", "merge", "pr")
    assert ("image-missing", "prod") in {(one.rule, one.environment) for one in run(root, registry).findings}
    assert releases.read_all(root)[0]["wine", "prod"].image is None
