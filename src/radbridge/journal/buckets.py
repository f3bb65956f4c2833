"""Buckets: the shares that the work is dealt out in. A case is always in the same one, whichever gateway asks."""

from __future__ import annotations

import zlib

BUCKETS = 64
"""Stored with every row, so never to be changed."""
ALL = frozenset(range(BUCKETS))


def bucket_of(text: str) -> int:
    """The bucket of an accession, or of what stands for one."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) % BUCKETS
