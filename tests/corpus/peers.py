"""The corpus through other validators: writes docs/reference/validation-compared.md (`make peers`).

Needs kubeconform, built by `tests/tools/kubeconform/build .tools`. Where `.tools/apiserver/corpus.json` has the
verdict on every case (whether the API server took it; `make apiserver` writes it), there is a column for it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import kubernetes_validate
import msgspec

from m2g.validation.schemas import Catalogue
from tests.support.corpus import BY, Case, cases
from tests.support.paths import ROOT
from tests.support.rule_objects import answers

PAGE = ROOT / "docs/reference/validation-compared.md"
KUBECONFORM = ROOT / ".tools/bin/kubeconform"
SERVER = ROOT / ".tools/apiserver/corpus.json"
KSERVE = ROOT / "tests/corpus/kserve.json"
KUBERNETES = "1.37"


class Verdict(StrEnum):
    """What one validator says of one manifest."""

    TAKES = "takes"
    REFUSES = "refuses"
    UNKNOWN = "unknown"
    """It has no schema for the kind."""


Verdicts: TypeAlias = Mapping[str, Verdict]
Judge: TypeAlias = Callable[[Sequence[Case]], Verdicts]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the page."""

    name: str
    about: str
    judge: Judge


def m2g(found: Sequence[Case]) -> Verdicts:
    """Schemas and rules; a warning counts, too."""
    return {case.name: _refused(bool(answers(case.manifest, case.given))) for case in found}


def m2g_schemas(found: Sequence[Case]) -> Verdicts:
    """m2g's schemas alone."""
    catalogue = Catalogue()
    return {
        case.name: _refused(bool(catalogue.find_violations(case.manifest, kserve=case.given.kserve))) for case in found
    }


def kubernetes_only(found: Sequence[Case]) -> Verdicts:
    """kubernetes-validate --strict: Kubernetes' own kinds."""
    result: dict[str, Verdict] = {}
    for case in found:
        try:
            kubernetes_validate.validate(case.manifest, KUBERNETES, strict=True)
            result[case.name] = Verdict.TAKES
        except kubernetes_validate.SchemaNotFoundError:
            result[case.name] = Verdict.UNKNOWN
        except kubernetes_validate.ValidationError:
            result[case.name] = Verdict.REFUSES
    return result


def kubeconform_plain(found: Sequence[Case]) -> Verdicts:
    """kubeconform -strict with Kubernetes' schemas."""
    with tempfile.TemporaryDirectory() as name:
        return _kubeconform(found, [_kubernetes_schemas(Path(name), found)])


def kubeconform_with_ours(found: Sequence[Case]) -> Verdicts:
    """kubeconform -strict with m2g's schemas beside them, one run for each KServe version."""
    result: dict[str, Verdict] = {}
    for kserve in sorted({case.given.kserve for case in found}):
        with tempfile.TemporaryDirectory() as name:
            mine = [case for case in found if case.given.kserve == kserve]
            places = [_kubernetes_schemas(Path(name), mine), our_schemas(Path(name), kserve)]
            result |= _kubeconform(mine, places)
    return result


def api_server(found: Sequence[Case]) -> Verdicts:
    """What the tests in tests/apiserver wrote down."""
    taken: dict[str, bool] = json.loads(SERVER.read_text())
    return {case.name: _refused(not taken[case.name]) for case in found}


def kserve(found: Sequence[Case]) -> Verdicts:
    """What KServe's own CRDs and webhook said, recorded (tests/tools/kserve). A pruned field counts as taken."""
    said = read_kserve()
    return {
        case.name: _refused(said[case.name] == "refuses") if case.name in said else Verdict.UNKNOWN for case in found
    }


def read_kserve() -> dict[str, str]:
    """Case → takes, prunes or refuses; only KServe's kinds, and only the versions that were built."""
    recorded: dict[str, str] = json.loads(KSERVE.read_text())
    return recorded


