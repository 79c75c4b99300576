"""`m2g import mlflow2seldon`: the m2g.yaml that does what another tool's settings did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2g.core import yaml_reader
from m2g.core.errors import InputError, OutsideError
from m2g.core.results import ImportedConfig
from m2g.repository.mlflow2seldon import PREFIX, convert_values

_KEY = "serviceConfigs"


def import_mlflow2seldon(
    folder: Path, files: Sequence[Path], *, artifact_root: str = "", storage: str = ""
) -> ImportedConfig:
    """Convert the values of MLflow2Seldon's chart; later files win, as for helm. Nothing is written.

    Raises InputError if a file has no such values, OutsideError if it cannot be read.
    """
    values: dict[str, str] = {}
    for file in files:
        values |= _read_values(folder / file)
    return convert_values(values, artifact_root=artifact_root, storage=storage)


def _read_values(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            content = file.read(yaml_reader.MAX_BYTES + 1)
    except IsADirectoryError as error:
        raise InputError(f"{path} is a directory", hint="name the file: deploy/mlflow2seldon/values.yaml") from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", hint="print it: helm get values RELEASE > values.yaml") from error
    except OSError as error:
        raise OutsideError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error
    data = yaml_reader.read(path.name, content).data
    found = data.get(_KEY, data) if isinstance(data, dict) else None
    pairs = found.items() if isinstance(found, dict) else ()
    values = {str(key): "" if text is None else str(text) for key, text in pairs if str(key).startswith(PREFIX)}
    if not values:
        hint = "name the values of the chart deploy/mlflow2seldon, or print them: helm get values RELEASE > values.yaml"
        raise InputError(f"{path} has no {_KEY} of MLflow2Seldon ({PREFIX}…)", hint=hint)
    return values
