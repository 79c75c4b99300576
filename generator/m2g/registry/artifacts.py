"""Read the files of models that are on this machine, for local stores."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from m2g.registry.errors import RequestFailed, TooLarge
from m2g.registry.model_files import LIMITS

_START = 16
"""How many more bytes than the limit are read, so that a file that is too large is known by its start."""


def find_local_path(uri: str) -> Path | None:
    """The folder of a `file:` URI or a plain path; None for any other URI."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(uri)


def read(folder: Path, name: str) -> bytes | None:
    """One of the files in `model_files.LIMITS`, or None. Raises RequestFailed if it cannot be read or is too large."""
    path = folder / name
    try:
        with path.open("rb") as file:
            content = file.read(LIMITS[name] + _START)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RequestFailed(f"{path}: {error.strerror}") from error
    if len(content) > LIMITS[name]:
        raise TooLarge(f"{path}: larger than {LIMITS[name] >> 10} KiB", start=content)
    return content