def peers() -> list[Peer]:
    """The columns, in order."""
    listed = [
        Peer(name="m2g", about="`m2g validate`: schemas and rules; errors and warnings", judge=m2g),
        Peer(name="m2g's schemas", about="the same without the rules", judge=m2g_schemas),
        Peer(
            name="kubeconform, m2g's schemas",
            about=f"kubeconform {_version()} `-strict`, Kubernetes {KUBERNETES}'s schemas and m2g's",
            judge=kubeconform_with_ours,
        ),
        Peer(
            name="kubeconform",
            about=f"kubeconform {_version()} `-strict` with Kubernetes {KUBERNETES}'s schemas: no custom resources",
            judge=kubeconform_plain,
        ),
        Peer(
            name="kubernetes-validate",
            about=f"kubernetes-validate {version('kubernetes-validate')} `--strict`: no custom resources",
            judge=kubernetes_only,
        ),
    ]
    listed.append(
        Peer(
            name="KServe",
            about="KServe's own CRDs, defaults and admission code, recorded (`tests/tools/kserve`): 0.19.0 for 0.19, "
            "0.20.0 for 0.20 and 0.21; nothing of Kubernetes around them, and no other object",
            judge=kserve,
        )
    )
    server = Peer(
        name="API server",
        about="a real kube-apiserver, server-side dry run; m2g's schemas stand in for KServe's CRDs, and nothing for "
        "its webhook",
        judge=api_server,
    )
    return [*listed, server] if _asked_all() else listed


def _asked_all() -> bool:
    """Whether the API server was asked about the whole corpus as it is now."""
    asked = json.loads(SERVER.read_text()) if SERVER.is_file() else {}
    return {case.name for case in cases()} <= set(asked)


def page(found: Sequence[Case], verdicts: Mapping[str, Verdicts], columns: Sequence[Peer]) -> str:
    """The page of the documentation."""
    right = [case for case in found if case.right]
    groups = {"correct: wrongly refused": right} | {
        f"wrong: {who}": [case for case in found if case.by == who] for who in BY
    }
    rules = sorted({rule for case in found for rule, _ in case.expected})
    by_rule = {rule: [case for case in found if rule in {name for name, _ in case.expected}] for rule in rules}
    names = [peer.name for peer in columns]
    lines = [
        "# Validation compared",
        "",
        f"`make peers` writes this page. It compares tools on {len(found)} manifests (`tests/corpus/`): {len(right)}",
        "correct ones that use every group of fields in KServe 0.15 to 0.21, and",
        f"{len(found) - len(right)} with one fault each. Each number is how many manifests a tool refuses. It should",
        "refuse no correct manifest and every wrong one. The number in parentheses is how many it cannot check,",
        "because it has no schema for the kind. The comparison leaves out the public catalogue of CRD schemas, which",
        "kubeconform can download: it ends with KServe 0.16.",
        "",
        *(f"- **{peer.name}**: {peer.about}" for peer in columns),
        "",
        "The rows say who would find the fault without a check before the merge:",
        "",
        *(f"- **{who}**: {words}" for who, words in BY.items()),
        "",
        *_table("manifests", groups, names, verdicts),
        "",
        *_stand_ins(found),
        "## By rule",
        "",
        "`schema` stands for everything in the schema of one field: names, types, ranges, choices.",
        "",
        *_table("rule", by_rule, names, verdicts),
    ]
    return "\n".join(lines) + "\n"


def _stand_ins(found: Sequence[Case]) -> list[str]:
    """What the real CRDs do where the row says that the API server finds the fault."""
    said = Counter(read_kserve().get(case.name, "") for case in found if case.by == "schema")
    return [
        "The row **schema** means m2g's schemas, which are derived from KServe's SDK and stricter than its CRDs. Of",
        f"its manifests of KServe's kinds, the real CRDs refuse {said['refuses']}, take {said['takes']}, and silently",
        f"drop an unknown field of {said['prunes']}. `kubectl apply` refuses unknown fields by default; Argo CD and",
        "Flux do not ask for that.",
        "",
    ]


