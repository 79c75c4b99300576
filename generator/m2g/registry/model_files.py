"""Which files of a version to read: MLmodel, and the files next to it that say what the model needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from m2g.registry.errors import RequestFailed, TooLarge

MLMODEL = "MLmodel"
REQUIREMENTS = "requirements.txt"
CONDA = "conda.yaml"
PYTHON_ENV = "python_env.yaml"
EXAMPLE = "serving_input_example.json"
ENVIRONMENT = "environment.tar.gz"
"""A packed environment, which MLServer's image unpacks and uses in place of its own. m2g asks whether it exists."""
GZIP = b"\x1f\x8b"
LIMITS: Mapping[str, int] = {
    MLMODEL: 1 << 20,
    REQUIREMENTS: 256 << 10,
    CONDA: 256 << 10,
    PYTHON_ENV: 64 << 10,
    EXAMPLE: 1 << 20,
    ENVIRONMENT: 64 << 10,  # it is larger, so it is never read whole; an error message is not
}
"""The maximum size of each file in bytes. An MLmodel with five thousand columns has 320 KiB."""


class ModelFiles(msgspec.Struct, frozen=True):
    """The files that exist, by name. `unread` are files that may exist but could not be read."""

    files: dict[str, bytes]
    unread: tuple[str, ...] = ()


def read(read_file: Callable[[str], bytes | None]) -> ModelFiles:
    """Read the files of one version. `read_file` reads one file, returns None if it is missing, or raises
    RequestFailed.

    Each file costs a request to the registry, so this reads only what MLmodel does not contain. A failure raises only
    for MLmodel, because a version can be released without the other files.
    """
    mlmodel = read_file(MLMODEL)
    if mlmodel is None:
        return ModelFiles({})
    files, unread = {MLMODEL: mlmodel}, []

    def add(name: str) -> None:
        try:
            content = read_file(name)
        except RequestFailed:
            unread.append(name)
        else:
            if content is not None:
                files[name] = content

    add(REQUIREMENTS)
    if REQUIREMENTS not in files or b"python_version:" not in mlmodel:
        add(PYTHON_ENV)
        add(CONDA)
    if EXAMPLE.encode() in mlmodel:
        add(EXAMPLE)
    if b"python_function" in mlmodel and _is_packed(read_file):
        files[ENVIRONMENT] = b""
    return ModelFiles(files, tuple(unread))


def _is_packed(read_file: Callable[[str], bytes | None]) -> bool:
    """Whether there is a packed environment. Some servers answer for every file, so its first bytes decide."""
    try:
        read_file(ENVIRONMENT)
    except TooLarge as error:
        return error.start.startswith(GZIP)
    except RequestFailed:
        return False
    return False
