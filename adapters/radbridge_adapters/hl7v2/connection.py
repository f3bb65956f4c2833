"""One peer's connection: blocks are judged and committed concurrently, and answered in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

import structlog

from radbridge_adapters.hl7v2.answering import Answering
from radbridge_adapters.hl7v2.framing import Decoder, Fault, Frame, encode

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


class House(Protocol):
    """The listener, as its connections see it."""

    def enter(self, connection: Connection) -> str:
        """Why there is no room for one more connection; empty: there is."""
        ...

    def leave(self, connection: Connection) -> None:
        """This one is over."""
        ...

    def hold_s(self, host: str) -> float:
        """Seconds until the next block of a host may be taken; 0: now, and that one is counted."""
        ...

    def answer_for(self, peer: str, push: Callable[[bytes], None], on_quiet: Callable[[], None]) -> Answering:
        """What a connection's blocks are handed to."""
        ...

    def acknowledged(self, elapsed_s: float) -> None:
        """An answer left, so long after the last byte of what it answers."""
        ...


class _Slot:
    """A block that is being answered."""

    __slots__ = ("answer", "heard_at", "size", "then")

    def __init__(self, size: int, heard_at: float) -> None:
        self.size = size
        self.heard_at = heard_at
        self.answer: bytes | None = None
        self.then: Callable[[], None] | None = None


class Connection(asyncio.Protocol):
    """Pumps bytes into a `Decoder`, blocks into the intake, and answers back."""

    def __init__(self, house: House, limits: Limits) -> None:
        self._house = house
        self._limits = limits
        self._decoder = Decoder(limits.max_message_bytes)
        self._pending: deque[Frame | Fault] = deque()
        self._in_flight: deque[_Slot] = deque()
        self._bytes_in_flight = 0
        self._heard = False
        self._framed = False
        self._ended = False
        self._lost = False
        self._stopped = False
        self._writer_full = False
        self._reading = True
        self._sending = False
        self._quiet: asyncio.TimerHandle | None = None
        self._held: asyncio.TimerHandle | None = None
        self.host = "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        self._peer, self.host = f"{host}:{port}", host
        self._answering = self._house.answer_for(self._peer, self._push, self._finish)
        self._heard_at = self._loop.time()
        self._idle = self._loop.call_later(self._limits.idle_timeout_s, self._check_idle)
        if reason := self._house.enter(self):
            log.warning("connection_refused", peer=self._peer, reason=reason)
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
        return self._transport.get_extra_info("ssl_object") is None  # TLS has no half that stays open

    def connection_lost(self, exc: Exception | None) -> None:
        """What came is still committed; there is nobody left to answer."""
        self._lost = True
        self._writer_full = False
        self._idle.cancel()
        self._answering.stop()
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
        self._ended = self._stopped = True
        self._pending.clear()
        self._answering.stop()
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
        while self._pending and self._has_room() and not self._is_held():
            block = self._pending.popleft()
            slot = _Slot(len(block.payload if isinstance(block, Frame) else block.head), self._heard_at)
            self._in_flight.append(slot)
            self._bytes_in_flight += slot.size
            self._answering.take(block, partial(self._fill, slot))
        self._regulate()

    def _is_held(self) -> bool:
        """Whether its host has to wait: what it sends stays in its own buffers meanwhile."""
        if self._held is None and (hold_s := self._house.hold_s(self.host)) > 0:
            self._held = self._loop.call_later(hold_s, self._go_on)
        return self._held is not None

    def _go_on(self) -> None:
        self._held = None
        self._pump()

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

    def _fill(self, slot: _Slot, answer: bytes, then: Callable[[], None] | None) -> None:
        slot.answer, slot.then = answer, then
        if not self._sending and self._in_flight[0].answer is not None:
            self._sending = True
            self._loop.call_soon(self._send_answers)  # behind the others of the same commit: one write for all

    def _send_answers(self) -> None:
        self._sending = False
        answers: list[bytes] = []
        sent: list[_Slot] = []
        while self._in_flight and self._in_flight[0].answer is not None:
            slot = self._in_flight.popleft()
            self._bytes_in_flight -= slot.size
            sent.append(slot)
            if slot.answer:
                answers.append(encode(slot.answer))
        if not self._transport.is_closing():
            if answers:
                self._transport.write(b"".join(answers))
            now = self._loop.time()
            for slot in sent:
                if slot.answer:
                    self._house.acknowledged(now - slot.heard_at)
                if slot.then is not None and not self._stopped:
                    slot.then()
        self._pump()
        self._finish()

    def _push(self, message: bytes) -> None:
        """Send a message of our own, between answers."""
        if not self._transport.is_closing():
            self._transport.write(encode(message))

    def _finish(self) -> None:
        if self._ended and not self._pending and not self._in_flight and not self._answering.is_open:
            self._transport.close()
            if self._lost:
                self._house.leave(self)

    def _check_idle(self) -> None:
        silent = self._loop.time() - self._heard_at
        left = self._limits.idle_timeout_s - silent
        if left > 0 or self._in_flight or self._answering.is_open:
            self._idle = self._loop.call_later(max(left, 1.0), self._check_idle)
        else:
            self._end()
