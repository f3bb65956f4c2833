"""The vendor's test kit: receivers that keep the contract pass, one that breaks one promise fails on just that."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hl7
import pytest
import typer
from hl7.mllp import start_hl7_server
from pydicom.dataset import Dataset
from typer.testing import CliRunner, Result

from radbridge_adapters.conformance import conformance, dicom, fhir, fhircast, hl7v2
from radbridge_adapters.conformance.check import Level
from radbridge_adapters.demo.dictation import Dictation
from radbridge_adapters.fhir import wire as fhir_wire
from radbridge_adapters.fhircast import wire as fhircast_wire
from radbridge_adapters.security.pins import read_pin
from tests.support import dcmtk
from tests.support.certificates import Authority
from tests.support.dicom_pacs import KEY_OBJECT_SELECTION, Pacs, pacs
from tests.support.live import live, make_site
from tests.support.orthanc import orthanc
from tests.support.peers import fhir_server


async def check(*args: str) -> tuple[int, dict[str, bool], Result]:
    """The command's status, and each check with whether it was kept."""
    return await asyncio.to_thread(_check, list(args))


def _check(args: list[str]) -> tuple[int, dict[str, bool], Result]:
    result = _invoke(args if "--timeout" in args else [*args, "--timeout", "60"])
    checks = json.loads(Path(args[args.index("--json") + 1]).read_text())["checks"]
    return result.exit_code, {one["id"]: one["kept"] for one in checks}, result


def _invoke(args: list[str]) -> Result:
    app = typer.Typer()
    app.command()(conformance)
    return CliRunner().invoke(app, args)


