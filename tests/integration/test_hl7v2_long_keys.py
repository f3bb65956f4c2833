"""Keys as long as they may be go all the way, on each database."""

from __future__ import annotations

import asyncio
import random
import string
from pathlib import Path

import pytest
from sqlalchemy import select

from radbridge.journal.schema import messages
from radbridge.journal.types import MAX_KEY_BYTES
from radbridge_adapters.hl7v2.framing import encode
from tests.support.journals import url
from tests.support.live import live, make_site
from tests.support.mllp import MESSAGES, REPORT

__all__ = ["url"]

SIGNED = (
    (MESSAGES / "oru_r01_loinc_unsigned.hl7").read_bytes().replace(b"|CT|R|", b"|CT|F|").replace(b"||R\r", b"||F\r")
)


def long(seed: int, size: int = MAX_KEY_BYTES) -> bytes:
    """Letters that no index can compress."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=size)).encode()


@pytest.mark.parametrize("sent", [REPORT, SIGNED], ids=["dictated", "signed"])
async def test_the_longest_keys_are_applied(url: str, tmp_path: Path, sent: bytes) -> None:
    """Sender, MSH-10, accession, patient, issuers and signer, each as long as is taken in: nothing is set aside."""
    for n, (place, said) in enumerate(
        [
            (b"|RIS|HOSP|", b"|RIS|%s|"),
            (b"|ORU1|", b"|%s|"),
            (b"ACC900001^RIS", b"ACC900001^%s"),
            (b"|900001^^^HOSP^MR", b"|900001^^^%s^MR"),
            (b"|900001^^^", b"|%s^^^"),
            (b"|1234&", b"|%s&"),
            (b"ACC900001", b"%s"),
        ]
    ):
        assert place in sent
        sent = sent.replace(place, said % long(n, MAX_KEY_BYTES - 4 * (n == 0)))  # with MSH-3 it is one key
    async with live(make_site(tmp_path, store={"url": url})) as gateway:
        host, _, port = gateway.addresses["hl7v2"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(encode(sent))
        assert b"|AA|" in await reader.readuntil(b"\x1c\r")
        writer.close()
        await gateway.until(lambda: gateway.case(long(6).decode(), long(2).decode()))
        rows = gateway.journal.read_now(lambda conn: conn.execute(select(messages.c.state, messages.c.reason)).all())
        assert [tuple(row) for row in rows] == [("done", "")]
