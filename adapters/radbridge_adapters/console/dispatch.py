"""One port, several applications: each request goes to the one with the longest path that fits.

Not Starlette's `mount`: that answers `POST /fhir`, a FHIR transaction, with a redirect to `/fhir/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from radbridge.config import Http
from radbridge.config.values import is_loopback
from radbridge.wire import AsgiApp, Mount, Receive, Scope, Send
from radbridge_adapters.console.protocols import ENTERED
from radbridge_adapters.security.http import answer, headers_of
from radbridge_adapters.security.rate import TURN, Buckets, network_of, place_of

_MACHINES = 64
"""Of one IPv6 network, that may all ask as often as one may: who makes up addresses has no more of it."""


class Dispatcher:
    """An ASGI application of applications. Each sees the whole path as it came."""

    def __init__(
        self, default: AsgiApp, mounts: Sequence[Mount], settings: Http, on_limit: Callable[[], None] = lambda: None
    ) -> None:
        """`default` gets what fits no mount; `on_limit` is called for each request that is told to come later."""
        self._default = default
        self._mounts = sorted(mounts, key=lambda mount: len(mount.path), reverse=True)
        self._timeout_s = settings.request_timeout_s
        self._addresses = Buckets(settings.rate_per_s, settings.burst)
        self._networks = Buckets(settings.rate_per_s * _MACHINES, settings.burst * _MACHINES)
        self._clients = Buckets(settings.rate_per_s, settings.burst)
        self._on_limit = on_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a WebSocket on."""
        note: Callable[..., None] = scope.get("state", {}).get(ENTERED, _note_nothing)
        note(entered=True)
        try:
            await self._pass_on(scope, receive, send)
        finally:
            note(entered=False)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = str((scope.get("client") or ("",))[0])
        wait_s = 0.0 if is_loopback(host) else self._take(host)
        if wait_s:
            self._on_limit()
            if scope["type"] == "http":
                await answer(send, 429, {"error": "too many requests"}, headers_of(429, ceil(wait_s)))
            else:
                await send({"type": "websocket.close", "code": 1013})  # RFC 6455 11.7: try again later
            return
        scope.setdefault("state", {})[TURN] = self._turn
        path = scope.get("path", "")
        app = next((m.app for m in self._mounts if path == m.path or path.startswith(m.path + "/")), self._default)
        await app(scope, _until(receive, self._timeout_s) if scope["type"] == "http" else receive, send)

    def _take(self, host: str) -> float:
        """Of another machine, and then of its network."""
        return self._addresses.take(place_of(host)) or self._networks.take(network_of(host))

    def _turn(self, client: str) -> float:
        """Of a client whom a wire knows: it has one bucket for all of them."""
        wait_s = self._clients.take(client)
        if wait_s:
            self._on_limit()
        return wait_s


def at_most(app: AsgiApp, limit: int) -> AsgiApp:
    """`app`, with bodies of at most so many bytes: a caller that sends more counts as gone."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def receive_some() -> Any:
            nonlocal size
            event = await receive()
            size += len(event.get("body", b""))
            return event if size <= limit else {"type": "http.disconnect"}

        await app(scope, receive_some, send)

    return limited


def _until(receive: Receive, timeout_s: float) -> Receive:
    """`receive` that counts a caller as gone whose body isn't whole after so many seconds."""
    ends_at = asyncio.get_running_loop().time() + timeout_s
    is_whole = False

    async def receive_in_time() -> Any:
        nonlocal is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout_at(ends_at):
                event = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        is_whole = not event.get("more_body", False)
        return event

    return receive_in_time


def _note_nothing(*, entered: bool) -> None:
    """Where no connection of ours is behind the request."""
