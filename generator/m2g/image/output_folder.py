"""A directory that m2g writes outside of the repository: completely or not at all, and never over other files."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from m2g.core import safe_files
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.stamp import StampState, check_stamp

_MAX_FILES = 20_000


def check_folder(folder: Path, marker: str, written: Sequence[str]) -> None:
    """Raise InputError if the directory has files that m2g did not write. `written` are those that it did."""
    if folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()):
        raise InputError(f"{folder} is not a directory", hint="name a new or an empty directory")
    if not folder.exists() or not any(folder.iterdir()):
        return
    hint = "name a new or an empty directory, or remove this one"
    if read_marker(folder, marker) is None:
        raise InputError(f"{folder} is not empty, and m2g did not create it", hint=hint)
    known = {marker, *written}
    unknown = next((path for path in sorted(_walk(folder)) if path not in known), None)
    if unknown is not None:
        raise InputError(f"{folder} has the file {unknown}, which m2g did not write", hint=hint)


def read_marker(folder: Path, marker: str) -> bytes | None:
    """The marker's content; None if m2g did not write the marker or somebody edited it."""
    try:
        content = safe_files.read(folder, marker)
    except (FileNotFoundError, M2gError):
        return None
    return content if check_stamp(content) is StampState.OURS else None


def write_folder(folder: Path, contents: Mapping[str, bytes], copies: Mapping[str, Path]) -> None:
    """Replace `folder` by one with these contents and copies of these files. Call `check_folder` first.

    Raises OutsideError if it cannot be written; then the old content is still there.
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
        _make_readable(new)
        if folder.exists():
            os.rename(folder, stage / "old")
        os.rename(new, folder)
    except OSError as error:
        if stage is not None and (stage / "old").exists() and not folder.exists():
            os.rename(stage / "old", folder)
        hint = "free disk space, or name a directory that you may write to"
        raise OutsideError(f"{error.filename or folder} cannot be written: {error.strerror}", hint=hint) from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def list_files(folder: Path) -> dict[str, Path]:
    """Path relative to `folder` → file. Raises InputError for a symlink, a device, or more than 20,000 files."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a directory", hint="name the directory with the MLmodel file")
    files: dict[str, Path] = {}
    for path in _walk(folder):
        file = folder / path
        if file.is_symlink() or not file.is_file():
            hint = f"copy the model to a directory without symlinks: cp -RL {shlex.quote(str(folder))} DIR"
            raise InputError(f"{file} is not a regular file", hint=hint)
        files[path] = file
        if len(files) > _MAX_FILES:
            hint = "name the directory with the MLmodel file"
            raise InputError(f"{folder} has more than {_MAX_FILES:,} files, too many for a model", hint=hint)
    return dict(sorted(files.items()))


def _walk(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (Path(place, name).relative_to(folder).as_posix() for name in (*names, *links))


def _make_readable(folder: Path) -> None:
    """Make modes independent of the umask: the user inside the image is another one."""
    for place, _, names in os.walk(folder):
        os.chmod(place, 0o755)  # noqa: S103 - the user inside the image must be able to read the context
        for name in names:
            os.chmod(os.path.join(place, name), 0o644)
