"""TLS before a listener's protocol: handshakes that fail are told, those that never end are cut off."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, cast

import structlog

log = structlog.get_logger(__name__)

_TELL_AGAIN_S: Final = 60.0
"""A host whose handshakes fail is logged once in this time."""
_MOST_HOSTS: Final = 1024
_MOST_SHAKING: Final = 64


class Doorkeeper:
    """Shakes hands for a listener; `connect` makes the protocol of whoever is let in."""

    def __init__(self, context: ssl.SSLContext, timeout_s: float, connect: Callable[[], asyncio.Protocol]) -> None:
        self.context = context
        self.timeout_s = timeout_s
        self.connect = connect
        self._shaking: set[_Handshake] = set()
        self._told: dict[str, float] = {}

    def open(self) -> asyncio.Protocol:
        """The protocol of a connection that was just accepted."""
        return _Handshake(self)

    def stop(self) -> None:
        """Cut off every handshake."""
        for handshake in tuple(self._shaking):
            handshake.abort()

    def enter(self, handshake: _Handshake) -> bool:
        """Whether there is room for one more handshake."""
        if len(self._shaking) >= _MOST_SHAKING:
            return False
        self._shaking.add(handshake)
        return True

    def leave(self, handshake: _Handshake) -> None:
        """The handshake is over, well or badly."""
        self._shaking.discard(handshake)

    def tell(self, host: str, reason: str) -> None:
        """Log that a host was refused, unless it was a moment ago."""
        now = asyncio.get_running_loop().time()
        if now < self._told.get(host, 0.0):
            return
        if len(self._told) >= _MOST_HOSTS:
            self._told.clear()
        self._told[host] = now + _TELL_AGAIN_S
        log.warning("tls_refused", peer=host, reason=reason)


class _Handshake(asyncio.Protocol):
    """One connection until its handshake is over; then another protocol has it."""

    def __init__(self, keeper: Doorkeeper) -> None:
        self._keeper = keeper
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._host = str((transport.get_extra_info("peername") or ("?", 0))[0])
        if not self._keeper.enter(self):
            self._keeper.tell(self._host, "too many handshakes at a time")
            self._transport.abort()
            return
        self._transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._shake())

    def data_received(self, data: bytes) -> None:
        """What comes with the last bytes of the handshake."""
        self._early.append(data)

    def abort(self) -> None:
        """Cut it off."""
        self._transport.abort()

    async def _shake(self) -> None:
        keeper = self._keeper
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport, self, keeper.context, server_side=True, ssl_handshake_timeout=keeper.timeout_s
            )
        except (OSError, RuntimeError) as error:
            keeper.tell(self._host, getattr(error, "reason", None) or type(error).__name__)
            self._transport.abort()
        else:
            if transport is not None:
                protocol = keeper.connect()
                transport.set_protocol(protocol)
                protocol.connection_made(transport)
                for data in self._early:
                    protocol.data_received(data)
        finally:
            keeper.leave(self)
