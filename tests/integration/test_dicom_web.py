"""The patient's earlier studies by DICOMweb, from Orthanc's plugin; and servers that answer badly."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from radbridge.case import Patient, Study
from radbridge.config import Dicom, Dicomweb
from radbridge.errors import ConfigError, DeliveryFailed, DeliveryRefused
from radbridge.events import PriorsFound
from radbridge_adapters.dicom.asking.cache import Asking
from radbridge_adapters.dicom.asking.peers import make_priors
from radbridge_adapters.dicom.asking.web import WebArchive
from radbridge_adapters.dicom.encoding.values import Elements
from tests.support.asking import asking, peer, silent
from tests.support.dicom_scu import STUDY, image
from tests.support.gateway import free_port
from tests.support.limits import clock_of_loop
from tests.support.orthanc import orthanc

NOW = Study(uid=f"{STUDY}.9", modality="CT", body_part="CHEST", at=datetime(2026, 3, 1, 10, 15, tzinfo=UTC))


async def no_pause(attempt: int) -> None:
    """Retries at once."""


def archive(url: str, **more: Any) -> WebArchive:
    web = Dicomweb.model_validate({"url": url, "timeout_s": 300} | more)
    return WebArchive(web, asking=Asking(name="dicomweb", retries=0, cache_s=0, pause=no_pause))


@dataclass
class Server:
    """An HTTP server that answers every request with the same bytes."""

    url: str = ""
    requests: list[str] = field(default_factory=list)
    open: int = 0
    dripped: int = 0


@asynccontextmanager
async def answering(raw: bytes, *, then_drip: bool = False) -> AsyncIterator[Server]:
    """Such a server; with `then_drip` it goes on with a byte each while, for ever."""
    made = Server()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.open += 1
        with suppress(ConnectionError):
            made.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(raw)
            leaving = asyncio.ensure_future(reader.read())
            while then_drip and not leaving.done():
                await asyncio.sleep(0.02)
                writer.write(b" ")
                made.dripped += 1
            leaving.cancel()
        writer.close()
        made.open -= 1

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/dicom-web"
        yield made
    async with asyncio.timeout(60):
        while made.open:
            await asyncio.sleep(0.005)


def http(body: bytes | str, status: str = "200 OK") -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(raw)}\r\nconnection: close\r\n\r\n".encode() + raw


async def test_orthanc_is_asked(tmp_path: Path) -> None:
    """Studies by QIDO-RS; a body part that only the images tell, by WADO-RS metadata. Both reach the case."""
    async with orthanc(tmp_path / "orthanc") as pacs:
        await pacs.add(image("P2", study=f"{STUDY}.2", StudyDate="20250301", StudyDescription="Routine"))
        await pacs.add(image("P3", study=f"{STUDY}.3", PatientID="900002"))
        async with asking(tmp_path, dicomweb={"url": pacs.dicomweb, "retries": 0}) as gateway:
            await gateway.dictate("A1", patient=Patient(id="900001"), study=NOW)
            await gateway.gateway.until(lambda: gateway.of(PriorsFound))
            (prior,) = gateway.of(PriorsFound)[-1].priors
    assert (prior.study_uid, prior.accession, prior.on) == (f"{STUDY}.2", "P2", date(2025, 3, 1))
    assert (prior.modality, prior.body_part, prior.description) == ("CT", "CHEST", "Routine")


async def test_it_stands_in_for_the_pacs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the PACS doesn't answer C-FIND, DICOMweb is asked; the PACS itself isn't asked study by study."""
    for module in ("cache", "enquirer"):
        monkeypatch.setattr(f"radbridge_adapters.dicom.asking.{module}.ALONE_S", 600.0)
    async with orthanc(tmp_path / "orthanc") as pacs, silent() as dead:
        await pacs.add(image("P2", study=f"{STUDY}.2", StudyDate="20250301"))
        query = {"peer": "pacs", "retries": 0, "timeout_s": 0.3}
        settings = {"peers": [peer(dead.port, "PACS")], "pacs": query, "dicomweb": {"url": pacs.dicomweb}}
        async with asking(tmp_path, **settings) as gateway:
            await gateway.dictate("A1", patient=Patient(id="900001"), study=NOW)
            await gateway.gateway.until(lambda: gateway.of(PriorsFound))
        assert dead.connections == 1


