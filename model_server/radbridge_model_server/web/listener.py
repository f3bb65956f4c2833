"""The port of a replica that listens itself, as on a single machine: Serve's proxy costs 8 ms a request."""

from __future__ import annotations

import asyncio
import socket
import time

import uvicorn
from starlette.types import ASGIApp

_PATIENCE_S = 10.0
"""For a port that a replica killed a moment ago still holds."""
_PAUSE_S = 0.1
KEEP_ALIVE_S = 75
"""A connection may idle between two requests: longer than a gateway keeps one (30 s), and than nginx (60 s), so that
the caller closes first. A request that crosses our closing is lost."""


class Listener:
    """uvicorn on a socket of ours, in this event loop. Not from the main thread, where uvicorn takes the signals."""

    def __init__(self, app: ASGIApp, listening: socket.socket, *, grace_s: float) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=round(grace_s),
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))

    def check_health(self) -> None:
        """Raises RuntimeError when nobody listens any more."""
        if self._task.done():
            raise RuntimeError("the replica's own HTTP listener has ended")

    async def close(self) -> None:
        """Take no new requests; those under way are answered, or cut off after the grace."""
        self._server.should_exit = True
        await asyncio.gather(self._task, return_exceptions=True)


async def listen(app: ASGIApp, host: str, port: int, *, grace_s: float) -> Listener:
    """Serve `app` at the address. Raises OSError when another process holds on to it."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return Listener(app, _bind(host, port), grace_s=grace_s)
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(_PAUSE_S)


def _bind(host: str, port: int) -> socket.socket:
    """With SO_REUSEADDR, which `create_server` sets: clients of a killed replica keep the port in TIME_WAIT."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
