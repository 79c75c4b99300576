"""`m2g schemas`: list the kinds that have a schema, show one, and import those of the user's own CRDs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from m2g.core import process, resources, safe_files, schema_errors
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.manifest import get_at, read_all
from m2g.core.process.environment import NETWORK, clean_environment
from m2g.validation.schemas import KUBERNETES, Catalogue, crd, repository_schemas

MAX_BYTES = 64 << 20
"""The limit for CRDs. All those of a large cluster have 20 MB."""
_SECONDS = 60.0
_KUBECTL = (
    *NETWORK,
    *(
        "HOME",
        "KUBE*",
        "XDG_*",
        "AWS_*",
        "AZURE_*",
        "ARM_*",
        "AAD_*",
        "GOOGLE_*",
        "CLOUDSDK_*",
        "OCI_*",
        "DIGITALOCEAN_*",
    ),
)
"""What kubectl and its credential plugins read."""
_CRD = "CustomResourceDefinition"
_PODS = "kubernetes-validate"
"""The package that the pod schemas inside other kinds come from; it is not the source of those kinds."""


class Listed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One kind with a schema. `open_parts` counts the mappings that accept any field, `rules` the CEL rules."""

    kind: str
    api_version: str
    source: str
    version: str
    open_parts: int = 0
    rules: int = 0
    file: str = ""


