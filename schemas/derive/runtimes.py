"""The packages in KServe's serving images, from its lock files: `python schemas/derive/runtimes.py`.

KServe is a Go module, and the module's archive contains the whole repository: `python/*/uv.lock` (or poetry.lock) has
the packages of the native servers, `install/` the MLServer version of a release. MLServer is not a Go module: the pins
of its poetry.lock are copied here, and PyPI resolves the names of all other packages for its wheels.
It needs the network, go and uv; `make schemas` runs it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from output import FOLDER

TARGET = FOLDER / "runtimes"
LOCK = Path(__file__).parent / "runtimes.lock.json"
UV = FOLDER.parent / ".tools/uv-venv/bin/uv"
KSERVE = {"0.15": "v0.15.2", "0.16": "v0.16.0", "0.17": "v0.17.0", "0.19": "v0.19.0", "0.20": "v0.20.0"}
"""Minor version → the release on Go's proxy, which has neither 0.18 nor 0.21."""
NEWEST = "2026-11-25T00:00:00Z"
"""Later uploads to PyPI are ignored, so that the result is the same every day."""
LIKE = {"0.18": ("0.17", "0.19"), "0.21": ("0.20",)}
"""A minor version that cannot be read → its neighbours. It gets what they agree on; with one neighbour, no versions."""


class MLServer(NamedTuple):
    """One release of MLServer: the known pins of its poetry.lock, and the wheels that its image installs."""

    kserve: tuple[str, ...]
    pins: dict[str, str]
    wheels: tuple[str, ...]


MLSERVER = {
    "1.5.0": MLServer(
        ("0.15", "0.16", "0.17"),
        {"mlflow": "2.10.2", "scikit-learn": "1.4.1.post1", "xgboost": "2.0.3"},
        ("mlflow", "sklearn", "xgboost", "lightgbm", "huggingface"),
    ),
    "1.7.1": MLServer(
        ("0.18", "0.19", "0.20", "0.21"),
        {
            "mlflow": "2.19.0",
            "scikit-learn": "1.5.2",
            "numpy": "1.26.4",
            "pandas": "2.2.3",
            "xgboost": "2.1.2",
            "lightgbm": "4.6.0",
            "catboost": "1.2.7",
            "torch": "2.4.1",
            "tensorflow": "2.18.0",
            "transformers": "4.41.2",
            "pydantic": "2.9.2",
        },
        ("mlflow", "sklearn", "xgboost", "lightgbm", "catboost", "huggingface"),
    ),
}
_ALSO = ("alibi", "alibi-detect", "tensorflow")
"""MLServer's image also has the alibi runtimes."""
_NATIVE = {
    "kserve-sklearnserver": ("sklearn", {"sklearn": (".joblib", ".pkl", ".pickle")}),
    "kserve-xgbserver": ("xgboost", {"xgboost": (".bst", ".json", ".ubj")}),
    "kserve-lgbserver": ("lightgbm", {"lightgbm": (".bst",)}),
}
_SERVERS = {"sklearn": "sklearnserver", "xgboost": "xgbserver", "lightgbm": "lgbserver"}
_PINNED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)")


