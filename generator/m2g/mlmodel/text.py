"""Parse YAML that MLflow wrote, within limits that are checked first."""

from __future__ import annotations

import ryaml

from m2g.core.errors import InputError
from m2g.core.yaml_reader import reject_costly


def load(content: bytes, name: str) -> object:
    """The plain data of a file. Raises InputError with its name if it is not UTF-8, not YAML, or too expensive to
    parse."""
    try:
        text = content.decode()
        reject_costly(text)
        loaded: object = ryaml.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 at byte {error.start}") from error
    except (ValueError, TypeError, RecursionError) as error:
        sentence = (str(error).splitlines() or [repr(error)])[0]
        raise InputError(f"{name} is not valid YAML: {sentence[:200]}") from error
    return loaded
