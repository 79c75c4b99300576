"""Runs kustomize: many overlays in one process where that gives the same, each alone where it does not."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g.core import process, tempdirs
from m2g.core.errors import OutsideError
from m2g.core.manifest import Manifest, identify, read_all
from m2g.kustomize.batches import make_batches
from m2g.kustomize.graph import FILE_NAMES, Graph, GraphReader, Kustomization
from m2g.kustomize.paths import FileState

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told after each step what is done, how many, and of how many."""

TIMEOUT = 60.0
_MARK = "m2g.dev/mark"
_LOGGED = re.compile(r' err="(.*)"')
_ENVIRONMENT = {
    "KUBECONFIG": "/dev/null",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "GOGC": "400",
    "GOMAXPROCS": "1",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:0"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
}


class BuildResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one overlay builds to, by apiVersion, kind, namespace and name; or why it does not build.

    `error` is for a person and one line; `at` is the file or folder it names, relative to the root. `files`, `linked`
    and `plugins` are the graph's.
    """

    folder: str
    objects: tuple[Manifest, ...] = ()
    error: str = ""
    hint: str = ""
    at: str = ""
    kustomizations: tuple[Kustomization, ...] = ()
    files: Mapping[str, FileState] = {}
    linked: bool = False
    plugins: bool = False


def find_command() -> tuple[str, ...]:
    """The command that builds the current folder: M2G_KUSTOMIZE, else kustomize, else kubectl's own.

    Raises OutsideError where there is none.
    """
    named = os.environ.get("M2G_KUSTOMIZE", "")
    for program in (named,) if named else ("kustomize", "kubectl"):
        path = shutil.which(program)
        if path:
            verb = "kustomize" if Path(path).stem.startswith("kubectl") else "build"
            return (os.path.abspath(path), verb, ".")
    if named:
        raise OutsideError(
            f"M2G_KUSTOMIZE names {named}, which is no program", hint="name kustomize or kubectl, or unset it"
        )
    raise OutsideError(
        "neither kustomize nor kubectl is on PATH",
        hint="install kustomize 5 (https://kubectl.docs.kubernetes.io/installation/kustomize), or set M2G_KUSTOMIZE",
    )


def build(
    root: Path, folders: Sequence[str], *, progress: Progress = lambda what, done, total: None
) -> dict[str, BuildResult]:
    """Build each folder (relative to `root`); in the answer in the order given.

    Raises OutsideError where no kustomize is found or none can be started; all else is said in `Built.error`.
    """

    def told(what: str, done: int, _total: int) -> None:
        progress(what, done, len(folders))

    answers = {item.folder: item for items in stream_builds(root, folders, progress=told) for item in items}
    return {folder: answers[folder] for folder in folders}


def stream_builds(
    root: Path, folders: Iterable[str], *, progress: Progress = lambda what, done, total: None
) -> Generator[list[BuildResult], None, None]:
    """As `build`, a batch as soon as it is built, in any order: whoever asks works on one while others are built.

    No more is taken, read or kept than what a few processes are to do; how many there are is told in the end.
    """
    reader = GraphReader(root)
    done = 0
    total = 0

    def graphs() -> Iterator[Graph]:
        nonlocal total
        taken = 0
        for folder in folders:
            taken += 1
            yield reader.read(folder)
        total = taken

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        try:
            for built in _ended(_started(pool, Path(reader.root), graphs())):
                done += len(built)
                progress("overlays built", done, total)
                yield built
        finally:
            pool.shutdown(cancel_futures=True)


def _started(pool: ThreadPoolExecutor, root: Path, graphs: Iterator[Graph]) -> Iterator[Future[list[BuildResult]]]:
    command: tuple[str, ...] = ()
    for batch in make_batches(graphs):
        if not batch[0].problem:
            command = command or find_command()
        yield pool.submit(_batch, command, root, batch)


def _ended(runs: Iterator[Future[list[BuildResult]]]) -> Iterator[list[BuildResult]]:
    """What the runs give, as they end. Some wait at any time, so that no core does while one is looked at."""
    most = 1 + (os.cpu_count() or 1)
    running: set[Future[list[BuildResult]]] = set()
    for run in runs:
        running.add(run)
        ended, running = wait(running, None if len(running) > most else 0, FIRST_COMPLETED)
        yield from (one.result() for one in ended)
    yield from (run.result() for run in as_completed(running))


def _unbuilt(graph: Graph) -> BuildResult:
    return BuildResult(
        folder=graph.folder,
        error=graph.problem,
        hint=graph.hint,
        at=graph.at,
        kustomizations=graph.kustomizations,
        files=graph.files,
        linked=graph.linked,
        plugins=graph.plugins,
    )


def _batch(command: Sequence[str], root: Path, batch: Sequence[Graph]) -> list[BuildResult]:
    """Build a batch. Where it fails, each half is built: the overlay that is to blame ends up alone, with its error."""
    if batch[0].problem:
        return [_unbuilt(graph) for graph in batch]
    if len(batch) == 1:
        return [_alone(command, root, batch[0])]
    try:
        parts = _counted(command, root, batch) or _together(command, root, [graph.folder for graph in batch])
    except tempdirs.NoSpace:
        raise
    except (OutsideError, ValueError):
        parts = None
    if parts is not None:
        return [_built(graph, objects) for graph, objects in zip(batch, parts, strict=True)]
    half = len(batch) // 2
    return [*_batch(command, root, batch[:half]), *_batch(command, root, batch[half:])]


def _counted(command: Sequence[str], root: Path, batch: Sequence[Graph]) -> list[list[object]] | None:
    """Build all in one process where each is known to be one object, and they come as they should; else None.

    A mark beside each overlay costs an eighth of the build.
    """
    wanted = [graph.single_object for graph in batch]
    if None in wanted:
        return None
    with tempdirs.open_folder() as place:
        (place / "root").symlink_to(root, target_is_directory=True)
        resources = [f"root/{graph.folder}" for graph in batch]
        (place / FILE_NAMES[0]).write_text(_json({"sortOptions": {"order": "fifo"}, "resources": resources}))
        ran = process.run(command, cwd=place, timeout=2 * TIMEOUT, environment=_ENVIRONMENT)
    found = list(_documents(ran.stdout)) if ran.code == 0 else []
    got = [identify(item) if isinstance(item, dict) else None for item in found]
    return [[item] for item in found] if got == wanted else None


def _together(command: Sequence[str], root: Path, folders: Sequence[str]) -> list[list[object]] | None:
    """Build all in one process, marks between them to tell the objects apart; None where that cannot be done."""
    marks = [f"mark-{index}" for index in range(len(folders) + 1)]
    with tempdirs.open_folder() as place:
        (place / "root").symlink_to(root, target_is_directory=True)
        for mark in marks:
            (place / f"{mark}.json").write_text(
                _json({"apiVersion": _MARK, "kind": "Mark", "metadata": {"name": mark}})
            )
        resources = [f"{marks[0]}.json"]
        for folder, mark in zip(folders, marks[1:], strict=True):
            resources += [f"root/{folder}", f"{mark}.json"]
        (place / FILE_NAMES[0]).write_text(_json({"sortOptions": {"order": "fifo"}, "resources": resources}))
        ran = process.run(command, cwd=place, timeout=2 * TIMEOUT, environment=_ENVIRONMENT)
    if ran.code != 0:
        return None
    parts: list[list[object]] = []
    found: list[str] = []
    for item in _documents(ran.stdout):
        if isinstance(item, dict) and item.get("apiVersion") == _MARK:
            found.append(item["metadata"]["name"])
            parts.append([])
        else:
            parts[-1].append(item)
    return parts[:-1] if found == marks and not parts[-1] else None


def _documents(printed: bytes) -> Iterator[object]:
    """What kustomize printed, one document after the other: all at once take much memory. Raises ValueError."""
    for text in printed.split(b"\n---\n"):
        yield from read_all(text.decode())


def _alone(command: Sequence[str], root: Path, graph: Graph) -> BuildResult:
    try:
        ran = process.run(command, cwd=root / graph.folder, timeout=TIMEOUT, environment=_ENVIRONMENT)
    except OutsideError as error:
        return msgspec.structs.replace(_unbuilt(graph), error=error.message, hint=error.hint, at=graph.folder)
    if ran.code != 0:
        text, at = _explain(ran.stderr, root, graph)
        return msgspec.structs.replace(_unbuilt(graph), error=text, at=at)
    try:
        return _built(graph, read_all(ran.stdout.decode()))
    except ValueError as error:
        text = f"kustomize printed what is no YAML: {error}"
        hint = "look for control characters in the overlay's files"
        return msgspec.structs.replace(_unbuilt(graph), error=text, hint=hint, at=graph.folder)


def _built(graph: Graph, objects: Sequence[object]) -> BuildResult:
    found = [item for item in objects if isinstance(item, dict)]
    return msgspec.structs.replace(_unbuilt(graph), objects=tuple(sorted(found, key=identify)))


def _explain(stderr: str, root: Path, graph: Graph) -> tuple[str, str]:
    """kustomize's message in one line with paths inside the repository, and the last file of the overlay it names."""
    text = " ".join(line for line in stderr.splitlines() if not line.startswith("# Warning"))
    logged = _LOGGED.search(text)
    if logged is not None:  # kubectl's way
        text = logged[1].replace('\\"', '"').replace("\\n", " ")
    text = re.sub(r"\s+", " ", text.replace(f"{root}{os.sep}", "")).removeprefix("Error: ").strip()
    named = {file: file for file in graph.files}
    named |= {item.file.rpartition("/")[0]: item.file for item in graph.kustomizations}
    found = {name: _last(name, text) for name in named}
    at = named[max(found, key=lambda name: (found[name], len(name)))] if max(found.values(), default=-1) >= 0 else ""
    return (text[:700] or "kustomize failed and did not say why"), at or f"{graph.folder}/{FILE_NAMES[0]}"


def _last(name: str, text: str) -> int:
    """Where a path stands last as a whole path; -1 for nowhere."""
    return max((found.start() for found in re.finditer(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", text)), default=-1)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
