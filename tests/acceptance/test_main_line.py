"""The main job over real sockets: python-hl7's client is the RIS, python-hl7's server is the dictation system."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from hl7.client import MLLPClient

from tests.support.dictation import Dictation, listening, parse
from tests.support.gateway import GatewayProcess
from tests.support.ris import FINDINGS, Ris
from tests.support.store import in_a_file

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dictation() -> AsyncIterator[Dictation]:
    async with listening() as peer:
        yield peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, dictation: Dictation) -> AsyncIterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), [dictation.port])
    await process.start()
    yield process
    assert await process.stop() == 0


CONFIRMED = "SELECT count(*) FROM delivery WHERE destination = 'dictation' AND state = 'confirmed' AND accession = '{}'"

REMEMBERED = "SELECT count(*) FROM memory WHERE state = 'kept'"


async def send(gateway: GatewayProcess, *raw: bytes) -> list[str]:
    """Send with python-hl7's client; the MSA-1 of each answer."""

    def talk() -> list[str]:
        codes = []
        with MLLPClient("127.0.0.1", gateway.hl7_port) as client:
            for message in raw:
                answer = parse(client.send_message(message).strip(b"\x0b\x1c\r"))
                assert str(answer.segment("MSA")[2]) == str(parse(message).segment("MSH")[10])
                codes.append(str(answer.segment("MSA")[1]))
        return codes

    return await asyncio.to_thread(talk)


