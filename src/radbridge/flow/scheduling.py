"""The scheduler: begins a training turn when one is due, as a command in a process of its own.

What it knows of earlier turns is what their folders say, so that a turn that an operator or cron began counts too. A
turn that was cut off, with the gateway or by a power cut, is begun again: it goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import monotonic
from typing import TextIO

import structlog
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from radbridge.config import Training
from radbridge.logs import is_log_line

log = structlog.get_logger(__name__)

LOOK_S = 60.0
"""How often the turns' folder is looked at."""
REST = timedelta(minutes=15)
"""After a turn that ended badly, before it is tried again."""
STOP_S = 20.0
"""What a turn gets to stop in before it is killed."""
EARLY = timedelta(hours=12)
"""A turn may begin so much before its period is over, where it has a time of day to keep to."""
RUNS_ALREADY = 3
"""Exit status of a turn that found another at work, of cron's or a person's."""
_NICE = 10
"""Drafts for people who wait go first."""
_LONGEST_LINE = 2**20
_MOMENT = TypeAdapter(AwareDatetime)


@dataclass(frozen=True, kw_only=True, slots=True)
class LastTurn:
    """The newest turn there is."""

    began: datetime
    ended: bool


class Scheduler:
    """Runs `radbridge train run` again and again."""

    name = "scheduler"

    def __init__(self, settings: Training, *, period: timedelta, config: Path | None, told: TextIO) -> None:
        """`config` is the site's file; log lines of a turn go to `told`."""
        self._settings = settings
        self._period = period
        self._command = ("train", "run", *(("--config", str(config)) if config else ()))
        self._told = told

    async def run(self) -> None:
        """Begin turns as they are due, one after the other, until cancelled."""
        started = not_before = datetime.now(UTC)
        while True:
            last = await asyncio.to_thread(find_last, self._settings.work)
            due = max(not_before, find_due(last, self._period, self._settings.time_of_day, started=started))
            wait_s = (due - datetime.now(UTC)).total_seconds()
            if wait_s > 0:
                await asyncio.sleep(min(wait_s, LOOK_S))
            elif await self._turn():
                not_before = datetime.now(UTC) + REST

    async def _turn(self) -> int:
        """One turn; its exit status. It ends with the gateway."""
        began = monotonic()
        nice = shutil.which("nice")
        process = await asyncio.create_subprocess_exec(
            *((nice, "-n", str(_NICE)) if nice else ()),
            *(sys.executable, "-m", "radbridge", *self._command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LONGEST_LINE,
        )
        log.info("a training turn begins", pid=process.pid)
        try:
            await self._pass_on(process)
            rc = await process.wait()
        finally:
            await _stop(process)
        tell = log.info if rc in (0, RUNS_ALREADY) else log.error
        tell("a training turn has ended", rc=rc, elapsed_s=round(monotonic() - began, 1))
        return rc

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        """Log lines go on to the gateway's log; nobody vouches for what else the turn prints."""
        if process.stdout is None:
            return
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than _LONGEST_LINE: no log line of ours
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if is_log_line(text):
                self._told.write(f"{text}\n")
                self._told.flush()


async def _stop(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, and SIGKILL where that is not enough; nothing where it has ended."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def find_last(work: Path) -> LastTurn | None:
    """The newest turn below `work`; None where there is none that can be read."""
    for folder in sorted(work.glob("*T*"), reverse=True):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, ValidationError):
            said = json.loads((folder / "turn.json").read_bytes())
            return LastTurn(began=_MOMENT.validate_python(said["began"]), ended=bool(said["ended"]))
    return None


def find_due(last: LastTurn | None, period: timedelta, at: time | None, *, started: datetime) -> datetime:
    """When the next turn is to begin; a moment that is over: at once. `started` is when nobody had waited yet.

    With a time of day `at`, in local time, it begins then, on the first day that has come near enough to the period.
    """
    if last is not None and not last.ended:
        return last.began
    earliest = last.began + period if last else started
    if at is None:
        return earliest
    if last is not None:
        earliest = max(last.began, earliest - EARLY)
    local = earliest.astimezone()
    today = datetime.combine(local.date(), at).astimezone()
    return today if today >= local else datetime.combine(local.date() + timedelta(days=1), at).astimezone()
