"""`make contract`: the tests of the registry's doors against real MLflow servers of several releases, recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.support.paths import ROOT

OUTCOME = ROOT / "tests/contract/outcome.json"
VERSIONS = {
    "2.9": ROOT / ".tools/contract/2.9/bin/python",
    "2.22": ROOT / ".venv-mlflow2/bin/python",
    "3.4": ROOT / ".tools/contract/3.4/bin/python",
    "3": ROOT / ".venv/bin/python",
}
"""The releases by the Python that has them; the last one is the newest that m2g's own lock has."""


def main() -> int:
    """Run all and write the outcome. Ends with 1 if a test failed."""
    found = [_run(python) for python in VERSIONS.values()]
    OUTCOME.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if any(one["failed"] for one in found) else 0


def _run(python: Path) -> dict[str, object]:
    version = "from importlib.metadata import version; print(version('mlflow'))"
    number = subprocess.run([python, "-c", version], check=True, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "tests/registry/test_doors.py", "-k", "mlflow2"]
        command += [f"--junit-xml={report}"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "CONTRACT_PYTHON": str(python)}, check=False)
        cases = ElementTree.parse(report).getroot().iter("testcase")
        results = {str(case.get("name")).partition("[")[0]: _is_bad(case) for case in cases}
    return {
        "mlflow": number,
        "passed": sorted(name for name, bad in results.items() if not bad),
        "failed": sorted(name for name, bad in results.items() if bad),
    }


def _is_bad(case: ElementTree.Element) -> bool:
    return any(child.tag in ("failure", "error", "skipped") for child in case)


if __name__ == "__main__":
    sys.exit(main())
