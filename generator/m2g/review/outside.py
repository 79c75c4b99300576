"""Say what changed in other files: settings by field, applied files by object, others by what they decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from m2g import kustomize
from m2g.core import safe_files, yaml_reader
from m2g.core.errors import M2gError
from m2g.core.manifest import Identity, Manifest, get_at, identify
from m2g.core.redact import redact
from m2g.repository import layout
from m2g.repository.trusted_registry import find_server
from m2g.review import fields, patched, power
from m2g.review.judge import find_twins, list_fields
from m2g.review.values import Concern, Risk

_CI = "what CI runs, with which rights and secrets"
_DECIDES: tuple[tuple[str, Risk, str], ...] = (
    (".github/", Risk.POWERFUL, _CI),
    (".gitlab-ci.yml", Risk.POWERFUL, _CI),
    ("ci/", Risk.POWERFUL, "what CI installs and runs beside its secrets"),
    ("CODEOWNERS", Risk.POWERFUL, "who must approve changes"),
    (".gitlab/CODEOWNERS", Risk.POWERFUL, "who must approve changes"),
    ("docs/CODEOWNERS", Risk.POWERFUL, "who must approve changes"),
    (f"{layout.POLICIES}/", Risk.POWERFUL, "what m2g validate reports"),
    (f"{layout.RUNTIMES}/", Risk.CAUTION, "which models a runtime is said to load"),
    (f"{layout.SCHEMAS}/", Risk.CAUTION, "which fields m2g validate accepts"),
    (".pre-commit-config.yaml", Risk.POWERFUL, "which programs run on the machines of people"),
    (".envrc", Risk.POWERFUL, "which programs run on the machines of people"),
    (".vscode/", Risk.POWERFUL, "which programs run on the machines of people"),
    (".copier-answers.yml", Risk.POWERFUL, "what copier update writes, and from which template"),
    (".forgejo/", Risk.POWERFUL, _CI),
    (".gitea/", Risk.POWERFUL, _CI),
    (".woodpecker", Risk.POWERFUL, _CI),
    (".circleci/", Risk.POWERFUL, _CI),
    ("azure-pipelines", Risk.POWERFUL, _CI),
    ("bitbucket-pipelines", Risk.POWERFUL, _CI),
    ("Jenkinsfile", Risk.POWERFUL, _CI),
    (".gitlab/", Risk.POWERFUL, _CI),
    (".devcontainer/", Risk.POWERFUL, "which programs run on the machines of people"),
    (".husky/", Risk.POWERFUL, "which programs run on the machines of people"),
    (".gitattributes", Risk.POWERFUL, "which bytes Git writes to the disk, where Flux reads others"),
    (".git", Risk.CAUTION, "which files Git, Argo CD and Flux see"),
)
_INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md", "GEMINI.md")
"""Pages that programs obey."""
_PAGES = (".md", ".rst", ".png", ".svg")
_APPLIED = (".yaml", ".yml", ".json")
_MOST_LINES = 50


def describe_changes(old: Path, new: Path, changed: Mapping[str, bool], built: Collection[str]) -> list[Concern]:
    """What the changed files mean, the riskiest first.

    `changed` says for each path whether it belongs to a model; overlays use the paths in `built`.
    """
    found = (
        concern
        for path, of_model in sorted(changed.items())
        for concern in _describe(old, new, path, of_model=of_model, built=path in built)
    )
    return [*_describe_registry(old, new), *sorted(found, key=_rank)]


def _rank(concern: Concern) -> int:
    return list(Risk).index(concern.risk)


def _describe_registry(old: Path, new: Path) -> Iterator[Concern]:
    """The line before all others: another registry may bring any model, and would like to have the credentials."""
    documents = (_read_document(side, layout.CONFIG) for side in (old, new))
    before, after = (str(get_at(document, "registry", "uri") or "") for document in documents)
    if before != after and find_server(after) not in ("", find_server(before)):
        yield Concern(
            risk=Risk.POWERFUL,
            message=f"{layout.CONFIG}: registry.uri: {redact(before) or 'none'} → {redact(after)}: another server; m2g "
            "sends it no credentials until this is merged",
        )


def _describe(old: Path, new: Path, path: str, *, of_model: bool, built: bool) -> Iterator[Concern]:
    top = layout.find_top_folder(path)
    if not layout.is_known(path):
        yield Concern(
            risk=Risk.POWERFUL,
            message=f"{path}: neither m2g nor people keep a file here, but Argo CD and Flux may apply it",
        )
    elif path == layout.CONFIG:
        yield from _describe_fields(old, new, path, power.judge_config)
    elif layout.parse_environment_path(path):
        yield from _describe_environment(old, new, path)
    elif of_model:
        yield from _describe_of_model(old, new, path, built=built)
    elif top in (layout.PLATFORM, layout.FLEET):
        yield from _describe_applied(old, new, path, path)
    else:
        yield from _describe_other(old, new, path, built=built)


def _describe_of_model(old: Path, new: Path, path: str, *, built: bool) -> Iterator[Concern]:
    """What people keep for a model. What m2g keeps is proved by `m2g render --locked --check`."""
    location = layout.parse_path(path)
    if location is None:
        return
    if path.endswith("/app.json"):
        yield from _describe_application(old, new, path, layout.overlay(location.slug, location.environment))
    elif layout.is_owned(path):
        return
    elif built:
        yield _describe_built(path)
    elif path == layout.model_yaml(location.slug):
        yield from _describe_fields(old, new, path, power.judge_intent)
    else:
        yield from _describe_applied(old, new, path, f"{path}, which no overlay is known to build yet")


def _describe_environment(old: Path, new: Path, path: str) -> Iterator[Concern]:
    """What many models run in. `m2g validate` proves the other files: they are what the record renders to."""
    name = layout.parse_environment_path(path)
    if path != layout.environment_record(name):
        return
    before, after = (_read_document(side, path) for side in (old, new))
    if after is None:
        yield Concern(risk=Risk.POWERFUL, message=f"{path}: removes the serving environment {name}")
    elif before is None:
        owner = get_at(after, "group") or get_at(after, "model")
        told = f"adds the serving environment {name} for {redact(str(owner))[:200]}"
        yield Concern(risk=Risk.CAUTION, message=f"{path}: {told}; review the packages in requirements.txt")
    if after is not None and (before is None or get_at(before, "image") != get_at(after, "image")):
        image = redact(str(get_at(after, "image") or "none yet"))[:200]
        yield Concern(risk=Risk.CAUTION, message=f"{path}: its image is {image}; all models of {name} run it")


def _describe_application(old: Path, new: Path, path: str, overlay: str) -> Iterator[Concern]:
    """What Argo CD deploys, and where. Nothing of it depends on the version."""
    before, after = (_read_document(side, path) for side in (old, new))
    moved = before is not None and get_at(before, "namespace") != get_at(after, "namespace")
    if (new / path).exists() and (moved or get_at(after, "overlay") != overlay):
        yield Concern(risk=Risk.POWERFUL, message=f"{path}: decides what Argo CD deploys where, and it changed")


def _describe_other(old: Path, new: Path, path: str, *, built: bool) -> Iterator[Concern]:
    if layout.find_top_folder(path) == layout.SCHEMAS and (old / path).exists():
        message = f"{path}: decides which fields m2g validate accepts; it replaces the schema that counted until now"
        yield Concern(risk=Risk.POWERFUL, message=message)
        return
    known = next(((risk, what) for start, risk, what in _DECIDES if path.startswith(start)), None)
    if known is not None:
        yield Concern(risk=known[0], message=f"{path}: decides {known[1]}")
    elif built:
        yield _describe_built(path)
    elif not (_is_page(path) and layout.find_top_folder(path) in (path, "docs")) or (new / path).is_symlink():
        yield Concern(risk=Risk.CAUTION, message=f"{path}: no file of m2g; programs and components may use it")


def _describe_built(path: str) -> Concern:
    return Concern(risk=Risk.CAUTION, message=f"{path}: overlays build it; see which objects change, if any")


def _is_page(path: str) -> bool:
    return path.endswith(_PAGES) and not path.endswith(_INSTRUCTIONS)


def _describe_fields(old: Path, new: Path, path: str, judge: Callable[[fields.FieldSteps], Risk]) -> Iterator[Concern]:
    """One line for each field, the riskiest first. Those that are left out are counted by risk."""
    before, after = (_read_document(side, path) for side in (old, new))
    if after is None and (new / path).exists():
        yield Concern(risk=Risk.POWERFUL, message=f"{path}: cannot be read, so its fields are not compared")
        return
    changed = fields.find_changes(before, after)
    patches = dict.fromkeys(filter(None, map(power.find_patch, changed)))
    for patch in patches:
        yield from patched.describe_operations(path, patch, fields.get(before, patch), fields.get(after, patch))
    judged = sorted(
        ((judge(where), where) for where in changed if not power.find_patch(where)),
        key=lambda one: list(Risk).index(one[0]),
    )
    for risk, where in judged[:_MOST_LINES]:
        shown = " → ".join(_show(side, where) for side in (before, after))
        decides = power.find_words(where)
        message = f"{path}: {fields.format_steps(where) or 'all of it'}: {shown}"
        yield Concern(risk=risk, message=f"{message}; it decides {decides}" if decides else message)
    if rest := judged[_MOST_LINES:]:
        numbers = Counter(risk for risk, _ in rest)
        counted = ", ".join(f"{number} {risk}" for risk, number in numbers.items())
        yield Concern(risk=rest[0][0], message=f"{path}: {len(rest)} more fields changed: {counted}")
    if not changed:
        yield Concern(risk=Risk.ROUTINE, message=f"{path}: only comments and format")


def _describe_applied(old: Path, new: Path, path: str, title: str) -> Iterator[Concern]:
    """A file that clusters take, object by object; a page among them is only named."""
    if not path.endswith(_APPLIED):
        risk = Risk.CAUTION if _is_page(path) else Risk.POWERFUL
        yield Concern(risk=risk, message=f"{title}: changed; it has no objects to compare")
        return
    before, after = (_read_objects(side, path) for side in (old, new))
    if before is None or after is None:
        message = f"{title}: cannot be read as YAML objects, so they are not compared"
        yield Concern(risk=Risk.POWERFUL, message=message)
        return
    for name in find_twins(after):
        yield Concern(risk=Risk.POWERFUL, message=f"{title}: has {name} twice, and only the last one is compared")
    found = list(_compare_objects(*({identify(item): item for item in side} for side in (before, after))))
    yield from (Concern(risk=risk, message=f"{title}: {what}") for risk, what in found)
    if not found:
        yield Concern(risk=Risk.ROUTINE, message=f"{title}: only comments and format")


def _compare_objects(
    before: Mapping[Identity, Manifest], after: Mapping[Identity, Manifest]
) -> Iterator[tuple[Risk, str]]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        _, kind, namespace, name = key
        shown = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}".strip()
        risks = {power.judge_kind(item) for item in (old, new) if item is not None}
        if old is None or new is None:
            what = f"{'adds' if old is None else 'removes'} {shown}"
        else:
            what = f"changes {shown}: {list_fields(fields.find_changes(old, new))}"
        yield min(risks, key=list(Risk).index), what


def _read_document(root: Path, path: str) -> object:
    """m2g.yaml or a model.yaml as plain data; None if there is none that can be read."""
    try:
        return yaml_reader.read(path, safe_files.read(root, path)).data
    except (FileNotFoundError, M2gError):
        return None


def _read_objects(root: Path, path: str) -> list[Manifest] | None:
    """The objects of a file; none if there is no file, None if it cannot be read or has something else."""
    if not (root / path).exists() and not (root / path).is_symlink():
        return []
    read = kustomize.read_file(root, path)
    found: list[Manifest] = [item for item in read.objects if isinstance(item, dict)]
    return None if read.error or len(found) < len(read.objects) else found


def _show(data: object, path: fields.FieldSteps) -> str:
    found = fields.get(data, path)
    return "none" if found is None else redact(str(found))[:200]
