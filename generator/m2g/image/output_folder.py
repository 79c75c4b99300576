"""A folder that m2g makes outside of the repository's tree: all of it or nothing, never over a person's files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from m2g.core import safe_files as reading
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.stamp import StampState, check_stamp

_MOST_FILES = 20_000


def refuse(folder: Path, marker: str, written: Sequence[str]) -> None:
    """Raises InputError for a folder that has anything which m2g did not put there: `written`, beside the marker."""
    if folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()):
        raise InputError(f"{folder} is no folder", hint="name a new or an empty folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    hint = "name a new or an empty folder, or remove this one yourself"
    if own(folder, marker) is None:
        raise InputError(f"{folder} is not empty, and m2g did not make it", hint=hint)
    known = {marker, *written}
    strange = next((path for path in sorted(_below(folder)) if path not in known), None)
    if strange is not None:
        raise InputError(f"{folder} has {strange}, which m2g did not put there", hint=hint)


def own(folder: Path, marker: str) -> bytes | None:
    """The marker's content, where m2g made this folder and nobody edited it; else None."""
    try:
        content = reading.read(folder, marker)
    except (FileNotFoundError, M2gError):
        return None
    return content if check_stamp(content) is StampState.OURS else None


def write(folder: Path, contents: Mapping[str, bytes], copies: Mapping[str, Path]) -> None:
    """Make `folder` of these contents and of copies of these files, in place of what `refuse` let pass.

    Raises OutsideError where it cannot be written; then what was there is still there.
    """
    stage: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".m2g", dir=folder.parent))
        new = stage / "new"
        for path in (*contents, *copies):
            (new / path).parent.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            (new / path).write_bytes(content)
        for path, source in copies.items():
            shutil.copyfile(source, new / path, follow_symlinks=False)
        _everybody_may_read(new)
        if folder.exists():
            os.rename(folder, stage / "old")
        os.rename(new, folder)
    except OSError as error:
        if stage is not None and (stage / "old").exists() and not folder.exists():
            os.rename(stage / "old", folder)
        raise OutsideError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def contents(folder: Path) -> dict[str, Path]:
    """Path below `folder` to file, for all of them. Raises InputError for links and devices, and for far too many."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", hint="name the folder that has the MLmodel file")
    found: dict[str, Path] = {}
    for path in _below(folder):
        place = folder / path
        if place.is_symlink() or not place.is_file():
            raise InputError(f"{place} is no plain file", hint="copy the model to a folder without links")
        found[path] = place
        if len(found) > _MOST_FILES:
            raise InputError(f"{folder} has more than {_MOST_FILES} files", hint="is it the folder of the model?")
    return dict(sorted(found.items()))


def _below(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (Path(place, name).relative_to(folder).as_posix() for name in (*names, *links))


def _everybody_may_read(folder: Path) -> None:
    """Modes do not depend on the umask of who runs it: an image's user is another."""
    for place, _, names in os.walk(folder):
        os.chmod(place, 0o755)  # noqa: S103 - a build context, which the image's user must read
        for name in names:
            os.chmod(os.path.join(place, name), 0o644)
