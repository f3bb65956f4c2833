"""Passwords as they are kept: scrypt (RFC 7914) with a salt of their own, and the cost beside them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from typing import Final

COST: Final = 15
"""log2 of scrypt's N: 32 MiB and about 0.1 s, once for each login."""
MIN_CHARS: Final = 12
MAX_CHARS: Final = 256
_BLOCK, _LANES = 8, 1
_SALT, _KEY = 16, 32
_FORM = struct.Struct(">BBB")
_MEMORY: Final = 256 * 2**20


def seal(password: str, *, cost: int | None = None) -> bytes:
    """What is kept of a password. Takes long: call it off the event loop. Raises ValueError for a wrong length."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise ValueError(f"a password has {MIN_CHARS} to {MAX_CHARS} characters")
    salt, cost = secrets.token_bytes(_SALT), COST if cost is None else cost
    return _FORM.pack(cost, _BLOCK, _LANES) + salt + _derive(password, salt, cost, _BLOCK, _LANES)


def fits(password: str, sealed: bytes) -> bool:
    """Whether this is the password. As slow for what is no password at all, such as that of an unknown account."""
    known = len(sealed) == _FORM.size + _SALT + _KEY
    whole = sealed if known else _FORM.pack(COST, _BLOCK, _LANES) + bytes(_SALT + _KEY)
    cost, block, lanes = _FORM.unpack_from(whole)
    salt, key = whole[_FORM.size : _FORM.size + _SALT], whole[_FORM.size + _SALT :]
    return hmac.compare_digest(_derive(password[:MAX_CHARS], salt, cost, block, lanes), key) and known


def _derive(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    raw = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(raw, salt=salt, n=1 << cost, r=block, p=lanes, maxmem=_MEMORY, dklen=_KEY)
