"""What no peer should send, over real sockets: refused by name, kept, and survived."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from radbridge.testing import MemoryIntake
from radbridge.wire import Listener
from radbridge_adapters.hl7v2.faults import ANSWERS
from radbridge_adapters.hl7v2.framing import encode
from tests.support.limits import clock_of_loop, pass_until
from tests.support.mllp import MESSAGES, REPORT, connect, is_alive, listening, numbered, read_answer, until

MERGE = (MESSAGES / "adt_a40_merge.hl7").read_bytes()


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
async def listener(intake: MemoryIntake) -> AsyncIterator[Listener]:
    async with listening(intake) as started:
        yield started


@pytest.mark.parametrize(
    ("payload", "answer", "reason"),
    [
        pytest.param(b"", ("AR", "", "100"), "no_msh", id="empty block"),
        pytest.param(b"\0" * 50, ("AR", "", "100"), "no_msh", id="NULs"),
        pytest.param(b"PID|1||900001", ("AR", "", "100"), "no_msh", id="no MSH"),
        pytest.param(b"\xff\xfe\x80junk", ("AR", "", "100"), "no_msh", id="binary"),
        pytest.param(b"MSH", ("AR", "", "100"), "no_msh", id="bare MSH"),
        pytest.param(REPORT.replace(b"ORU^R01", b"ZZZ^Z01"), ("AR", "ORU1", "200"), "unknown_type", id="type"),
        pytest.param(REPORT.replace(b"ORU^R01", b"ORU^R99"), ("AR", "ORU1", "201"), "unknown_event", id="event"),
        pytest.param(REPORT.replace(b"|2.5.1\r", b"|7.0\r"), ("AR", "ORU1", "203"), "unknown_version", id="version"),
        pytest.param(REPORT.replace(b"|ORU1|", b"||"), ("AE", "", "101"), "no_control_id", id="no control id"),
        pytest.param(REPORT.replace(b"ACC900001", b""), ("AE", "ORU1", "101"), "no_accession", id="no accession"),
        pytest.param(
            (MESSAGES / "adt_a08_update.hl7").read_bytes().replace(b"900001^^^HOSP^MR~V900001^^^HOSP^VN", b""),
            ("AE", "ADT1", "101"),
            "no_patient",
            id="no patient",
        ),
    ],
)
async def test_bad_messages(
    listener: Listener, intake: MemoryIntake, payload: bytes, answer: tuple[str, str, str], reason: str
) -> None:
    """What can't be taken in is kept with its reason and answered with the fault, and the connection goes on."""
    async with connect(listener) as peer:
        await peer.send(encode(payload) + encode(REPORT))
        assert await peer.answer() == answer
        assert await peer.answer() == ("AA", "ORU1", "")
    (rejected,) = intake.rejected
    assert (rejected.reason, rejected.raw, rejected.size) == (reason, payload, len(payload))


LONG = [
    ("sender", REPORT, b"|RIS|HOSP|", b"|RIS|%s|"),
    ("control_id", REPORT, b"|ORU1|", b"|%s|"),
    ("accession", REPORT, b"ACC900001", b"%s"),
    ("issuer", REPORT, b"ACC900001^RIS", b"ACC900001^%s"),
    ("patient", REPORT, b"|900001^^^HOSP^MR", b"|%s^^^HOSP^MR"),
    ("patient", REPORT, b"|900001^^^HOSP^MR", b"|900001^^^%s^MR"),
    ("signer", REPORT, b"|1234&", b"|%s&"),
    ("prior_patient", MERGE, b"|900009^^^HOSP^MR", b"|%s^^^HOSP^MR"),
]
"""What is too long, in which message, where, and how it is said."""


