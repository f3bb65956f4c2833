"""PHI stays out of logs, metrics, exceptions and NACK texts (rule 5), on the good path and on every error path."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from radbridge.traces import Name
from tests.support.collector import collecting
from tests.support.dictation import listening
from tests.support.gateway import GatewayProcess, free_port
from tests.support.ris import Ris

MARKERS = ("ZQMRN77", "ZQNAME", "ZQFIND", "ZQIMPR", "ZQREASON", "ZQADDR", "ZQACC", "ZQCTRL", "ZQSIGN")


def message(kind: str) -> bytes:
    """A message in which every place that can hold PHI holds a marker."""
    ris = Ris(accession="ZQACC1", mrn="ZQMRN77", name="ZQNAME^JANE", signer="1001^ZQSIGN^GREGORY", prefix="ZQCTRL")
    raw = {
        "order": ris.order(reason="ZQREASON pain"),
        "dictated": ris.dictated("There is a large ZQFIND mass in the right lung. ZQNAME was told."),
        "again": ris.dictated("There is a small ZQFIND mass in the left lung.", save=2),
        "signed": ris.signed("ZQIMPR mass."),
        "wrong": ris.wrong_patient(),
        "merge": ris.merge("ZQMRN779"),
    }[kind]
    return raw.replace(b"1 MAIN ST", b"ZQADDR 1")


BAD = (
    b"ZQNAME no header at all",
    message("dictated").replace(b"ORU^R01^ORU_R01", b"ZZZ^Z99").replace(b"D1|P", b"B1|P"),
    message("dictated").replace(b"ZQACC1", b"").replace(b"D1|P", b"B2|P"),
    message("dictated").replace(b"|2.5.1", b"|9.9").replace(b"D1|P", b"B3|P"),
    message("dictated").replace(b"P|2.5.1", b"P|2.5.1||||||ASCII").replace(b"mass", b"m\xffss").replace(b"D1|", b"B4|"),
    message("dictated").replace(b"19700101", b"ZQNAME").replace(b"20260301093000", b"ZQNAME").replace(b"D1|P", b"B5|P"),
    message("dictated").replace(b"MSH|", b"MSH", 1),
    b"\x00\x01" + message("dictated"),
    message("dictated") + b"OBX|9|ZZ|ZQFIND|||" + b"ZQFIND^" * 5000,
)


async def talk(port: int, *raw: bytes) -> bytes:
    """Send frames one by one; everything that was answered. The peer may hang up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = b""
    for each in raw:
        writer.write(b"\x0b" + each + b"\x1c\r")
        try:
            async with asyncio.timeout(60):
                answers += await reader.readuntil(b"\x1c\r")
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            break
    writer.close()
    return answers


def served(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """The model server's lines in the gateway's log."""
    return [line for line in gateway.logged() if line.get("event") == "drafted" and "stage" in line]


async def play(folder: Path, model: str) -> tuple[GatewayProcess, bytes, bytes]:
    """Send everything to a gateway; what it answered, and its pages."""
    small, all_logs = "max_message_bytes = 20000", {"RADBRIDGE_LOG__LEVEL": "debug"}
    async with (
        listening() as dictation,
        listening(answer="AR") as refusing,
        GatewayProcess(
            folder,
            [dictation.port, refusing.port, free_port()],
            model=model,
            hl7v2=small,
            environment=all_logs,
            module="tests.support.patient",
        ) as gateway,
    ):
        answers = await talk(gateway.hl7_port, message("order"), message("dictated"))
        await dictation.until(1)
        answers += await talk(gateway.hl7_port, message("again"))
        await dictation.until(3)
        answers += await talk(gateway.hl7_port, message("signed"))
        await dictation.until(4)
        for kind in ("wrong", "merge"):
            answers += await talk(gateway.hl7_port, message(kind))
        for raw in BAD:
            answers += await talk(gateway.hl7_port, raw)
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.hl7_port)
        writer.write(b"\x0b" + message("dictated")[:200])
        await writer.drain()
        writer.close()
        await gateway.until("SELECT count(*) > 5 FROM message WHERE state = 'rejected'", 1)
        await gateway.until("SELECT count(*) > 0 FROM delivery WHERE state = 'refused'", 1)
        async with asyncio.timeout(60):  # Ray passes on what its processes say a moment later
            while not served(gateway):
                await asyncio.sleep(0.1)
        pages = b"".join(gateway.get(path)[1] for path in ("/metrics", "/readyz", "/healthz", "/ZQNAME"))
    return gateway, answers, pages


async def test_no_marker_anywhere(tmp_path: Path) -> None:
    """Markers sent through every path turn up in no log line, metric, span, NACK or HTTP answer."""
    # The draft names the patient: let through here, so that the name gets to every place behind the guard too.
    model = 'url = "embedded"\nstrategy = "coarse"\n[guard.policy]\nidentifier = "flag"'
    with collecting() as collector:
        model += f'\n[traces]\nendpoint = "{collector.url}"\nsample = 1.0'
        gateway, answers, pages = await play(tmp_path, model)

    # An acknowledgement must echo the control id in MSA-2, and nothing else of the message.
    echoed = answers.replace(b"ZQCTRLZQACC1", b"").replace(b"ZQCTRL", b"")
    seen = {"log": gateway.log, "metrics": pages.decode(), "answers": echoed.decode("latin-1")}
    seen["traces"] = b"".join(collector.bodies).decode("latin-1")
    for where, text in seen.items():
        for marker in MARKERS:
            assert marker not in text, f"{marker} in {where}: …{text[max(0, text.find(marker) - 300) :][:400]}"
    assert any(line.get("level") == "warning" for line in gateway.logged())
    assert served(gateway), "the lines of the model server are in it too"
    assert {span.name for span in collector.spans} == {str(name) for name in Name}
