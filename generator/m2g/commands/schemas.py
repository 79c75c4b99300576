"""`m2g schemas`: which kinds have a schema, what it is, and those of the user's own CRDs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from m2g.core import process, resources, schema_errors
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.manifest import get_at, read_all
from m2g.validation.schemas import KUBERNETES, Catalogue, crd, repository_schemas

MAX_BYTES = 64 << 20
"""All CRDs of a large cluster are 20 MB."""
_SECONDS = 60.0
_CRD = "CustomResourceDefinition"
_PODS = "kubernetes-validate"
"""The source of the pods inside other kinds, where those are written from API references."""


class Listed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One kind with a schema. `open_parts` is how many mappings take any field, `rules` how many CEL rules it has."""

    kind: str
    api_version: str
    source: str
    version: str
    open_parts: int = 0
    rules: int = 0
    file: str = ""


class Imported(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One kind that was imported. `change` is added, changed or same; `left_out` is what could not be taken over."""

    kind: str
    file: str
    change: str
    left_out: tuple[str, ...] = ()


class Import(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one import did; `refused` says which CRDs were not taken and why."""

    imported: tuple[Imported, ...] = ()
    refused: tuple[str, ...] = ()


class _Entry(msgspec.Struct, frozen=True):
    name: str
    sources: list[_Package]


class _Package(msgspec.Struct, frozen=True):
    package: str
    version: str


class _Lock(msgspec.Struct, frozen=True):
    files: list[_Entry]


def listed(root: Path | None) -> list[Listed]:
    """Every kind with a schema; those of the repository at `root` in place of ours. Kubernetes' own are one row."""
    mine = repository_schemas.read(root) if root else repository_schemas.RepositorySchemas()
    catalogue = Catalogue(repository=mine)
    lock = msgspec.json.decode((resources.find_root() / "schemas/lock.json").read_bytes(), type=_Lock)
    packages = {
        entry.name: next((source for source in entry.sources if not source.package.startswith(_PODS)), None)
        for entry in lock.files
    }
    rows: dict[str, Listed] = {}
    for name, kserve, file in catalogue.list_kinds():
        api_version, _, kind = name.partition(" ")
        schema = catalogue.get_schema(api_version, kind, kserve or catalogue.list_kserve_versions()[-1])
        strictness = _Strictness().count(schema or {})
        package = packages.get(file)
        source, version = (package.package, package.version) if package else ("API reference", "")
        before = rows.get(name)
        if kserve:
            version = f"{before.version.partition('–')[0]}–{kserve}" if before else kserve
        if name in mine.files:
            source, version = mine.sources[name].name or "this repository", "imported"
        rows[name] = Listed(
            kind=kind,
            api_version=api_version,
            source=source.removeprefix("github.com/"),
            version=version,
            open_parts=strictness.open_parts,
            rules=strictness.rules,
            file=file if name in mine.files else "",
        )
    core = Listed(kind="(Kubernetes' own kinds)", api_version="", source="kubernetes-validate", version=KUBERNETES)
    return [*sorted(rows.values(), key=lambda row: (row.kind, row.api_version)), core]


def show(root: Path | None, kind: str, kserve: str) -> Mapping[str, object]:
    """The JSON Schema of `Kind`, or of `group/version/Kind`.

    Raises InputError for a kind without one, or one that several groups have.
    """
    catalogue = Catalogue(repository=repository_schemas.read(root) if root else None)
    minor = kserve or catalogue.list_kserve_versions()[-1]
    api_version, _, name = kind.rpartition(" ")
    if not api_version and kind.count("/"):
        api_version, _, name = kind.rpartition("/")
    versions = [api_version] if api_version else catalogue.list_api_versions(name, minor)
    schemas = {version: catalogue.get_schema(version, name, minor) for version in versions}
    found = {version: schema for version, schema in schemas.items() if schema is not None}
    if len({version.rpartition("/")[0] for version in found}) == 1:
        return found[max(found, key=_stable)]
    if found:
        choices = ", ".join(f"{version}/{name}" for version in found)
        raise InputError(f"several API groups have the kind {name}", hint=f"name one of: {choices}")
    near = schema_errors.suggest(name, sorted({known.split()[1] for known, _, _ in catalogue.list_kinds()}))
    hint = f"did you mean {near}?" if near else "`m2g schemas list` shows those that are there"
    raise InputError(f"no schema is known for {kind[:100]!r}", hint=hint)


def import_files(root: Path, folder: Path, paths: Sequence[Path], only: Sequence[str] = ()) -> Import:
    """Take over the CRDs in files (relative to `folder`); `only` are globs over `group/Kind`.

    Raises InputError for what cannot be read or has no CRD, OutsideError where nothing can be written.
    """
    found: list[tuple[str, object]] = []
    for path in paths:
        documents = list(_crds(path.name, _content(folder / path)))
        if not documents:
            raise InputError(f"{path} has no {_CRD}", hint="CRDs are in the install manifests of an operator")
        found += ((path.name, document) for document in documents)
    return _write(root, found, only)


def import_cluster(root: Path, context: str = "", only: Sequence[str] = ()) -> Import:
    """Take over the CRDs of the cluster that kubectl points to (or its context).

    Raises OutsideError where kubectl is missing, fails or does not answer in a minute.
    """
    chosen = [f"--context={context}"] if context else []
    command = ["kubectl", *chosen, "get", "customresourcedefinitions.apiextensions.k8s.io", "--output=json"]
    ran = process.run(command, timeout=_SECONDS)
    if ran.code != 0:
        said = (ran.stderr.splitlines() or ["it did not say why"])[-1][:300]
        raise OutsideError(f"kubectl cannot list the CRDs: {said}", hint="try: kubectl get crd")
    if len(ran.stdout) > MAX_BYTES:
        raise OutsideError(f"the cluster's CRDs are larger than {MAX_BYTES >> 20} MiB", hint="import them from files")
    return _write(root, [("cluster", document) for document in _crds("kubectl's answer", ran.stdout)], only)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise InputError(f"{path} is no file")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _crds(name: str, content: bytes) -> Iterator[object]:
    """The CRDs of a file: a JSON object, YAML documents, or lists in either."""
    try:
        documents = [msgspec.json.decode(content)] if content.lstrip()[:1] == b"{" else read_all(content.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is neither YAML nor JSON: {str(error)[:200]}") from error
    waiting = list(reversed(documents))
    while waiting:
        document = waiting.pop()
        items = get_at(document, "items")
        if get_at(document, "kind") == _CRD:
            yield document
        elif isinstance(items, list):
            waiting += reversed(items)


def _write(root: Path, found: Sequence[tuple[str, object]], only: Sequence[str]) -> Import:
    refused: list[str] = []
    files: dict[str, tuple[bytes, crd.Kind]] = {}
    for source, document in found:
        try:
            kinds = crd.read_kinds(document)
            digest = hashlib.sha256(msgspec.json.encode(get_at(document, "spec"), order="sorted")).hexdigest()
        except (M2gError, TypeError) as error:  # TypeError: a key that is no text
            message = error.message if isinstance(error, M2gError) else "it has a key that is no text"
            refused.append(f"{str(get_at(document, 'metadata', 'name') or source)[:100]}: {message[:500]}")
            continue
        for kind in kinds:
            if not only or any(fnmatchcase(f"{kind.group}/{kind.kind}", glob) for glob in only):
                path, content = repository_schemas.render_file(kind, source, digest)
                files[path] = (content, kind)
    before = {path: old for path in files if (old := _old(root, path)) is not None}
    news = {path: content for path, (content, _) in files.items() if before.get(path) != content}
    for path, content in news.items():
        repository_schemas.save(root, path, content)
    done = tuple(
        Imported(
            kind=kind.name,
            file=path,
            change="same" if path not in news else "changed" if path in before else "added",
            left_out=repository_schemas.format_left_out(kind),
        )
        for path, (_, kind) in sorted(files.items())
    )
    return Import(imported=done, refused=tuple(refused))


def _old(root: Path, path: str) -> bytes | None:
    try:
        return (root / path).read_bytes()
    except OSError:
        return None


class _Strictness(msgspec.Struct):
    """Counts what a kind reaches, each definition once; the metadata of every object is left aside."""

    open_parts: int = 0
    rules: int = 0

    def count(self, schema: Mapping[str, object]) -> _Strictness:
        definitions = schema.get("$defs")
        known = definitions if isinstance(definitions, dict) else {}
        seen = {"Meta", "ObjectMeta"}
        waiting: list[object] = [{key: part for key, part in schema.items() if key != "$defs"}]
        while waiting:
            part = waiting.pop()
            if isinstance(part, list):
                waiting += part
            elif isinstance(part, dict):
                self._here(part)
                name = str(part.get("$ref", "")).removeprefix("#/$defs/")
                if name and name not in seen:
                    seen.add(name)
                    waiting.append(known.get(name))
                waiting += (inner for key, inner in part.items() if key not in _ASIDE)
        return self

    def _here(self, part: Mapping[str, object]) -> None:
        closing = {"additionalProperties", "allOf", "$ref", "const"}
        self.open_parts += part.get("type") == "object" and not closing & part.keys()
        rules = part.get("x-kubernetes-validations")
        self.rules += len(rules) if isinstance(rules, list) else 0


_ASIDE = frozenset(("status", "default", "anyOf", "oneOf", "not", "if", "x-kubernetes-validations"))
"""The status is the controller's own; conditions close nothing and open nothing."""
_STAGE = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def _stable(api_version: str) -> tuple[int, int, int]:
    """Higher for the version that Kubernetes prefers: v2, v1, v1beta1, v1alpha1."""
    found = _STAGE.fullmatch(api_version.rpartition("/")[2])
    if found is None:
        return (0, 0, 0)
    return ({None: 3, "beta": 2, "alpha": 1}[found[2]], int(found[1]), int(found[3] or 0))
