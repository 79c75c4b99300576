"""Names: MLflow allows nearly anything, Kubernetes nearly nothing."""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata

SLUG_MAX = 36
"""`<slug>-predictor-<namespace>` must fit a host label of 63: leaves 16 for the namespace (kserve#4807)."""

LABEL_MAX = 63
RESERVED = frozenset({"kustomization"})
"""Flux takes fleet/<env>/kustomization.yaml for the folder's index and would stop applying all others."""

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)


@functools.lru_cache(maxsize=1 << 15)
def slugify(name: str) -> str:
    """The folder and InferenceService name of a registered model: DNS-1035, at most `SLUG_MAX` long.

    A name that fits is kept. Case, spaces and punctuation become hyphens. Where letters are lost (too long,
    not ASCII, no leading letter) a hash of the whole name is added, so that the result does not depend on
    which other models exist.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    text = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
    lost = not text or text in RESERVED or (not name.isascii() and any(ord(c) > 127 and c.isalnum() for c in name))
    if text and not text[0].isalpha():
        text, lost = f"m-{text}", True
    if not lost and len(text) <= SLUG_MAX:
        return text
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{(text or 'model')[: SLUG_MAX - 9].rstrip('-')}-{digest}"


def find_unprintable(text: str) -> str:
    """The first character that kustomize would corrupt or refuse, as `U+0085`; empty when there is none.

    C0 other than tab and newline, DEL, C1, surrogates and non-characters (measured: kustomize re-emits them raw).
    """
    found = None if text.isprintable() else _UNPRINTABLE.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""