async def command(*args: str, start: Sequence[str] = ("-m", "radbridge")) -> tuple[int, str]:
    """Run `radbridge …`; status and standard output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *start, *args), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_whole_case(gateway: GatewayProcess, dictation: Dictation, tmp_path: Path) -> None:
    """Order and dictated report in, draft out unverified, signed report in, draft taken back, example stored."""
    ris = Ris(accession="A100001")
    assert await send(gateway, ris.order(), ris.dictated()) == ["AA", "AA"]
    await dictation.until(1, ris.accession)
    [draft] = dictation.of(ris.accession)
    assert str(draft.segment("OBR")[18]) == "A100001"
    assert str(draft.segment("PID")[3][0][0]) == "900001"
    assert str(draft.segment("OBR")[25]) == "R"
    [impression] = dictation.impressions(ris.accession)
    assert "nodule" in impression
    assert "right upper lobe" in impression
    await gateway.until(CONFIRMED.format(ris.accession), 1)

    assert await send(gateway, ris.signed("6 mm right upper lobe nodule. Small left effusion.")) == ["AA"]
    await dictation.until(2, ris.accession)
    withdrawal = dictation.of(ris.accession)[1]
    assert [str(s[11]) for s in withdrawal.segments("OBX")] == ["D"] * len(draft.segments("OBX"))
    await gateway.until(CONFIRMED.format(ris.accession), 2)

    await gateway.until(REMEMBERED, 1)
    status, said = await command("edits", "--config", str(gateway.config), "--out", str(tmp_path / "edits.jsonl"))
    assert status == 0, said
    [row] = [json.loads(line) for line in (tmp_path / "edits.jsonl").read_text().splitlines()]
    assert row["radiologist"] == "1001"
    assert row["chosen"] == "6 mm right upper lobe nodule. Small left effusion."
    assert FINDINGS.split(".", maxsplit=1)[0] in row["prompt"]
    assert "DOE" not in json.dumps(row)
    await command("edits", "--config", str(gateway.config), "--out", str(tmp_path / "again.jsonl"))
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "edits.jsonl").read_bytes()

    status, said = await command("cases", "--config", str(gateway.config))
    assert status == 0
    assert "A100001" in said
    status, said = await command("show", "A100001", "--config", str(gateway.config))
    assert status == 0
    assert "No pneumothorax." in said  # the findings, to their end
    assert {"ORM^O01", "ORU^R01", "confirmed", "withdrawal"} <= set(said.replace("│", " ").split())


async def test_report_before_order(gateway: GatewayProcess, dictation: Dictation) -> None:
    """A report whose order comes later, or never, is drafted all the same."""
    ris = Ris(accession="A100002")
    await send(gateway, ris.dictated())
    await dictation.until(1, ris.accession)
    assert await send(gateway, ris.order()) == ["AA"]
    await gateway.until("SELECT count(*) FROM message WHERE state = 'done' AND accession = 'A100002'", 2)
    assert len(dictation.of(ris.accession)) == 1


async def test_changed_findings(gateway: GatewayProcess, dictation: Dictation) -> None:
    """New findings take the old draft back and bring another."""
    ris = Ris(accession="A100003")
    await send(gateway, ris.dictated("There is a small left pleural effusion."))
    await dictation.until(1, ris.accession)
    await gateway.until(CONFIRMED.format(ris.accession), 1)
    await send(gateway, ris.dictated("There is a large right pneumothorax.", save=2))
    await dictation.until(3, ris.accession)
    first, second = dictation.impressions(ris.accession)
    assert "left" in first
    assert "right" in second
    assert "left" not in second


async def test_same_bytes_same_answer(gateway: GatewayProcess, dictation: Dictation) -> None:
    """A message that is sent again gets the very same answer and has no second effect."""
    raw = Ris(accession="A100004").dictated()

    def twice() -> list[bytes]:
        with MLLPClient("127.0.0.1", gateway.hl7_port) as client:
            return [client.send_message(raw), client.send_message(raw)]

    first, second = await asyncio.to_thread(twice)
    assert first == second
    await dictation.until(1, "A100004")
    assert gateway.query("SELECT count(*) FROM message WHERE accession = 'A100004'") == [(1,)]


async def test_mllp_send(gateway: GatewayProcess, dictation: Dictation, tmp_path: Path) -> None:
    """python-hl7's command line tool can be the RIS."""
    file = tmp_path / "report.hl7"
    file.write_bytes(b"\x0b" + Ris(accession="A100005").dictated() + b"\x1c\r")
    tool = Path(sys.executable).with_name("mllp_send")
    process = await asyncio.create_subprocess_exec(
        *(str(tool), "--port", str(gateway.hl7_port), "--file", str(file), "127.0.0.1"), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert b"MSA|AA|RISA100005D1" in said
    await dictation.until(1, "A100005")


async def test_send_command(gateway: GatewayProcess, tmp_path: Path) -> None:
    """`radbridge send` prints the answer, and ends with status 1 when it isn't positive."""
    good, bad = tmp_path / "good.hl7", tmp_path / "bad.hl7"
    good.write_bytes(Ris(accession="A100006").dictated())
    bad.write_bytes(Ris(accession="").dictated())
    address = f"127.0.0.1:{gateway.hl7_port}"
    status, said = await command("send", str(good), "--to", address, "--timeout", "60")
    assert status == 0
    assert "MSA|AA|" in said
    status, said = await command("send", str(bad), "--to", address, "--timeout", "60")
    assert status == 1
    assert "OBR" in said
    status, said = await command("problems", "--config", str(gateway.config))
    assert status == 0
    assert "no_accession" in said


async def test_health(gateway: GatewayProcess) -> None:
    """The HTTP port tells liveness, readiness by part, and metrics."""
    await send(gateway, Ris(accession="A100007").order())
    assert gateway.get("/healthz")[0] == 200
    async with asyncio.timeout(60):  # the model server has 5 s to answer in, which a machine may stand still for
        while (told := await asyncio.to_thread(gateway.get, "/readyz"))[0] != 200:
            await asyncio.sleep(0.1)
    body = told[1]
    assert json.loads(body)["parts"] == dict.fromkeys(("dicom", "hl7v2", "http", "journal", "model"), True)
    assert b'radbridge_messages_total{kind="ORM^O01",outcome="accepted",wire="hl7v2"}' in gateway.get("/metrics")[1]


@in_a_file
async def test_a_taken_port(gateway: GatewayProcess, tmp_path: Path) -> None:
    """A second gateway on the same ports doesn't start, and says which port and what to look for."""
    config = tmp_path / "second.toml"
    config.write_text(gateway.config.read_text().replace(f"{gateway.folder}/radbridge.db", f"{tmp_path}/second.db"))
    status, said = await command("up", "--config", str(config))
    assert status == 2
    assert "can't listen on 127.0.0.1:" in said
    assert "another gateway" in said
    assert ".listen" in said


@in_a_file
async def test_a_taken_file(gateway: GatewayProcess) -> None:
    """A second gateway on the same journal file doesn't start: both would apply and deliver the same."""
    status, said = await command("up", "--config", str(gateway.config))
    assert status == 2
    assert "another gateway has" in said
    assert "PostgreSQL" in said


PATIENT = "import radbridge.cli.check as it; it.PING_S = 60.0; from radbridge.cli.app import app; app()"
"""A machine that stands still for longer than a ping may take is no peer that doesn't answer."""


async def test_check_pings(gateway: GatewayProcess, dictation: Dictation, tmp_path: Path) -> None:
    """`radbridge check` says yes where a peer answers, and names the one that doesn't."""
    status, said = await command("check", "--config", str(gateway.config), start=("-c", PATIENT))
    assert status == 0, said
    lonely = GatewayProcess(tmp_path / "lonely", [1])
    lonely.folder.mkdir()
    lonely.write_config()
    status, said = await command("check", "--config", str(lonely.config))
    assert status == 1
    assert "destination dictation" in said
