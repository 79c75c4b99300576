"""Titles, commit messages, trailers, labels and descriptions of proposals.

Only slugs, environments and versions are in titles, labels and names of branches: nothing that somebody chose in the
registry can do anything there. A registered model's name is in trailers, on one line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from m2g.core.results import ChangeKind
from m2g.delivery.marker import Marker, write_marker
from m2g.delivery.values import Moved, Wanted

_MAX_TRAILERS = 50
_MAX_SUPERSEDED = 20


def write_title(wanted: Wanted, template: str = "{title}") -> str:
    """The title, and the subject of the commit, by a template of m2g.yaml."""
    values = {"title": _write_title(wanted), **_describe_only(wanted)}
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], ""), template)


def _describe_only(wanted: Wanted) -> dict[str, str]:
    """The words that are the same for all releases of a proposal."""
    fields = {"model": "slug", "environment": "environment", "version": "after", "before": "before"}
    found = {word: {str(getattr(one, field)) for one in wanted.moved} for word, field in fields.items()}
    return {word: next(iter(values)) for word, values in found.items() if len(values) == 1}


def _write_title(wanted: Wanted) -> str:
    if wanted.is_upgrade:
        return "Write the files of m2g anew, with the same versions"
    if len(wanted.moved) == 1:
        return describe_move(wanted.moved[0])
    slugs = sorted({one.slug for one in wanted.moved})
    environments = sorted({one.environment for one in wanted.moved})
    what = slugs[0] if len(slugs) == 1 else f"{len(slugs)} models"
    where = environments[0] if len(environments) == 1 else f"{len(environments)} environments"
    return f"{what} ({where}): {len(wanted.moved)} releases"


def describe_move(one: Moved) -> str:
    """`wine (prod): 1 → 2`."""
    where = f"{one.slug} ({one.environment})"
    match one.kind:
        case ChangeKind.ADDED:
            return f"{where}: version {one.after}, new"
        case ChangeKind.REMOVED:
            return f"{where}: version {one.before} is removed"
        case ChangeKind.CHANGED:
            same = one.before == one.after
            return f"{where}: version {one.after}, other facts" if same else f"{where}: {one.before} → {one.after}"


def list_trailers(wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """The trailers of the commit, for the first releases."""
    lines: list[tuple[str, str]] = []
    for one in wanted.moved[:_MAX_TRAILERS]:
        lines += [("M2g-Model", one.model), ("M2g-Environment", one.environment), ("M2g-Version", one.after)]
        lines += [("M2g-Run", one.run)] if one.run else []
    return tuple((name, value) for name, value in lines if value)


def list_labels(wanted: Wanted, configured: Sequence[str], risk: str) -> tuple[str, ...]:
    """The labels: those of m2g.yaml, the environments and the highest risk of its changes."""
    environments = sorted({one.environment for one in wanted.moved})
    return (*configured, *(f"env/{name}" for name in environments[:5]), *([f"risk/{risk}"] if risk else []))


def digest_files(wanted: Wanted) -> str:
    """A digest of what a proposal writes."""
    digest = hashlib.sha256()
    for path, content in sorted({**wanted.files, **dict.fromkeys(wanted.removals, b"\0")}.items()):
        digest.update(f"{len(path)}:{len(content)}:".encode() + path.encode(errors="surrogateescape") + content)
    return digest.hexdigest()[:16]


def list_identities(wanted: Wanted) -> tuple[str, ...]:
    """What a person who closes the pull request declines; for the upgrade, its files."""
    return (f"upgrade|{digest_files(wanted)}",) if wanted.is_upgrade else wanted.identities


def write_body(wanted: Wanted, review: str, before: Marker | None, merge: str = "") -> tuple[str, Marker]:
    """The description and its marker, for a new pull request or in place of one that has the marker `before`."""
    identities = list_identities(wanted)
    old = before or Marker()
    gone = tuple(one for one in old.identities if one not in identities)
    superseded = tuple(dict.fromkeys((*old.superseded, *gone)))[-_MAX_SUPERSEDED:]
    superseded = tuple(one for one in superseded if one not in identities)
    text = f"{_write_intro(wanted, superseded)}\n\n{review.strip()}\n\n{_write_footer(wanted)}\n"
    marker = Marker(identities=identities, files=digest_files(wanted), superseded=superseded, merge=merge)
    return f"{write_marker(marker)}\n{text}", marker


def _write_intro(wanted: Wanted, superseded: Sequence[str]) -> str:
    if wanted.is_upgrade:
        first = "The versions stay the same. This m2g, or changed settings, write these files in another way."
    else:
        first = "\n".join(f"- {describe_move(one)}" for one in wanted.moved[:_MAX_TRAILERS])
        more = len(wanted.moved) - _MAX_TRAILERS
        first += f"\n- and {more} more" if more > 0 else ""
    told = [_describe_identity(one) for one in superseded]
    return f"{first}\n\nThis replaces what was proposed here before: {', '.join(told)}." if told else first


def _describe_identity(identity: str) -> str:
    slug, environment, version, _ = (*identity.split("|"), "", "", "")[:4]
    if slug == "upgrade":
        return "other files"
    return f"{slug} ({environment}) {version or 'removed'}"


def _write_footer(wanted: Wanted) -> str:
    reopen = "upgrade" if wanted.is_upgrade else wanted.moved[0].slug if wanted.moved else ""
    declined = "these files" if wanted.is_upgrade else "these versions"
    return (
        "---\n"
        f"`m2g sync` keeps this pull request up to date. Close it to decline {declined}: m2g proposes the next ones "
        f"anew, and these again with `m2g sync --reopen {reopen}`. If you push a commit to the branch, m2g leaves it "
        "to you."
    )
