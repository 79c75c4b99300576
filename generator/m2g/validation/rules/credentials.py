"""Secrets belong into a secret store: Git keeps for ever what it has seen once. No message repeats a value."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from m2g.validation.rules.containers import texts
from m2g.validation.rules.rule import ANY, Fault, Rule, Subject

# Each is bounded, so that no text takes long. Beside it what any such text has in it: quick to look for.
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


def _secret(subject: Subject) -> Iterator[Fault]:
    for field in ("data", "stringData"):
        for key, value in subject.mapping(field).items():
            if isinstance(value, str) and value and not value.startswith("ENC["):
                message = "is a secret's value in Git: whoever can read the repository has it"
                yield Fault(place=(field, key), message=message)


def _text(subject: Subject) -> Iterator[Fault]:
    if subject.at("kind") == "Secret":
        return
    named = {(*place, "value") for place in subject.variables if _NAMES.fullmatch(subject.text(*place, "name").upper())}
    words = subject.words
    if not named and not any(mark in words for mark in _MARKS):
        return
    for place, text in texts(dict(subject.item)):
        what = next((what for what, pattern in _known() if pattern.search(text)), "")
        if what:
            yield Fault(place=place, message=f"has what looks like {what}")
        elif place in named and len(text) >= _SHORT and not _HARMLESS.fullmatch(text):
            yield Fault(place=place, message="is the value of what is called a secret")


@functools.cache  # compiling takes longer than looking for the marks of a whole fleet
def _known() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((what, re.compile(rf"(?<![A-Za-z0-9]){pattern}")) for what, (pattern, _) in _SHAPES.items())


_FIX = (
    "make it a Secret outside Git (External Secrets, Sealed Secrets, SOPS), refer to it by name, and change the value"
)

RULES = (
    Rule(
        id="secret-value",
        covers=(),
        kinds=("Secret",),
        summary="No Secret with values is in Git.",
        why="base64 hides nothing, and history keeps what a later commit removes.",
        fix=_FIX,
        link="https://kubernetes.io/docs/concepts/security/secrets-good-practices/",
        check=_secret,
    ),
    Rule(
        id="credential-in-text",
        kinds=ANY,
        summary="No environment variable, argument or annotation holds a password, key or token.",
        why="Whoever can read the repository, the object or the logs of a pod has it.",
        fix=_FIX,
        link="https://kubernetes.io/docs/concepts/security/secrets-good-practices/",
        check=_text,
    ),
)