class Imported(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One kind that was imported. `change` is added, changed or same; `left_out` are the parts that m2g cannot use."""

    kind: str
    file: str
    change: str
    left_out: tuple[str, ...] = ()


class Import(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of one import. `refused` names the CRDs that were not imported, with the reason."""

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


def list_schemas(root: Path | None) -> list[Listed]:
    """Every kind with a schema. Those of the repository at `root` come first; Kubernetes' own kinds are one row."""
    own = repository_schemas.read(root) if root else repository_schemas.RepositorySchemas()
    catalogue = Catalogue(repository=own)
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
        if name in own.files:
            source, version = own.sources[name].name or "this repository", "imported"
        rows[name] = Listed(
            kind=kind,
            api_version=api_version,
            source=source.removeprefix("github.com/"),
            version=version,
            open_parts=strictness.open_parts,
            rules=strictness.rules,
            file=file if name in own.files else "",
        )
    core = Listed(kind="(Kubernetes' own kinds)", api_version="", source="kubernetes-validate", version=KUBERNETES)
    return [*sorted(rows.values(), key=lambda row: (row.kind, row.api_version)), core]


def show_schema(root: Path | None, kind: str, kserve: str) -> Mapping[str, object]:
    """The JSON Schema of `Kind`, or of `group/version/Kind`.

    Raises InputError if the kind has no schema, or if several API groups have the kind.
    """
    catalogue = Catalogue(repository=repository_schemas.read(root) if root else None)
    minor = kserve or catalogue.list_kserve_versions()[-1]
    api_version, _, name = kind.rpartition(" ")
    if not api_version and kind.count("/"):
        api_version, _, name = kind.rpartition("/")
    versions = [api_version] if api_version else catalogue.list_api_versions(name, minor)
    schemas = {version: catalogue.get_schema(version, name, minor) for version in versions}
    known = {version: schema for version, schema in schemas.items() if schema is not None}
    if len({version.rpartition("/")[0] for version in known}) == 1:
        return known[max(known, key=_stability)]
    if known:
        choices = ", ".join(f"{version}/{name}" for version in known)
        raise InputError(f"several API groups have the kind {name}", hint=f"name one of: {choices}")
    near = schema_errors.suggest(name, sorted({known.split()[1] for known, _, _ in catalogue.list_kinds()}))
    hint = f"did you mean this? m2g schemas show {near}" if near else "list the kinds: m2g schemas list"
    raise InputError(f"there is no schema for {kind[:100]!r}", hint=hint)


def import_files(root: Path, folder: Path, paths: Sequence[Path], only: Sequence[str] = ()) -> Import:
    """Import the CRDs in files (relative to `folder`). `only` are globs over `group/Kind`.

    Raises InputError if a file cannot be read or has no CRD, OutsideError if a schema cannot be written.
    """
    crds: list[tuple[str, object]] = []
    for path in paths:
        documents = list(_find_crds(path.name, _read(folder / path)))
        if not documents:
            hint = "name the file with the CRDs; operators ship them in their install manifests"
            raise InputError(f"{path} has no {_CRD}", hint=hint)
        crds += ((path.name, document) for document in documents)
    return _write(root, crds, only)


def import_cluster(root: Path, context: str = "", only: Sequence[str] = ()) -> Import:
    """Import the CRDs of the cluster that kubectl points to, or of a kubectl context.

    Raises OutsideError if kubectl is missing, fails, or takes more than a minute.
    """
    chosen = [f"--context={context}"] if context else []
    command = ["kubectl", *chosen, "get", "customresourcedefinitions.apiextensions.k8s.io", "--output=json"]
    ran = process.run(command, timeout=_SECONDS, environment=clean_environment(_KUBECTL))
    if ran.code != 0:
        reason = (ran.stderr.splitlines() or ["kubectl gave no reason"])[-1][:300]
        option = f"{chosen[0]} " if chosen else ""
        raise OutsideError(f"kubectl cannot list the CRDs: {reason}", hint=f"try it yourself: kubectl {option}get crd")
    if len(ran.stdout) > MAX_BYTES:
        hint = "import them from files: m2g schemas import FILE …"
        raise OutsideError(f"the cluster's CRDs are larger than {MAX_BYTES >> 20} MiB", hint=hint)
    return _write(root, [("cluster", document) for document in _find_crds("kubectl's output", ran.stdout)], only)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise InputError(f"{path} is not a file", hint="name a file with CRDs, as YAML or JSON")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MiB", hint="split it into several files")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error


def _find_crds(name: str, content: bytes) -> Iterator[object]:
    """The CRDs of a file. It may be a JSON object or YAML documents, with lists in either."""
    try:
        documents = [msgspec.json.decode(content)] if content.lstrip()[:1] == b"{" else read_all(content.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{name} is neither YAML nor JSON: {str(error)[:200]}", hint="fix the file's syntax"
        ) from error
    pending = list(reversed(documents))
    while pending:
        document = pending.pop()
        items = get_at(document, "items")
        if get_at(document, "kind") == _CRD:
            yield document
        elif isinstance(items, list):
            pending += reversed(items)


def _write(root: Path, crds: Sequence[tuple[str, object]], only: Sequence[str]) -> Import:
    refused: list[str] = []
    files: dict[str, tuple[bytes, crd.Kind]] = {}
    for source, document in crds:
        try:
            kinds = crd.read_kinds(document)
            digest = hashlib.sha256(msgspec.json.encode(get_at(document, "spec"), order="sorted")).hexdigest()
        except (M2gError, TypeError) as error:  # TypeError: a mapping has a key that is not a string
            message = error.message if isinstance(error, M2gError) else "it has a key that is not a string"
            refused.append(f"{str(get_at(document, 'metadata', 'name') or source)[:100]}: {message[:500]}")
            continue
        for kind in kinds:
            if not only or any(fnmatchcase(f"{kind.group}/{kind.kind}", glob) for glob in only):
                path, content = repository_schemas.render_file(kind, source, digest)
                files[path] = (content, kind)
    before = {path: old for path in files if (old := _read_old(root, path)) is not None}
    changed = {path: content for path, (content, _) in files.items() if before.get(path) != content}
    for path, content in changed.items():
        safe_files.write_atomic(root, path, content)
    imported = tuple(
        Imported(
            kind=kind.name,
            file=path,
            change="same" if path not in changed else "changed" if path in before else "added",
            left_out=repository_schemas.format_left_out(kind),
        )
        for path, (_, kind) in sorted(files.items())
    )
    return Import(imported=imported, refused=tuple(refused))


def _read_old(root: Path, path: str) -> bytes | None:
    try:
        return (root / path).read_bytes()
    except OSError:
        return None


class _Strictness(msgspec.Struct):
    """Counts over all that a kind's schema refers to, each definition once, without the metadata."""

    open_parts: int = 0
    rules: int = 0

    def count(self, schema: Mapping[str, object]) -> _Strictness:
        definitions = schema.get("$defs")
        known = definitions if isinstance(definitions, dict) else {}
        seen = {"Meta", "ObjectMeta"}
        pending: list[object] = [{key: part for key, part in schema.items() if key != "$defs"}]
        while pending:
            part = pending.pop()
            if isinstance(part, list):
                pending += part
            elif isinstance(part, dict):
                self._add(part)
                name = str(part.get("$ref", "")).removeprefix("#/$defs/")
                if name and name not in seen:
                    seen.add(name)
                    pending.append(known.get(name))
                pending += (inner for key, inner in part.items() if key not in _SKIPPED)
        return self

    def _add(self, part: Mapping[str, object]) -> None:
        closing = {"additionalProperties", "allOf", "$ref", "const"}
        self.open_parts += part.get("type") == "object" and not closing & part.keys()
        rules = part.get("x-kubernetes-validations")
        self.rules += len(rules) if isinstance(rules, list) else 0


_SKIPPED = frozenset(("status", "default", "anyOf", "oneOf", "not", "if", "x-kubernetes-validations"))
"""Only the controller writes the status; conditions do not decide which fields a mapping accepts."""
_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def _stability(api_version: str) -> tuple[int, int, int]:
    """A sort key that is higher for the version that Kubernetes prefers: v2, v1, v1beta1, v1alpha1."""
    parts = _VERSION.fullmatch(api_version.rpartition("/")[2])
    if parts is None:
        return (0, 0, 0)
    return ({None: 3, "beta": 2, "alpha": 1}[parts[2]], int(parts[1]), int(parts[3] or 0))
