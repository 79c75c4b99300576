"""One of several parts of a fleet, by model: what one CI job looks at while others look at the rest."""

from __future__ import annotations

import hashlib
import re

from m2g.core.errors import InputError
from m2g.core.model import Value

MAX_SHARDS = 1000


class Shard(Value, frozen=True, kw_only=True):
    """Part `index` (from 1) of `count`. A model is always in the same part, whatever other models there are."""

    index: int
    count: int

    def contains(self, slug: str) -> bool:
        """Whether the model with this slug is in it."""
        digest = hashlib.blake2b(slug.encode(), digest_size=8).digest()
        return int.from_bytes(digest) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse(text: str) -> Shard:
    """`2/8`. Raises InputError for anything else."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", text)
    index, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= index <= count <= MAX_SHARDS:
        raise InputError(f"{text[:40]!r} is no part of a fleet", hint=f"like 2/8: part 2 of 8 (at most {MAX_SHARDS})")
    return Shard(index=index, count=count)
