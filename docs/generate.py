"""Write the pages of docs/reference that come from the package: `python docs/generate.py`.

With --check it writes nothing, and the exit code says whether the pages are current. docs/_generate holds the texts
that the package does not have. A missing text and a text that nothing uses are errors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # as a script, Python finds only modules in docs/

from docs._generate import (  # noqa: E402  # after the line above
    cluster,
    contract,
    environments,
    findings,
    images,
    json_output,
    proof,
    samples,
    types,
    words,
)

from m2g import cli  # noqa: E402  # as above
from m2g.commands import explain  # noqa: E402  # as above
from m2g.core import errors  # noqa: E402  # as above
from m2g.report import rules  # noqa: E402  # as above

REFERENCE = DOCS / "reference"
_COMMANDS = """# Command line

This page shows the output of `--help`. See [exit-codes.md](exit-codes.md) for exit codes and
[json-output.md](json-output.md) for `--format json`.

The shell completes commands and options after one of these lines, which belong into its start file:

```text
eval "$(_M2G_COMPLETE=bash_source m2g)"       # bash 4.4 or newer
eval "$(_M2G_COMPLETE=zsh_source m2g)"        # zsh
_M2G_COMPLETE=fish_source m2g | source        # fish
```

On a terminal, findings are as wide as the terminal (60 to 120 columns) and severities have colors. `NO_COLOR=1` turns
colors off.
"""
_HEAD = "<!-- Written by docs/generate.py from the package; do not edit. -->\n"


def pages() -> dict[Path, str]:
    """Path to text of every generated page and schema."""
    given = words.read("fields")
    fields = words.Fields(given)
    found = {
        "cli.md": _cli(),
        "exit-codes.md": _exit_codes(given),
        "cluster-proved.md": cluster.page(),
        "environments-proved.md": environments.page(),
        "gate-proof.md": proof.page(),
        "images-proved.md": images.page(),
        "mlflow-versions.md": contract.page(),
        "findings.md": findings.page(explain.read_finding_texts()),
        "kserve-samples.md": samples.page(),
        "json-output.md": json_output.page(fields),
        "m2g-yaml.md": types.config(fields),
        "model-yaml.md": types.model_yaml(fields),
        "release-record.md": types.record(fields),
    }
    texts = {REFERENCE / name: f"{_HEAD}{text.rstrip()}\n" for name, text in found.items()}
    # It has a header of its own.
    texts[REFERENCE / "rules.md"] = rules.render_markdown(explain.list_rules())
    for name, schema in json_output.schemas(fields).items():
        texts[REFERENCE / f"schemas/{name}.schema.json"] = json.dumps(schema, indent=1) + "\n"
    fields.check()
    return texts


def _cli() -> str:
    parts = [_COMMANDS]
    for name in ("", *(name for name, command in cli.group.commands.items() if not command.hidden)):
        done = CliRunner().invoke(cli.group, [*name.split(), "--help"], prog_name="m2g")
        parts.append(f"## {f'm2g {name}'.strip()}\n\n```text\n{done.output.rstrip()}\n```\n")
    return "\n".join(parts)


def _exit_codes(given: Mapping[str, str]) -> str:
    texts = words.literal_texts(errors).get("Exit", {})
    rows = [(f"`{code.value}`", texts.get(code.name) or given[f"Exit.{code.name}"]) for code in errors.Exit]
    return (
        "# Exit codes\n\nEvery command exits with one of these codes.\n\n"
        + words.table(("code", "meaning"), rows)
        + "\nWarnings alone do not change the code. After `1`, m2g has written what it could; a model with an error "
        "keeps its files.\nAfter `2` and `3`, the tree is unchanged.\n"
    )


def main() -> int:
    """Write the pages, or compare them."""
    try:
        texts = pages()
    except words.Stale as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(DOCS)} is stale; run `python docs/generate.py`\n")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(texts[path])
        sys.stderr.write(f"wrote {path.relative_to(DOCS)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
