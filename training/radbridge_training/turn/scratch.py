"""A folder of a turn's own for what Ray keeps on disk. One that a killed driver has left is removed by a later turn."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/tmp")  # noqa: S108 - Ray's sockets need a path far below 107 bytes; mkdtemp makes it private
_PREFIX = "rb-"
LOCK = "turn.lock"
"""Held for as long as the driver lives; the kernel lets go of it, by -9 too."""
_OLD_S = 86_400.0


@contextmanager
def make_scratch(root: Path = ROOT) -> Iterator[Path]:
    """A private folder that goes at the end."""
    root = root if root.is_dir() else Path(tempfile.gettempdir())
    sweep_scratch(root)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    try:
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch(root: Path) -> None:
    """Remove what is ours, older than a day, and whose driver lives no more."""
    for folder in root.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's, just gone, or without a lock: no turn's; held: its driver lives
            if folder.stat().st_uid == os.getuid() and time.time() - folder.stat().st_mtime > _OLD_S:
                with (folder / LOCK).open("r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
