"""A shard of the fleet, split by model: one CI job checks one shard while other jobs check the others."""

from __future__ import annotations

import hashlib
import re

from m2g.core.errors import InputError
from m2g.core.model import Value

MAX_SHARDS = 1000


class Shard(Value, frozen=True, kw_only=True):
    """Shard `index` (from 1) of `count`. The shard of a model does not depend on other models."""

    index: int
    count: int

    def contains(self, slug: str) -> bool:
        """Whether the model with this slug is in this shard."""
        digest = hashlib.blake2b(slug.encode(), digest_size=8).digest()
        return int.from_bytes(digest) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse(text: str) -> Shard:
    """Parse `2/8`. Raises InputError for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", text)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count <= MAX_SHARDS:
        hint = f"write it like 2/8: shard 2 of 8 (at most {MAX_SHARDS})"
        raise InputError(f"{text[:40]!r} is not a valid shard", hint=hint)
    return Shard(index=index, count=count)
