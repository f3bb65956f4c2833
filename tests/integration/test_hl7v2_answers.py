"""Enhanced mode, batches and repeated messages over real sockets, with an intake in memory."""

from __future__ import annotations

import asyncio
from functools import partial

import hl7
import pytest
from hl7.mllp import open_hl7_connection
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from radbridge.testing import MemoryIntake
from radbridge_adapters.hl7v2 import answering
from radbridge_adapters.hl7v2.batch import read_batch
from radbridge_adapters.hl7v2.framing import encode
from radbridge_adapters.security.rate import Buckets
from tests.support.limits import Clock
from tests.support.mllp import PATIENCE_S, connect, listening, numbered, read_answer, until


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


def asking(number: int, accept: str, application: str) -> bytes:
    """The report under control id `N<number>`, with MSH-15 and MSH-16."""
    head, rest = numbered(number).split(b"\r", 1)
    fields = head.split(b"|")
    fields += [b""] * (18 - len(fields))
    fields[14:16] = [accept.encode(), application.encode()]
    return b"|".join(fields) + b"\r" + rest


def codes(raw: bytes) -> list[tuple[str, str]]:
    """MSA-1 and MSA-2 of each answer of a block, as python-hl7 reads them."""
    parsed = hl7.parse_hl7(raw.decode())
    found = [parsed] if isinstance(parsed, hl7.Message) else list(parsed)
    return [(str(m.segment("MSA")[1]), str(m.segment("MSA")[2])) for m in found]


async def test_enhanced_mode(intake: MemoryIntake) -> None:
    """A sender in enhanced mode gets CA at once and AA, a message of its own, once the message was applied."""
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(encode(asking(1, "AL", "AL")))
        assert await peer.answer() == ("CA", "N1", "")
        (applied,) = await peer.answers(1)
        msa = applied.first("MSA")
        assert msa is not None
        assert (msa.text(1), msa.text(2)) == ("AA", "N1")
        assert (applied.msh.raw(15), applied.msh.raw(16)) == ("", "")


async def test_not_applied(intake: MemoryIntake) -> None:
    """A message that can't be applied is told with AE and an ERR that quotes nothing, valid for hl7apy."""
    intake.outcomes = {1: "failed", 2: "quarantined"}
    async with listening(intake) as listener, connect(listener) as peer:
        for number in (1, 2):
            await peer.send(encode(asking(number, "NE", "ER")))
            (told,) = await peer.answers(1)
            text = "\r".join(segment._line for segment in told.segments) + "\r"  # noqa: SLF001 - as it came
            parse_message(text, validation_level=VALIDATION_LEVEL.STRICT).validate()
            assert f"MSA|AE|N{number}" in text
            assert "DOE" not in text


async def test_how_long_an_end_is_waited_for() -> None:
    """As long as the site says."""

    class Waiting(MemoryIntake):
        async def outcome_of(self, message_id: int, *, at_most_s: float) -> str | None:
            waited.append(at_most_s)
            return await super().outcome_of(message_id, at_most_s=at_most_s)

    waited: list[float] = []
    async with listening(Waiting(), application_ack_s=7.5) as listener, connect(listener) as peer:
        await peer.send(encode(asking(1, "NE", "AL")))
        assert await peer.answer() == ("AA", "N1", "")
    assert waited == [7.5]


async def test_no_answer_at_all(intake: MemoryIntake) -> None:
    """NE and NE: the message is committed and nothing leaves; the next one is answered as it wants to be."""
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(encode(asking(1, "NE", "NE")) + encode(numbered(2)))
        assert await peer.answer() == ("AA", "N2", "")
    assert [r.control_id for r in intake.accepted] == ["N1", "N2"]


async def test_own_answer_comes_first(intake: MemoryIntake) -> None:
    """An application answer never overtakes the accept answer of its own message, whatever is ahead of that."""
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(b"".join(encode(asking(n, "AL", "AL")) for n in range(50)))
        seen: dict[str, list[str]] = {}
        for message in await peer.answers(100):
            msa = message.first("MSA")
            assert msa is not None
            seen.setdefault(msa.text(2), []).append(msa.text(1))
    assert seen == {f"N{n}": ["CA", "AA"] for n in range(50)}