@pytest.mark.parametrize("case", LONG, ids=[f"{number}-{row[0]}" for number, row in enumerate(LONG)])
async def test_a_key_has_a_limit(
    listener: Listener, intake: MemoryIntake, case: tuple[str, bytes, bytes, bytes]
) -> None:
    """What messages, cases, patients and signers are found by has 1,000 bytes at most; ERR names the field if not."""
    what, sent, place, said = case
    assert place in sent
    async with connect(listener) as peer:
        for size in (490, 501):
            await peer.send(encode(sent.replace(place, said % ("ä" * size).encode())))
        await peer.send(encode(REPORT))
        answers = await peer.answers(3)
    assert [read_answer(answer)[0] for answer in answers] == ["AA", "AR", "AA"]
    err = answers[1].first("ERR")
    assert err is not None
    assert (err.raw(2), err.text(3)) == (ANSWERS[f"{what}_too_long"].location, "102")
    assert [r.reason for r in intake.rejected] == [f"{what}_too_long"]


async def test_twenty_megabytes(intake: MemoryIntake) -> None:
    """A message over the limit is refused with its control id, kept up to the limit, and the next one is taken in."""
    huge = REPORT + b"OBX|9|TX|59776-5^Findings^LN||" + b"x" * (20 * 2**20) + b"\r"
    async with listening(intake, max_message_bytes=65536) as listener, connect(listener) as peer:
        await peer.send(encode(huge) + encode(REPORT))
        assert await peer.answer() == ("AR", "ORU1", "207")
        assert await peer.answer() == ("AA", "ORU1", "")
    (rejected,) = intake.rejected
    assert (rejected.reason, rejected.size, rejected.raw) == ("too_large", len(huge), huge[:65536])


@pytest.mark.parametrize("reset", [False, True], ids=["half-closed", "reset"])
async def test_connection_closed_inside_a_message(listener: Listener, intake: MemoryIntake, *, reset: bool) -> None:
    """A message cut by the end of its connection is kept as rejected, and the listener lives on."""
    async with connect(listener) as peer:
        await peer.send(encode(numbered(1)) + encode(REPORT)[:300])
        assert await peer.answer() == ("AA", "N1", "")
        if reset:
            peer.abort()
        else:
            peer.writer.write_eof()
            assert await peer.answer() == ("AE", "ORU1", "100")
            assert await peer.is_closed()
        await until(lambda: bool(intake.rejected))
    (rejected,) = intake.rejected
    assert (rejected.reason, rejected.raw) == ("cut", REPORT[:299])
    assert await is_alive(listener)


async def test_cut_by_the_next_message(listener: Listener, intake: MemoryIntake) -> None:
    """A message cut by the next one's start block is refused, the next one taken in."""
    async with connect(listener) as peer:
        await peer.send(encode(REPORT)[:300] + encode(numbered(2)))
        assert await peer.answer() == ("AE", "ORU1", "100")
        assert await peer.answer() == ("AA", "N2", "")
    assert [r.reason for r in intake.rejected] == ["cut"]


@pytest.mark.parametrize(
    "hello",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x0b", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n"],
    ids=["TLS", "HTTP", "SSH"],
)
async def test_port_scanners(listener: Listener, intake: MemoryIntake, hello: bytes) -> None:
    """Other protocols are hung up on at once, without an answer and without a record."""
    async with connect(listener) as peer:
        await peer.send(hello)
        assert await peer.is_closed()
    assert (intake.accepted, intake.rejected) == ([], [])
    assert await is_alive(listener)


async def test_connect_and_close(listener: Listener, intake: MemoryIntake) -> None:
    """A load balancer's probe leaves no trace."""
    for _ in range(20):
        async with connect(listener):
            pass
    assert await is_alive(listener)
    assert intake.rejected == []


async def test_endless_garbage(listener: Listener) -> None:
    """A peer that sends garbage and no block is hung up on."""
    async with connect(listener) as peer:
        try:
            for _ in range(40):
                await peer.send(b"x" * 10_000)
            assert await peer.is_closed()
        except ConnectionError:
            pass
    assert await is_alive(listener)


async def test_idle_connections_are_closed(intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that sends nothing is hung up on after the idle timeout; what it began is kept as cut."""
    clock = clock_of_loop(monkeypatch)
    async with listening(intake, idle_timeout_s=600) as listener, connect(listener) as peer:
        await peer.send(b"\x0bMSH|^~\\&|RIS")
        await pass_until(clock, lambda: intake.rejected, by_s=600)
        assert await peer.answer() == ("AE", "", "100")
        assert await peer.is_closed()
    assert [r.reason for r in intake.rejected] == ["cut"]
