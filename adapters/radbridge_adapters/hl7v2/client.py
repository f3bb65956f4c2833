"""The MLLP client: one message out, the answer to this very message back.

An answer counts only when its MSA-2 is the control id that is waited for. Others (late, duplicate, of somebody else)
are counted and discarded, and so is whatever arrives while nothing is waited for.

At most one copy of a message is open: a connection whose answer didn't come is reset before the next one is made, so
that the peer's end of it can't hand in a copy that nobody waits for.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from radbridge.errors import DeliveryFailed, MessageFault
from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.framing import Decoder, Frame, encode
from radbridge_adapters.hl7v2.header import read_header, read_message
from radbridge_adapters.security.tls import REFUSED_S

_MAX_ANSWER_BYTES = 1 << 20
_ANY = frozenset({"CA", "AA"})
CONFIRMING = {"either": _ANY, "accept": _ANY, "application": frozenset({"AA"})}
"""By a destination's `confirm`: which yes is the last word. Any no is one."""
_YES = _ANY
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds, seconds, count: a dead peer on an idle connection is noticed within a minute."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 s: closing sends RST and drops what is under way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ack:
    """An answer: MSA-1, MSA-2, and what it says about an error (which may quote the message)."""

    code: str
    control_id: str = field(repr=False)
    text: str = field(default="", repr=False)
    raw: bytes = field(default=b"", repr=False)


class MllpClient:
    """A connection that is made when first needed and again after it was lost. One message at a time."""

    def __init__(
        self,
        host: str,
        port: int,
        ack_timeout: float,
        *,
        name: str = "",
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
        confirm: str = "either",
        on_stray: Callable[[], None] = lambda: None,
    ) -> None:
        """`ack_timeout` in seconds bounds connecting and waiting, each.

        With `tls`, the peer's certificate has to be that of `server_name`, or of the host. `confirm` is a key of
        `CONFIRMING`. `on_stray` is called for each answer that nobody waits for.
        """
        self._host = host
        self._port = port
        self._ack_timeout = ack_timeout
        self._name = name or f"{host}:{port}"
        self._tls = tls
        self._server_name = (server_name or host) if tls else None
        self._confirming = CONFIRMING[confirm]
        self._on_stray = on_stray
        self._turn = asyncio.Lock()
        self._answers: _Answers | None = None

    async def send(self, payload: bytes, control_id: str) -> Ack:
        """Send and wait. Raises DeliveryFailed when there is no peer, no answer in time, or the peer hangs up."""
        async with self._turn:
            answers = await self._connected()
            try:
                ack = await self._ask(answers, payload, control_id)
            except TimeoutError:
                # Closed, so that a late answer can't be taken for the next message's.
                await self._disconnect(reset=True)
                why = f"no answer to this message within {self._ack_timeout:g} s"
                raise DeliveryFailed(self._name, why, answered=False) from None
            except ConnectionError:
                await self._disconnect(reset=True)
                why = "the peer closed the connection before it answered"
                raise DeliveryFailed(self._name, why, answered=False) from None
            except asyncio.CancelledError:
                await self._disconnect(reset=True)
                raise
            if ack.code not in _YES:
                await self._disconnect()
            return ack

    async def _ask(self, answers: _Answers, payload: bytes, control_id: str) -> Ack:
        """Raises TimeoutError, ConnectionError."""
        try:
            answer = answers.ask(payload, control_id)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ack_timeout):
                    await asyncio.wait({answer})
            if not answer.done():
                # On a machine that stood still timers ring before it reads; one turn of the loop shows what has come.
                await asyncio.sleep(0)
        finally:
            answers.close_question()
        if not answer.done():
            raise TimeoutError
        return answer.result()

    async def ping(self) -> None:
        """Raises DeliveryFailed when the peer takes no connection, or in TLS 1.3 hangs up behind the handshake."""
        async with self._turn:
            answers = await self._connected()
            if self._tls is not None and not await answers.stays(REFUSED_S):
                told = "the peer hangs up behind the handshake; does it take our certificate?"
                raise DeliveryFailed(self._name, told, sent=False)

    async def close(self) -> None:
        """Hang up."""
        async with self._turn:
            await self._disconnect()

    async def _connected(self) -> _Answers:
        # One turn of the loop shows a hang-up that has already arrived.
        await asyncio.sleep(0)
        if self._answers is not None and self._answers.usable:
            return self._answers
        await self._disconnect()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._ack_timeout):
                _, self._answers = await loop.create_connection(
                    self._listen, self._host, self._port, ssl=self._tls, server_hostname=self._server_name
                )
        except TimeoutError:
            raise DeliveryFailed(self._name, f"no connection within {self._ack_timeout:g} s", sent=False) from None
        except ssl.SSLError as error:
            why = error.reason or type(error).__name__
            raise DeliveryFailed(self._name, f"no TLS with the peer ({why})", sent=False) from None
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise DeliveryFailed(self._name, f"no connection: {why}", sent=False) from None
        return self._answers

    def _listen(self) -> _Answers:
        return _Answers(self._confirming, self._ack_timeout, self._on_stray)

    async def _disconnect(self, *, reset: bool = False) -> None:
        if self._answers is not None:
            answers, self._answers = self._answers, None
            await answers.hang_up(reset=reset)