async def test_repeated_message(intake: MemoryIntake) -> None:
    """The same bytes again get the first CA byte for byte, and the very reply that was kept."""
    async with listening(intake) as listener:
        raw: list[bytes] = []
        for _ in range(2):
            async with connect(listener) as peer:
                await peer.send(encode(asking(1, "AL", "AL")))
                data = b""
                while data.count(b"\x1c\r") < 2:
                    data += await asyncio.wait_for(peer.reader.read(65536), PATIENCE_S)
                raw.append(data)
    assert raw[0] == raw[1]
    assert len(intake.accepted) == 1


async def test_half_closed_sender_hears_the_end() -> None:
    """A sender that closed its half still gets its application answer, then the connection closes."""
    intake = _Slow()
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(encode(asking(1, "AL", "AL")))
        peer.writer.write_eof()
        assert await peer.answer() == ("CA", "N1", "")
        intake.applied.set()
        assert await peer.answer() == ("AA", "N1", "")
        assert await peer.is_closed()


async def test_gone_sender_gets_nothing_elsewhere() -> None:
    """An application answer whose connection is gone is sent to nobody; the repeat gets it."""
    intake = _Slow()
    async with listening(intake) as listener:
        async with connect(listener) as peer:
            await peer.send(encode(asking(1, "AL", "AL")))
            assert await peer.answer() == ("CA", "N1", "")
            await until(lambda: intake.waiting == 1)
            peer.abort()
        async with connect(listener) as other:
            await until(lambda: intake.waiting == 0)
            intake.applied.set()
            await other.send(encode(numbered(2)))
            assert await other.answer() == ("AA", "N2", "")
            await other.send(encode(asking(1, "AL", "AL")))
            assert await other.answer() == ("CA", "N1", "")
            assert await other.answer() == ("AA", "N1", "")


