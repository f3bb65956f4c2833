"""The registry's counter: neither a version's name nor its integer is ever given twice, whatever was deleted since.

vLLM keys its prefix cache by a LoRA's name and its weights by an integer: when either comes back, it serves the old.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from radbridge.errors import LoraRefused, RegistryError
from radbridge.registry.files import locked, replace_file, sweep
from radbridge.registry.manifest import MANIFEST, read_manifest
from radbridge.registry.version import split_folder

NUMBERS = "numbers.json"
FIRST = 1000
"""Smaller ones are for LoRAs that come in packages."""
LEAP = 1000
"""What a lost counter skips: versions that were published and deleted again left no trace of their numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counter:
    next: Annotated[int, Field(ge=FIRST)] = FIRST
    seqs: dict[str, Annotated[int, Field(ge=1)]] = field(default_factory=dict)
    """The last sequence number of each owner."""


_COUNTER: TypeAdapter[_Counter] = TypeAdapter(_Counter)


def take(root: Path, owner: str) -> tuple[int, int]:
    """The next sequence number of `owner`, and the next integer of all. On the disk before it is given.

    Raises RegistryError when the counter is damaged: it is never guessed.
    """
    with locked(root):
        sweep(root)
        counter = _read(root / NUMBERS) or _rebuild(root)
        seq = 1 + max(counter.seqs.get(owner, 0), *(seq for seq, _ in _folders(root / owner)), 0)
        after = {"next": counter.next + 1, "seqs": counter.seqs | {owner: seq}}
        replace_file(root / NUMBERS, json.dumps(after, sort_keys=True, indent=0).encode() + b"\n")
        return seq, counter.next


def _read(path: Path) -> _Counter | None:
    try:
        return _COUNTER.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return None
    except ValidationError:
        raise RegistryError(
            f"{path} is damaged, and a number given twice would serve one version's cache for another: bring the file "
            "back from a backup; without one, delete it, and the next publication rebuilds it from the manifests"
        ) from None


def _rebuild(root: Path) -> _Counter:
    """From the manifests that are there: a registry that is new, or one whose counter was deleted."""
    highest, seqs = 0, dict[str, int]()
    for home in (*root.glob("rad/*"), *root.glob("site/*"), *root.glob("persona/*")):
        for seq, folder in _folders(home):
            owner = f"{home.parent.name}/{home.name}"
            seqs[owner] = max(seq, seqs.get(owner, 0))
            highest = max(highest, _number_of(folder))
    return _Counter(next=max(FIRST, highest + LEAP) if seqs else FIRST, seqs=seqs)


def _number_of(folder: Path) -> int:
    try:
        return read_manifest(folder).number
    except LoraRefused:
        raise RegistryError(
            f"{NUMBERS} is missing and can't be rebuilt: {folder / MANIFEST} can't be read; "
            "bring one of the two back from a backup, or move that folder out of the registry"
        ) from None


def _folders(home: Path) -> Iterator[tuple[int, Path]]:
    if home.is_dir():
        for folder in home.iterdir():
            if (parts := split_folder(folder.name)) is not None:
                yield parts[0], folder
