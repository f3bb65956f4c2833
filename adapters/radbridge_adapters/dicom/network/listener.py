"""The DICOM server."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from radbridge.config import split_address
from radbridge.config.dicom import Dicom
from radbridge_adapters.dicom.network.connection import Connection, Practice
from radbridge_adapters.dicom.network.exchange import Rules
from radbridge_adapters.dicom.network.negotiate import Negotiator
from radbridge_adapters.dicom.network.services import Services
from radbridge_adapters.security.doorkeeper import Doorkeeper
from radbridge_adapters.security.tls import server_context

log = structlog.get_logger(__name__)

_DRAIN_S: Final = 10.0
"""How long `stop` waits for answers that are under way."""
_BACKLOG: Final = 512
_WAITING: Final = 64
"""Connections beside the open associations: those that haven't asked yet, or were told no."""


class DicomListener:
    """Listens on one address and hands every request to the services; a `radbridge.wire.Listener`."""

    def __init__(self, settings: Dicom, services: Services, wanted: frozenset[int]) -> None:
        """`wanted` are tags that are kept however long they are. Raises ConfigError for a certificate."""
        self._settings = settings
        self._practice = Practice(
            services=services,
            negotiator=Negotiator(settings),
            rules=Rules(max_header_bytes=settings.max_header_bytes, max_sr_bytes=settings.max_sr_bytes, wanted=wanted),
            max_pdu_bytes=settings.max_pdu_bytes,
            idle_timeout_s=settings.idle_timeout_s,
            association_timeout_s=settings.association_timeout_s,
        )
        tls = server_context("dicom.tls", settings.tls) if settings.tls and settings.enabled else None
        self._keeper = Doorkeeper(tls, settings.association_timeout_s, self._connect) if tls else None
        self._connections: set[Connection] = set()
        self._associations: set[Connection] = set()
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
        """Stop listening, answer what is being committed, abort every association."""
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
            log.warning("answers_dropped", associations=len(self._associations))
            for connection in tuple(self._connections):
                connection.abort()

    def _connect(self) -> Connection:
        return Connection(self._practice, self)

    @property
    def is_full(self) -> bool:
        """Whether one more association would be too many."""
        return len(self._associations) >= self._settings.max_associations

    @property
    def connections(self) -> int:
        """How many there are now, with or without an association."""
        return len(self._connections)

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for one more connection."""
        if len(self._connections) >= self._settings.max_associations + _WAITING:
            return False
        self._connections.add(connection)
        return True

    def open(self, connection: Connection) -> None:
        """The connection has an association now."""
        self._associations.add(connection)

    def leave(self, connection: Connection) -> None:
        """The connection is over."""
        self._connections.discard(connection)
        self._associations.discard(connection)
        if not self._connections:
            self._empty.set()
