"""Run kustomize: many overlays in one process if the result is the same, else one process for each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g.core import process, tempdirs
from m2g.core.errors import OutsideError
from m2g.core.manifest import Manifest, identify, read_all
from m2g.core.process.environment import clean_environment
from m2g.kustomize.batches import make_batches
from m2g.kustomize.graph import FILE_NAMES, Graph, GraphReader, Kustomization
from m2g.kustomize.paths import FileState
from m2g.kustomize.raw_manifests import expand_list

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called after each step with what is done, how many, and the total."""

TIMEOUT = 60.0
_MARK = "m2g.dev/mark"
_LOGGED = re.compile(r' err="(.*)"')
_PREFIX = re.compile(r"^(# Warning: |[0-9/]+ [0-9:.]+ )")
_ENVIRONMENT = {
    "KUBECONFIG": "/dev/null",
    "KUBERC": "off",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "GOGC": "400",
    "GOMAXPROCS": "1",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:0"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
}
_PASSED = ("HOME",)
"""kustomize itself reads nothing there, but a version manager (asdf, mise) in its place does."""


def make_environment() -> dict[str, str]:
    """The environment variables of kustomize: no network, no settings of kubectl."""
    return clean_environment(_PASSED) | _ENVIRONMENT


class BuildResult(msgspec.Struct, frozen=True, kw_only=True):
    """The objects of one overlay, sorted by apiVersion, kind, namespace and name, or the error.

    `error` is one line for the user; `at` is the file or folder that it is about, relative to the root. `files`,
    `linked` and `plugins` are those of the graph. `warnings` are what kustomize said of a build that it did.
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
    warnings: tuple[str, ...] = ()


def find_command() -> tuple[str, ...]:
    """The command that builds the current folder: M2G_KUSTOMIZE, else kustomize, else `kubectl kustomize`.

    Raises OutsideError if there is none.
    """
    named = os.environ.get("M2G_KUSTOMIZE", "")
    for program in (named,) if named else ("kustomize", "kubectl"):
        path = process.find_program(program)
        if path:
            verb = "kustomize" if Path(path).stem.startswith("kubectl") else "build"
            return (path, verb, ".")
    if named:
        raise OutsideError(
            f"M2G_KUSTOMIZE is {named}, which is not a program", hint="set it to kustomize or kubectl, or unset it"
        )
    raise OutsideError(
        "neither kustomize nor kubectl is on PATH",
        hint="install kustomize 5 (https://kubectl.docs.kubernetes.io/installation/kustomize), or set M2G_KUSTOMIZE",
    )


def build_overlays(
    root: Path, folders: Sequence[str], *, progress: Progress = lambda what, done, total: None
) -> dict[str, BuildResult]:
    """Build each folder (relative to `root`), and return the results in the given order.

    Raises OutsideError if kustomize is not found or cannot be started. Other errors are in `BuildResult.error`.
    """

    def report(what: str, done: int, _total: int) -> None:
        progress(what, done, len(folders))

    results = {result.folder: result for batch in stream_builds(root, folders, progress=report) for result in batch}
    return {folder: results[folder] for folder in folders}


def stream_builds(
    root: Path, folders: Iterable[str], *, progress: Progress = lambda what, done, total: None
) -> Generator[list[BuildResult], None, None]:
    """Like `build`, but return each batch as soon as it is built, in any order, while other batches are being built.

    It reads ahead only as much as a few processes need. The total in `progress` is known only at the end.
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
            for results in _collect(_start(pool, Path(reader.root), graphs())):
                done += len(results)
                progress("overlays built", done, total)
                yield results
        finally:
            pool.shutdown(cancel_futures=True)


def _start(pool: ThreadPoolExecutor, root: Path, graphs: Iterator[Graph]) -> Iterator[Future[list[BuildResult]]]:
    command: tuple[str, ...] = ()
    for batch in make_batches(graphs):
        if not batch[0].error:
            command = command or find_command()
        yield pool.submit(_build_batch, command, root, batch)


def _collect(runs: Iterator[Future[list[BuildResult]]]) -> Iterator[list[BuildResult]]:
    """The results of the runs as they end. One more run than cores is queued, so that no core waits for the caller."""
    limit = 1 + (os.cpu_count() or 1)
    running: set[Future[list[BuildResult]]] = set()
    for run in runs:
        running.add(run)
        ended, running = wait(running, None if len(running) > limit else 0, FIRST_COMPLETED)
        yield from (one.result() for one in ended)
    yield from (run.result() for run in as_completed(running))


def _make_result(graph: Graph) -> BuildResult:
    return BuildResult(
        folder=graph.folder,
        error=graph.error,
        hint=graph.hint,
        at=graph.at,
        kustomizations=graph.kustomizations,
        files=graph.files,
        linked=graph.linked,
        plugins=graph.plugins,
    )


def _build_batch(command: Sequence[str], root: Path, batch: Sequence[Graph]) -> list[BuildResult]:
    """Build a batch. If it fails, build each half, until the overlay with the error is alone."""
    if batch[0].error:
        return [_make_result(graph) for graph in batch]
    if len(batch) == 1:
        return [_build_alone(command, root, batch[0])]
    try:
        parts = _build_single_objects(command, root, batch) or _build_with_markers(
            command, root, [graph.folder for graph in batch]
        )
    except tempdirs.NoSpace:
        raise
    except (OutsideError, ValueError):
        parts = None
    if parts is not None:
        return [_add_objects(graph, objects) for graph, objects in zip(batch, parts, strict=True)]
    half = len(batch) // 2
    return [*_build_batch(command, root, batch[:half]), *_build_batch(command, root, batch[half:])]


