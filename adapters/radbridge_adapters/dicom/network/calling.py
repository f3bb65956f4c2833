"""Associations that we ask for (PS3.8 annex B): one question each, on asyncio, with one deadline over all of it.

No thread is there that a silent peer could hold, every length is checked before it is read, and at the end, whatever
it was, the connection is closed.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context

from radbridge.errors import DeliveryError, DeliveryFailed, DeliveryRefused, MessageFault
from radbridge_adapters.dicom.encoding.part10 import IMPLEMENTATION
from radbridge_adapters.dicom.network.dimse import ELEMENTS, NO_DATA_SET, Command, CommandField, decode, encode

IMPLEMENTATION_VERSION = "RADBRIDGE"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
MAX_PDU = 65536
"""The longest P-DATA PDU that we take."""
MAX_DATASET = 4 * 2**20
"""Bytes of one answer's data set."""
RELEASE_S = 1.0
"""A peer that answers a question and not the release has answered all the same."""

ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7
_LONGEST = {ASSOCIATE_AC: 65536, ASSOCIATE_RJ: 4, P_DATA: MAX_PDU, RELEASE_RQ: 4, RELEASE_RP: 4, ABORT: 4}
_SHORTEST_AC = 68
"""What stands before its items (PS3.8 9.3.3)."""
_PERMANENT = 1
_REJECTED = {
    (1, 1): "no reason given",
    (1, 2): "it knows no DICOM application context",
    (1, 3): "it doesn't know our AE title; see dicom.ae_title",
    (1, 7): "it is called something else; see the peer's ae_title",
    (2, 1): "no reason given",
    (2, 2): "it speaks another version of the protocol",
    (3, 1): "it is busy",
    (3, 2): "too many associations there",
}
"""Source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
_COMMAND, _LAST = 1, 2
_RESPONDED_TO, _STATUS = 0x0120, 0x0900
_PENDING = (0xFF00, 0xFF01)
_NUMBERS = {keyword: number for number, (keyword, _) in ELEMENTS.items()}

Request = Mapping[str, int | str]
"""A command set by the keywords of `dimse.ELEMENTS`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Whom to call, and as whom."""

    name: str
    """The site's name for it: what errors and logs say."""
    host: str
    port: int
    called: str
    calling: str
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A DIMSE response."""

    command: Command
    dataset: bytes = field(repr=False)

    @property
    def status(self) -> int:
        """The DIMSE status."""
        return self.command.short(_STATUS)

    @property
    def is_pending(self) -> bool:
        """Whether more responses follow."""
        return self.status in _PENDING


class Call:
    """An open association, made by `call`."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target = target
        self._reader = reader
        self._writer = writer
        self._accepted: dict[str, tuple[int, str]] = {}
        self._longest = 0
        self._message_id = 0
        self._is_over = False
        self._pending: deque[tuple[int, bytes]] = deque()

    def syntax(self, sop_class: str) -> str:
        """The transfer syntax that the peer took the class with. Raises DeliveryRefused for a class it doesn't take."""
        return self._context(sop_class)[1]

    async def request(self, sop_class: str, command: Request, dataset: bytes = b"") -> None:
        """Send a request, with the data set if it has one."""
        context, _ = self._context(sop_class)
        self._message_id += 1
        whole = {
            "AffectedSOPClassUID": sop_class,
            "MessageID": self._message_id,
            **command,
            "CommandDataSetType": 1 if dataset else NO_DATA_SET,
        }
        await self._send(context, _encode(whole), _COMMAND)
        if dataset:
            await self._send(context, dataset, 0)

    async def response(self) -> Response:
        """The next response to the last request. Raises DeliveryFailed for anything else."""
        try:
            command = decode(await self._message(is_command=True))
        except MessageFault:
            raise self._no_dicom() from None
        if not command.is_response or command.short(_RESPONDED_TO) != self._message_id:
            raise self._failed("answered something that it wasn't asked")
        dataset = await self._message(is_command=False) if command.has_data_set else b""
        return Response(command=command, dataset=dataset)

    async def cancel(self, sop_class: str) -> None:
        """Have the peer stop answering the last request (C-CANCEL), and drop what comes till it does. Never fails."""
        context, _ = self._context(sop_class)
        command: Request = {
            "CommandField": CommandField.C_CANCEL,
            "MessageIDBeingRespondedTo": self._message_id,
            "CommandDataSetType": NO_DATA_SET,
        }
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._send(context, _encode(command), _COMMAND)
                while (await self.response()).is_pending:
                    pass
        except (TimeoutError, OSError, asyncio.IncompleteReadError, DeliveryFailed):
            self.abort()

    async def open(self, classes: Mapping[str, Sequence[str]], scp_of: str) -> None:
        """Ask for the association, with the transfer syntaxes that each SOP class may come in."""
        self._writer.write(_associate(self._target, classes, scp_of))
        await self._writer.drain()
        kind, body = await self._pdu()
        if kind == ASSOCIATE_RJ:
            self._is_over = True
            raise self._rejected(body)
        if kind != ASSOCIATE_AC or len(body) < _SHORTEST_AC:
            raise self._failed("answered the association with something else")
        accepted = A_ASSOCIATE_AC()
        try:
            accepted.decode(struct.pack(">BBI", kind, 0, len(body)) + body)
            answer = accepted.to_primitive()
        except Exception:  # noqa: BLE001 - a decoder may trip over anything
            raise self._no_dicom() from None
        asked = dict(zip(range(1, 256, 2), classes, strict=False))
        for context in answer.presentation_context_definition_results_list:
            if context.result == 0 and context.context_id in asked:
                sop_class, syntax = asked[context.context_id], str(context.transfer_syntax[0])
                if syntax in classes[sop_class]:
                    self._accepted[sop_class] = (context.context_id, syntax)
        told = answer.maximum_length_received or MAX_PDU
        granted = any(
            isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.sop_class_uid == scp_of and item.scp_role
            for item in answer.user_information
        )
        if scp_of and not granted:
            raise DeliveryRefused(self._target.name, f"the peer doesn't let us be SCP of {scp_of}")
        self._longest = max(min(told, MAX_PDU), 256)

    async def release(self) -> None:
        """End the association in order. Never fails."""
        if self._is_over:
            return
        with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, DeliveryFailed):
            async with asyncio.timeout(RELEASE_S):
                self._writer.write(struct.pack(">BBII", RELEASE_RQ, 0, 4, 0))
                while (await self._pdu())[0] != RELEASE_RP:
                    pass

    def abort(self) -> None:
        """Tell the peer that this is over (A-ABORT, source: service user), unless it knows."""
        if self._is_over:
            return
        self._is_over = True
        with suppress(OSError, RuntimeError):
            self._writer.write(struct.pack(">BBII", ABORT, 0, 4, 0))

    def _context(self, sop_class: str) -> tuple[int, str]:
        if sop_class not in self._accepted:
            raise DeliveryRefused(self._target.name, f"the peer doesn't take the SOP class {sop_class}")
        return self._accepted[sop_class]

    async def _send(self, context: int, data: bytes, kind: int) -> None:
        step = self._longest - 6
        for start in range(0, len(data), step):
            part = data[start : start + step]
            last = _LAST if start + step >= len(data) else 0
            head = struct.pack(">BBIIBB", P_DATA, 0, len(part) + 6, len(part) + 2, context, kind | last)
            self._writer.write(head + part)
            await self._writer.drain()

    async def _message(self, *, is_command: bool) -> bytes:
        """A command set or a data set, put together from its fragments."""
        whole = bytearray()
        while True:
            while not self._pending:
                kind, body = await self._pdu()
                if kind != P_DATA:
                    raise self._failed("ended the association before its answer")
                self._pending.extend(self._fragments(body))
            control, part = self._pending.popleft()
            if bool(control & _COMMAND) is not is_command:
                raise self._failed("mixed up command and data")
            whole += part
            if len(whole) > MAX_DATASET:
                raise self._failed(f"sent an answer of more than {MAX_DATASET} bytes")
            if control & _LAST:
                return bytes(whole)

    def _fragments(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        """The presentation data values of a P-DATA PDU: message control header and data (PS3.8 9.3.5, annex E.2)."""
        at = 0
        while at < len(body):
            if len(body) - at < 6:
                raise self._no_dicom()
            size, _, control = struct.unpack_from(">IBB", body, at)
            if size < 2 or at + 4 + size > len(body):
                raise self._no_dicom()
            yield control, body[at + 6 : at + 4 + size]
            at += 4 + size

    async def _pdu(self) -> tuple[int, bytes]:
        """The next PDU. Raises DeliveryFailed for an abort and for what is none."""
        kind, _, size = struct.unpack(">BBI", await self._reader.readexactly(6))
        if size > _LONGEST.get(kind, -1):
            raise self._no_dicom()
        body = await self._reader.readexactly(size)
        if kind == ABORT:
            self._is_over = True
            raise self._failed("aborted the association")
        return kind, body

    def _rejected(self, body: bytes) -> DeliveryFailed:
        if len(body) != 4:
            return self._no_dicom()
        _, result, source, reason = body
        why = _REJECTED.get((source, reason), f"source {source}, reason {reason}")
        return self._failed(f"rejected the association: {why}", sent=result == _PERMANENT)

    def _no_dicom(self) -> DeliveryFailed:
        return self._failed("sent what is no DICOM")

    def _failed(self, what: str, *, sent: bool = True) -> DeliveryFailed:
        self.abort()
        return DeliveryFailed(self._target.name, f"the peer {what}", sent=sent)


@asynccontextmanager
async def call(
    target: Target, classes: Mapping[str, Sequence[str]], *, timeout_s: float, scp_of: str = ""
) -> AsyncIterator[Call]:
    """An association for `classes` (SOP class -> transfer syntaxes), open for `timeout_s` from now at most.

    In it we are SCU; of the class `scp_of`, SCP (PS3.7 D.3.3.4).

    Whatever goes wrong in it or in its block, a DeliveryError tells in fixed words: DeliveryFailed with `sent=False`
    where the peer wasn't reached, is busy or says nothing to the association; DeliveryRefused where it takes no such
    class.
    """
    ends_at = asyncio.get_running_loop().time() + timeout_s
    reader, writer = await _connect(target, timeout_s)
    association = Call(target, reader, writer)
    is_open = False
    try:
        async with asyncio.timeout_at(ends_at):
            await association.open(classes, scp_of)
            is_open = True
            yield association
        await association.release()
    except DeliveryError:
        await association.release()  # where the fault wasn't in the protocol: then it is aborted already
        raise
    except TimeoutError:
        association.abort()
        raise DeliveryFailed(target.name, f"no answer within {timeout_s:g} s", sent=is_open, answered=False) from None
    except (OSError, asyncio.IncompleteReadError):
        raise DeliveryFailed(target.name, "the peer closed the connection", sent=is_open, answered=False) from None
    except BaseException:
        association.abort()
        raise
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _connect(target: Target, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.open_connection(target.host, target.port, ssl=target.tls)
    except TimeoutError:
        raise DeliveryFailed(target.name, f"no connection within {timeout_s:g} s", sent=False) from None
    except ssl.SSLError as error:
        why = error.reason or type(error).__name__
        raise DeliveryFailed(target.name, f"no TLS with the peer ({why})", sent=False) from None
    except OSError as error:
        why = errno.errorcode.get(error.errno or 0, type(error).__name__)
        where = f"{target.host}:{target.port}"
        raise DeliveryFailed(target.name, f"nobody listens at {where} ({why})", sent=False) from None


def _encode(command: Request) -> bytes:
    return encode(sorted((_NUMBERS[keyword], value) for keyword, value in command.items()))


def _associate(target: Target, classes: Mapping[str, Sequence[str]], scp_of: str) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    contexts = []
    for context_id, (sop_class, syntaxes) in zip(range(1, 256, 2), classes.items(), strict=False):
        context = build_context(sop_class, list(syntaxes))
        context.context_id = context_id
        contexts.append(context)
    longest, implementation, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    longest.maximum_length_received = MAX_PDU
    implementation.implementation_class_uid = UID(IMPLEMENTATION)
    version.implementation_version_name = IMPLEMENTATION_VERSION
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID(APPLICATION_CONTEXT)
    primitive.calling_ae_title, primitive.called_ae_title = target.calling, target.called
    primitive.presentation_context_definition_list = contexts
    primitive.user_information = [longest, implementation, version]
    if scp_of:
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = UID(scp_of), False, True
        primitive.user_information.append(role)
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())
