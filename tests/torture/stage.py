"""Everything that a torture run needs, put up and taken down: gateways, peers, proxies between them, a model server."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.gateway import free_port
from tests.support.postgres import Cluster
from tests.support.proxy import Fate, Proxy
from tests.torture.destination import Destination, Manner
from tests.torture.gateways import ACK_TIMEOUT_S, GatewayUnderTorture
from tests.torture.ledger import Ledger
from tests.torture.model import CALM
from tests.torture.ris import Ris

MANNERS: dict[str, dict[Manner, float]] = {
    "steady": {Manner.GOOD: 95, Manner.LATE: 5},
    "rude": {Manner.GOOD: 70, Manner.NACK: 10, Manner.CUT: 10, Manner.HALF_CLOSE: 10},
    "liar": {Manner.GOOD: 75, Manner.LIE: 12, Manner.HANG: 8, Manner.LATE: 5},
}
"""The destinations, and how they are."""
SENDERS = 8
DISK_MB = 256
"""Of PostgreSQL: small, so that it is soon full."""
PAUSE_S = 2.0
"""Of a radiologist between two saves, on average: quick, and not quicker than a liar can be told."""


@dataclass(eq=False)
class Stage:
    """`async with Stage(…) as stage`: all is up and talking."""

    folder: Path
    kind: str
    """`sqlite` or `postgresql`."""
    gateways: int
    seed: int
    mutant: str = ""
    senders: int = SENDERS
    store: str = ""
    """The journal's URL, without any proxy."""
    cluster: Cluster | None = None
    is_calm: bool = False
    """Once it is, nothing is cut and every destination is good."""
    up: list[GatewayUnderTorture] = field(default_factory=list)
    ris: list[Ris] = field(default_factory=list)
    destinations: list[Destination] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)
    database_proxies: list[Proxy] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder, "controller")
        self._random = random.Random(self.seed)
        self._stack = AsyncExitStack()
        self._sending: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Put everything up."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take everything down, the gateways first."""
        await self._stack.aclose()

    async def _start(self) -> None:
        names = [f"g{n}" for n in range(self.gateways)]
        self._open_store()
        for name, weights in MANNERS.items():
            destination = Destination(name, self.folder, self.seed, weights, late_s=ACK_TIMEOUT_S + 0.7)
            await destination.start(names)
            self._stack.push_async_callback(destination.stop)
            self.destinations.append(destination)
        model_port = self._start_model()
        for name in names:
            peers = {d.name: await self._proxy(d.ports[name]) for d in self.destinations}
            store = await self._way_to_store()
            gateway = GatewayUnderTorture(name, self.folder, store, model_port, peers, mutant=self.mutant)
            gateway.start()
            self._stack.callback(gateway.kill)
            self.up.append(gateway)
            await gateway.until_up()
        ports = {g.name: await self._proxy(g.hl7_port) for g in self.up}
        self.ris = [
            Ris(f"r{n}", self.folder, self.seed, 2 + n * 100_000, ports, pause_s=PAUSE_S, timeout_s=3.0)
            for n in range(self.senders)
        ]
        self._sending = [asyncio.create_task(ris.run(), name=ris.name) for ris in self.ris]
        self._stack.push_async_callback(self._hush)

    def _open_store(self) -> None:
        if self.kind == "sqlite":
            self.store = f"sqlite:///{self.folder.resolve()}/radbridge.db"
        else:
            self.cluster = self._stack.enter_context(Cluster(disk_mb=DISK_MB))
            self.store = self.cluster.url(self.cluster.empty_database())

    async def _way_to_store(self) -> str:
        """A gateway's own: over a proxy, whose connections break in the middle of a commit."""
        if self.cluster is None:
            return self.store
        self.database_proxies.append(proxy := Proxy(("127.0.0.1", self.cluster.port)))
        await proxy.start()
        self._stack.push_async_callback(proxy.stop)
        return self.cluster.url(self.store.rpartition("/")[2], port=proxy.port)

    def _start_model(self) -> int:
        port = free_port()
        with (self.folder / "model.log").open("ab") as log:
            model = subprocess.Popen(
                [sys.executable, "-m", "tests.torture.model", str(port), str(self.folder), str(self.seed)],
                stdout=log,
                stderr=log,
            )
        self._stack.callback(model.wait)
        self._stack.callback(model.kill)
        return port

    async def _proxy(self, port: int) -> int:
        proxy = Proxy(("127.0.0.1", port), self._draw)
        await proxy.start()
        self._stack.push_async_callback(proxy.stop)
        self.proxies.append(proxy)
        return proxy.port

    def _draw(self) -> Fate:
        if self.is_calm:
            return Fate()
        roll = self._random.random()
        if roll < 0.25:
            return Fate(cut_after=self._random.randint(1, 20_000))
        if roll < 0.35:
            return Fate(half_close_after=self._random.randint(1, 10_000))
        return Fate(delay_s=self._random.choice((0.0, 0.0, 0.02, 0.2)))

    async def _hush(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def note(self, kind: str, **facts: object) -> None:
        """Write an event down."""
        self.ledger.note("event", kind=kind, **facts)

    async def calm_down(self) -> None:
        """From here on nobody is harmed, and the senders come to an end."""
        self.is_calm = True
        for destination in self.destinations:
            destination.is_calm = True
        for proxy in self.proxies:
            proxy.reset()
        for ris in self.ris:
            ris.is_over = True
        for gateway in self.up:
            gateway.step_clock(0)
        (self.folder / CALM).touch()
        self.ledger.note("calm")

    @property
    def is_sending(self) -> bool:
        """Whether a RIS has something to say yet. Raises what went wrong with one."""
        for task in self._sending:
            if task.done():
                task.result()
        return not all(task.done() for task in self._sending)

    @property
    def at_work(self) -> Sequence[GatewayUnderTorture]:
        """The gateways that could take what is nobody's."""
        return [g for g in self.up if g.is_at_work and not g.has_died]
