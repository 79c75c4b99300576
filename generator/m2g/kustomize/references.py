"""What a kustomization names, and which of it must not be followed.

kustomize has no switch against remote bases: it fetches any http(s) resource itself (a proxy setting does not stop
it for localhost) and starts git for the rest. It also reads `RESOURCES`, and what a merge key (`<<`) brings in.
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
"""Of a file that is read here."""

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
"""Fields (in lower case) whose values are no paths: a URL may stand there."""
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[^/]*@|(www\.)?github\.com([:/]|$)|.*(\?|//)", re.DOTALL)
_SUSPECT = re.compile(r"<<|http|\\", re.IGNORECASE)
"""Without one of these, or an escape that makes one, a file has no merge key and no URL."""
_FETCHED = re.compile(r"\s*([^=]*=)?\s*https?:", re.IGNORECASE)


class InvalidKustomization(InputError):
    """A reference that must not be followed; `file` is the one that has it."""

    def __init__(self, file: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.file = file


def load_yaml(text: str, file: str) -> list[object]:
    """The documents of a YAML text. Raises Refused for what is not YAML, or hides text behind a tag."""
    if has_binary(text):  # kustomize decodes it, and so reads another path than is seen here
        raise InvalidKustomization(file, "the YAML tag !!binary is not supported", "write the text itself")
    try:
        return read_all(text)
    except ValueError as error:
        raise InvalidKustomization(file, f"not valid YAML: {error}") from error


def find_references(content: Mapping[str, object], file: str, text: str) -> Iterator[tuple[str, str]]:
    """(place, path) of all that a kustomization names; `text` is the file's, `content` what it says.

    Raises Refused for what is no path inside the repository.
    """
    suspect = _SUSPECT.search(text) is not None
    if suspect and _merges(content):
        raise InvalidKustomization(file, "YAML merge keys (<<) are not supported", "write the fields out")
    _readable(content, file)
    for key in _HELM:
        if key in content:
            raise InvalidKustomization(
                file, f"{key}: m2g runs no Helm", "render the chart yourself and commit the result"
            )
    if suspect:
        _refuse_fetching(content, file, "kustomization")
    for key in (key for key in _NAMING if key in content):
        for index, entry in enumerate(as_list(content[key])):
            place = f"{key}[{index}]"
            if isinstance(entry, str):
                if "\n" not in entry or key in _PLACES:
                    yield place, check_local(entry, file, place)
                elif key in PLUGINS:
                    check_plugin(load_yaml(entry, file), file)
            elif isinstance(entry, dict):
                yield from ((place, check_local(text, file, place)) for text in _files(entry))


def read_paths(content: bytes, file: str) -> list[str]:
    """The paths that a kustomization file names; none where it is refused, for then it is until it changes."""
    if len(content) > MAX_BYTES:
        return []
    try:
        text = content.decode()
        (said,) = load_yaml(text, file)
        found = {str(key): value for key, value in said.items()} if isinstance(said, dict) else {}
        return [path for _, path in find_references(found, file, text)]
    except (InvalidKustomization, ValueError):
        return []


def check_plugin(documents: list[object], file: str) -> None:
    """Raises Refused where a plugin's configuration, or what may be one, names something to fetch."""
    for text in _paths(documents):
        if _FETCHED.match(text):
            check_local(text, file, "path")


def check_local(text: str, file: str, place: str) -> str:
    """`text` where it can be a relative path. Raises Refused for what kustomize would take for a place elsewhere."""
    if text.startswith("/") or _REMOTE.match(text):
        raise InvalidKustomization(
            file,
            f"{place}: {text[:200]} is not a path inside the repository",
            "m2g builds without a network: commit the files and refer to them by a relative path",
        )
    return text


def as_list(value: object) -> list[object]:
    """A list as it is, nothing as an empty one, anything else alone in one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _readable(content: Mapping[str, object], file: str) -> None:
    """Go's JSON reader folds case; a reference hidden by that is refused, as one hidden by a merge key is."""
    keys = (key for key in (*PATCHES, *_SOURCES) if key in content)
    entries = [entry for key in keys for entry in as_list(content[key]) if isinstance(entry, dict)]
    for fields, mapping in ((_FIELDS, content), *((_FIELDS_INSIDE, entry) for entry in entries)):
        for key in mapping:
            right = fields.get(str(key).casefold(), key)
            if right != key:
                raise InvalidKustomization(file, f"the field {key!r} is misspelt", f"write {right}")


def _merges(node: object) -> bool:
    if isinstance(node, dict):
        return "<<" in node or any(_merges(value) for value in node.values())
    return isinstance(node, list) and any(_merges(item) for item in node)


def _refuse_fetching(node: object, file: str, place: str) -> None:
    """Whatever field it stands in, also one that a later kustomize adds: no text but prose may be a URL."""
    if isinstance(node, dict):
        for key, value in node.items():
            if str(key).casefold() not in _TEXTS:
                _refuse_fetching(value, file, str(key))
    elif isinstance(node, list):
        for item in node:
            _refuse_fetching(item, file, place)
    elif isinstance(node, str) and _FETCHED.match(node):
        check_local(node, file, place)


def _files(entry: Mapping[str, object]) -> Iterator[str]:
    """The paths of one patch, generator, replacement or openapi entry; `key=path` names a path."""
    for key in ("path", "env"):
        text = entry.get(key)
        if isinstance(text, str):
            yield text
    for key in ("files", "envs"):
        for text in as_list(entry.get(key)):
            if isinstance(text, str):
                yield text.partition("=")[2] or text


def _paths(node: object) -> Iterator[str]:
    """Every text below a key that can hold a path, at any depth."""
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
