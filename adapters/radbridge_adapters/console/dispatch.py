"""One port, several applications: each request goes to the one with the longest path that fits.

Not Starlette's `mount`: that answers `POST /fhir`, a FHIR transaction, with a redirect to `/fhir/`.
"""

from __future__ import annotations

from collections.abc import Sequence

from radbridge.wire import AsgiApp, Mount, Receive, Scope, Send


class Dispatcher:
    """An ASGI application of applications. Each sees the whole path as it came."""

    def __init__(self, default: AsgiApp, mounts: Sequence[Mount]) -> None:
        """`default` gets what fits no mount."""
        self._default = default
        self._mounts = sorted(mounts, key=lambda mount: len(mount.path), reverse=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a WebSocket on."""
        path = scope.get("path", "")
        app = next((m.app for m in self._mounts if path == m.path or path.startswith(m.path + "/")), self._default)
        await app(scope, receive, send)
