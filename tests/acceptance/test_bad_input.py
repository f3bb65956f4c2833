"""The worst that arrives on a port, at a whole gateway: it says what is wrong, keeps the bytes, and lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.gateway import GatewayProcess
from tests.support.ris import Ris

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = Ris(accession="BAD1").dictated()
MIB = 2**20


def frame(raw: bytes) -> bytes:
    return b"\x0b" + raw + b"\x1c\r"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """A gateway whose model server is down: what comes in is taken in all the same (rule 4)."""
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), model='url = "http://127.0.0.1:9"')
    await process.start(ready=False)
    yield process
    assert await process.stop() == 0


async def talk(gateway: GatewayProcess, *pieces: bytes, answers: int = 1) -> list[bytes]:
    """Send the pieces one write each, read so many answers (fewer when the listener hangs up), then close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.hl7_port)
    said = []
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(60):
            said = [await reader.readuntil(b"\x1c\r") for _ in range(answers)]
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
    return said


def code(answer: bytes) -> str:
    return answer.split(b"\rMSA|")[1][:2].decode()


def is_kept(gateway: GatewayProcess, reason: str) -> bool:
    """Whether the newest rejected message has this reason and its bytes."""
    rows = gateway.query("SELECT reason, length(raw) FROM message WHERE state = 'rejected' ORDER BY id DESC LIMIT 1")
    return bool(rows) and rows[0][0].startswith(reason) and rows[0][1] > 0


@pytest.mark.parametrize(
    ("raw", "answer", "reason"),
    [
        (b"hello, is this a lab?", "AR", "no_msh"),
        (b"\x00" * 50, "AR", "no_msh"),
        (b"MSH|", "AR", "no_msh"),
        (GOOD.replace(b"ORU^R01^ORU_R01", b"ZZZ^Z99"), "AR", "unknown_type"),
        (GOOD.replace(b"|2.5.1", b"|9.9"), "AR", "unknown_version"),
        (GOOD.replace(b"BAD1", b""), "AE", "no_accession"),
        (GOOD.replace(b"RISBAD1D1", b""), "AE", "no_control_id"),
    ],
)
async def test_a_fault_is_named(gateway: GatewayProcess, raw: bytes, answer: str, reason: str) -> None:
    """A message that can't be taken in gets a NACK with an ERR, and its bytes are kept with the reason."""
    [said] = await talk(gateway, frame(raw))
    assert code(said) == answer
    assert b"\rERR|" in said
    assert is_kept(gateway, reason), gateway.query("SELECT reason FROM message ORDER BY id DESC LIMIT 1")


async def test_twenty_megabytes(gateway: GatewayProcess) -> None:
    """A message over the limit is refused while it comes in; memory stays bounded and the connection goes on."""
    before = rss(gateway)
    huge = Ris(accession="HUGE1").dictated("x" * 20 * MIB)
    refused, taken = await talk(gateway, frame(huge), frame(Ris(accession="AFTER1").dictated()), answers=2)
    assert (code(refused), code(taken)) == ("AR", "AA")
    assert is_kept(gateway, "too_large")
    [(kept, size)] = gateway.query("SELECT length(raw), size FROM message WHERE reason LIKE 'too_large%'")
    assert kept <= 10 * MIB < size
    assert rss(gateway) - before < 120 * MIB


async def test_one_byte_at_a_time(gateway: GatewayProcess) -> None:
    """How the bytes are cut makes no difference."""
    raw = frame(Ris(accession="SLOW1").dictated())
    [said] = await talk(gateway, *(raw[i : i + 1] for i in range(len(raw))))
    assert code(said) == "AA"


async def test_garbage_around_frames(gateway: GatewayProcess) -> None:
    """What stands outside the frames is passed over; two messages in one write are two messages."""
    one, two = (frame(Ris(accession=a).dictated()) for a in ("TWO1", "TWO2"))
    said = await talk(gateway, b"\r\n\x00 noise" + one + b"\x00\x00" + two + b"noise", answers=2)
    assert [code(s) for s in said] == ["AA", "AA"]


async def test_cut_in_the_middle(gateway: GatewayProcess) -> None:
    """A frame that never ended is kept as cut when its connection closes."""
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.hl7_port)
    writer.write(frame(Ris(accession="CUT1").dictated())[:300])
    await writer.drain()
    writer.close()
    await gateway.until("SELECT count(*) > 0 FROM message WHERE reason LIKE 'cut%'", 1)


async def test_scanners(gateway: GatewayProcess) -> None:
    """Port scanners, browsers and TLS clients get nothing, and do no harm."""
    for hello in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-x\r\n"):
        assert await talk(gateway, hello, answers=1 if hello else 0) == []


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("", "caf\xe9".encode("latin-1")),
        ("ASCII", "caf\xe9".encode()),
        ("UNICODE UTF-8", b"caf\xe9"),
        ("KLINGON", b"cafe"),
    ],
)
async def test_charsets_that_lie(gateway: GatewayProcess, charset: str, text: bytes) -> None:
    """Text in another character set than the message says is read as well as it can be, and never lost."""
    accession = f"CHARSET{abs(hash((charset, text))) % 10_000_000}"
    raw = Ris(accession=accession).dictated("There is a mass, CAFE sign.").replace(b"CAFE", text)
    raw = raw.replace(b"|P|2.5.1", b"|P|2.5.1||||||" + charset.encode())
    [said] = await talk(gateway, frame(raw))
    if code(said) == "AA":
        await gateway.until("SELECT state FROM message ORDER BY id DESC LIMIT 1", "done")
    else:
        assert is_kept(gateway, "unknown_charset")


async def test_it_lives(gateway: GatewayProcess) -> None:
    """After all of that a good message is taken in and applied."""
    [said] = await talk(gateway, frame(Ris(accession="LAST1").dictated()))
    assert code(said) == "AA"
    await gateway.until("SELECT state FROM message WHERE accession = 'LAST1'", "done")


def rss(gateway: GatewayProcess) -> int:
    """Resident bytes of the gateway."""
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
