"""Secrets belong in a secret store: Git keeps everything that was ever committed. No message repeats a value."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import texts
from m2g.validation.rules.rule import ANY, CheckedObject, Rule

# Each pattern is bounded, so that no text takes long to search. The substrings beside it are in every match, and are
# quick to look for.
_SHAPES = {
    "an AWS access key": (r"(AKIA|ASIA)[0-9A-Z]{16}", ("AKIA", "ASIA")),
    "a private key": (r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----", ("PRIVATE KEY-----",)),
    "a GitHub token": (
        r"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60}",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    "a GitLab token": (r"glpat-[A-Za-z0-9_-]{20}", ("glpat-",)),
    "a Hugging Face token": (r"hf_[A-Za-z0-9]{30}", ("hf_",)),
    "a Slack token": (r"xox[abprs]-[A-Za-z0-9-]{10}", ("xox",)),
    "a Google API key": (r"AIza[A-Za-z0-9_-]{35}", ("AIza",)),
    "a Databricks token": (r"dapi[0-9a-f]{32}", ("dapi",)),
    "a JSON web token": (r"eyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{10,200}", (".eyJ",)),
    "a password in a URL": (r"[a-z][a-z0-9+.-]{1,19}://[^/\s:@$]{1,99}:[^/\s:@$]{3,99}@", ("@",)),
}
_MARKS = tuple(mark for _, marks in _SHAPES.values() for mark in marks)
_NAMES = re.compile(r"(.*_)?(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|(SECRET|PRIVATE)_(ACCESS_)?KEY|STORAGE_ACCESS_KEY)")
_HARMLESS = re.compile(r"[0-9.]*|/.*|[$<\[{].*|(true|false|none|null)", re.IGNORECASE)
_SHORT = 8


def _check_secret(obj: CheckedObject) -> Iterator[Violation]:
    for field in ("data", "stringData"):
        for key, value in obj.mapping(field).items():
            if isinstance(value, str) and value and not value.startswith("ENC["):
                message = "is a secret value in Git: anyone who can read the repository can read it"
                yield Violation(where=(field, key), message=message)


def _check_text(obj: CheckedObject) -> Iterator[Violation]:
    if obj.at("kind") == "Secret":
        return
    named = {(*place, "value") for place in obj.variables if _NAMES.fullmatch(obj.text(*place, "name").upper())}
    if not named and not any(mark in obj.all_text for mark in _MARKS):
        return
    for place, text in texts(dict(obj.manifest)):
        what = next((what for what, pattern in _patterns() if pattern.search(text)), "")
        if what:
            yield Violation(where=place, message=f"contains what looks like {what}")
        elif place in named and len(text) >= _SHORT and not _HARMLESS.fullmatch(text):
            yield Violation(where=place, message="is in plain text, but the variable's name says that it is a secret")


@functools.cache  # compiling takes longer than searching a whole fleet for the marks
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((what, re.compile(rf"(?<![A-Za-z0-9]){pattern}")) for what, (pattern, _) in _SHAPES.items())


_FIX = "move it to External Secrets, Sealed Secrets or SOPS, refer to the Secret by name, and rotate the value"

RULES = (
    Rule(
        id="secret-value",
        covers=(),
        kinds=("Secret",),
        summary="No Secret in Git has plain values.",
        why="base64 is not encryption, and the history keeps what a later commit removes.",
        fix=_FIX,
        link="https://kubernetes.io/docs/concepts/security/secrets-good-practices/",
        check=_check_secret,
    ),
    Rule(
        id="credential-in-text",
        kinds=ANY,
        summary="No environment variable, argument or annotation contains a password, key or token.",
        why="Anyone who can read the repository, the object or the logs of a pod can read it.",
        fix=_FIX,
        link="https://kubernetes.io/docs/concepts/security/secrets-good-practices/",
        check=_check_text,
    ),
)
