"""What a receiver of HL7 v2 drafts has to do with the messages that RadBridge sends."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from radbridge.case import Case, Patient
from radbridge.draft import DraftImpression
from radbridge.errors import MessageFault
from radbridge_adapters.conformance.check import Broken, Check, Level, expect
from radbridge_adapters.conformance.specimen import SECOND, new_case, new_draft
from radbridge_adapters.hl7v2.compose import Addressing, Composer, Unverified
from radbridge_adapters.hl7v2.framing import Decoder, Frame, encode
from radbridge_adapters.hl7v2.header import read_message
from radbridge_adapters.hl7v2.sink import DELIVERED

_ADDRESSING = Addressing(application="RADBRIDGE", status=Unverified.NOT_VERIFIED)
_ANSWER_BYTES = 1 << 20
_READ_BYTES = 65536
_PIECE = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class MllpTarget:
    """A receiver."""

    host: str
    port: int
    timeout_s: float
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    composer: Composer = field(default_factory=lambda: Composer(_ADDRESSING))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[_Line]:
        """A connection of its own."""
        async with asyncio.timeout(self.timeout_s):
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
            except OSError as error:
                raise Broken(f"takes no connection ({error.strerror or type(error).__name__})") from None
        try:
            yield _Line(reader, writer, self.timeout_s)
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):  # of TLS, the end is a conversation too
                async with asyncio.timeout(self.timeout_s):
                    await writer.wait_closed()
            writer.transport.abort()

    def draft(self, case: Case, draft: DraftImpression) -> tuple[str, bytes]:
        """Control id and message."""
        control_id = f"C{secrets.token_hex(8)}"
        return control_id, self.composer.compose(case, draft, control_id)

    async def send(self, control_id: str, payload: bytes) -> None:
        """Send on a new connection. Raises Broken unless just this message is acknowledged."""
        async with self.connected() as line:
            await line.write(encode(payload))
            line.require_ack(await line.answer(), control_id)


class _Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._decoder = Decoder(_ANSWER_BYTES)
        self._frames: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> bytes | None:
        """The next answer; None when the receiver hangs up instead."""
        async with asyncio.timeout(self._timeout_s):
            while not self._frames:
                data = await self._reader.read(_READ_BYTES)
                if not data:
                    return None
                self._frames += [block.payload for block in self._decoder.feed(data) if isinstance(block, Frame)]
        return self._frames.pop(0)

    def require_ack(self, answer: bytes | None, *control_ids: str) -> str:
        """The control id that a positive answer names, one of these. Raises Broken."""
        expect(answer is not None, "hung up without an answer")
        code, named = _msa(answer or b"")
        expect(code in DELIVERED, f"MSA-1 is {code or 'empty'!r}, not AA or CA")
        expect(named in control_ids, "MSA-2 is not the control id of the message (MSH-10)")
        return named


def _msa(answer: bytes) -> tuple[str, str]:
    try:
        msa = read_message(answer, "utf-8").first("MSA")
    except MessageFault:
        raise Broken("the answer is no HL7 message") from None
    return (msa.text(1), msa.text(2)) if msa else ("", "")


async def _acknowledge(target: MllpTarget) -> None:
    await target.send(*target.draft(new_case(), new_draft()))


async def _again(target: MllpTarget) -> None:
    sent = target.draft(new_case(), new_draft())
    await target.send(*sent)
    try:
        await target.send(*sent)
    except Broken as error:
        raise Broken(f"the second time: {error}") from None


async def _redraft(target: MllpTarget) -> None:
    case = new_case()
    for text in (new_draft().text, SECOND):
        await target.send(*target.draft(case, new_draft(text)))


async def _withdrawal(target: MllpTarget) -> None:
    case, draft = new_case(), new_draft()
    await target.send(*target.draft(case, draft))
    control_id = f"C{secrets.token_hex(8)}"
    await target.send(control_id, target.composer.compose_withdrawal(case, draft, control_id))


async def _two_in_one(target: MllpTarget) -> None:
    first, second = (target.draft(new_case(), new_draft()) for _ in range(2))
    async with target.connected() as line:
        await line.write(encode(first[1]) + encode(second[1]))
        named = {line.require_ack(await line.answer(), first[0], second[0]) for _ in range(2)}
        expect(len(named) == 2, "the same message was acknowledged twice, the other not at all")


async def _pieces(target: MllpTarget) -> None:
    control_id, payload = target.draft(new_case(), new_draft("Größe unverändert, 4 µm.\nKein Erguß."))
    data = encode(payload)
    async with target.connected() as line:
        for start in range(0, len(data), _PIECE):
            await line.write(data[start : start + _PIECE])
            await asyncio.sleep(0)
        line.require_ack(await line.answer(), control_id)


async def _long(target: MllpTarget) -> None:
    text = "\n".join(f"{number}. Stable nodule of {number % 9 + 2} mm." for number in range(1, 1500))
    await target.send(*target.draft(new_case(), new_draft(text)))


async def _no_patient(target: MllpTarget) -> None:
    await target.send(*target.draft(replace(new_case(), patient=Patient()), new_draft()))


async def _rubbish(target: MllpTarget) -> None:
    async with target.connected() as line:
        await line.write(encode(b"this is no message\r"))
        answer = await line.answer()
        expect(answer is None or _msa(answer)[0] not in DELIVERED, "acknowledged what is no message")
    await _acknowledge(target)


CHECKS: Sequence[Check[MllpTarget]] = tuple(
    Check(id=id, level=level, promise=promise, clause=clause, run=run)
    for id, level, promise, clause, run in (
        (
            "hl7-ack",
            Level.MUST,
            "acknowledges a draft (ORU^R01, OBR-25 R) by its own control id",
            "HL7 2.5.1 2.9.2",
            _acknowledge,
        ),
        ("hl7-redraft", Level.MUST, "takes a newer draft of the same accession", "contract 3.2", _redraft),
        ("hl7-withdraw", Level.MUST, "takes a draft back (OBX-11 D, empty OBX-5)", "HL7 table 0085", _withdrawal),
        (
            "hl7-again",
            Level.MUST,
            "acknowledges the same message again, as after a lost answer",
            "contract 2.3",
            _again,
        ),
        ("hl7-two", Level.MUST, "answers two messages that come in one piece, each", "MLLP release 1", _two_in_one),
        (
            "hl7-pieces",
            Level.MUST,
            "puts a message together that comes in pieces, letters cut through",
            "MLLP release 1",
            _pieces,
        ),
        (
            "hl7-rubbish",
            Level.MUST,
            "does not acknowledge what is no message, and goes on",
            "HL7 2.5.1 2.9.2",
            _rubbish,
        ),
        (
            "hl7-no-patient",
            Level.SHOULD,
            "finds the case by its accession (OBR-18) when PID is missing",
            "contract 4",
            _no_patient,
        ),
        ("hl7-long", Level.SHOULD, "takes a draft of 1,500 lines", "contract 2.4", _long),
    )
)
