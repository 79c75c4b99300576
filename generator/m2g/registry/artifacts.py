"""The MLmodel files of a local store, as far as they are files on this machine."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from m2g.registry.normal import MAX_MLMODEL, MLMODEL
from m2g.registry.refusal import OneFailed


def path_of(uri: str) -> Path | None:
    """The folder that a `file:` URI or a plain path names; None for another kind of place."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(uri)


def read(folder: Path) -> bytes | None:
    """The MLmodel in a folder; None where it has none. Raises OneFailed for one that cannot be read or is too large."""
    path = folder / MLMODEL
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MLMODEL + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OneFailed(f"{path}: {error.strerror}") from error
    if len(content) > MAX_MLMODEL:
        raise OneFailed(f"{path}: larger than {MAX_MLMODEL >> 10} KiB")
    return content
