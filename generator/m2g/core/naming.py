"""Names: MLflow allows nearly every character, Kubernetes only a few."""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata

SLUG_MAX = 36
"""`<slug>-predictor-<namespace>` must fit into a host label of 63 characters, so 16 are left for the namespace
(kserve#4807)."""

LABEL_MAX = 63
RESERVED = frozenset({"kustomization"})
"""Flux would take fleet/<env>/kustomization.yaml for the folder's kustomization and ignore all other files."""

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)


_SLUG = re.compile(rf"[a-z]([-a-z0-9]{{0,{SLUG_MAX - 2}}}[a-z0-9])?")


def is_slug(text: str) -> bool:
    """Whether it can be the name of a model's folder."""
    return _SLUG.fullmatch(text) is not None


@functools.lru_cache(maxsize=1 << 15)
def slugify(name: str) -> str:
    """The name of a registered model's folder and InferenceService: DNS-1035, at most `SLUG_MAX` characters.

    A name that fits is kept. Upper case becomes lower case; spaces and punctuation become hyphens; letters of other
    scripts are transliterated. If letters are lost (too long, not ASCII, no leading letter), a hash of the whole name
    is added, so that the result does not depend on other models.
    """
    foreign = not name.isascii() and any(ord(c) > 127 and c.isalnum() for c in name)
    ascii_name = _transliterate(name) if foreign else unicodedata.normalize("NFKD", name)
    text = re.sub(r"[^a-z0-9]+", "-", ascii_name.encode("ascii", "ignore").decode().lower()).strip("-")
    lost = foreign or not text or text in RESERVED
    if text and not text[0].isalpha():
        text, lost = f"m-{text}", True
    if not lost and len(text) <= SLUG_MAX:
        return text
    return f"{(text or 'model')[: SLUG_MAX - 9].rstrip('-')}-{_digest(name)}"


def is_slug_of(slug: str, name: str) -> bool:
    """Whether this or another version of m2g gives the model this slug: its hash stays, its transliteration may not."""
    return slug == slugify(name) or (not name.isascii() and is_slug(slug) and slug.endswith(f"-{_digest(name)}"))


def _transliterate(name: str) -> str:
    """The name in Latin letters, without the apostrophes that stand for signs of other scripts."""
    from anyascii import anyascii  # imported here because few names need it

    return re.sub("['`\"]", "", anyascii(name))


@functools.lru_cache(maxsize=1 << 10)
def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def find_unprintable(text: str) -> str:
    """The first character that kustomize would corrupt or reject, such as `U+0085`; empty if there is none.

    These are C0 except tab and newline, DEL, C1, surrogates and non-characters (measured: kustomize writes them raw).
    """
    found = None if text.isprintable() else _UNPRINTABLE.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""
