"""Which drafts fall into a share: decided by the request's id, so a request sent twice is treated alike."""

from __future__ import annotations

import hashlib
from typing import Literal

Purpose = Literal["canary", "shadow"]


def is_drawn(id: str, *, share: float, purpose: Purpose) -> bool:
    """Whether a request belongs to the `share` (0 to 1) of all. Purposes are drawn independently of each other."""
    digest = hashlib.sha256(f"{purpose}\0{id}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
