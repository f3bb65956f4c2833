"""Writes a folder whole or not at all: beside its place, then renamed. Nobody ever loads half a model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def stage(folder: Path) -> Path:
    """An empty folder beside `folder`, to write into."""
    staged = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    return staged


def put(staged: Path, folder: Path) -> None:
    """`staged` takes the place of `folder`, readable by all; it survives a power cut."""
    for path in sorted(staged.rglob("*"), reverse=True):  # what is in a folder before the folder
        path.chmod(0o755 if path.is_dir() else 0o644)
        _sync(path)
    _sync(staged)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    staged.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def drop(folder: Path) -> None:
    """Remove what was staged for `folder` and not put there."""
    shutil.rmtree(folder.with_name(f".{folder.name}.new"), ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