class _Answers(asyncio.Protocol):
    """The client's end of one connection."""

    def __init__(self, confirming: frozenset[str], timeout_s: float, on_stray: Callable[[], None]) -> None:
        self._confirming = confirming
        self._timeout_s = timeout_s
        self._on_stray = on_stray
        self._decoder = Decoder(_MAX_ANSWER_BYTES)
        self._awaited = ""
        self._waiter: asyncio.Future[Ack] | None = None
        self._lost = asyncio.Event()
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        _watch(transport.get_extra_info("socket"), self._timeout_s)

    async def stays(self, within_s: float) -> bool:
        """Whether the peer hasn't hung up by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._lost.wait()
        return self.usable

    def ask(self, payload: bytes, control_id: str) -> asyncio.Future[Ack]:
        """Send; what comes of it: the answer, or ConnectionError when the peer hangs up first."""
        self._awaited = control_id
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(encode(payload))
        return self._waiter

    def close_question(self) -> None:
        """Nobody waits any more: whatever comes from here on is a stray."""
        self._waiter = None

    async def hang_up(self, *, reset: bool) -> None:
        """Close; with `reset`, so that what is still on its way is dropped at both ends."""
        self.usable = False
        if reset and not self._transport.is_closing():
            _set(self._transport.get_extra_info("socket"), socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
        await self._lost.wait()

    def data_received(self, data: bytes) -> None:
        blocks = self._decoder.feed(data) + self._decoder.flush()
        for block in blocks:
            ack = read_ack(block.payload) if isinstance(block, Frame) else None
            waiter = self._waiter
            if ack is None or waiter is None or waiter.done() or ack.control_id != self._awaited:
                self._on_stray()
            elif ack.code not in _YES or ack.code in self._confirming:
                waiter.set_result(ack)

    def eof_received(self) -> bool:
        """A peer that closed its half can't answer any more: nothing more is sent to it."""
        self._fail()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail()
        self._lost.set()

    def _fail(self) -> None:
        self.usable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError())


def _watch(sock: socket.socket, timeout_s: float) -> None:
    """Have the system notice a peer that is gone: on an idle connection, and where sent bytes stay unconfirmed."""
    _set(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (_KEEPALIVE | {"TCP_USER_TIMEOUT": int(timeout_s * 1000)}).items():
        if hasattr(socket, name):  # not on every system
            _set(sock, socket.IPPROTO_TCP, getattr(socket, name), value)


def _set(sock: socket.socket | None, level: int, option: int, value: int | bytes) -> None:
    """Set what makes things better, and nothing else. uvloop raises ValueError where the peer has hung up already."""
    if sock is not None:
        with suppress(OSError, ValueError):
            sock.setsockopt(level, option, value)


def read_ack(payload: bytes) -> Ack | None:
    """The acknowledgement in `payload`; None when it is none."""
    try:
        message = read_message(payload, "utf-8")
    except MessageFault:
        return None
    msa = message.first("MSA")
    if msa is None:
        return None
    return Ack(code=msa.text(1), control_id=msa.raw(2).strip(), text=_explain(message), raw=payload)


def read_control_id(payload: bytes) -> str:
    """MSH-10 of a message. Raises MessageFault `no_msh`."""
    return read_header(read_message(payload, "utf-8")).control_id


def _explain(message: Message) -> str:
    parts = [segment.text(8) or segment.text(3, 2) for segment in message.all("ERR")]
    msa = message.first("MSA")
    return "; ".join(part for part in (msa.text(3) if msa else "", *parts) if part)
