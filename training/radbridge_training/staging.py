"""Writes a folder whole or not at all: beside its place, then renamed. Nobody ever loads half a model."""

from __future__ import annotations

import shutil
from pathlib import Path


def stage(folder: Path) -> Path:
    """An empty folder beside `folder`, to write into."""
    staged = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    return staged


def put(staged: Path, folder: Path) -> None:
    """`staged` takes the place of `folder`, readable by all."""
    for path in staged.iterdir():
        path.chmod(0o644)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    staged.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
