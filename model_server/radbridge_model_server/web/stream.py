"""A draft as server-sent events (WHATWG HTML, 9.2): `coarse`, `text` as it grows, then `draft` or `problem`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import Response
from fastapi.responses import StreamingResponse

from radbridge.contract import DraftRequest
from radbridge.errors import ModelError
from radbridge_model_server.drafts.desk import Desk
from radbridge_model_server.web.problems import from_model_error

EVENTS = "text/event-stream"


async def stream_draft(desk: Desk, request: DraftRequest, received: float) -> Response:
    """The answer in events; generation stops when the client leaves. Raises ModelError where not even one came."""
    events = _follow(desk, request, received)
    first = await anext(events)
    return StreamingResponse(_resume(first, events), media_type=EVENTS)


async def _follow(desk: Desk, request: DraftRequest, received: float) -> AsyncIterator[bytes]:
    with desk.take(request, received) as ticket:
        has_begun = False
        try:
            async for kind, text in ticket.texts():
                has_begun = True
                if kind == "text":
                    yield _event("text", {"id": request.id, "text": text})
                else:
                    yield _event("coarse", {"id": request.id, "draft": text, "stage": kind})
            yield _event("draft", await ticket.draft())
        except ModelError as error:
            if not has_begun:
                raise
            yield _event("problem", from_model_error(error).problem)


async def _resume(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for event in rest:
        yield event


def _event(name: str, data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
