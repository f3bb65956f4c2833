"""The MLLP server."""

from __future__ import annotations

import asyncio

import structlog

from radbridge.config import Hl7v2, split_address
from radbridge.wire import Intake
from radbridge_adapters.hl7v2.connection import Connection, Limits
from radbridge_adapters.hl7v2.reception import Reception

log = structlog.get_logger(__name__)

_DRAIN_S = 10.0
"""How long `stop` waits for answers that are under way."""
_BACKLOG = 512


class MllpListener:
    """Listens on one address and hands every block to the intake; a `radbridge.wire.Listener`."""

    def __init__(self, settings: Hl7v2, reception: Reception, intake: Intake) -> None:
        self._settings = settings
        self._reception = reception
        self._intake = intake
        self._limits = Limits(max_message_bytes=settings.max_message_bytes, idle_timeout_s=settings.idle_timeout_s)
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._address = settings.listen

    @property
    def address(self) -> str:
        """`host:port` as bound."""
        return self._address

    async def start(self) -> None:
        """Bind and listen. Raises OSError when the address is taken."""
        host, port = split_address(self._settings.listen)
        self._server = await asyncio.get_running_loop().create_server(self._connect, host, port, backlog=_BACKLOG)
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
        return Connection(self._reception, self._intake, self._limits, self._enter, self._leave)

    def _enter(self, connection: Connection) -> bool:
        if len(self._connections) >= self._settings.max_connections:
            return False
        self._connections.add(connection)
        return True

    def _leave(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
