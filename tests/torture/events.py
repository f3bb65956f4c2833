"""What happens to gateways, database and clocks during a run, drawn by its seed."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import psycopg

from tests.support.postgres import Cluster
from tests.torture.clocks import STEP_S
from tests.torture.gateways import GatewayUnderTorture
from tests.torture.holds import HOLD_S, Hold
from tests.torture.stage import Stage

BEYOND_LEASE = 1.6
"""Times the lease: so long a gateway stands still when it is to lose what it holds."""

WITHIN_S = 10.0
"""So long it is waited for a write that can be held up."""
RUSH_S = 2.0
"""So long nobody pauses before a gateway is stopped."""


@dataclass(eq=False)
class Events:
    """Draws and does them, one after the other; what it began it has ended when `run` returns."""

    stage: Stage
    chance: random.Random
    only: Sequence[str] = ()
    """Names of events; empty: every kind."""

    async def run(self, seconds: float, told: Callable[[str], None]) -> None:
        """Do one thing after the other for so long, and one also where the machine slept through all of it."""
        end, has_begun = asyncio.get_running_loop().time() + seconds, False
        known = {name: what for name, what in self._known().items() if name in (self.only or name)}
        names = list(known)
        while (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, self.chance.uniform(0.5, 4.0)))
            if asyncio.get_running_loop().time() < end or not has_begun:
                has_begun = True
                name = self.chance.choices(names, [known[n][0] for n in names])[0]
                told(name)
                await known[name][1]()

    def _known(self) -> Mapping[str, tuple[float, Callable[[], Awaitable[None]]]]:
        """Name -> how often, and what."""
        known: dict[str, tuple[float, Callable[[], Awaitable[None]]]] = {
            "kill a gateway": (3, self._kill),
            "stop a gateway": (3, self._stop),
            "reset all connections": (1, self._reset),
            "step a clock": (2, self._step),
        }
        if self.stage.cluster is None:
            return known | {"lock the journal": (2, self._lock)}
        return known | {
            "stop a gateway beyond its lease": (3, self._stop_long),
            "kill the database": (2, self._kill_database),
            "stop the database": (1, self._stop_database),
            "fill the database's disk": (1, self._fill_disk),
            "cut the database's connections": (2, self._cut_database),
            "pause a destination": (1, self._pause),
            "stop a gateway in mid-write": (2, self._stop_in_write),
            "hold up a message": (1, partial(self._hold_up, Hold.APPLY)),
            "hold up a draft": (1, partial(self._hold_up, Hold.STORE)),
        }

    def _one(self) -> GatewayUnderTorture:
        return self.chance.choice(self.stage.up)

    async def _kill(self) -> None:
        gateway = self._one()
        self.stage.note("kill", gateway=gateway.name)
        gateway.kill()
        await asyncio.sleep(self.chance.uniform(0.0, 2.0))
        gateway.start()
        await gateway.until_up()
        self.stage.note("up", gateway=gateway.name)

    async def _stop(self) -> None:
        await self._stand_still(self.chance.uniform(0.2, 2.0))

    async def _stop_long(self) -> None:
        """With its hands full: what it had read it would apply when it wakes."""
        self._rush(True)
        await asyncio.sleep(RUSH_S)
        await self._stand_still(BEYOND_LEASE * self.stage.up[0].lease_s)
        self._rush(False)

    async def _stop_in_write(self) -> None:
        """Between its reading of a message and the write that applies it: another has taken the case when it wakes."""
        gateway = self._one()
        if await gateway.hold(Hold.STAND, WITHIN_S):
            await gateway.until_it_stands()
            await self._stand_still(BEYOND_LEASE * gateway.lease_s, gateway)

    async def _hold_up(self, hold: Hold) -> None:
        """A slow write, in the midst of which the other gateway goes on with the same case."""
        gateway = self._one()
        if await gateway.hold(hold, WITHIN_S):
            self.stage.note(f"held_up_{hold}", gateway=gateway.name)
            await asyncio.sleep(HOLD_S)

    def _rush(self, is_rushed: bool) -> None:
        for ris in self.stage.ris:
            ris.is_rushed = is_rushed

    async def _stand_still(self, seconds: float, gateway: GatewayUnderTorture | None = None) -> None:
        gateway = gateway or self._one()
        self.stage.note("stop", gateway=gateway.name)
        gateway.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        gateway.send(signal.SIGCONT)
        self.stage.note("cont", gateway=gateway.name)

    async def _kill_database(self) -> None:
        """What PostgreSQL hadn't told the disk is gone."""
        cluster = self._cluster()
        await asyncio.to_thread(cluster.kill)
        self.stage.note("database_gone")
        await asyncio.sleep(self.chance.uniform(0.0, 3.0))
        self.stage.note("database_back")  # first: it may commit before `start` has seen that it answers
        await asyncio.to_thread(cluster.start)
        self.stage.note("database_answers")

    async def _stop_database(self) -> None:
        """It holds its connections and answers nobody."""
        with self._cluster().stop_process():
            self.stage.note("database_gone")
            await asyncio.sleep(self.chance.uniform(0.2, 4.0))
            self.stage.note("database_back")
        self.stage.note("database_answers")

    async def _fill_disk(self) -> None:
        with self._cluster().full_disk():
            self.stage.note("full")
            await asyncio.sleep(self.chance.uniform(0.5, 3.0))
        self.stage.note("freed")
        # A server that couldn't write its log ends itself; an operator starts it once there is room.
        if await asyncio.to_thread(self._has_ended):
            self.stage.note("database_gone")
            self.stage.note("database_back")
            await asyncio.to_thread(self._cluster().start)
            self.stage.note("database_answers")

    def _has_ended(self) -> bool:
        try:
            self._cluster().connect("postgres").close()
        except psycopg.OperationalError:
            return self._cluster().has_ended
        return False

    async def _cut_database(self) -> None:
        """In the middle of whatever commit is under way: nobody knows whether it was done."""
        self.stage.note("cut")
        for proxy in self.stage.database_proxies:
            proxy.reset()

    async def _pause(self) -> None:
        """An operator's command, and its contrary a little later."""
        gateway, name = self._one(), self.chance.choice(self.stage.destinations).name
        self.stage.note("pause", destination=name)
        await gateway.command("destinations", "pause", name)
        await asyncio.sleep(self.chance.uniform(0.5, 3.0))
        while await gateway.command("destinations", "resume", name):
            await asyncio.sleep(0.5)
        self.stage.note("resume", destination=name)

    def _cluster(self) -> Cluster:
        assert self.stage.cluster is not None
        return self.stage.cluster

    async def _reset(self) -> None:
        self.stage.note("reset")
        for proxy in self.stage.proxies:
            proxy.reset()

    async def _step(self) -> None:
        gateway, seconds = self._one(), self.chance.choice((-STEP_S, STEP_S, 0))
        self.stage.note("clock", gateway=gateway.name, seconds=seconds)
        gateway.step_clock(seconds)

    async def _lock(self) -> None:
        """Another process holds SQLite's only write lock: for so long nothing can be committed."""
        file = self.stage.store.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, timeout=20, isolation_level=None, check_same_thread=False)) as conn:
            await asyncio.to_thread(conn.execute, "BEGIN IMMEDIATE")
            self.stage.note("locked")
            await asyncio.sleep(self.chance.uniform(0.5, 3.0))
            self.stage.note("unlocked")
            conn.execute("ROLLBACK")
