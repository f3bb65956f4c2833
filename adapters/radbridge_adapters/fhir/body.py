"""A request's body: read within its limit, then parsed and checked, a large one off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from radbridge.wire import Receive
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.outcome import Issues, refuse
from radbridge_adapters.resources.validate import validate

LARGE = 64 * 1024
"""Bytes from which on a body is read in a thread: below, it takes a few milliseconds."""
AT_ONCE = 2
"""Large bodies in work: a parsed one takes many times its size of memory."""
WAIT_S = 10.0
READ_S = 60.0
"""For a whole body to arrive."""

Result = TypeVar("Result")


class Gone(Exception):
    """The caller hung up."""


async def read_body(headers: Mapping[str, str], receive: Receive, at_most: int) -> bytes:
    """The body. Raises Issues (413, 408) and Gone; what is over the limit is not read."""
    declared = headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > at_most:
        raise _too_large(at_most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_S):
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise Gone
                part = event.get("body", b"")
                size += len(part)
                if size > at_most:
                    raise _too_large(at_most)
                parts.append(part)
                if not event.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise refuse("timeout", f"the body didn't arrive within {READ_S:g} s", status=408) from None


def _too_large(at_most: int) -> Issues:
    return refuse("too-costly", f"a body may have {at_most} bytes", status=413)


class Bodies:
    """Parses bodies, few large ones at a time."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(AT_ONCE)

    async def parse(self, raw: bytes) -> dict[str, Any]:
        """The resource in a body, held to R4. Raises Issues."""
        document: dict[str, Any] = await self.work(len(raw), lambda: _parse(raw))
        return document

    async def work(self, size: int, task: Callable[[], Result]) -> Result:
        """Run `task` over a body of `size` bytes. Raises Issues (503) when too many large ones wait."""
        if size <= LARGE:
            return task()
        try:
            async with asyncio.timeout(WAIT_S):
                await self._large.acquire()
        except TimeoutError:
            raise refuse("throttled", "too many large bodies at once; send it again", status=503) from None
        try:
            return await asyncio.to_thread(task)
        finally:
            self._large.release()


def _parse(raw: bytes) -> dict[str, Any]:
    document = read_json(raw)
    validate(document)
    return document