def kserve(version: str) -> tuple[Path, str]:
    """The directory of a release and its digest in Go."""
    command = ["go", "mod", "download", "-json", f"github.com/kserve/kserve@{version}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tempfile.gettempdir())
    answer = json.loads(ran.stdout)
    return Path(answer["Dir"]), answer["Sum"]


def locked(folder: Path) -> dict[str, str]:
    """Package → version in a lock file. If versions differ by Python, the highest one (the images have the newest)."""
    lock = folder / "uv.lock" if (folder / "uv.lock").exists() else folder / "poetry.lock"
    found: dict[str, str] = {}
    for package in tomllib.loads(lock.read_text())["package"]:
        name, version = package["name"].lower(), str(package.get("version", ""))
        if name not in found or _key(version) > _key(found[name]):
            found[name] = version
    return dict(sorted(found.items()))


def _key(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _python(dockerfile: Path) -> str:
    found = re.search(r"ARG PYTHON_VERSION=([0-9.]+)", dockerfile.read_text())
    return found[1] if found else ""


def native(name: str, folder: Path, minor: str) -> dict[str, Any]:
    """One of KServe's native servers."""
    flavor, files = _NATIVE[name]
    server = _SERVERS[flavor]
    dockerfile = {"sklearnserver": "sklearn", "xgbserver": "xgb", "lgbserver": "lgb"}[server]
    return {
        "name": name,
        "image": f"kserve/{server}:{KSERVE[minor]}",
        "kserve": [minor],
        "python": _python(folder / f"python/{dockerfile}.Dockerfile"),
        "loads": "file",
        "formats": [flavor],
        "protocols": ["v2", "v1"],
        "files": files,
        "packages": locked(folder / "python" / server),
        "complete": True,
        "source": f"kserve {KSERVE[minor]}: python/{server}",
    }


def hub(folder: Path, minor: str) -> dict[str, Any]:
    """KServe's server for the Hugging Face hub."""
    return {
        "name": "kserve-huggingfaceserver",
        "image": f"kserve/huggingfaceserver:{KSERVE[minor]}",
        "kserve": [minor],
        "loads": "hub",
        "formats": ["huggingface"],
        "protocols": ["v2", "v1"],
        "packages": locked(folder / "python/huggingfaceserver"),
        "complete": True,
        "source": f"kserve {KSERVE[minor]}: python/huggingfaceserver",
    }


def between(made: list[dict[str, Any]], minor: str) -> dict[str, Any]:
    """A release that cannot be read, from its neighbours: packages and versions on which all of them agree."""
    same = {
        name: version if len(made) > 1 and all(one["packages"].get(name) == version for one in made) else ""
        for name, version in made[0]["packages"].items()
        if all(name in one["packages"] for one in made)
    }
    pythons = {one.get("python", "") for one in made}
    image = f"{made[0]['image'].rpartition(':')[0]}:v{minor}.0"
    source = f"KServe {minor} cannot be read; what {' and '.join(one['kserve'][0] for one in made)} have"
    changed = {"kserve": [minor], "image": image, "packages": same, "complete": False, "source": source}
    return {**made[0], **changed, **({"python": made[0].get("python", "")} if len(pythons) == 1 else {"python": ""})}


def mlserver(version: str) -> dict[str, Any]:
    """One release of MLServer: package names from PyPI, versions only from the known pins."""
    made = MLSERVER[version]
    wanted = [f"mlserver=={version}", *(f"mlserver-{name}=={version}" for name in made.wheels)]
    wanted += [f"{name}=={pin}" for name, pin in made.pins.items() if name in {"mlflow", "scikit-learn", "xgboost"}]
    command = [str(UV), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version=3.10"]
    command += [f"--exclude-newer={NEWEST}", "-"]
    ran = subprocess.run(command, input="\n".join(wanted), capture_output=True, text=True, check=True)
    names = [found[1].lower() for line in ran.stdout.splitlines() if (found := _PINNED.match(line))]
    packages = dict.fromkeys((*names, *_ALSO), "") | {"mlserver": version, "mlserver-mlflow": version} | made.pins
    return {
        "name": "kserve-mlserver",
        "image": f"docker.io/seldonio/mlserver:{version}",
        "kserve": list(made.kserve),
        "python": "3.10.12" if version == "1.7.1" else "3.10",
        "loads": "pyfunc",
        "formats": ["lightgbm", "mlflow", "sklearn", "xgboost"],
        "protocols": ["v2", "invocations"],
        "packages": dict(sorted(packages.items())),
        "complete": True,
        "source": f"MLServer {version}: poetry.lock, and the wheels on PyPI",
    }


def derive() -> tuple[dict[str, dict[str, Any]], list[dict[str, str]]]:
    """File name → description, and the sources of all."""
    made: dict[str, dict[str, Any]] = {}
    sources = []
    for minor, version in KSERVE.items():
        folder, digest = kserve(version)
        sources.append({"package": "github.com/kserve/kserve", "version": version, "sha256": digest})
        for name in _NATIVE:
            made[f"{name}-{minor}"] = native(name, folder, minor)
        made[f"kserve-huggingfaceserver-{minor}"] = hub(folder, minor)
    for minor, beside in LIKE.items():
        for name in (*_NATIVE, "kserve-huggingfaceserver"):
            made[f"{name}-{minor}"] = between([made[f"{name}-{one}"] for one in beside], minor)
    for version in MLSERVER:
        made[f"kserve-mlserver-{version}"] = mlserver(version)
        sources.append({"package": "mlserver", "version": version, "sha256": ""})
    return made, sources


def main() -> int:
    """Write the files, or compare them (`--check`)."""
    made, sources = derive()
    texts = {TARGET / f"{name}.json": json.dumps(one, indent=1) + "\n" for name, one in sorted(made.items())}
    lock = {"files": sorted(path.name for path in texts), "sources": sources}
    texts[LOCK] = json.dumps(lock, indent=1) + "\n"
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(path.name, "differs" if "--check" in sys.argv else "written")
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path])
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
