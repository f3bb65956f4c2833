"""The little HTTP that the web wires share: headers, a body within a limit, an answer in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radbridge.wire import Receive, Scope, Send
from radbridge_adapters.resources.json import write_json

JSON = "application/json"
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
"""Of every answer with a token in it (RFC 6749 5.1)."""
CHALLENGE = {"www-authenticate": "Bearer"}
"""The header of every 401 (RFC 6750 3)."""
_COME_AGAIN = frozenset((429, 503))


class BodyTooLarge(Exception):
    """A request's body is over the limit; the rest of it was not read."""


class Gone(Exception):
    """The caller hung up."""


def header_of(scope: Scope, name: bytes) -> str:
    """A request's header, by its name in small letters; empty where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def bearer_of(scope: Scope) -> str:
    """The bearer token; empty when there is none."""
    kind, _, token = header_of(scope, b"authorization").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def headers_of(status: int, retry_after_s: int = 1) -> dict[str, str]:
    """What a refusal says besides: how to prove oneself, when to come again."""
    challenge = CHALLENGE if status == 401 else {}
    return {**challenge, **({"retry-after": str(retry_after_s)} if status in _COME_AGAIN else {})}


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