class _Slow(MemoryIntake):
    """An intake that applies when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.applied = asyncio.Event()
        self.waiting = 0

    async def outcome_of(self, message_id: int, *, at_most_s: float) -> str | None:
        self.waiting += 1
        try:
            await self.applied.wait()
        finally:
            self.waiting -= 1
        return await super().outcome_of(message_id, at_most_s=at_most_s)


async def test_forced_original_mode(intake: MemoryIntake) -> None:
    """`ack_mode = "original"` answers AA, once, whatever the message asks for."""
    async with listening(intake, ack_mode="original") as listener, connect(listener) as peer:
        await peer.send(encode(asking(1, "NE", "AL")) + encode(asking(2, "AL", "AL")))
        assert [await peer.answer(), await peer.answer()] == [("AA", "N1", ""), ("AA", "N2", "")]


def batch_of(*messages: bytes, told: int | None = None) -> bytes:
    count = len(messages) if told is None else told
    return b"BHS|^~\\&|RIS|HOSP|||||||B1\r" + b"".join(messages) + b"BTS|%d\r" % count


async def test_batch(intake: MemoryIntake) -> None:
    """A batch sent by python-hl7 is taken in message by message and answered by one batch, in its order."""
    bad = numbered(2).replace(b"ORU^R01", b"ZZZ^Z01")
    async with listening(intake) as listener:
        host, port = listener.address.rsplit(":", 1)
        reader, writer = await open_hl7_connection(host, int(port))
        writer.writeblock(batch_of(numbered(1), bad, numbered(3), told=7))
        answer = await asyncio.wait_for(reader.readblock(), PATIENCE_S)
        writer.close()
    assert codes(answer) == [("AA", "N1"), ("AR", "N2"), ("AA", "N3")]
    assert [r.control_id for r in intake.accepted] == ["N1", "N3"]
    assert [r.reason for r in intake.rejected] == ["unknown_type"]
    assert intake.counted == [("hl7v2", "", "batch_count")]
    assert b"BTS|3|7 messages were announced and 3 came" in answer


async def test_batch_in_enhanced_mode(intake: MemoryIntake) -> None:
    """Each message of a batch is answered as it asks itself; application answers follow as messages of their own."""
    async with listening(intake) as listener, connect(listener) as peer:
        block = batch_of(asking(1, "AL", "NE"), asking(2, "NE", "NE"), asking(3, "AL", "AL"))
        await peer.send(encode(block))
        data = b""
        while data.count(b"\x1c\r") < 2:
            data += await asyncio.wait_for(peer.reader.read(65536), PATIENCE_S)
    first, second = (part.removeprefix(b"\x0b") for part in data.split(b"\x1c\r")[:2])
    assert codes(first) == [("CA", "N1"), ("CA", "N3")]
    assert codes(second) == [("AA", "N3")]


async def test_batch_while_nothing_can_be_stored(intake: MemoryIntake) -> None:
    """While the journal is down every message of a batch is told to come again, and none is lost when it does."""
    intake.broken = True
    async with listening(intake) as listener, connect(listener) as peer:
        reader = peer.reader
        await peer.send(encode(batch_of(numbered(1), numbered(2))))
        answer = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), PATIENCE_S)
        assert [code for code, _ in codes(answer[1:-2])] == ["AE", "AE"]
        intake.broken = False
        await peer.send(encode(batch_of(numbered(1), numbered(2))))
        answer = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), PATIENCE_S)
        assert [code for code, _ in codes(answer[1:-2])] == ["AA", "AA"]
    assert len(intake.accepted) == 2


async def test_batch_that_is_none(intake: MemoryIntake) -> None:
    """A batch over the limit, or nested otherwise, is refused as a whole and kept with its reason."""
    async with listening(intake, batch_max_messages=2) as listener, connect(listener) as peer:
        await peer.send(encode(batch_of(*map(numbered, range(3)))))
        assert await peer.answer() == ("AR", "B1", "207")
        await peer.send(encode(b"BHS|^~\\&|RIS|HOSP\r" + batch_of(numbered(1))))
        assert (await peer.answer())[0] == "AR"
    assert [r.reason for r in intake.rejected] == ["batch_size", "batch_deep"]
    assert not intake.accepted


async def test_many_in_a_batch(intake: MemoryIntake) -> None:
    """A batch of a thousand is answered whole, and what comes behind it is answered behind it."""
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(encode(batch_of(*map(numbered, range(1000)))) + encode(numbered(2000)))
        data = b""
        while data.count(b"\x1c\r") < 2:
            data += await asyncio.wait_for(peer.reader.read(1 << 20), PATIENCE_S)
    block, behind = data.split(b"\x1c\r")[:2]
    assert len(read_batch(block[1:], at_most=1000).batches[0].messages) == 1000
    assert codes(behind[1:]) == [("AA", "N2000")]


async def test_behind_a_batch(intake: MemoryIntake) -> None:
    """What is sent behind a batch is taken in behind its last message, another batch too."""
    blocks = [batch_of(*map(numbered, range(5))), numbered(5), batch_of(numbered(6), numbered(7)), numbered(8)]
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(b"".join(map(encode, blocks)))
        data = b""
        while data.count(b"\x1c\r") < len(blocks):
            data += await asyncio.wait_for(peer.reader.read(65536), PATIENCE_S)
    assert [r.control_id for r in intake.accepted] == [f"N{n}" for n in range(9)]


async def test_connections_of_one_host(intake: MemoryIntake) -> None:
    """One host has no more connections than it may have, and its second one is closed at once."""
    async with listening(intake, max_connections_per_host=1) as listener, connect(listener) as first:
        await first.send(encode(numbered(1)))
        await first.answer()
        async with connect(listener) as second:
            assert await second.is_closed()
        await first.send(encode(numbered(2)))
        assert (await first.answer())[1] == "N2"


async def test_a_fast_host_is_held_back(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over `max_rate_per_s` a host isn't read from, and is never refused: all of its messages are answered AA."""
    clock = Clock(lambda: 0.0)  # no machine is so slow that it may send more meanwhile
    monkeypatch.setattr("radbridge_adapters.hl7v2.listener.Buckets", partial(Buckets, clock=clock))
    async with listening(intake, max_rate_per_s=200) as listener, connect(listener) as peer:
        await peer.send(b"".join(encode(numbered(n)) for n in range(260)))
        answers = await peer.answers(200)
        await until(lambda: 'radbridge_rate_limited_total{wire="hl7v2"}' in intake.meter.page().decode())
        assert len(intake.accepted) == 200
        clock.skip(1)
        answers += await peer.answers(60)
    assert {read_answer(answer)[0] for answer in answers} == {"AA"}


async def test_open_answers_are_few(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection waits for so many ends at a time: of one more, its sender is told when it repeats the message."""
    monkeypatch.setattr(answering, "MOST_OPEN", 0)
    async with listening(intake) as listener, connect(listener) as peer:
        await peer.send(encode(asking(1, "AL", "AL")) + encode(asking(2, "AL", "NE")))
        assert [await peer.answer() for _ in range(2)] == [("CA", "N1", ""), ("CA", "N2", "")]
