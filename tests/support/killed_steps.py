"""Steps that are killed: `python -m tests.support.killed_steps FOLDER` kills a run at each of its file operations.

After each death a second run has to come to the same end, and no folder may ever be there by half. Prints how many
operations there were; status 1 with what was wrong.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radbridge.learning import Ways
from radbridge_training.optimize.figures import Tell, tell_nobody
from radbridge_training.turn.done import read_done
from radbridge_training.turn.job import Job, Owner, State
from radbridge_training.turn.steps import run_steps
from radbridge_training.turn_recipe import TurnRecipe

_OPERATIONS = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod"})


def make_job(folder: Path, owner: str = "rad/1001") -> Job:
    """A job in `folder`; its base is nowhere."""
    return Job(
        folder=folder / owner,
        owner=Owner(radiologist=owner.partition("/")[2], owner=owner, reports=60, new=60),
        recipe=TurnRecipe(),
        base=folder / "base",
        base_digest="0" * 64,
        ways=Ways(),
    )


@dataclass(kw_only=True)
class Copying:
    """A step that writes the file of the step before once more, with its own name behind it, and something large."""

    name: str
    after: str = ""
    recipe: str = ""
    runs: int = 0
    during: Callable[[], object] = field(default=lambda: None)

    def inputs(self, job: Job) -> str:
        return self.recipe

    def run(self, job: Job, into: Path, tell: Tell) -> dict[str, Any]:
        self.runs += 1
        before = (job.folder / self.after / "text").read_text() if self.after else ""
        (into / "text").write_text(f"{before}{self.name}{self.recipe};")
        self.during()
        (into / "more").mkdir()
        (into / "more" / "bytes").write_bytes(b"x" * 4096)
        return {"length": len(before)}


def three_steps() -> list[Copying]:
    return [*two_steps(), Copying(name="3-c", after="2-b")]


def two_steps() -> list[Copying]:
    return [Copying(name="1-a"), Copying(name="2-b", after="1-a")]


def is_whole(folder: Path) -> bool:
    """Whether the folder of a `Copying` has everything."""
    return read_done(folder) is not None and (folder / "more" / "bytes").stat().st_size == 4096


def _run_until(folder: Path, operations: int) -> int:
    """In a process of its own: run, and die at the operation of that number. Its exit status."""
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    left = operations

    def count(event: str, args: object) -> None:
        nonlocal left
        if event in _OPERATIONS and str(folder) in str(args):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    run_steps(make_job(folder), two_steps(), tell_nobody)
    os._exit(0)


def main(root: Path) -> int:
    number = 0
    while True:
        number += 1
        folder = root / str(number)
        ended = _run_until(folder, number)
        home = make_job(folder).folder
        halves = [p.name for p in home.glob("[0-9]*") if not is_whole(p)]
        there = [p.name for p in home.glob("[0-9]*")]
        steps = two_steps()
        outcome = run_steps(make_job(folder), steps, tell_nobody)
        text = (home / "2-b" / "text").read_text()
        again = [step.name for step in steps if step.runs and step.name in there]
        if halves or again or outcome.state is not State.TRAINED or text != "1-a;2-b;":
            sys.stderr.write(f"operation {number}: halves {halves}, done again {again}, {outcome.state}, {text}\n")
            return 1
        if ended == 0:
            sys.stdout.write(f"{number - 1}\n")
            return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
