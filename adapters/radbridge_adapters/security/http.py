"""The little HTTP that the token endpoint and CDS Hooks need: a body within a limit, an answer in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radbridge.wire import Receive, Send
from radbridge_adapters.resources.json import write_json

JSON = "application/json"
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
"""Of every answer with a token in it (RFC 6749 5.1)."""


class BodyTooLarge(Exception):
    """A request's body is over the limit; the rest of it was not read."""


class Gone(Exception):
    """The caller hung up."""


async def read_body(receive: Receive, at_most: int) -> bytes:
    """The whole body. Raises BodyTooLarge, Gone."""
    raw = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Gone
        raw += event.get("body", b"")
        if len(raw) > at_most:
            raise BodyTooLarge
        if not event.get("more_body", False):
            return bytes(raw)


async def answer(
    send: Send, status: int, document: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> None:
    """Send a JSON answer; without a document, an empty one."""
    body = b"" if document is None else write_json(document)
    told = ({"content-type": JSON} if document is not None else {}) | {"content-length": str(len(body))}
    await send({"type": "http.response.start", "status": status, "headers": list(_encode(told | dict(headers or {})))})
    await send({"type": "http.response.body", "body": body})


def _encode(headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.encode(), value.encode("latin-1")) for name, value in headers.items())
