"""One peer's connection: blocks are judged and committed concurrently, and answered in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog

from radbridge.errors import JournalError
from radbridge.wire import Intake, Received
from radbridge_adapters.hl7v2.framing import Decoder, Fault, Frame, encode
from radbridge_adapters.hl7v2.reception import Reception

log = structlog.get_logger(__name__)

_QUIET_S = 0.25
"""How long a sender that omits the last `0D` has to be silent until its message counts as ended."""
_MAX_GARBAGE = 64 * 1024
"""Bytes outside any block after which a peer that never sent one is no HL7 peer."""
_STRANGERS = {b"\x16\x03": "TLS", b"GET ": "HTTP", b"POST": "HTTP", b"HEAD": "HTTP", b"OPTI": "HTTP", b"SSH-": "SSH"}
"""First bytes that tell another protocol."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one connection may hold and how long it may be silent."""

    max_message_bytes: int
    idle_timeout_s: float
    max_in_flight: int = 64


class Connection(asyncio.Protocol):
    """Pumps bytes into a `Decoder`, blocks into the intake, and answers back."""

    def __init__(
        self,
        reception: Reception,
        intake: Intake,
        limits: Limits,
        enter: Callable[[Connection], bool],
        leave: Callable[[Connection], None],
    ) -> None:
        """`enter` says whether there is room for one more connection; `leave` is told when this one is over."""
        self._reception = reception
        self._intake = intake
        self._limits = limits
        self._enter = enter
        self._leave = leave
        self._decoder = Decoder(limits.max_message_bytes)
        self._pending: deque[Frame | Fault] = deque()
        self._in_flight: deque[tuple[asyncio.Task[bytes], int]] = deque()
        self._bytes_in_flight = 0
        self._heard = False
        self._framed = False
        self._ended = False
        self._lost = False
        self._writer_full = False
        self._reading = True
        self._quiet: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        self._peer = f"{host}:{port}"
        self._heard_at = self._loop.time()
        self._idle = self._loop.call_later(self._limits.idle_timeout_s, self._check_idle)
        if not self._enter(self):
            log.warning("connection_refused", peer=self._peer, reason="hl7v2.max_connections reached")
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._quiet:
            self._quiet.cancel()
            self._quiet = None
        if self._ended or (not self._framed and self._is_strange(data)):
            return
        self._take(self._decoder.feed(data))
        if self._decoder.may_flush:
            self._quiet = self._loop.call_later(_QUIET_S, self._flush)

    def eof_received(self) -> bool:
        """The peer sends no more but may still read: what came is answered first, then the connection closes."""
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """What came is still committed; there is nobody left to answer."""
        self._lost = True
        self._writer_full = False
        self._idle.cancel()
        self._end()
        self._finish()
        if self._decoder.skipped:
            log.info("bytes_outside_blocks", peer=self._peer, count=self._decoder.skipped)

    def pause_writing(self) -> None:
        self._writer_full = True
        self._regulate()

    def resume_writing(self) -> None:
        self._writer_full = False
        self._pump()

    def stop(self) -> None:
        """Take nothing more; answer what is being answered, then close."""
        self._ended = True
        self._pending.clear()
        self._finish()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _is_strange(self, data: bytes) -> bool:
        protocol = None if self._heard else _STRANGERS.get(data[:4]) or _STRANGERS.get(data[:2])
        self._heard = True
        if protocol:
            log.warning("not_mllp", peer=self._peer, looks_like=protocol)
        elif self._decoder.skipped > _MAX_GARBAGE:
            log.warning("not_mllp", peer=self._peer, looks_like="no known protocol")
        else:
            return False
        self._ended = True
        self._transport.close()
        return True

    def _take(self, blocks: list[Frame | Fault]) -> None:
        if blocks:
            self._framed = True
            self._pending.extend(blocks)
            self._pump()

    def _flush(self) -> None:
        self._quiet = None
        self._take(self._decoder.flush())

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            if self._quiet:
                self._quiet.cancel()
            self._take(self._decoder.close())
            self._finish()

    def _pump(self) -> None:
        while self._pending and self._has_room():
            block = self._pending.popleft()
            size = len(block.payload if isinstance(block, Frame) else block.head)
            task = self._loop.create_task(self._answer(block))
            self._in_flight.append((task, size))
            self._bytes_in_flight += size
            task.add_done_callback(self._send_answers)
        self._regulate()

    def _has_room(self) -> bool:
        return (
            not self._writer_full
            and len(self._in_flight) < self._limits.max_in_flight
            and self._bytes_in_flight < self._limits.max_message_bytes
        )

    def _regulate(self) -> None:
        """Read only while there is room: TCP holds the peer back."""
        wanted = self._has_room() and not self._pending
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    async def _answer(self, block: Frame | Fault) -> bytes:
        header, judged = self._reception.judge(block, self._peer)
        try:
            if isinstance(judged, Received):
                return await self._intake.accept(judged)
            await self._intake.reject(judged)
            return judged.ack
        except JournalError:
            log.error("not_stored", peer=self._peer, hint="check the disk and the database")  # noqa: TRY400 - no traceback: it may quote the message
        except Exception as error:  # noqa: BLE001 - whatever the intake's fault, the listener answers and lives
            log.error("intake_failed", peer=self._peer, reason=type(error).__name__)  # noqa: TRY400 - as above
        return self._reception.refuse(header, "not_stored")

    def _send_answers(self, _: asyncio.Task[bytes]) -> None:
        answers: list[bytes] = []
        while self._in_flight and self._in_flight[0][0].done():
            task, size = self._in_flight.popleft()
            self._bytes_in_flight -= size
            answer = b"" if task.cancelled() else task.result()
            if answer:
                answers.append(encode(answer))
        if answers and not self._transport.is_closing():
            self._transport.write(b"".join(answers))
        self._pump()
        self._finish()

    def _finish(self) -> None:
        if self._ended and not self._pending and not self._in_flight:
            self._transport.close()
            if self._lost:
                self._leave(self)

    def _check_idle(self) -> None:
        silent = self._loop.time() - self._heard_at
        left = self._limits.idle_timeout_s - silent
        if left > 0 or self._in_flight:
            self._idle = self._loop.call_later(max(left, 1.0), self._check_idle)
        else:
            self._end()