def _build_single_objects(command: Sequence[str], root: Path, batch: Sequence[Graph]) -> list[list[object]] | None:
    """Build overlays that are each known to have one object, in one process; None if the output is not as expected.

    This saves the marker after each overlay, which costs an eighth of the build.
    """
    expected = [graph.single_object for graph in batch]
    if None in expected:
        return None
    with tempdirs.open_folder() as place:
        (place / "root").symlink_to(root, target_is_directory=True)
        resources = [f"root/{graph.folder}" for graph in batch]
        (place / FILE_NAMES[0]).write_text(_json({"sortOptions": {"order": "fifo"}, "resources": resources}))
        ran = process.run(command, cwd=place, timeout=2 * TIMEOUT, environment=make_environment())
    objects = list(_documents(ran.stdout)) if ran.code == 0 and not ran.stderr else []
    actual = [identify(item) if isinstance(item, dict) else None for item in objects]
    return [[item] for item in objects] if actual == expected else None


def _build_with_markers(command: Sequence[str], root: Path, folders: Sequence[str]) -> list[list[object]] | None:
    """Build all in one process, with markers between the overlays to separate their objects; None if that fails."""
    markers = [f"mark-{index}" for index in range(len(folders) + 1)]
    with tempdirs.open_folder() as place:
        (place / "root").symlink_to(root, target_is_directory=True)
        for marker in markers:
            (place / f"{marker}.json").write_text(
                _json({"apiVersion": _MARK, "kind": "Mark", "metadata": {"name": marker}})
            )
        resources = [f"{markers[0]}.json"]
        for folder, marker in zip(folders, markers[1:], strict=True):
            resources += [f"root/{folder}", f"{marker}.json"]
        (place / FILE_NAMES[0]).write_text(_json({"sortOptions": {"order": "fifo"}, "resources": resources}))
        ran = process.run(command, cwd=place, timeout=2 * TIMEOUT, environment=make_environment())
    if ran.code != 0 or ran.stderr:  # a warning does not say which overlay it is about
        return None
    parts: list[list[object]] = []
    names: list[str] = []
    for item in _documents(ran.stdout):
        if isinstance(item, dict) and item.get("apiVersion") == _MARK:
            names.append(item["metadata"]["name"])
            parts.append([])
        else:
            parts[-1].append(item)
    return parts[:-1] if names == markers and not parts[-1] else None


def _documents(printed: bytes) -> Iterator[object]:
    """The documents that kustomize printed, parsed one at a time to save memory. Raises ValueError."""
    for text in printed.split(b"\n---\n"):
        yield from read_all(text.decode())


def _build_alone(command: Sequence[str], root: Path, graph: Graph) -> BuildResult:
    try:
        # Not in the folder itself: what stands in for kustomize must not read settings from there.
        ran = process.run([*command[:-1], str(root / graph.folder)], timeout=TIMEOUT, environment=make_environment())
    except OutsideError as error:
        return msgspec.structs.replace(_make_result(graph), error=error.message, hint=error.hint, at=graph.folder)
    if ran.code != 0:
        text, at = _explain(ran.stderr, root, graph)
        return msgspec.structs.replace(_make_result(graph), error=text, at=at)
    try:
        built = _add_objects(graph, read_all(ran.stdout.decode()))
        return msgspec.structs.replace(built, warnings=_read_warnings(ran.stderr, root))
    except ValueError as error:
        text = f"the output of kustomize is not valid YAML: {error}"
        hint = "check the overlay's files for control characters"
        return msgspec.structs.replace(_make_result(graph), error=text, hint=hint, at=graph.folder)


def _add_objects(graph: Graph, objects: Sequence[object]) -> BuildResult:
    expanded = (item for one in objects for item, _ in expand_list(one))  # as those who apply it do
    manifests = [item for item in expanded if isinstance(item, dict)]
    return msgspec.structs.replace(_make_result(graph), objects=tuple(sorted(manifests, key=identify)))


def _read_warnings(stderr: str, root: Path) -> tuple[str, ...]:
    """Each line that kustomize printed, once, without its time and with relative paths."""
    lines = (_PREFIX.sub("", line).replace(f"{root}{os.sep}", "").strip() for line in stderr.splitlines())
    return tuple(dict.fromkeys(line[:700] for line in lines if line))


def _explain(stderr: str, root: Path, graph: Graph) -> tuple[str, str]:
    """kustomize's message as one line with relative paths, and the last file of the overlay in it."""
    text = " ".join(line for line in stderr.splitlines() if not line.startswith("# Warning"))
    logged = _LOGGED.search(text)
    if logged is not None:  # kubectl's format
        text = logged[1].replace('\\"', '"').replace("\\n", " ")
    text = re.sub(r"\s+", " ", text.replace(f"{root}{os.sep}", "")).removeprefix("Error: ").strip()
    named = {file: file for file in graph.files}
    named |= {item.file.rpartition("/")[0]: item.file for item in graph.kustomizations}
    positions = {name: _find_last(name, text) for name in named}
    at = (
        named[max(positions, key=lambda name: (positions[name], len(name)))]
        if max(positions.values(), default=-1) >= 0
        else ""
    )
    return (text[:700] or "kustomize failed without a message"), at or f"{graph.folder}/{FILE_NAMES[0]}"


def _find_last(name: str, text: str) -> int:
    """The last position of a whole path in the text, or -1."""
    return max((match.start() for match in re.finditer(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", text)), default=-1)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
