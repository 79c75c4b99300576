"""`gh` as the scaffolded workflows call it, on a Gitea: a program of its own, put on PATH as `gh`.

GITEA is the address of the API's repository, GH_TOKEN the token. Anything else that it is asked is an error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any


def main(words: list[str]) -> None:
    """Answer one call."""
    match words:
        case ["auth", "setup-git"]:
            helper = '!f() { echo username=token; echo "password=$GH_TOKEN"; }; f'
            subprocess.run(["git", "config", "credential.helper", helper], check=True)
        case ["pr", "list", *_]:
            _list(_options(words))
        case ["pr", "create", *_]:
            said = _options(words)
            body = Path(said["--body-file"]).read_text()
            _ask(
                "POST",
                "pulls",
                {"head": said["--head"], "base": said["--base"], "title": said["--title"], "body": body},
            )
        case ["pr", "edit", number, "--body-file", file]:
            _ask("PATCH", f"pulls/{number}", {"body": Path(file).read_text()})
        case ["pr", "close", number, "--comment", text]:
            _ask("POST", f"issues/{number}/comments", {"body": text})
            _ask("PATCH", f"pulls/{number}", {"state": "closed"})
        case ["api", "--paginate", path, "--jq", _]:
            mine = [one for one in _ask("GET", _short(path)) if one["body"].startswith("<!-- m2g diff -->")]
            print(*(one["id"] for one in mine), sep="\n")
        case ["api", "--method", method, path, "--field", field]:
            body = Path(field.removeprefix("body=@")).read_text()
            print(json.dumps(_ask(method, _short(path), {"body": body})))
        case _:
            sys.exit(f"this gh does not know {words}")


def _list(said: dict[str, str]) -> None:
    """The two questions that the workflow asks: the number of an open request, the heads of those that are closed."""
    found = _ask("GET", f"pulls?state={said['--state']}&limit=50")
    mine = [one for one in found if one["head"]["label"] == said["--head"] and one["base"]["ref"] == said["--base"]]
    if said["--state"] == "open":
        print(mine[0]["number"] if mine else "")
    else:
        print(*(one["head"]["sha"] for one in mine), sep="\n")


def _options(words: list[str]) -> dict[str, str]:
    return dict(zip(words[2::2], words[3::2], strict=True))


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
