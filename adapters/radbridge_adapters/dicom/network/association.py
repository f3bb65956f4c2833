"""One association as bytes and states, the acceptor's half of PS3.8 table 9-10; no socket, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.network.dimse import MOST_COMMAND, Command, decode
from radbridge_adapters.dicom.network.negotiate import Accepted, Context, Refused
from radbridge_adapters.dicom.network.pdu import (
    RELEASE_RP,
    AbortReason,
    Fragment,
    Framer,
    Pdu,
    PduType,
    abort_pdu,
    data_pdus,
)


class State(Enum):
    """Named as in PS3.8 9.2.1."""

    AWAIT_REQUEST = "Sta2"
    OPEN = "Sta6"
    RELEASING = "Sta8"
    AWAIT_CLOSE = "Sta13"


@dataclass(frozen=True, slots=True)
class Call:
    """A command set came. When it has a data set, `Data` follows."""

    context: Context
    command: Command


class Data(NamedTuple):
    """A piece of the data set that the last `Call` told of."""

    data: memoryview
    ends: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """The association was accepted."""


@dataclass(frozen=True, slots=True)
class Release:
    """The peer wants to end in order; `Association.release` answers it, once all before it is answered."""


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over: nothing more is taken in, and the connection may close once `outgoing` is sent."""

    reason: str
    """`aborted` by the peer, or why we refused or aborted; fixed words."""


Happening = Opened | Call | Data | Release | Closed
Judge = Callable[[bytes], Accepted | Refused]

_ABORTS: Final = {
    "unrecognized_pdu": AbortReason.UNRECOGNIZED_PDU,
    "unexpected_pdu": AbortReason.UNEXPECTED_PDU,
    "invalid_pdu": AbortReason.INVALID_PARAMETER,
    "bad_command": AbortReason.INVALID_PARAMETER,
    "idle": AbortReason.NOT_SPECIFIED,
    "stopped": AbortReason.NOT_SPECIFIED,
}
"""Why we abort -> reason in the A-ABORT."""


class Association:
    """Takes bytes, gives what happened; what is to be sent waits in `outgoing`."""

    def __init__(self, judge: Judge, max_pdu_bytes: int) -> None:
        """`judge` answers the A-ASSOCIATE-RQ."""
        self._judge = judge
        self._framer = Framer(max_pdu_bytes)
        self._outgoing: list[bytes] = []
        self._command = bytearray()
        self._speaking: Context | None = None
        self._due: Context | None = None
        self._contexts: Mapping[int, Context] = {}
        self._max_pdu = 0
        self.state = State.AWAIT_REQUEST
        self.calling = ""
        self.peer_name = ""

    def receive(self, data: bytes) -> list[Happening]:
        """What `data` completes. Never raises: a fault becomes an A-ABORT and `Closed`."""
        happened: list[Happening] = []
        if self._is_over():
            return happened
        try:
            for part in self._framer.feed(data):
                if isinstance(part, Fragment):
                    self._take_fragment(part, happened)
                else:
                    self._take_pdu(part, happened)
                if self._is_over():
                    break
        except MessageFault as fault:
            happened.append(self.abort(fault.reason))
        return happened

    def _is_over(self) -> bool:
        return self.state is State.AWAIT_CLOSE

    def outgoing(self) -> bytes:
        """What is to be sent now, once."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def send(self, context: Context, command: bytes, data_set: bytes | None = None) -> None:
        """Queue a message."""
        self._outgoing.append(data_pdus(context.id, command, is_command=True, most=self._max_pdu))
        if data_set is not None:
            self._outgoing.append(data_pdus(context.id, data_set, is_command=False, most=self._max_pdu))

    def release(self) -> None:
        """Agree to the peer's release."""
        self._outgoing.append(RELEASE_RP)
        self.state = State.AWAIT_CLOSE

    def abort(self, reason: str) -> Closed:
        """Abort for one of the fixed reasons."""
        self._outgoing.append(abort_pdu(_ABORTS[reason]))
        self.state = State.AWAIT_CLOSE
        return Closed(reason)

    def _take_pdu(self, pdu: Pdu, happened: list[Happening]) -> None:
        match self.state, pdu.type:
            case _, PduType.ABORT:
                self.state = State.AWAIT_CLOSE
                happened.append(Closed("aborted"))
            case State.AWAIT_REQUEST, PduType.ASSOCIATE_RQ:
                happened.append(self._negotiate(pdu.body))
            case State.OPEN, PduType.RELEASE_RQ if self._due is None and not self._command:
                self.state = State.RELEASING
                happened.append(Release())
            case _:
                raise _unexpected()

    def _negotiate(self, body: bytes) -> Happening:
        verdict = self._judge(body)
        self._outgoing.append(verdict.answer)
        if isinstance(verdict, Refused):
            self.state = State.AWAIT_CLOSE
            return Closed(verdict.reason)
        self.state = State.OPEN
        self._contexts, self._max_pdu = verdict.contexts, verdict.max_pdu_bytes
        self.calling, self.peer_name = verdict.calling, verdict.peer_name
        return Opened()

    def _take_fragment(self, fragment: Fragment, happened: list[Happening]) -> None:
        if self.state is not State.OPEN:
            raise _unexpected()
        context = self._contexts.get(fragment.context_id)
        if context is None:
            raise MessageFault("invalid_pdu", "the presentation context wasn't accepted")
        if self._due is not None:
            if fragment.is_command or context is not self._due:
                raise _unexpected()
            happened.append(Data(fragment.data, fragment.ends))
            if fragment.ends:
                self._due = None
            return
        if not fragment.is_command or (self._speaking is not None and context is not self._speaking):
            raise _unexpected()
        self._speaking = context
        self._command += fragment.data
        if len(self._command) > MOST_COMMAND:
            raise MessageFault("bad_command", "the command set is longer than any can be")
        if fragment.ends:
            command = decode(bytes(self._command))
            self._command.clear()
            self._speaking = None
            self._due = context if command.has_data_set else None
            happened.append(Call(context, command))


def _unexpected() -> MessageFault:
    return MessageFault("unexpected_pdu", "the peer sends what can't come now")