@asynccontextmanager
async def receiver(answer: Callable[[Any, set[str]], Any], context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A python-hl7 server; `answer` gets the message and the control ids of those before. With a context, by TLS."""
    seen: set[str] = set()

    async def serve(reader: Any, writer: Any) -> None:
        try:
            while not writer.is_closing():
                message = await reader.readmessage()
                writer.writemessage(answer(message, seen))
                seen.add(str(message.segment("MSH")[10]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, hl7.ParseException):
            pass
        finally:  # also where the loop ends before the connection does
            writer.close()

    server = await start_hl7_server(serve, "127.0.0.1", 0, encoding="utf-8", limit=2**24, ssl=context)
    try:
        yield f"mllp{'s' if context else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def accept(message: Any, seen: set[str]) -> Any:
    return message.create_ack(ack_code="AA")


def refuse_again(message: Any, seen: set[str]) -> Any:
    return message.create_ack(ack_code="AE" if str(message.segment("MSH")[10]) in seen else "AA")


def refuse_deletion(message: Any, seen: set[str]) -> Any:
    return message.create_ack(ack_code="AR" if str(message.segment("OBX")[11]) == "D" else "AA")


async def test_the_demos_own_receiver_passes(tmp_path: Path) -> None:
    """What we show vendors as a receiver keeps every promise."""
    async with Dictation(lambda _: None) as dictation:
        status, kept, result = await check("--target", f"127.0.0.1:{dictation.port}", "--json", str(tmp_path / "r"))
    assert (status, set(kept)) == (0, {c.id for c in hl7v2.CHECKS}), result.output
    assert all(kept.values()), result.output


@pytest.mark.parametrize(
    ("answer", "broken"),
    [(accept, set()), (refuse_again, {"hl7-again"}), (refuse_deletion, {"hl7-withdraw"})],
    ids=["python-hl7", "again", "withdraw"],
)
async def test_an_hl7_receiver_fails_on_just_what_it_breaks(
    tmp_path: Path, answer: Callable[[Any, set[str]], Any], broken: set[str]
) -> None:
    """python-hl7's server passes; with one rule broken, that one is named and the status is 1."""
    async with receiver(answer) as url:
        status, kept, result = await check("--target", url, "--json", str(tmp_path / "r"))
    assert {id for id, is_kept in kept.items() if not is_kept} == broken, result.output
    assert status == bool(broken)


async def test_an_hl7_receiver_by_tls(tmp_path: Path) -> None:
    """`mllps://` speaks TLS, with a certificate of ours and only with whom it is told to trust and pinned."""
    authority, report = Authority(tmp_path), str(tmp_path / "r")
    server, ours = authority.issue("server"), authority.issue("ours")
    known = ("--ca-file", str(authority.ca), "--cert-file", str(ours))
    async with receiver(accept, authority.wants(server)) as url:
        status, kept, result = await check("--target", url, *known, "--pin", read_pin(server), "--json", report)
        assert (status, all(kept.values())) == (0, True), result.output
        for wrong in (known[2:], known[:2], (*known, "--pin", read_pin(ours))):
            status, kept, _ = await check("--target", url, *wrong, "--timeout", "1", "--json", report)
            assert (status, any(kept.values())) == (1, False)
    result = await asyncio.to_thread(_invoke, ["--target", url.replace("mllps", "mllp"), *known])
    assert result.exit_code == 2
    assert "need a target of mllps://" in result.output


@pytest.mark.parametrize(
    ("breaks", "broken"),
    [("", set()), ("labels", {"fhir-label"}), ("status", {"fhir-unverified"}), ("match", {"fhir-stale"})],
)
async def test_a_fhir_server_fails_on_just_what_it_breaks(tmp_path: Path, breaks: str, broken: set[str]) -> None:
    """Medplum's server keeps every MUST; one that drops labels, changes states or ignores If-Match is found out."""
    async with fhir_server(breaks=breaks) as url:
        status, kept, result = await check("--target", url, "--json", str(tmp_path / "r"))
    musts = {c.id for c in fhir.CHECKS if c.level is Level.MUST}
    assert {id for id, is_kept in kept.items() if not is_kept and id in musts} == broken, result.output
    assert status == bool(broken)


async def test_our_own_fhir_server_passes(tmp_path: Path) -> None:
    """RadBridge's server keeps every promise that it asks of others, in both modes of delivery."""
    async with live(make_site(tmp_path), fhir_wire) as gateway:
        for more in ((), ("--separate",)):
            status, kept, result = await check("--target", f"{gateway.base}/fhir", *more, "--json", str(tmp_path / "r"))
            assert (status, [id for id, is_kept in kept.items() if not is_kept]) == (0, []), result.output


@pytest.mark.parametrize(("dialect", "broken"), [("stu3", set()), ("versionless", {"cast-versionless"})])
async def test_a_hub_fails_on_just_what_it_breaks(tmp_path: Path, dialect: str, broken: set[str]) -> None:
    """Our own hub keeps every promise; in a vendor's loose dialect, it is told which one it doesn't."""
    async with live(make_site(tmp_path, fhircast={"dialect": dialect, "ack_timeout_s": 600}), fhircast_wire) as gateway:
        url = f"{gateway.base}/fhircast"
        args = ("--target", url, "--wire", "fhircast", "--json", str(tmp_path / "r"))
        status, kept, result = await check(*args)
    assert set(kept) == {c.id for c in fhircast.CHECKS}
    assert {id for id, is_kept in kept.items() if not is_kept} == broken, result.output
    assert status == bool(broken)


QUERIES = {"dicom-found", "dicom-once", "dicom-unverified", "dicom-hidden"}
"""What a peer that only stores can't keep."""


def take(dataset: Dataset, so_far: Pacs) -> int:
    return 0x0000


def refuse_the_same(dataset: Dataset, so_far: Pacs) -> int:
    return 0xA900 if str(dataset.SOPInstanceUID) in so_far.uids else 0x0000


def refuse_notes(dataset: Dataset, so_far: Pacs) -> int:
    return 0xC000 if dataset.SOPClassUID == KEY_OBJECT_SELECTION else 0x0000


@pytest.mark.parametrize(
    ("answer", "broken"),
    [(take, set()), (refuse_the_same, {"dicom-again"}), (refuse_notes, {"dicom-withdraw"})],
    ids=["stores", "again", "withdraw"],
)
async def test_a_pacs_fails_on_just_what_it_breaks(
    tmp_path: Path, answer: Callable[[Dataset, Pacs], int], broken: set[str]
) -> None:
    """A peer that stores keeps every MUST; one that breaks one is told which, and the status is 1."""
    with pacs(answer, title="PACS") as peer:
        args = ("--target", f"dicom://PACS@127.0.0.1:{peer.port}", "--json", str(tmp_path / "r"))
        status, kept, result = await check(*args)
    assert set(kept) == {c.id for c in dicom.CHECKS}
    assert {id for id, is_kept in kept.items() if not is_kept} == broken | QUERIES, result.output
    assert status == bool(broken)


async def test_orthanc_and_dcmtk_pass(tmp_path: Path) -> None:
    """Orthanc keeps all but the hiding of rejected drafts, for which IOCM would be needed; storescp every MUST."""
    async with orthanc(tmp_path / "pacs", modalities={"RADBRIDGE": ("RADBRIDGE", 1)}) as archive:
        target = f"dicom://{archive.ae_title}@127.0.0.1:{archive.port}"
        status, kept, result = await check("--target", target, "--json", str(tmp_path / "r"))
    assert ({id for id, is_kept in kept.items() if not is_kept}, status) == ({"dicom-hidden"}, 0), result.output
    async with dcmtk.storescp(tmp_path / "in") as port:
        target = f"dicom://STORESCP@127.0.0.1:{port}"
        status, kept, result = await check("--target", target, "--json", str(tmp_path / "r"))
    assert ({id for id, is_kept in kept.items() if not is_kept}, status) == (QUERIES, 0), result.output


async def test_a_pacs_by_tls(tmp_path: Path) -> None:
    """A `dicoms://` target is called by TLS, with the certificate that the command names."""
    authority = Authority(tmp_path)
    theirs, ours = authority.issue("pacs"), authority.issue("vendor")
    async with dcmtk.storescp(tmp_path / "in", "+tls", theirs, theirs, "+cf", authority.ca) as port:
        target = ("--target", f"dicoms://STORESCP@127.0.0.1:{port}")
        trust = ("--ca-file", str(authority.ca), "--cert-file", str(ours))
        status, kept, result = await check(*target, *trust, "--json", str(tmp_path / "r"))
    assert ({id for id, is_kept in kept.items() if not is_kept}, status) == (QUERIES, 0), result.output


def test_a_pacs_needs_its_title(tmp_path: Path) -> None:
    """A target without the AE title that it is called by is a mistake in the command, told before anything is sent."""
    app = typer.Typer()
    app.command()(conformance)
    result = CliRunner().invoke(app, ["--target", "dicom://127.0.0.1:104"])
    assert result.exit_code == 2
    assert "dicom://TITLE@host:port" in result.output


async def test_nobody_there_is_told_for_every_check(tmp_path: Path) -> None:
    """A wrong address fails, and says so, without a stack."""
    status, kept, result = await check("--target", "http://127.0.0.1:1/fhir", "--json", str(tmp_path / "r"))
    assert status == 1
    assert not any(kept.values())
    assert "can't be reached" in result.output
