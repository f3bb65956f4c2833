"""Server-sent events as a client reads them (WHATWG HTML, 9.2.6), with a bound on what is kept in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable

LONGEST = 2**20
"""Bytes of one line or one event."""


class NotEvents(ValueError):
    """What came is no event stream."""


async def read_events(blocks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The data of each event; comments and other fields are passed over. Lines end in LF or CRLF.

    An event without its empty line at the end counts: servers forget it. Raises NotEvents for one above `LONGEST`.
    """
    data = bytearray()
    async for line in _read_lines(blocks):
        if line.startswith(b"data:"):
            data += line[5:].removeprefix(b" ") + b"\n"
            if len(data) > LONGEST:
                raise NotEvents
        elif not line and data:
            yield bytes(data[:-1])
            data.clear()
    if data:
        yield bytes(data[:-1])


async def _read_lines(blocks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    rest = b""
    async for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LONGEST:
            raise NotEvents
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest
