"""One peer's connection: pumps bytes into an `Association`, one request at a time into the services, answers back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import structlog

from radbridge_adapters.dicom.network.association import (
    Association,
    Call,
    Closed,
    Data,
    Happening,
    Opened,
    Release,
    State,
)
from radbridge_adapters.dicom.network.dimse import CommandField, event_report
from radbridge_adapters.dicom.network.exchange import Caller, Exchange, Reply, Rules
from radbridge_adapters.dicom.network.negotiate import REJECTIONS, Accepted, Context, Negotiator, Refused
from radbridge_adapters.dicom.network.services import ActRequest, Event, Services

log = structlog.get_logger(__name__)

_ARTIM_S: Final = 2.0
"""How long the peer may take to close after the last PDU (PS3.8 9.1.5)."""
_MOST_REPORTS: Final = 16
"""Event reports that may be unanswered at a time; more count as unanswered."""
_STRANGERS: Final = {
    b"\x16\x03": "TLS",
    b"GET ": "HTTP",
    b"POST": "HTTP",
    b"HEAD": "HTTP",
    b"OPTI": "HTTP",
    b"SSH-": "SSH",
    b"\x0bMSH": "HL7",
}
"""First bytes that tell another protocol."""

_HINTS: Final = {
    "called_ae_title": "it calls another title than dicom.ae_title",
    "calling_ae_title": "no entry of dicom.peers has its title and its address",
    "max_associations": "raise dicom.max_associations, or look who keeps them open",
}
"""What the operator can do about a rejection."""


class House(Protocol):
    """The listener, as a connection sees it."""

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for one more connection."""
        ...

    def open(self, connection: Connection) -> None:
        """The connection has an association now."""
        ...

    def leave(self, connection: Connection) -> None:
        """The connection is over."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether one more association would be too many."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Practice:
    """What all connections of a listener share."""

    services: Services
    negotiator: Negotiator
    rules: Rules
    max_pdu_bytes: int
    idle_timeout_s: float
    association_timeout_s: float


class Connection(asyncio.Protocol):
    """Takes in while the services aren't at work; then TCP holds the peer back."""

    def __init__(self, practice: Practice, house: House) -> None:
        self._practice = practice
        self._house = house
        self._association = Association(self._judge, practice.max_pdu_bytes)
        self._happened: deque[Happening] = deque()
        self._exchange: Exchange | None = None
        self._busy: asyncio.Task[Reply] | None = None
        self._aftermath: set[asyncio.Task[None]] = set()
        self._reports: dict[int, tuple[ActRequest, Event]] = {}
        self._reported = 0
        self._heard = False
        self._ended = False
        self._lost = False
        self._stopping = False
        self._writer_full = False
        self._reading = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        self._host = str(host)
        self._peer = f"[{host}]:{port}" if ":" in self._host else f"{host}:{port}"
        self._heard_at = self._made_at = self._loop.time()
        if not self._house.enter(self):
            log.warning("connection_refused", peer=self._peer, reason="dicom.max_associations reached")
            self._transport.abort()
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if not self._heard:
            self._heard = True
            self._note_stranger(data)
        self._happened.extend(self._association.receive(data))
        self._pump()

    def eof_received(self) -> bool:
        """A peer that sends no more has left: there is no half-open association."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """What is being committed still is; there is nobody left to answer."""
        self._lost = True
        self._end()
        if self._timer:
            self._timer.cancel()
        self._leave()

    def pause_writing(self) -> None:
        self._writer_full = True
        self._regulate()

    def resume_writing(self) -> None:
        self._writer_full = False
        self._pump()

    def stop(self) -> None:
        """Answer what is being committed, then abort the association."""
        self._stopping = True
        if self._busy is None:
            self._abort("stopped")
            self._transport.close()

    def abort(self) -> None:
        """Close at once, and give up what is still being done."""
        self._transport.abort()
        for task in (self._busy, *self._aftermath):
            if task:
                task.cancel()

    def _judge(self, body: bytes) -> Accepted | Refused:
        return self._practice.negotiator.judge(body, self._host, full=self._house.is_full)

    def _note_stranger(self, data: bytes) -> None:
        if kind := _STRANGERS.get(data[:4]) or _STRANGERS.get(data[:2]):
            log.warning("not_dicom", peer=self._peer, looks_like=kind)

    def _note_end(self, reason: str) -> None:
        if reason in REJECTIONS:
            log.warning("association_refused", peer=self._peer, reason=reason, hint=_HINTS.get(reason, ""))
        elif reason == "aborted":
            log.info("association_aborted", peer=self._peer)
        else:
            log.warning("association_faulty", peer=self._peer, reason=reason)

    def _pump(self) -> None:
        while self._happened and self._busy is None and not self._writer_full and not self._ended:
            self._take(self._happened.popleft())
        self._flush()
        self._regulate()

    def _flush(self) -> None:
        data = self._association.outgoing()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _regulate(self) -> None:
        """Read only while what came is taken at once."""
        wanted = self._ended or not (self._writer_full or (self._happened and self._busy))
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def _take(self, happening: Happening) -> None:
        match happening:
            case Data():
                if self._exchange:
                    self._exchange.feed(happening)
                    self._serve()
            case Call():
                self._call(happening)
            case Opened():
                self._house.open(self)
                self._arm()
            case Release():
                self._association.release()
                self._end()
            case Closed(reason=reason):
                self._note_end(reason)
                self._end()
                if reason == "aborted":
                    self._transport.close()

    def _call(self, call: Call) -> None:
        command = call.command
        if command.is_response:
            self._settle(call)
        elif command.field != CommandField.C_CANCEL:
            association = self._association
            caller = Caller(calling=association.calling, peer=self._peer, peer_name=association.peer_name)
            self._exchange = Exchange(call, caller, self._practice.rules)
            self._serve()

    def _serve(self) -> None:
        if self._exchange and self._exchange.is_complete:
            self._busy = self._loop.create_task(self._exchange.answer(self._practice.services))
            self._busy.add_done_callback(self._reply)

    def _reply(self, task: asyncio.Task[Reply]) -> None:
        exchange, self._exchange, self._busy = self._exchange, None, None
        self._heard_at = self._loop.time()
        if task.cancelled() or task.exception():
            log.error("answer_failed", peer=self._peer)
            self._transport.abort()
        elif exchange and not self._ended:
            reply = task.result()
            self._association.send(exchange.context, reply.command)
            if reply.report:
                self._report(exchange.context, reply.report)
            if self._stopping:
                self._flush()
                self.stop()
        elif exchange and (report := task.result().report):
            self._spawn(self._practice.services.unreported(*report))
        self._pump()
        self._leave()

    def _report(self, context: Context, report: tuple[ActRequest, Event]) -> None:
        if len(self._reports) >= _MOST_REPORTS:
            self._spawn(self._practice.services.unreported(*report))
            return
        self._reported = self._reported % 0xFFFF + 1
        self._reports[self._reported] = report
        self._association.send(context, event_report(self._reported, report[1]), report[1].dataset)

    def _settle(self, call: Call) -> None:
        """The peer's answer to an event report; 0 is success (PS3.7 10.1.1.1.8)."""
        report = self._reports.pop(call.command.short(0x0120), None)
        if report and call.command.short(0x0900):
            self._spawn(self._practice.services.unreported(*report))

    def _abort(self, reason: str) -> None:
        if not self._ended:
            if self._association.state is not State.AWAIT_REQUEST:
                self._association.abort(reason)
                self._flush()
            self._end()

    def _end(self) -> None:
        """Nothing more is taken in; what was under way and unanswered is kept as such."""
        if self._ended:
            return
        self._ended = True
        self._ended_at = self._loop.time()
        self._happened.clear()
        if self._exchange and self._busy is None:
            self._spawn(self._exchange.abandon(self._practice.services, "aborted"))
            self._exchange = None
        for report in self._reports.values():
            self._spawn(self._practice.services.unreported(*report))
        self._reports.clear()
        self._arm()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._aftermath.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._aftermath.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("intake_failed", peer=self._peer, reason=type(error).__name__)
        self._leave()

    def _leave(self) -> None:
        if self._lost and self._busy is None and not self._aftermath:
            self._house.leave(self)

    def _deadline(self) -> tuple[float, Callable[[], None]]:
        """When something has to happen at the latest, and what."""
        if self._ended:
            return self._ended_at + _ARTIM_S, self._transport.abort
        if self._association.state is State.AWAIT_REQUEST:
            return self._made_at + self._practice.association_timeout_s, self._transport.abort
        heard = self._loop.time() if self._busy else self._heard_at
        return heard + self._practice.idle_timeout_s, lambda: self._abort("idle")

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
        at, _ = self._deadline()
        self._timer = self._loop.call_at(at, self._tick)

    def _tick(self) -> None:
        at, act = self._deadline()
        if self._loop.time() >= at:
            act()
        if not self._lost:
            self._arm()
