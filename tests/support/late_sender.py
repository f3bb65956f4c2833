"""A gateway's courier in a process of its own that stands still in the midst of a send, sends late, and is killed.

    python -m tests.support.late_sender URL FOLDER

It touches `FOLDER/sending` when its send has begun, waits for `FOLDER/go`, touches `FOLDER/arrived`, and is gone before
it can note anything.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from radbridge.flow.cluster import ClusterHolder
from radbridge.flow.courier import Courier
from radbridge.journal import Journal, leases
from radbridge.journal.bells import LocalBells, PostgresBells
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from tests.support.delivering import NAME

ID = "one"
LEASE = f"deliver:{NAME}:0"
LEASE_S = 600.0
"""It never notices that it lost its lease: it stood still."""


class Late(MemorySink):
    """Sends when it is told to, and is killed with the last byte."""

    def __init__(self, folder: Path) -> None:
        super().__init__(NAME)
        self._folder = folder

    async def deliver(self, control_id: str, payload: bytes) -> str:
        (self._folder / "sending").touch()
        while not (self._folder / "go").exists():
            await asyncio.sleep(0.01)
        (self._folder / "arrived").touch()
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


async def main(url: str, folder: Path) -> None:
    """Deliver until killed."""
    journal = await Journal.open(url)
    PostgresBells(journal.connect, asyncio.get_running_loop(), ID).start()
    me = leases.Self(id=ID, name=ID, version="1")
    holder = ClusterHolder(journal, me, lease_s=LEASE_S, metrics=Metrics(), bells=LocalBells())
    await holder.start([LEASE])
    await Courier(journal, Late(folder), max_attempts=3, metrics=Metrics(), holder=holder, me=ID).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
