"""Whether a turn may begin: looked at before anything is touched."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from radbridge.config import Site, check_training
from radbridge.errors import ConfigError
from radbridge_training.turn_recipe import Load

_TRY_S = 600.0


def check_site(site: Site) -> Path:
    """The registry's folder of a site that can train. Raises ConfigError with every problem."""
    problems = check_training(site)
    if problems or site.registry is None:
        raise ConfigError(problems)
    return site.registry


def check_room(folders: Iterable[Path], least_gib: float) -> None:
    """Raises ConfigError where a disk has less room."""
    problems = []
    for folder in folders:
        there = next(f for f in (folder, *folder.absolute().parents) if f.exists())
        free = shutil.disk_usage(there).free / 2**30
        if free < least_gib:
            problems.append(
                f"training.least_free_gib: {folder} has {free:.1f} GiB of room, {least_gib:g} are wanted; "
                "make room, or set another folder"
            )
    if problems:
        raise ConfigError(problems)


def try_base(base: Path, load: Load) -> None:
    """Load the base once and let it read a word, in a process of its own. Raises ConfigError where that fails."""
    try:
        tried = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "radbridge_training.optimize.trying", str(base), load],
            capture_output=True,
            timeout=_TRY_S,
            check=False,
            text=True,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError([f"model.base: {base} isn't loaded after {_TRY_S:g} s"]) from None
    if tried.returncode:
        said = tried.stderr.strip().splitlines()
        raise ConfigError([f"model.base: {base} can't be loaded: {said[-1] if said else 'its process was killed'}"])