def _table(
    title: str, groups: Mapping[str, Sequence[Case]], names: Sequence[str], verdicts: Mapping[str, Verdicts]
) -> list[str]:
    lines = [f"| {title} | of | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for group, members in groups.items():
        cells = [_cell([verdicts[name][case.name] for case in members]) for name in names]
        lines.append(f"| {group} | {len(members)} | {' | '.join(cells)} |")
    return lines


def _cell(given: Sequence[Verdict]) -> str:
    counts = Counter(given)
    unknown = f" ({counts[Verdict.UNKNOWN]})" if counts[Verdict.UNKNOWN] else ""
    return f"{counts[Verdict.REFUSES]}{unknown}"


def _refused(wrong: bool) -> Verdict:
    return Verdict.REFUSES if wrong else Verdict.TAKES


def _kubernetes_schemas(folder: Path, found: Sequence[Case]) -> str:
    """The schemas that kubernetes-validate carries, as kubeconform wants them: references relative to the file."""
    spec = importlib.util.find_spec("kubernetes_validate")
    assert spec
    assert spec.origin
    source = Path(spec.origin).parent / f"kubernetes-json-schema/v{KUBERNETES}.0-local-strict"
    kinds = {str(case.manifest["kind"]).lower() for case in found}
    for path in (source / "_definitions.json", *(file for kind in kinds for file in source.glob(f"{kind}-*.json"))):
        schema = json.loads(path.read_text().replace('"/api/_definitions.json#', '"_definitions.json#'))
        # Named for another place, which kubeconform would look at.
        (folder / path.name).write_text(json.dumps({key: schema[key] for key in schema.keys() - {"$schema", "$id"}}))
    return f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def our_schemas(folder: Path, kserve: str) -> str:
    """m2g's schemas, one file a kind: the definitions of the group, and a reference to the kind's own."""
    for path in [*(ROOT / "schemas").glob("*.*.json"), ROOT / f"schemas/serving.kserve.io/{kserve}.json"]:
        content = json.loads(path.read_text())
        for key, definition in content["x-kinds"].items():
            api_version, kind = key.split(" ")
            group, _, api = api_version.partition("/")
            file = folder / group / f"{kind.lower()}_{api}.json"
            file.parent.mkdir(exist_ok=True)
            draft = "https://json-schema.org/draft/2020-12/schema"
            whole = {"$schema": draft, "$ref": f"#/$defs/{definition}", "$defs": content["$defs"]}
            file.write_text(json.dumps(whole))
    return f"{folder}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"


def _kubeconform(found: Sequence[Case], places: Sequence[str]) -> Verdicts:
    locations = [word for place in places for word in ("-schema-location", place)]
    command = [str(KUBECONFORM), "-strict", "-verbose", "-output", "json", *locations]
    done = subprocess.run([*command, *(str(case.path) for case in found)], capture_output=True, text=True, check=False)
    by_path = {str(case.path): case.name for case in found}
    result: dict[str, Verdict] = {}
    for item in json.loads(done.stdout)["resources"]:
        missing = "could not find schema" in item.get("msg", "")
        taken = item["status"] == "statusValid"
        result[by_path[item["filename"]]] = Verdict.UNKNOWN if missing else _refused(not taken)
    return result


def _version() -> str:
    listed = (ROOT / "tests/tools/kubeconform/go.mod").read_text().split()
    return listed[listed.index("github.com/yannh/kubeconform") + 1].removeprefix("v")


def main() -> int:
    """Write the page."""
    if not KUBECONFORM.is_file():
        sys.stderr.write("no kubeconform in .tools/bin: run tests/tools/kubeconform/build .tools\n")
        return 1
    found, columns = cases(), peers()
    verdicts = {peer.name: peer.judge(found) for peer in columns}
    PAGE.write_text(page(found, verdicts, columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
