"""One connection of the HTTP port: who shows which certificate, and how long its headers may take.

uvicorn tells an application nothing of the peer's certificate, and has no limit on a request that never ends. Both are
known here, in the protocol that it makes for each connection; `scope["state"]` takes them to the application.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from radbridge_adapters.security.tls import PEER_PIN, peer_pin

ENTERED: Final = "entered"
"""In `scope["state"]`: to be called when a request is before an application, and when it is answered."""
MAX_HEAD_BYTES: Final = 32768
"""Of a request line and its headers."""


def watch(base: type[Any], timeout_s: float) -> type[asyncio.Protocol]:
    """A protocol of uvicorn's that tells who calls, and gives a request's headers so many seconds."""

    class Watched(base):  # type: ignore[misc]  # uvicorn chooses among several at run time
        app_state: dict[str, Any]

        def connection_made(self, transport: asyncio.Transport) -> None:
            self._head_bytes = 0
            self._answering = 0
            self.app_state = {**self.app_state, PEER_PIN: peer_pin(transport), ENTERED: self._enter}
            super().connection_made(transport)
            self._deadline = asyncio.get_running_loop().call_later(timeout_s, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._deadline.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if not self._answering and not _has_body_to_come(self):
                if self._head_bytes > MAX_HEAD_BYTES:
                    self.transport.abort()
                    return
                self._head_bytes += len(data)
                if self._deadline.cancelled():
                    self._deadline = asyncio.get_running_loop().call_later(timeout_s, self.transport.abort)
            super().data_received(data)

        def _enter(self, *, entered: bool) -> None:
            self._deadline.cancel()
            self._head_bytes = 0
            self._answering += 1 if entered else -1

    return Watched


def _has_body_to_come(connection: Any) -> bool:
    """Whether an application has answered before the whole body came: what comes now are no headers."""
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and bool(cycle.more_body)
