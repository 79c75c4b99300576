"""Read the serving environments of a repository: environments/<id>/environment.json and requirements.txt."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.core import safe_files
from m2g.core.config_types import Config
from m2g.core.errors import M2gError, restore_command
from m2g.core.finding import Finding
from m2g.core.serving_environment import RecordedEnvironment, ServingEnvironment, digest_lock, parse_lock
from m2g.core.stamp import StampState, check_stamp, stamp, strip_stamp
from m2g.repository import layout, shared_files

_DECODER = msgspec.json.Decoder(ServingEnvironment)


def read(root: Path) -> tuple[dict[str, RecordedEnvironment], list[Finding]]:
    """The environments by id, sorted, and a finding for each file that is not as m2g wrote it."""
    environments: dict[str, RecordedEnvironment] = {}
    findings: list[Finding] = []
    for folder in shared_files.find_environment_folders(root):
        result = _read(root, folder.name)
        if isinstance(result, Finding):
            findings.append(result)
        else:
            environments[result.id] = result
    return environments, findings


def render_record(environment: ServingEnvironment, lock: str) -> dict[str, bytes]:
    """The two files of an environment. `lock` are the lines of requirements.txt."""
    record, requirements = layout.environment_record(environment.id), layout.environment_lock(environment.id)
    text = msgspec.json.format(msgspec.json.encode(environment), indent=2).decode() + "\n"
    return {record: stamp(record, text), requirements: stamp(requirements, lock)}


def name_image(config: Config, name: str) -> str:
    """The image of an environment in images.registry, tagged with its identity; empty without a registry.

    A slug has no dot, so no model has an image of this name.
    """
    registry = config.images.registry
    return "" if registry is UNSET else f"{registry.rstrip('/')}/serving.environment:{name}"


def is_image_of(config: Config, name: str, image: str) -> bool:
    """Whether an image with a digest is the one that CI pushes for an environment."""
    expected, (place, _, digest) = name_image(config, name), image.partition("@")
    return bool(expected and digest) and place in (expected, expected.rpartition(":")[0])


def decode(content: bytes) -> ServingEnvironment:
    """Decode a record. Raises msgspec.DecodeError or msgspec.ValidationError."""
    return _DECODER.decode(strip_stamp(content))


def _read(root: Path, name: str) -> RecordedEnvironment | Finding:
    texts: list[bytes] = []
    for file in (layout.environment_record(name), layout.environment_lock(name)):
        try:
            content = safe_files.read(root, file)
        except FileNotFoundError:
            return _refuse(file, "is missing")
        except M2gError as error:
            return _refuse(file, error.message.removeprefix(f"{file} "))
        if check_stamp(content) is not StampState.OURS:
            return _refuse(file, "is not as m2g wrote it, but m2g owns serving environments")
        texts.append(strip_stamp(content))
    record, requirements = layout.environment_record(name), layout.environment_lock(name)
    try:
        environment, lock = _DECODER.decode(texts[0]), texts[1].decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _refuse(record, f"is not a serving environment: {str(error)[:200]}")
    if environment.id != name:
        return _refuse(record, f"describes the environment {environment.id}, not {name}: an environment never changes")
    packages = parse_lock(lock)
    if packages is None or digest_lock(lock) != environment.lock:
        return _refuse(requirements, "is not the lock of this environment: an environment never changes")
    return RecordedEnvironment(id=name, environment=environment, packages=dict(packages), text=lock)


def _refuse(file: str, message: str) -> Finding:
    hint = f"restore it: {restore_command(file)}; for other packages, let m2g write a new environment"
    return Finding(rule="environment-invalid", file=file, message=message, hint=hint)
