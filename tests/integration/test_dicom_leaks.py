"""Two thousand bad associations leave nothing behind: no socket, task, thread or connection."""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import suppress
from pathlib import Path

from radbridge_adapters.dicom.network import status
from tests.support.dicom_peer import (
    ABORT_PDU,
    ECHO_RQ,
    RELEASE_RQ,
    Notes,
    Peer,
    associate_rq,
    associated,
    listening,
    message,
    store_rq,
)

_HEADER = struct.pack("<HH2sH", 0x8, 0x50, b"SH", 2) + b"A1"
_IMAGE = _HEADER + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 40_000) + bytes(40_000)
_RQ = associate_rq()

WAYS = [
    b"",
    _RQ[:3],
    _RQ[:80],
    bytes(range(256)) * 4,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack(">BxI", 1, 1 << 31),
    _RQ,
    _RQ + ABORT_PDU,
    _RQ + message(store_rq())[:30],
    _RQ + message(store_rq())[:30] + ABORT_PDU,
    _RQ + message(store_rq()),
    _RQ + message(store_rq(), _IMAGE)[:9_000],
    _RQ + message(store_rq(), _IMAGE)[:30_000] + ABORT_PDU,
    _RQ + message(store_rq(), _IMAGE),
    _RQ + message(store_rq()) + message(store_rq()),
    _RQ + ECHO_RQ,
    _RQ + RELEASE_RQ,
    _RQ + RELEASE_RQ + ECHO_RQ,
    associate_rq(called="NOBODY"),
]
"""What comes before the caller goes away: each a hundred times, half of them after the first answer."""


async def _call(port: int, sent: bytes, *, waits: bool, turns: asyncio.Semaphore) -> None:
    async with turns:
        peer = await Peer.connect(port)
        with suppress(OSError, asyncio.IncompleteReadError):
            peer.writer.write(sent)
            await peer.writer.drain()
            if waits and sent[:4] == b"\1\0\0\0" and len(sent) >= len(_RQ):
                await peer.read()
        await peer.close()


def _counts() -> tuple[int, int, int]:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return threading.active_count(), descriptors, len(asyncio.all_tasks())


async def test_two_thousand_bad_associations_leak_nothing() -> None:
    """Threads, descriptors, tasks and connections are no more than before, and the next caller is served."""
    notes = Notes()
    turns = asyncio.Semaphore(50)
    async with listening(notes) as (listener, port):
        before = _counts()
        await asyncio.gather(*(_call(port, sent, waits=bool(n % 2), turns=turns) for n in range(100) for sent in WAYS))
        async with asyncio.timeout(60):
            while listener.connections or any(now > was for now, was in zip(_counts(), before, strict=True)):
                await asyncio.sleep(0.01)
        async with associated(port) as peer:
            assert await peer.status(ECHO_RQ) == status.SUCCESS
    assert {reason for _, reason in notes.abandonings} == {"aborted"}
