"""`mlflow deployments … -t m2g`: propose a version for an environment that follows nothing, or say what is deployed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import UNSET

from m2g.changes.hold import HoldNote, list_end_edits, list_hold_edits
from m2g.changes.update import RenderOptions, update
from m2g.core.config_types import Config, Follow
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.core.model import Release, Value
from m2g.core.results import ChangeKind
from m2g.delivery.edits import Edited, EditTools, propose_edit
from m2g.delivery.loop import Validate
from m2g.delivery.publish import Describe
from m2g.delivery.values import Moved, Proposal
from m2g.forge.detect import open_forge
from m2g.git.remote import find_remote
from m2g.git.worktree import open_worktree
from m2g.registry import Registry
from m2g.repository import layout, load
from m2g.repository.edit import edit_file
from m2g.repository.layout import Key
from m2g.repository.selection import find_slug, hold_slugs
from m2g.repository.state import Repository, Scope, check_environments, find_records
from m2g.repository.yaml_edit import Add
from m2g.resolution.resolve import open_configured_registry

_URI = re.compile(r"models:/+(?P<name>[^/@]+)/(?P<version>[1-9][0-9]{0,9})")


class Deployment(Value, frozen=True, kw_only=True):
    """A model in an environment, by MLflow's name for it: `prod/wine`."""

    environment: str
    slug: str

    @property
    def name(self) -> str:
        """As `--name` has it."""
        return f"{self.environment}/{self.slug}"


class WantedVersion(Value, frozen=True, kw_only=True):
    """A version of a registered model."""

    model: str
    version: str


class Change(Value, frozen=True, kw_only=True):
    """What somebody asks for: a version, or with None no version any more. `new` tells MLflow's `create` from its
    `update`."""

    deployment: Deployment
    wanted: WantedVersion | None
    new: bool


def parse_name(name: str) -> Deployment:
    """The deployment of a `--name`. Raises InputError."""
    environment, _, slug = name.partition("/")
    if not environment or not slug or "/" in slug:
        hint = "mlflow deployments list -t m2g shows the names"
        raise InputError(f"{name!r} is no deployment; write ENVIRONMENT/MODEL, such as prod/wine", hint=hint)
    return Deployment(environment=environment, slug=slug)


def parse_uri(uri: str) -> WantedVersion:
    """The version of a `models:/` URI. Raises InputError for a URI that does not name a version by its number."""
    found = _URI.fullmatch(uri)
    if found is None:
        hint = "register the model, then give its name and its version: -m models:/wine/3"
        raise InputError(f"{uri!r} names no version of a registered model", hint=hint)
    return WantedVersion(model=found["name"], version=found["version"])


def list_deployments(root: Path) -> dict[Key, Release]:
    """The release records of a repository."""
    repository = load.read_repository(root)
    order = list(repository.config.environments)
    known = {key: record for key, record in repository.records.items() if key[1] in order}
    return dict(sorted(known.items(), key=lambda item: (order.index(item[0][1]), item[0][0])))


def get_deployment(root: Path, deployment: Deployment) -> Release:
    """The release record of one. Raises InputError if there is none."""
    repository = load.read_repository(root)
    found = find_records(repository, deployment.slug, (deployment.environment,))
    return next(iter(found.values()))


def propose(root: Path, change: Change, *, validate: Validate, describe: Describe) -> Proposal:
    """Propose a change of what an environment runs.

    Raises InputError where the environment follows the registry: there, m2g moves nothing behind an alias' back.
    """
    remote = find_remote(root)
    environment = change.deployment.environment

    def edit(place: Path) -> Edited:
        repository = load.read_repository(place)
        check_environments(repository.config, Scope(environments=frozenset({environment})))
        _refuse_followed(repository, change.deployment, change.wanted)
        return _edit(
            place,
            repository,
            change,
            lambda config: open_configured_registry(config, place, lambda what, done, total: None, paths=root),
        )

    with open_worktree(root, remote) as worktree:
        tools = EditTools(
            edit=edit, validate=validate, describe=describe, open_forge=lambda rules: open_forge(remote.url, rules)
        )
        return propose_edit(worktree, "", tools)


def _refuse_followed(repository: Repository, deployment: Deployment, wanted: WantedVersion | None) -> None:
    """Whoever follows an alias moves the alias."""
    follow = repository.config.environments[deployment.environment].follow
    record = repository.records.get((deployment.slug, deployment.environment))
    model = wanted.model if wanted is not None else record.model if record is not None else deployment.slug
    call = _describe_call(follow, model, wanted.version if wanted is not None else "", record)
    if not call:
        return
    what = next(f"the {kind} {value}" for kind, value in _list_followed(follow).items())
    raise InputError(
        f"{deployment.environment} follows {what}, and m2g moves nothing behind its back",
        hint=f"move it in the registry: python -c {_quote(f'from mlflow import MlflowClient; MlflowClient().{call}')}",
    )


