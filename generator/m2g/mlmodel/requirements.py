"""Read the packages that a model requires from requirements.txt, or from conda.yaml if there is none."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from m2g.core.errors import InputError
from m2g.mlmodel.text import load

MAX_LINES = 400
"""Maximum lines in a record."""
MAX_LINE_LENGTH = 300
"""Maximum characters of a line. A longer line is dropped, because half a requirement is another requirement."""
_COMMENT = re.compile(r"(^|\s)#.*")
_OPTION = re.compile(r"\s--?[a-z].*")
_ADDRESS = re.compile(r"([A-Za-z][\w+.-]*://)(?:[^/\s]*@)?([^\s?#;]*)[^\s;]*")
_INDEX = re.compile(r"(-i|--index-url|--extra-index-url|-f|--find-links)[ =]https?://\S+")
"""Index options are kept, because a package with the same name on another index can be a different one."""
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
    """Requirement lines as pip reads them, in the order of the file; empty if no file has any.

    Options except indexes are dropped, and so are user, password and query of every URL, because records are public.
    """
    content = files.get("requirements.txt")
    return _clean(_conda_lines(files)) if content is None else _pip_lines(content)


def read_python_version(files: Mapping[str, bytes]) -> str:
    """The Python version in python_env.yaml or conda.yaml; empty if neither has one."""
    environment = _decode(files, "python_env.yaml", _PythonEnv)
    python = str(environment.python) if environment is not None else ""
    if not python:
        dependencies = (match.groups() for match in map(_CONDA.match, _conda(files)) if match)
        python = next((version or "" for name, version in dependencies if name == "python"), "")
    return python if _PYTHON.fullmatch(python) else ""


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""


def _clean_line(text: str) -> str:
    line = " ".join(_OPTION.sub("", _COMMENT.sub("", text.strip())).split())
    if (line.startswith("-") and not _INDEX.fullmatch(line)) or not line.isprintable():
        return ""
    return _ADDRESS.sub(r"\1\2", line)


@functools.lru_cache(maxsize=4)  # most versions of a model have the same file
def _pip_lines(content: bytes) -> tuple[str, ...]:
    return _clean(_text(content).replace("\\\n", " ").splitlines())


def _clean(texts: Iterable[str]) -> tuple[str, ...]:
    lines = (line for line in map(_clean_line, texts) if line and len(line) <= MAX_LINE_LENGTH)
    return tuple(dict.fromkeys(lines))[:MAX_LINES]


def _conda_lines(files: Mapping[str, bytes]) -> Iterator[str]:
    for dependency in _conda(files):
        match = _CONDA.match(dependency)
        if match is not None and match[1] not in _NOT_FROM_PYPI:
            yield f"{match[1]}=={match[2]}" if match[2] else match[1]
    yield from (line for entry in _dependencies(files) if isinstance(entry, _Pip) for line in entry.pip)


def _conda(files: Mapping[str, bytes]) -> list[str]:
    return [entry for entry in _dependencies(files) if isinstance(entry, str)]


def _dependencies(files: Mapping[str, bytes]) -> list[str | _Pip]:
    conda = _decode(files, "conda.yaml", _Conda)
    return conda.dependencies if conda is not None else []


def _decode(files: Mapping[str, bytes], name: str, kind: type[_T]) -> _T | None:
    """The data of a file; None if it is missing or invalid."""
    if name not in files:
        return None
    try:
        return msgspec.convert(load(files[name], name), kind)
    except (InputError, msgspec.ValidationError):
        return None
