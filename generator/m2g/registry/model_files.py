"""Which files of a version are worth a question: MLmodel, and those beside it that say what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from m2g.registry.errors import RequestFailed

MLMODEL = "MLmodel"
REQUIREMENTS = "requirements.txt"
CONDA = "conda.yaml"
PYTHON_ENV = "python_env.yaml"
EXAMPLE = "serving_input_example.json"
LIMITS: Mapping[str, int] = {
    MLMODEL: 1 << 20,
    REQUIREMENTS: 256 << 10,
    CONDA: 256 << 10,
    PYTHON_ENV: 64 << 10,
    EXAMPLE: 1 << 20,
}
"""Bytes of each file that are read. An MLmodel with five thousand columns has 320 KiB."""


class ModelFiles(msgspec.Struct, frozen=True):
    """Files that exist, by name; `unread` are those that may be there but could not be read."""

    files: dict[str, bytes]
    unread: tuple[str, ...] = ()


def read(one: Callable[[str], bytes | None]) -> ModelFiles:
    """The files of one version. `one` reads a file, answers None where there is none, and may raise OneFailed.

    Each file is a question to the registry, so only what MLmodel leaves open is asked for. Raises OneFailed for
    MLmodel alone: without the others a version can still be released.
    """
    mlmodel = one(MLMODEL)
    if mlmodel is None:
        return ModelFiles({})
    files, unread = {MLMODEL: mlmodel}, []

    def ask(name: str) -> None:
        try:
            content = one(name)
        except RequestFailed:
            unread.append(name)
        else:
            if content is not None:
                files[name] = content

    ask(REQUIREMENTS)
    if REQUIREMENTS not in files or b"python_version:" not in mlmodel:
        ask(PYTHON_ENV)
        ask(CONDA)
    if EXAMPLE.encode() in mlmodel:
        ask(EXAMPLE)
    return ModelFiles(files, tuple(unread))
