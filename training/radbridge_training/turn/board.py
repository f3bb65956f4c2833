"""How far every radiologist's job is: workers write it on the board, the driver reads it and draws bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.progress import Progress, TaskID


class Standing(NamedTuple):
    """Where one job is."""

    phase: str
    done: int
    total: int


class Board:
    """Owner -> where the job is. In a Ray actor the workers of one machine or of many write on it."""

    def __init__(self) -> None:
        self._standing: dict[str, Standing] = {}

    def put(self, owner: str, phase: str, done: int, total: int) -> None:
        """`owner` is so far."""
        self._standing[owner] = Standing(phase, done, total)

    def read(self) -> Mapping[str, Standing]:
        """Where everybody is."""
        return self._standing


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardTell:
    """A `Tell` that writes on a board in another process, and waits for nobody."""

    board: Any
    """The actor's handle."""
    owner: str

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Write it down."""
        self.board.put.remote(self.owner, phase, done, total)


class Bars:
    """One bar for each job."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, standing: Mapping[str, Standing]) -> None:
        """Draw where everybody is."""
        for owner, (phase, done, total) in standing.items():
            if owner not in self._tasks:
                self._tasks[owner] = self._progress.add_task(owner)
            self._progress.update(self._tasks[owner], description=f"{owner} {phase}", completed=done, total=total)

    def end(self, owner: str) -> None:
        """The owner's part has ended."""
        if owner in self._tasks:
            self._progress.remove_task(self._tasks.pop(owner))
