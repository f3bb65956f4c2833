"""The MLLP server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog

from radbridge.config import Hl7v2, split_address
from radbridge.wire import Accepted, Desk, Received
from radbridge_adapters.hl7v2.answering import Answering, Put
from radbridge_adapters.hl7v2.connection import Connection, Limits
from radbridge_adapters.hl7v2.header import Header
from radbridge_adapters.hl7v2.reception import WIRE, Reception
from radbridge_adapters.hl7v2.sequence import Sequencer
from radbridge_adapters.security.doorkeeper import Doorkeeper
from radbridge_adapters.security.rate import Buckets
from radbridge_adapters.security.tls import server_context

log = structlog.get_logger(__name__)

_DRAIN_S = 10.0
"""How long `stop` waits for answers that are under way."""
_BACKLOG = 512
_HANDSHAKE_S = 10.0
"""From the connection to the end of its TLS handshake."""


class MllpListener:
    """Listens on one address and hands every block to the intake; a `radbridge.wire.Listener`."""

    def __init__(self, settings: Hl7v2, reception: Reception, desk: Desk) -> None:
        self._settings = settings
        self._reception = reception
        self._desk = desk
        self._put = _choose_put(settings, reception, desk)
        self._hosts: Counter[str] = Counter()
        rate = settings.max_rate_per_s
        self._paces = Buckets(rate, max(1, int(rate)))
        self._limits = Limits(max_message_bytes=settings.max_message_bytes, idle_timeout_s=settings.idle_timeout_s)
        tls = server_context("hl7v2.tls", settings.tls) if settings.tls else None
        self._keeper = Doorkeeper(tls, _HANDSHAKE_S, self._connect) if tls else None
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | Doorkeeper | None = None
        self._address = settings.listen

    @property
    def address(self) -> str:
        """`host:port` as bound."""
        return self._address

    async def start(self) -> None:
        """Bind and listen. Raises OSError when the address is taken."""
        host, port = split_address(self._settings.listen)
        if self._keeper:
            self._server = await self._keeper.start(host, port, backlog=_BACKLOG)
        else:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connect, host, port, backlog=_BACKLOG)
        bound = self._server.sockets[0].getsockname()
        self._address = f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        """Stop listening, answer what is being committed, close every connection."""
        if self._server is None:
            return
        self._server.close()
        self._empty.clear()
        for connection in tuple(self._connections):
            connection.stop()
        if self._connections:
            await self._drain()
        self._server = None

    async def _drain(self) -> None:
        try:
            await asyncio.wait_for(self._empty.wait(), _DRAIN_S)
        except TimeoutError:
            log.warning("answers_dropped", connections=len(self._connections))
            for connection in tuple(self._connections):
                connection.abort()

    def _connect(self) -> Connection:
        return Connection(self, self._limits)

    def enter(self, connection: Connection) -> str:
        """Why there is no room for one more connection; empty: there is."""
        if len(self._connections) >= self._settings.max_connections:
            self._desk.meter.limited(WIRE)
            return "hl7v2.max_connections reached"
        if self._hosts[connection.host] >= self._settings.max_connections_per_host:
            self._desk.meter.limited(WIRE)
            return "hl7v2.max_connections_per_host reached"
        self._connections.add(connection)
        self._hosts[connection.host] += 1
        return ""

    def leave(self, connection: Connection) -> None:
        """A connection is over."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._hosts -= Counter((connection.host,))
        if not self._connections:
            self._empty.set()

    def hold_s(self, host: str) -> float:
        """Seconds until the next block of a host may be taken; 0: now, and that one is counted."""
        hold_s = self._paces.take(host)
        if hold_s:
            self._desk.meter.limited(WIRE)
        return hold_s

    def answer_for(self, peer: str, push: Callable[[bytes], None], on_quiet: Callable[[], None]) -> Answering:
        """What a connection's blocks are handed to."""
        return Answering(
            self._reception,
            self._desk,
            peer,
            put=self._put,
            application_ack_s=self._settings.application_ack_s,
            push=push,
            on_quiet=on_quiet,
        )

    def acknowledged(self, elapsed_s: float) -> None:
        """An answer left, so long after the last byte of what it answers."""
        self._desk.meter.acknowledged(WIRE, elapsed_s)


def _choose_put(settings: Hl7v2, reception: Reception, desk: Desk) -> Put:
    if settings.sequence != "off":
        return Sequencer(reception, desk, enforce=settings.sequence == "enforce").put

    def put(_: Header, received: Received) -> asyncio.Future[Accepted]:
        return desk.put(received)

    return put
