"""`done.json`: stands in a step's folder when the step is done, and says what it was done from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

DONE = "done.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A step that was done."""

    step: str
    inputs: str
    """Digest of everything that decided its result."""
    seconds: float
    run: str = field(default_factory=lambda: uuid4().hex)
    """No two runs are the same: what stands on one of them doesn't stand on another."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What the step tells of itself: figures, counts, why it gained nothing."""


_DONE: TypeAdapter[Done] = TypeAdapter(Done)


def read_done(folder: Path) -> Done | None:
    """What the step in `folder` did; None when it isn't done."""
    try:
        return _DONE.validate_json((folder / DONE).read_bytes())
    except (OSError, ValidationError):  # not begun, or a file that a dying disk left
        return None


def write_done(folder: Path, done: Done) -> None:
    """The last file of a step; its folder is put in place after it."""
    (folder / DONE).write_text(json.dumps(asdict(done), indent=1, sort_keys=True) + "\n", encoding="utf-8")


class DoneSteps:
    """What other processes do, as it stands in their folders."""

    def __init__(self, homes: Mapping[str, Path], steps: Sequence[str]) -> None:
        """`homes`: owner -> where the folders of its steps are. What is done already isn't new."""
        self._homes = homes
        self._steps = steps
        self._seen = {done.run for _, done in self._read()}

    def read_new(self) -> Iterator[tuple[str, Done]]:
        """Whose step was done since the last look; each once."""
        for owner, done in self._read():
            if done.run not in self._seen:
                self._seen.add(done.run)
                yield owner, done

    def _read(self) -> Iterator[tuple[str, Done]]:
        for owner, home in self._homes.items():
            for step in self._steps:
                if done := read_done(home / step):
                    yield owner, done


def digest_inputs(step: str, inputs: str, before: Path | None) -> str:
    """The digest of a step's inputs and of the very run of the step `before` it: done anew, it makes this one anew."""
    told = (before / DONE).read_bytes() if before else b""
    return hashlib.sha256(b"\0".join((step.encode(), inputs.encode(), told))).hexdigest()
