"""Find the files that a kustomization refers to, and reject references that m2g must not follow.

kustomize has no option to forbid remote bases: it fetches every http(s) resource itself (a proxy setting does not stop
it for localhost) and runs git for other URLs. It also reads `RESOURCES`, and fields from a merge key (`<<`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from m2g.core.errors import InputError
from m2g.core.manifest import read_all
from m2g.core.yaml_reader import has_binary

PLUGINS = ("generators", "transformers", "validators")
PATCHES = ("patches", "patchesJson6902", "patchesStrategicMerge")

MAX_BYTES = 1 << 20
"""Maximum size of a file that m2g parses."""

_PLACES = ("resources", "bases", "components", "crds", "configurations")
_SOURCES = ("configMapGenerator", "secretGenerator", "replacements", "openapi")
_NAMING = (*_PLACES, *PLUGINS, *PATCHES, *_SOURCES)
_HELM = ("helmCharts", "helmChartInflationGenerator")
_OTHERS = (
    *("apiVersion", "kind", "metadata", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels"),
    *("commonAnnotations", "images", "replicas", "vars", "generatorOptions", "sortOptions", "buildMetadata"),
)
_FIELDS = {key.casefold(): key for key in (*_PLACES, *PLUGINS, *PATCHES, *_SOURCES, *_HELM, *_OTHERS)}
_FIELDS_INSIDE = {key: key for key in ("path", "files", "env", "envs", "patch")}
_PATH_KEYS = frozenset((*_PLACES, *PLUGINS, "path", "paths", "files", "env", "envs"))
_TEXTS = frozenset("metadata annotations commonannotations labels commonlabels literals patch sourcevalue".split())
"""Fields, in lower case, whose values are not paths and may contain a URL."""
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[^/]*@|(www\.)?github\.com([:/]|$)|.*(\?|//)", re.DOTALL)
_SUSPECT = re.compile(r"<<|http|\\", re.IGNORECASE)
"""A file without any of these, and without an escape that produces one, has no merge key and no URL."""
_FETCHED = re.compile(r"\s*([^=]*=)?\s*https?:", re.IGNORECASE)


class InvalidKustomization(InputError):
    """A kustomization that m2g does not build, for example because of a remote reference. `file` is where the problem
    is."""

    def __init__(self, file: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.file = file


def load_yaml(text: str, file: str) -> list[object]:
    """Parse the documents of a YAML text. Raises InvalidKustomization if it is not YAML or has a `!!binary` tag."""
    if has_binary(text):  # kustomize decodes it, so it would read another path
        raise InvalidKustomization(file, "the YAML tag !!binary is not supported", "write the decoded text")
    try:
        return read_all(text)
    except ValueError as error:
        raise InvalidKustomization(file, f"not valid YAML: {error}") from error


def find_references(content: Mapping[str, object], file: str, text: str) -> Iterator[tuple[str, str]]:
    """(field, path) of all references of a kustomization. `text` is the file, and `content` its parsed form.

    Raises InvalidKustomization for a reference that is not a path inside the repository.
    """
    suspect = _SUSPECT.search(text) is not None
    if suspect and _merges(content):
        raise InvalidKustomization(file, "YAML merge keys (<<) are not supported", "copy the fields instead")
    _check_field_names(content, file)
    for key in _HELM:
        if key in content:
            raise InvalidKustomization(
                file, f"{key}: m2g does not run Helm", "render the chart with `helm template` and commit the result"
            )
    if suspect:
        _reject_urls(content, file, "kustomization")
    for key in (key for key in _NAMING if key in content):
        for index, entry in enumerate(as_list(content[key])):
            field = f"{key}[{index}]"
            if isinstance(entry, str):
                if "\n" not in entry or key in _PLACES:
                    yield field, check_local(entry, file, field)
                elif key in PLUGINS:
                    check_plugin(load_yaml(entry, file), file)
            elif isinstance(entry, dict):
                yield from ((field, check_local(text, file, field)) for text in _files(entry))


def read_paths(content: bytes, file: str) -> list[str]:
    """The paths in a kustomization file; none if it is invalid, which only a change of the file can fix."""
    if len(content) > MAX_BYTES:
        return []
    try:
        text = content.decode()
        (document,) = load_yaml(text, file)
        fields = {str(key): value for key, value in document.items()} if isinstance(document, dict) else {}
        return [path for _, path in find_references(fields, file, text)]
    except (InvalidKustomization, ValueError):
        return []


def check_plugin(documents: list[object], file: str) -> None:
    """Raises InvalidKustomization if the configuration of a plugin, or what may be one, refers to something to
    fetch."""
    for text in _paths(documents):
        if _FETCHED.match(text):
            check_local(text, file, "path")


def check_local(text: str, file: str, field: str) -> str:
    """`text` if it is a relative path. Raises InvalidKustomization for an absolute path or anything that kustomize
    fetches."""
    if text.startswith("/") or _REMOTE.match(text):
        raise InvalidKustomization(
            file,
            f"{field}: {text[:200]} is not a path inside the repository",
            "m2g builds without network access: commit the files and use a relative path",
        )
    return text


def as_list(value: object) -> list[object]:
    """A list unchanged, None as an empty list, and anything else as a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _check_field_names(content: Mapping[str, object], file: str) -> None:
    """Reject field names in the wrong case. Go's JSON parser ignores case, which could hide a reference."""
    keys = (key for key in (*PATCHES, *_SOURCES) if key in content)
    entries = [entry for key in keys for entry in as_list(content[key]) if isinstance(entry, dict)]
    for fields, mapping in ((_FIELDS, content), *((_FIELDS_INSIDE, entry) for entry in entries)):
        for key in mapping:
            right = fields.get(str(key).casefold(), key)
            if right != key:
                raise InvalidKustomization(file, f"the field {key!r} is misspelled", f"write {right}")


def _merges(node: object) -> bool:
    if isinstance(node, dict):
        return "<<" in node or any(_merges(value) for value in node.values())
    return isinstance(node, list) and any(_merges(item) for item in node)


def _reject_urls(node: object, file: str, field: str) -> None:
    """Reject URLs in all fields except free text, including fields that later versions of kustomize add."""
    if isinstance(node, dict):
        for key, value in node.items():
            if str(key).casefold() not in _TEXTS:
                _reject_urls(value, file, str(key))
    elif isinstance(node, list):
        for item in node:
            _reject_urls(item, file, field)
    elif isinstance(node, str) and _FETCHED.match(node):
        check_local(node, file, field)


def _files(entry: Mapping[str, object]) -> Iterator[str]:
    """The paths of a patch, generator, replacement or openapi entry. `key=path` contains a path."""
    for key in ("path", "env"):
        text = entry.get(key)
        if isinstance(text, str):
            yield text
    for key in ("files", "envs"):
        for text in as_list(entry.get(key)):
            if isinstance(text, str):
                yield text.partition("=")[2] or text


def _paths(node: object) -> Iterator[str]:
    """All texts below keys that can have a path, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            for item in as_list(value):
                if isinstance(item, str) and str(key).casefold() in _PATH_KEYS:
                    yield item.partition("=")[2] or item
                else:
                    yield from _paths(item)
    elif isinstance(node, list):
        for item in node:
            yield from _paths(item)
