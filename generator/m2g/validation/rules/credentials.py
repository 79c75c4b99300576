"""Secrets belong in a secret store: Git keeps everything that was ever committed. No message repeats a value."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.redact import find_secrets, is_secret_name, is_secret_value
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import texts
from m2g.validation.rules.rule import ANY, CheckedObject, Rule


def _check_secret(obj: CheckedObject) -> Iterator[Violation]:
    for field in ("data", "stringData"):
        for key, value in obj.mapping(field).items():
            if isinstance(value, str) and value and not value.startswith("ENC["):
                message = "is a secret value in Git: anyone who can read the repository can read it"
                yield Violation(where=(field, key), message=message)


def _check_text(obj: CheckedObject) -> Iterator[Violation]:
    if obj.at("kind") == "Secret":
        return
    names = {(*place, "value"): obj.text(*place, "name") for place in obj.variables}
    named = {place for place, name in names.items() if is_secret_name(name)}
    if not named and not find_secrets(obj.all_text):
        return
    for place, text in texts(dict(obj.manifest)):
        secret = next((one for one in find_secrets(text) if not _is_public(text[one.start : one.end], obj)), None)
        if secret is not None:
            yield Violation(where=place, message=f"contains what looks like {secret.what}")
        elif place in named and is_secret_value(names[place], text) and not _is_public(text, obj):
            yield Violation(where=place, message="is in plain text, but the variable's name says that it is a secret")


def _is_public(text: str, obj: CheckedObject) -> bool:
    return any(text in allowed for allowed in obj.public)


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
