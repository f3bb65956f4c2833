"""TLS before a listener's protocol: handshakes that fail are told, those that never end are cut off."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Self

import structlog

log = structlog.get_logger(__name__)

_TELL_AGAIN_S: Final = 60.0
"""A host whose handshakes fail is logged once in this time."""
_MOST_HOSTS: Final = 1024
_MOST_SHAKING: Final = 64
_PAUSE_S: Final = 1.0
"""After a connection that could not be accepted, for want of descriptors."""


class Doorkeeper:
    """Accepts for a listener; `connect` makes the protocol of whoever is let in, behind the handshake.

    Connections are accepted here and not by a server of the loop: that one tells nobody of a handshake that failed.
    """

    def __init__(self, context: ssl.SSLContext, timeout_s: float, connect: Callable[[], asyncio.Protocol]) -> None:
        self._context = context
        self._timeout_s = timeout_s
        self._connect = connect
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._shaking: set[asyncio.Task[None]] = set()
        self._told: dict[str, float] = {}

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """The listening one."""
        return (self._socket,) if self._socket else ()

    async def start(self, host: str, port: int, *, backlog: int) -> Self:
        """Bind and listen. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        family, _, _, _, address = (
            await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        )[0]
        self._socket = socket.create_server(address[:2], family=family, backlog=backlog)
        self._socket.setblocking(False)
        self._accepting = loop.create_task(self._accept(self._socket))
        return self

    def close(self) -> None:
        """Accept nobody more, and cut off every handshake."""
        for task in (self._accepting, *self._shaking):
            if task is not None:
                task.cancel()
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("connection_refused", reason=error, retry_in_s=_PAUSE_S)
                await asyncio.sleep(_PAUSE_S)
                continue
            host = str(address[0])
            if len(self._shaking) >= _MOST_SHAKING:
                self._tell(host, "too many handshakes at a time")
                connection.close()
                continue
            task = loop.create_task(self._shake(connection, host))
            self._shaking.add(task)
            task.add_done_callback(self._shaking.discard)

    async def _shake(self, connection: socket.socket, host: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connect, connection, ssl=self._context, ssl_handshake_timeout=self._timeout_s
            )
        except (OSError, RuntimeError) as error:
            self._tell(host, getattr(error, "reason", None) or type(error).__name__)
            connection.close()

    def _tell(self, host: str, reason: str) -> None:
        """Log that a host was refused, unless it was a moment ago."""
        now = asyncio.get_running_loop().time()
        if now < self._told.get(host, 0.0):
            return
        if len(self._told) >= _MOST_HOSTS:
            self._told.clear()
        self._told[host] = now + _TELL_AGAIN_S
        log.warning("tls_refused", peer=host, reason=reason)
