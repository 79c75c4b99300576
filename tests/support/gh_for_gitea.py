"""`gh` as the scaffolded workflows call it, on a Gitea: a program of its own, put on PATH as `gh`.

GITEA is the address of the API's repository, GH_TOKEN the token. Anything else that it is asked is an error.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any


def main(words: list[str]) -> None:
    """Answer one call."""
    match words:
        case ["api", "--paginate", path, "--jq", _]:
            mine = [one for one in _ask("GET", _short(path)) if one["body"].startswith("<!-- m2g diff -->")]
            print(*(one["id"] for one in mine), sep="\n")
        case ["api", "--method", method, path, "--field", field]:
            body = Path(field.removeprefix("body=@")).read_text()
            print(json.dumps(_ask(method, _short(path), {"body": body})))
        case _:
            sys.exit(f"this gh does not know {words}")


def _short(path: str) -> str:
    return path.removeprefix(f"repos/{os.environ['GITHUB_REPOSITORY']}/")


def _ask(method: str, path: str, body: object = None) -> Any:
    headers = {"Authorization": f"token {os.environ['GH_TOKEN']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{os.environ['GITEA']}/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    main(sys.argv[1:])
