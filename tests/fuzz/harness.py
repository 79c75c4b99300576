"""Coverage-guided fuzzing of every door with atheris: `make fuzz` (RUNS=100000 for more than a look).

python -m tests.fuzz.harness RUNS FOUND [TARGET …]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_OPTIONS = ("-max_len=8192", "-timeout=20", "-rss_limit_mb=3072", "-print_final_stats=0", "-verbosity=0")


def main(runs: str, found: str, chosen: Sequence[str]) -> int:
    """Fuzz one door after the other, each in a process of its own; what breaks one is kept in `found`."""
    from tests.support.doors import TARGETS

    broken = []
    for target in chosen or TARGETS:
        command = [sys.executable, "-m", __spec__.name, runs, found, "--", target]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        sys.stderr.write(f"{done.stdout[-4000:]}\n{target}: broken\n" if done.returncode else f"{target}: holds\n")
        broken += [target] if done.returncode else []
    return len(broken)


def fuzz(runs: str, found: str, target: str) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris  # type: ignore[import-untyped]  # only `make fuzz` installs it

    with atheris.instrument_imports(include=["m2g", "ruamel.yaml"], enable_loader_override=False):
        from tests.support.doors import feed
        from tests.support.fuzz_seeds import SEEDS
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        (seeds / "good").write_text(SEEDS[target])
        Path(found).mkdir(parents=True, exist_ok=True)
        root = Path(folder, "root")
        root.mkdir()
        arguments = [sys.argv[0], f"-runs={runs}", f"-artifact_prefix={found}/", *_OPTIONS, str(seeds)]
        atheris.Setup(arguments, lambda content: feed(target, root, content) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[3:4] == ["--"]:
        fuzz(sys.argv[1], sys.argv[2], sys.argv[4])
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
