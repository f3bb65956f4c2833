"""One request of an association: its data set is read as it comes, then the services answer it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypedDict

import structlog

from radbridge.errors import JournalError, MessageFault
from radbridge_adapters.dicom.encoding.bulk import is_whole
from radbridge_adapters.dicom.encoding.header import Header
from radbridge_adapters.dicom.encoding.reader import HeaderReader
from radbridge_adapters.dicom.network import status
from radbridge_adapters.dicom.network.association import Call, Data
from radbridge_adapters.dicom.network.classes import AVAILABILITY, COMMITMENT, PROCEDURE_STEP, VERIFICATION
from radbridge_adapters.dicom.network.dimse import CommandField, response
from radbridge_adapters.dicom.network.negotiate import Context
from radbridge_adapters.dicom.network.services import (
    ActRequest,
    Answer,
    CreateRequest,
    Event,
    Services,
    SetRequest,
    StoreRequest,
)

log = structlog.get_logger(__name__)

OPERATIONS: Final = {
    VERIFICATION: frozenset({CommandField.C_ECHO}),
    PROCEDURE_STEP: frozenset({CommandField.N_CREATE, CommandField.N_SET}),
    AVAILABILITY: frozenset({CommandField.N_CREATE}),
    COMMITMENT: frozenset({CommandField.N_ACTION}),
}
"""SOP class -> what may be asked of it. Any other that was accepted is storage: C-STORE."""
_STORAGE: Final = frozenset({CommandField.C_STORE})


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks."""

    calling: str = field(repr=False)
    peer: str
    peer_name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What of a data set is read."""

    max_header_bytes: int
    max_sr_bytes: int
    wanted: frozenset[int]
    """Tags that are kept however long they are."""

    def reader(self, context: Context) -> HeaderReader:
        """A reader for a data set of the context's class: a report, or what is no object, is kept whole."""
        whole = is_whole(context.abstract_syntax)
        return HeaderReader(
            context.transfer_syntax,
            max_header_bytes=self.max_sr_bytes if whole else self.max_header_bytes,
            wanted=self.wanted,
            whole=whole or context.abstract_syntax in OPERATIONS,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What goes back."""

    command: bytes = field(repr=False)
    report: tuple[ActRequest, Event] | None = None
    """What is to be reported next on the same association."""


class _Fields(TypedDict):
    calling: str
    peer: str
    peer_name: str
    sop_class: str
    sop_instance: str
    abstract_syntax: str
    transfer_syntax: str
    header: Header


class Exchange:
    """From a command set to its response."""

    def __init__(self, call: Call, caller: Caller, rules: Rules) -> None:
        self.context = call.context
        self._command = call.command
        self._caller = caller
        self._fault = ""
        may_do = OPERATIONS.get(call.context.abstract_syntax, _STORAGE)
        self._operation = CommandField(call.command.field) if call.command.field in may_do else None
        self._reader = rules.reader(call.context) if self._operation else None
        self.is_complete = not call.command.has_data_set

    def feed(self, data: Data) -> None:
        """Read on. A data set that can't be read is still taken to its end: the peer listens only then."""
        if self._reader and not self._fault:
            try:
                self._reader.feed(data.data)
            except MessageFault as fault:
                self._fault = fault.reason
        self.is_complete = data.ends

    async def answer(self, services: Services) -> Reply:
        """Whatever goes wrong inside, there is an answer."""
        report = None
        if self._reader is None:
            answer = Answer(status=status.UNRECOGNIZED_OPERATION)
        elif self._operation is CommandField.C_ECHO:
            answer = Answer(status=status.SUCCESS)
        else:
            try:
                answer, report = await self._serve(services, self._reader)
            except JournalError:
                log.error("not_stored", peer=self._caller.peer, hint="check the disk and the database")  # noqa: TRY400 - no traceback: it may quote the object
                answer = self._refusal("not_stored")
            except Exception as error:  # noqa: BLE001 - whatever the services' fault, the listener answers and lives
                log.error("intake_failed", peer=self._caller.peer, reason=type(error).__name__)  # noqa: TRY400 - as above
                answer = self._refusal("bug")
        return Reply(command=response(self._command, answer), report=report)

    async def abandon(self, services: Services, reason: str) -> None:
        """The peer is gone, and no answer will be read."""
        if self._reader is None or self._operation is CommandField.C_ECHO:
            return
        try:
            await services.abandoned(self._request(self._reader.partial()), reason)
        except Exception as error:  # noqa: BLE001 - it is over in any case
            log.error("not_stored", peer=self._caller.peer, reason=type(error).__name__)  # noqa: TRY400 - it may quote the object

    async def _serve(self, services: Services, reader: HeaderReader) -> tuple[Answer, tuple[ActRequest, Event] | None]:
        if not self._fault:
            try:
                header = reader.end()
            except MessageFault as fault:
                self._fault = fault.reason
        if self._fault:
            await services.abandoned(self._request(reader.partial()), self._fault)
            return self._refusal(self._fault), None
        match request := self._request(header):
            case StoreRequest():
                return await services.store(request), None
            case CreateRequest():
                return await services.create(request), None
            case SetRequest():
                return await services.set(request), None
            case _:
                answer, event = await services.act(request)
                return answer, (request, event) if event else None

    def _refusal(self, reason: str) -> Answer:
        is_store = self._operation is CommandField.C_STORE
        return Answer(status=(status.STORE_FAULTS if is_store else status.NORMALIZED_FAULTS)[reason])

    def _request(self, header: Header) -> StoreRequest | CreateRequest | SetRequest | ActRequest:
        fields: _Fields = {
            "calling": self._caller.calling,
            "peer": self._caller.peer,
            "peer_name": self._caller.peer_name,
            "sop_class": self._command.sop_class,
            "sop_instance": self._command.sop_instance,
            "abstract_syntax": self.context.abstract_syntax,
            "transfer_syntax": self.context.transfer_syntax,
            "header": header,
        }
        match self._operation:
            case CommandField.C_STORE:
                return StoreRequest(**fields)
            case CommandField.N_CREATE:
                return CreateRequest(**fields)
            case CommandField.N_SET:
                return SetRequest(**fields)
            case _:
                return ActRequest(**fields, action=self._command.short(0x1008))