def _quote(code: str) -> str:
    """Python for a shell. A registered model may have a name in which a shell would run something."""
    return shlex.quote(code) if set(code) & set('$`\\"!\n') else f'"{code}"'


def _list_followed(follow: Follow) -> Mapping[str, str]:
    given = {"alias": follow.alias, "stage": follow.stage, "tag": follow.tag}
    return {kind: value for kind, value in given.items() if value is not UNSET}


def _describe_call(follow: Follow, model: str, version: str, record: Release | None) -> str:
    """The call of MLflow's client that makes an environment follow a version, or none; empty if it follows nothing."""
    number = version or (record.version if record is not None else "1")
    if follow.alias is not UNSET:
        if version:
            return f"set_registered_model_alias({model!r}, {follow.alias!r}, {version!r})"
        return f"delete_registered_model_alias({model!r}, {follow.alias!r})"
    if follow.stage is not UNSET:
        stage = follow.stage if version else "None"
        return f"transition_model_version_stage({model!r}, {number!r}, {stage!r})"
    if follow.tag is not UNSET:
        key, _, value = follow.tag.partition("=")
        if version:
            return f"set_model_version_tag({model!r}, {version!r}, {key!r}, {value or 'true'!r})"
        return f"delete_model_version_tag({model!r}, {number!r}, {key!r})"
    return ""


def _edit(place: Path, repository: Repository, change: Change, open_registry: Callable[[Config], Registry]) -> Edited:
    deployment, wanted = change.deployment, change.wanted
    key = (deployment.slug, deployment.environment)
    before = repository.records.get(key)
    version = wanted.version if wanted is not None else ""
    if change.new and before is not None:
        hint = f"change its version: mlflow deployments update -t m2g --name {deployment.name} -m models:/…"
        raise InputError(f"{deployment.name} runs version {before.version} already", hint=hint)
    if not change.new and before is None:
        hint = "mlflow deployments list -t m2g shows what there is"
        raise InputError(f"{deployment.name} is not deployed", hint=hint)
    if before is not None and before.version == version:
        raise InputError(f"{deployment.name} runs version {version} already", hint="choose another version")
    files = _remove(place, repository, key, before) if wanted is None else _pin(place, repository, key, wanted)
    rendered = update(
        place,
        RenderOptions(scope=Scope(models=frozenset({key[0]}), environments=frozenset({key[1]})), allow_removals=1),
        open_registry=open_registry,
    )
    after = load.read_repository(place).records.get(key)
    if (after.version if after is not None else "") != version:
        wrong = next((one for one in rendered.findings if one.severity is Severity.ERROR), None)
        reasons = [wrong] if wrong is not None else list(rendered.findings)
        why = f": {reasons[0].message}" if reasons else ""
        raise InputError(f"m2g cannot release that in {key[1]}{why}", hint=reasons[0].hint if reasons else "")
    known = after or before
    moved = Moved(
        kind=ChangeKind.REMOVED if after is None else ChangeKind.ADDED if before is None else ChangeKind.CHANGED,
        slug=key[0],
        model=known.model if known is not None else key[0],
        environment=key[1],
        before=before.version if before is not None else "",
        after=version,
        run=after.run.id if after is not None and after.run is not None else "",
    )
    changed = tuple(dict.fromkeys((*files, *(file.path for file in rendered.files))))
    text = f"Somebody asked for this with `mlflow deployments`, for {key[1]}, which follows nothing."
    return Edited(moved=moved, files=changed, text=text, rules=repository.config.proposals)


def _pin(place: Path, repository: Repository, key: Key, wanted: WantedVersion) -> list[str]:
    held = hold_slugs(repository.config, repository.records)
    slug = find_slug(repository.config, key[1], wanted.model, held)
    if slug != key[0]:
        hint = f"write --name {key[1]}/{slug}"
        raise InputError(f"the registered model {wanted.model!r} has the slug {slug}, not {key[0]}", hint=hint)
    file = layout.model_yaml(slug)
    edit_file(place, file, list_hold_edits(key[1], wanted.version, HoldNote()))
    return [file]


def _remove(place: Path, repository: Repository, key: Key, before: Release | None) -> list[str]:
    """Remove the pin, and the model from the environment: what follows nothing keeps its releases otherwise."""
    file = layout.model_yaml(key[0])
    edits = list_end_edits(key[1], repository.find_intent(key[0]).find_pin(key[1]))
    changed = [file] if edits and edit_file(place, file, edits) else []
    model = before.model if before is not None else key[0]
    edit_file(place, layout.CONFIG, [Add(path=("environments", key[1], "models", "exclude"), value=model)])
    return [*changed, layout.CONFIG]