async def test_metadata_tells_what_a_series_does_not() -> None:
    """Where no series tells its body part, one instance of the first is looked at."""
    uid = {"0020000E": {"vr": "UI", "Value": ["1.2.3"]}, "00080018": {"vr": "UI", "Value": ["1.2.3.4"]}}
    part = {"00180015": {"vr": "CS", "Value": ["KNEE"]}}
    async with answering(http(json.dumps([uid]))) as server:
        assert [one.SeriesInstanceUID for one in await archive(server.url).series("1.2")] == ["1.2.3"]
        paths = [request.split(" ")[1].split("?")[0] for request in server.requests]
        below = "/dicom-web/studies/1.2/series"
        assert paths == [below, f"{below}/1.2.3/instances", f"{below}/1.2.3/instances/1.2.3.4/metadata"]
    async with answering(http(json.dumps([uid | part]))) as server:
        (series,) = await archive(server.url).series("1.2")
        assert Elements.of(series).text("BodyPartExamined") == "KNEE"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("raw", "told", "kind"),
    [
        (http("<html>"), "no DICOM JSON", DeliveryFailed),
        (http("[1, 2]"), "no DICOM JSON", DeliveryFailed),
        (http('{"a": '), "no DICOM JSON", DeliveryFailed),
        (http("", "404 Not Found"), "HTTP 404", DeliveryRefused),
        (http("", "503 Busy"), "HTTP 503", DeliveryFailed),
        (http("", "401 Unauthorized"), "HTTP 401", DeliveryFailed),
        (http("", "302 Found\r\nlocation: http://127.0.0.1:1/"), "HTTP 302", DeliveryRefused),
        (b"SSH-2.0-OpenSSH\r\n", "gave no answer", DeliveryFailed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n[", "gave no answer", DeliveryFailed),
        (http(b" " * (16 * 2**20 + 1)), "larger than", DeliveryFailed),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else None,
)
async def test_bad_servers(raw: bytes, told: str, kind: type[Exception]) -> None:
    """Whatever a server answers, it is an answer, a failure or a refusal, told in fixed words."""
    async with answering(raw) as server:
        with pytest.raises(kind, match=told) as caught:
            await archive(server.url).studies("900001")
    assert "900001" not in str(caught.value)


@pytest.mark.parametrize(
    "item", [{}, {"0020000D": None}, {"0020000D": {"vr": "UI", "Value": [None, {}, []]}}, {"00080061": {"Value": "CT"}}]
)
async def test_odd_items(item: dict[str, Any]) -> None:
    """An attribute that isn't as the standard has it isn't told; the rest is."""
    async with answering(http(json.dumps([item | {"00100020": {"vr": "LO", "Value": ["900001"]}}]))) as server:
        (study,) = await archive(server.url).studies("900001")
    assert (study.PatientID, "StudyInstanceUID" in study) == ("900001", False)


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\nx-slow: ", b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n["])
async def test_a_server_that_drips(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit is of the whole answer: a byte now and then doesn't lengthen it."""
    clock = clock_of_loop(monkeypatch)
    async with answering(raw, then_drip=True) as server:
        asked = asyncio.create_task(archive(server.url, timeout_s=300).studies("900001"))
        while not asked.done():
            before = server.dripped
            assert before < 200
            while server.dripped < before + 2 and not asked.done():
                await asyncio.sleep(0.005)
            clock.skip(50)  # of 300 s between two bytes
        with pytest.raises(DeliveryFailed, match="gave no answer"):
            await asked
        assert server.dripped >= 6


async def test_nobody_listens() -> None:
    """A closed port counts as nobody reached."""
    with pytest.raises(DeliveryFailed, match="can't be reached") as caught:
        await archive(f"http://127.0.0.1:{free_port()}/dicom-web").ping()
    assert not caught.value.sent


async def test_credentials(tmp_path: Path) -> None:
    """The secret is what its file holds at the time of the question; a file that is gone is told."""
    secret = tmp_path / "secret"
    async with answering(http("[]")) as server:
        for text in ("one", "two"):
            secret.write_text(f"{text}\n")
            await archive(server.url, token_file=secret).studies("900001")
        secret.write_text("user:pass")
        await archive(server.url, basic_file=secret).studies("900001")
        sent = [line for request in server.requests for line in request.split("\r\n") if line.startswith("auth")]
        basic = f"authorization: Basic {b64encode(b'user:pass').decode()}"
        assert sent == ["authorization: Bearer one", "authorization: Bearer two", basic]
        secret.unlink()
        with pytest.raises(DeliveryFailed, match="can't be read"):
            await archive(server.url, token_file=secret).studies("900001")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where dicomweb-client isn't installed, the config says what to install; without the table nobody needs it."""
    monkeypatch.setitem(sys.modules, "dicomweb_client.web", None)
    assert make_priors(Dicom()) is None
    with pytest.raises(ConfigError, match=r"pip install 'radbridge\[dicomweb\]'"):
        make_priors(Dicom(dicomweb=Dicomweb(url="http://127.0.0.1:1/dicom-web")))
