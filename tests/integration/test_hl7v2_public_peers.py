"""Clients and servers that nobody here wrote: python-hl7 and hl7apy."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import hl7
import pytest
from hl7.client import MLLPClient
from hl7.mllp import open_hl7_connection
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

from radbridge.config import Hl7Destination, Hl7v2, Site
from radbridge.errors import DeliveryFailed
from radbridge.testing import MemoryIntake
from radbridge.wire import Desk, Listener
from radbridge_adapters.hl7v2 import wire
from radbridge_adapters.hl7v2.compose import specimen
from radbridge_adapters.hl7v2.sink import MllpSink
from tests.support import dictation
from tests.support.mllp import PATIENCE_S

MESSAGES = Path(__file__).parents[1] / "messages"
MLLP_SEND = Path(sys.executable).with_name("mllp_send")


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
async def listener(intake: MemoryIntake) -> AsyncIterator[Listener]:
    (started,) = wire(Site(hl7v2=Hl7v2(listen="127.0.0.1:0")), cast("Desk", intake)).listeners
    await started.start()
    yield started
    await started.stop()


def port_of(listener: Listener) -> int:
    return int(listener.address.rsplit(":", 1)[1])


def destination(port: int) -> MllpSink:
    there = Hl7Destination(name="dictation", address=f"127.0.0.1:{port}", ack_timeout_s=PATIENCE_S)
    return MllpSink(Hl7v2(), there)


async def test_mllp_send(listener: Listener, intake: MemoryIntake, tmp_path: Path) -> None:
    """python-hl7's command line sends a file of several messages and gets an answer for each."""
    names = ("orm_o01_new_order", "oru_r01_loinc_unsigned", "oru_r01_one_obx_signed")
    file = tmp_path / "messages.hl7"
    file.write_bytes(b"\r\n".join((MESSAGES / f"{name}.hl7").read_bytes() for name in names))
    process = await asyncio.create_subprocess_exec(
        str(MLLP_SEND), "--loose", "--file", str(file), "--port", str(port_of(listener)), "127.0.0.1",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    shown, _ = await process.communicate()
    assert process.returncode == 0
    assert shown.count(b"MSA|AA|") == 3
    assert [received.kind for received in intake.accepted] == ["ORM^O01", "ORU^R01", "ORU^R01"]


async def test_blocking_client(listener: Listener) -> None:
    """python-hl7's blocking client reads our answers, negative ones with their ERR."""

    def talk() -> list[Any]:
        with MLLPClient("127.0.0.1", port_of(listener)) as client:
            good = (MESSAGES / "oru_r01_loinc_unsigned.hl7").read_bytes()
            return [client.send_message(raw) for raw in (good, good.replace(b"ACC900001", b""))]

    first, second = (hl7.parse(raw.strip(b"\x0b\x1c\r").decode()) for raw in await asyncio.to_thread(talk))
    assert (str(first["MSA.F1.R1"]), str(first["MSA.F2.R1"])) == ("AA", "ORU1")
    assert (str(second["MSA.F1.R1"]), str(second["ERR.F3.R1.C1"])) == ("AE", "101")


async def test_asyncio_client(listener: Listener) -> None:
    """python-hl7's asyncio client talks to the listener, a message after the other."""
    reader, writer = await open_hl7_connection("127.0.0.1", port_of(listener), encoding="utf-8")
    try:
        for name in ("orm_o01_new_order", "adt_a08_update", "mdm_t02_unsigned"):
            sent = hl7.parse((MESSAGES / f"{name}.hl7").read_bytes().decode())
            writer.writemessage(sent)
            await writer.drain()
            answer = await asyncio.wait_for(reader.readmessage(), 60)
            assert str(answer["MSA.F1.R1"]) == "AA"
            assert str(answer["MSA.F2.R1"]) == str(sent["MSH.F10.R1"])
    finally:
        writer.close()
        await writer.wait_closed()


async def test_python_hl7_server_receives_the_draft() -> None:
    """python-hl7's server parses the draft, answers it, and the sink counts it as delivered."""
    case, draft = specimen()
    async with dictation.listening() as peer:
        sink = destination(peer.port)
        for number in range(3):
            control_id = f"D{number}"
            assert await sink.deliver(control_id, sink.compose(case, draft, control_id)) == "AA"
        await sink.close()
        assert peer.control_ids() == ["D0", "D1", "D2"]
        assert peer.impressions("ACC900001")[0] == draft.text


async def test_hl7apy_server_receives_the_draft() -> None:
    """hl7apy's server, which hangs up after every answer, gets every draft all the same."""
    received: list[str] = []

    class Handler(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
        def reply(self) -> str:
            received.append(self.incoming_message)
            control_id = parse_message(self.incoming_message).msh.msh_10.value
            return f"\x0bMSH|^~\\&|D||R||20260102||ACK^R01^ACK|A1|P|2.5.1\rMSA|AA|{control_id}\r\x1c\r"

    case, draft = specimen()
    with MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Handler,)}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        sink = destination(server.server_address[1])
        try:
            for number in range(2):
                await deliver_as_the_outbox(sink, f"D{number}", sink.compose(case, draft, f"D{number}"))
        finally:
            await sink.close()
            server.shutdown()
            thread.join()
    assert len(received) == 2


async def deliver_as_the_outbox(sink: MllpSink, control_id: str, payload: bytes) -> None:
    """Try again when the server's hang-up after the last answer crosses this message."""
    async with asyncio.timeout(60):
        while True:
            try:
                assert await sink.deliver(control_id, payload) == "AA"
            except DeliveryFailed:
                await asyncio.sleep(0.01)
            else:
                return
