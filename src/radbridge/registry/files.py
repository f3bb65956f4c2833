"""Files that neither a crash nor a second process ever shows half written."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAGED = ".new-"
"""How the names of unfinished files and folders begin: nobody reads them, and the next writer removes them."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone among all threads and processes that lock `folder`; the kernel lets go when the process ends, by -9 too."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sweep(folder: Path) -> None:
    """Remove what a writer that was killed left behind. Only for whoever holds the folder's lock."""
    for left in folder.glob(f"{STAGED}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; they survive a power cut."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync(made.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path`. Readers see the old file or the new one; the new survives a power cut."""
    handle, staged = tempfile.mkstemp(prefix=STAGED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(staged).replace(path)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder and every file in it to the disk."""
    for path in (*folder.iterdir(), folder):
        sync(path)


def sync(path: Path) -> None:
    """Bring one file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
