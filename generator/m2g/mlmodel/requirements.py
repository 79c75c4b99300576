"""requirements.txt, or conda.yaml where there is none → the lines that say what a model needs."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from m2g.core.errors import InputError
from m2g.mlmodel.text import load

MAX_LINES = 400
"""Lines that a record keeps."""
MAX_LINE_LENGTH = 300
"""Characters of a line; a longer one is dropped: half a requirement is another requirement."""
_COMMENT = re.compile(r"(^|\s)#.*")
_OPTION = re.compile(r"\s--?[a-z].*")
_ADDRESS = re.compile(r"([A-Za-z][\w+.-]*://)(?:[^/@\s]*@)?([^\s?#;]*)[^\s;]*")
_INDEX = re.compile(r"(-i|--index-url|--extra-index-url|-f|--find-links)[ =]https?://\S+")
"""Kept: from another index, a package of the same name may be anybody's."""
_PYTHON = re.compile(r"\d{1,3}(\.\d{1,5}){0,2}", re.ASCII)
_CONDA = re.compile(r"(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)\s*(?:=\s*([\w.!+]+)(?:=\S*)?)?\Z")
_NOT_FROM_PYPI = frozenset({"python", "pip"})
_T = TypeVar("_T")


class _Pip(msgspec.Struct):
    pip: list[str]


class _Conda(msgspec.Struct):
    dependencies: list[str | _Pip] = []


class _PythonEnv(msgspec.Struct):
    python: str | float = ""


def read_requirements(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Requirement lines as pip reads them, in the file's order; none where no file says any.

    Options are dropped but for indexes, and user, password and query of every address: a record is read by everybody.
    """
    written = files.get("requirements.txt")
    return _kept(_conda_lines(files)) if written is None else _pip_lines(written)


def read_python_version(files: Mapping[str, bytes]) -> str:
    """The Python version that python_env.yaml or conda.yaml says; empty where neither does."""
    found = _decoded(files, "python_env.yaml", _PythonEnv)
    said = str(found.python) if found is not None else ""
    if not said:
        dependencies = (found.groups() for found in map(_CONDA.match, _conda(files)) if found)
        said = next((version or "" for name, version in dependencies if name == "python"), "")
    return said if _PYTHON.fullmatch(said) else ""


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""


def _line(written: str) -> str:
    line = " ".join(_OPTION.sub("", _COMMENT.sub("", written.strip())).split())
    if (line.startswith("-") and not _INDEX.fullmatch(line)) or not line.isprintable():
        return ""
    return _ADDRESS.sub(r"\1\2", line)


@functools.lru_cache(maxsize=4)  # the versions of a model mostly have the same file
def _pip_lines(content: bytes) -> tuple[str, ...]:
    return _kept(_text(content).replace("\\\n", " ").splitlines())


def _kept(written: Iterable[str]) -> tuple[str, ...]:
    found = (line for line in map(_line, written) if line and len(line) <= MAX_LINE_LENGTH)
    return tuple(dict.fromkeys(found))[:MAX_LINES]


def _conda_lines(files: Mapping[str, bytes]) -> Iterator[str]:
    for dependency in _conda(files):
        found = _CONDA.match(dependency)
        if found is not None and found[1] not in _NOT_FROM_PYPI:
            yield f"{found[1]}=={found[2]}" if found[2] else found[1]
    yield from (line for entry in _dependencies(files) if isinstance(entry, _Pip) for line in entry.pip)


def _conda(files: Mapping[str, bytes]) -> list[str]:
    return [entry for entry in _dependencies(files) if isinstance(entry, str)]


def _dependencies(files: Mapping[str, bytes]) -> list[str | _Pip]:
    found = _decoded(files, "conda.yaml", _Conda)
    return found.dependencies if found is not None else []


def _decoded(files: Mapping[str, bytes], name: str, kind: type[_T]) -> _T | None:
    """A file's data; None where there is none, or where it makes no sense."""
    if name not in files:
        return None
    try:
        return msgspec.convert(load(files[name], name), kind)
    except (InputError, msgspec.ValidationError):
        return None
