"""Whatever comes in over the FHIR port: an OperationOutcome, nothing lost, memory bounded."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge_adapters import fhir
from tests.support.fhir import JSON, order, patient, report
from tests.support.fhir_fixtures import client, gateway
from tests.support.gateway import GatewayProcess
from tests.support.live import LiveGateway, live, make_site

__all__ = ["client", "gateway"]

NESTED = b'{"resourceType":"Patient","extension":' + b'[{"url":"urn:x","extension":' * 10_000

SCRIPT = json.dumps(
    patient(text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x()</script></div>'})
).encode()

BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "structure"),
    "no JSON": (b"{", 400, "structure"),
    "an array": (b"[]", 400, "structure"),
    "a key twice": (b'{"resourceType":"Patient","active":true,"active":false}', 400, "structure"),
    "not UTF-8": (b'{"resourceType":"Patient","id":"\xff"}', 400, "structure"),
    "NaN": (b'{"resourceType":"Patient","multipleBirthInteger":NaN}', 400, "structure"),
    "ten thousand levels": (NESTED, 400, "structure"),
    "no type": (b"{}", 400, "required"),
    "an unknown type": (b'{"resourceType":"Nonsense"}', 400, "structure"),
    "a type that is none": (b'{"resourceType":7}', 400, "required"),
    "another type": (json.dumps(order()).encode(), 400, "invariant"),
    "an unknown element": (b'{"resourceType":"Patient","nonsense":1}', 400, "structure"),
    "null": (b'{"resourceType":"Patient","active":null}', 400, "structure"),
    "a dangling fragment": (
        b'{"resourceType":"Patient","generalPractitioner":[{"reference":"#gone"}]}',
        400,
        "value",
    ),
    "a URN outside a transaction": (
        b'{"resourceType":"Patient","generalPractitioner":[{"reference":"urn:uuid:00000000-0000-4000-8000-000000000000"}]}',
        400,
        "value",
    ),
    "criteria outside a transaction": (
        b'{"resourceType":"Patient","generalPractitioner":[{"reference":"Practitioner?identifier=1"}]}',
        400,
        "value",
    ),
    "a script": (
        SCRIPT,
        400,
        "value",
    ),
}
"""A body, the status and the issue's code that it gets."""


async def test_each_gets_an_outcome(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """Every broken body is told what is wrong, kept for the operator, and stores nothing."""
    told = {}
    for name, (raw, _, _) in BODIES.items():
        answer = await client.post("Patient", content=raw)
        outcome = answer.json()
        assert outcome["resourceType"] == "OperationOutcome"
        told[name] = (answer.status_code, outcome["issue"][0]["code"])
    assert told == {name: (status, code) for name, (_, status, code) in BODIES.items()}
    assert (await client.get("Patient?_summary=count")).json()["total"] == 0
    kept = gateway.journal.read_now(
        lambda conn: conn.exec_driver_sql("SELECT wire, kind, raw FROM message WHERE state = 'rejected'").all()
    )
    assert {(row[0], row[1]) for row in kept} == {("fhir", "Patient/create")}
    assert len(kept) == len(BODIES)
    assert max(len(row[2]) for row in kept) <= 65536


async def test_mutations_of_a_good_one(client: httpx.AsyncClient) -> None:
    """A report with any of its values exchanged for something else is taken or refused, and never a 500."""
    chance = random.Random(7)
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        1e300,
        "",
        " ",
        "x" * 70,
        [],
        {},
        [None],
        [[]],
        {"a": 1},
        "\x00",
        "2026-02-30",
    ]
    whole = report("A1", contained=[patient(id="p")], subject={"reference": "#p"}, issued="2026-03-01T10:00:00Z")
    for _ in range(300):
        document = copy.deepcopy(whole)
        spot: Any = document
        while True:
            key = chance.choice(list(spot) if isinstance(spot, dict) else range(len(spot)))
            if not isinstance(spot[key], (dict, list)) or not spot[key] or chance.random() < 0.2:
                spot[key] = chance.choice(values)
                break
            spot = spot[key]
        answer = await client.post("DiagnosticReport", json=document)
        assert answer.status_code in (201, 400, 422), (document, answer.text)


async def test_what_is_refused_stands_in_no_log(
    gateway: LiveGateway, client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither the outcome nor the log repeats what was sent."""
    secret = "ZEBRA900777"
    raw = patient(secret, gender=secret, birthDate=secret, name=[{"nonsense": secret}])
    answer = await client.post("Patient", json=raw)
    assert answer.status_code == 400
    assert secret not in answer.text
    await client.get(f"Patient?identifier={secret}&birthdate={secret}")
    await client.get(f"Patient/{secret}")
    await client.get(f"Nonsense/{secret}")
    written = capfd.readouterr()
    assert secret not in written.out + written.err


async def test_a_bundle_of_fifty_megabytes(tmp_path: Path) -> None:
    """It is refused with 413, whether its size is declared or not, and memory stays where it was."""
    gateway = GatewayProcess(tmp_path, model='url = "http://127.0.0.1:9"')
    await gateway.start(ready=False)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.http_port}/fhir/", timeout=60) as client:
            assert (await client.post("Patient", json=patient(), headers=JSON)).status_code == 201
            before = _resident(gateway)

            async def chunks() -> Any:
                for _ in range(800):
                    yield b" " * 65536

            for content in (chunks(), b" " * (50 * 2**20)):
                status = 413
                with contextlib.suppress(httpx.HTTPError):  # it answers and hangs up while the body is still coming
                    status = (await client.post("", content=content, headers=JSON)).status_code
                assert status == 413
            assert (await client.get("metadata")).status_code == 200
            assert _resident(gateway) - before < 64 * 2**20
    finally:
        await gateway.stop()


def _resident(gateway: GatewayProcess) -> int:
    """Bytes of memory that the process holds."""
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


async def test_large_bodies_wait_for_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many large bodies at once are taken one after the other, while small ones go on."""
    monkeypatch.setattr("radbridge_adapters.fhir.body.WAIT_S", 600.0)
    async with (
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", headers=JSON, timeout=60) as client,
    ):
        large = report("A1", "", conclusion="FINDINGS: " + "Clear lungs. " * 60_000)
        many = [client.post("DiagnosticReport", json=large) for _ in range(6)]
        small = [client.post("Patient", json=patient(str(n))) for n in range(6)]
        told = await asyncio.gather(*many, *small)
        assert {answer.status_code for answer in told} == {201}


async def test_a_journal_that_cannot_commit(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """Nothing is answered positively that isn't committed: 503, to be sent again."""
    await gateway.journal.close()
    answer = await client.post("DiagnosticReport", json=report())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["issue"][0]["code"] == "transient"
