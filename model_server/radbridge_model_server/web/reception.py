"""Reading a request and waiting beside its work: bodies within bounds of size and time, clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from radbridge_model_server.web.problems import HttpProblem, from_validation

T = TypeVar("T")


async def read_body(request: Request, *, limit: int, within_s: float) -> bytes:
    """The body, no more of it than `limit` bytes in memory. Raises HttpProblem for one too large or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise HttpProblem(413, "too-large", "The request is too large", f"the limit is {limit} bytes")
    except TimeoutError:
        raise HttpProblem(408, "too-slow", "The request came too slowly", f"the limit is {within_s:g} s") from None
    return bytes(body)


def read_json(shape: TypeAdapter[T], body: bytes) -> T:
    """The value in a body. Raises HttpProblem with every fault and its place."""
    try:
        return shape.validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from None


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. It is cancelled when the client leaves, and ClientDisconnect raised. Read the body before."""
    working = asyncio.create_task(work)
    try:
        async with departure(request) as gone:
            await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()


@asynccontextmanager
async def departure(request: Request) -> AsyncIterator[asyncio.Task[None]]:
    """A task that ends when the client leaves."""
    gone = asyncio.create_task(_wait_until_gone(request))
    try:
        yield gone
    finally:
        gone.cancel()


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
