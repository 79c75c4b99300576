"""Check the Kustomizations of Flux in platform/: what they apply, and as which account."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from m2g.core import yaml_reader
from m2g.core.errors import InputError
from m2g.core.manifest import Manifest, get_at
from m2g.core.sanitize import make_visible
from m2g.core.schema_errors import Violation
from m2g.repository import layout

_GROUP, _KIND = "kustomize.toolkit.fluxcd.io", "Kustomization"
_ENVIRONMENT = re.compile(r"[a-z0-9-]+/?")
_HINT = "`copier update` brings the account and the patch of the scaffold"
_SHOWN = 100
_EMPTIED = ("kubeConfig", "decryption", "postBuild")
"""What a file in fleet/ could set to reach another cluster, or Secrets. The patch removes it."""


def check_flux(item: Manifest, accounts: Collection[tuple[str, str]], fleet: str) -> Iterator[Violation]:
    """The violations of one Kustomization. `accounts` are (namespace, name) of the ServiceAccounts in platform/.

    `fleet` is the folder with one folder per environment, from the root of the Git repository.

    Without an account, Flux applies with its own rights, which are all. The files in fleet/ are Kustomizations, too:
    the last patch gives them their account, whatever they say.
    """
    path = str(get_at(item, "spec", "path") or "")
    start, folder = f"{fleet}/", path.removeprefix("./")
    if not (folder.startswith(start) and _ENVIRONMENT.fullmatch(folder.removeprefix(start))):
        yield Violation(
            where=("spec", "path"),
            message=f"applies {make_visible(path or 'the whole repository', _SHOWN)}",
            hint=f"name the folder of one environment: ./{fleet}/<env>",
        )
    namespace = str(get_at(item, "metadata", "namespace"))
    names = {name for place, name in accounts if place == namespace}
    account = get_at(item, "spec", "serviceAccountName")
    if account not in names:
        shown = make_visible(str(account), _SHOWN)
        yield Violation(
            where=("spec", "serviceAccountName") if account else ("spec",),
            message=f"applies as {shown}, which is no ServiceAccount in platform/"
            if account
            else "names no account, so Flux applies it with its own rights",
            hint=f"name an account whose rights are in {layout.PLATFORM}/; {_HINT}",
        )
    if get_at(item, "spec", "kubeConfig") is not None:
        yield Violation(where=("spec", "kubeConfig"), message="applies to another cluster", hint="remove it")
    patches = get_at(item, "spec", "patches")
    if problem := _find_gap(item, patches[-1] if isinstance(patches, list) and patches else None, names):
        yield Violation(where=("spec", "patches") if patches else ("spec",), message=problem, hint=_HINT)


def _find_gap(item: Manifest, entry: object, names: Collection[str]) -> str:
    """What the last patch does not hold back; empty for nothing."""
    if get_at(entry, "target") != {"group": _GROUP, "kind": _KIND}:
        return f"the last of spec.patches is not for every {_KIND} in {layout.FLEET}/, so they choose their own account"
    try:
        patch = yaml_reader.read("patch", str(get_at(entry, "patch")).encode()).data
    except InputError as error:
        return f"the last of spec.patches cannot be read: {error.message[:_SHOWN]}"
    account = get_at(patch, "spec", "serviceAccountName")
    if account not in names:
        return f"the last of spec.patches sets no account of {layout.PLATFORM}/: {make_visible(str(account), _SHOWN)}"
    spec = get_at(patch, "spec")
    kept = [key for key in _EMPTIED if not isinstance(spec, dict) or key not in spec or spec[key] is not None]
    if kept:
        return f"the last of spec.patches does not remove {', '.join(kept)} (write null)"
    source, own = get_at(patch, "spec", "sourceRef"), get_at(item, "spec", "sourceRef")
    wanted = {"apiVersion": None, "kind": get_at(own, "kind"), "name": get_at(own, "name"), "namespace": None}
    return "" if source == wanted else "the last of spec.patches does not set the source of this Kustomization"
