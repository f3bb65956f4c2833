"""What the core gives a wire beside listeners and sinks: mounts, workers, a desk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, insert, select
from typer.testing import CliRunner

from radbridge.case import CaseKey, Radiologist, ReportText, digest_findings
from radbridge.cli.app import app
from radbridge.config import Site
from radbridge.draft import DraftState
from radbridge.errors import DeliveryMoot
from radbridge.events import Event, ReportDictated, ReportOpened, ReportSigned
from radbridge.journal import deliveries, messages
from radbridge.journal.schema import DeliveryState, draft_feedback, fhir_jobs
from radbridge.testing import MemorySink
from radbridge.wire import Desk, Mount, Receive, Received, Scope, Send, Wire
from tests.support.live import LiveGateway, live, make_site

KEY = CaseKey(accession="A1")
TEXT = "Right effusion. No pneumothorax."


def translate(raw: bytes) -> list[Event]:
    """`open <signer>`, `dictate <text>` or `sign <text>`."""
    what, _, rest = raw.decode().partition(" ")
    at, key = datetime.now(UTC), KEY
    match what:
        case "open":
            return [ReportOpened(key=key, at=at, signer=Radiologist(id=rest))]
        case "dictate":
            return [ReportDictated(key=key, at=at, report=ReportText(findings=rest))]
    return [ReportSigned(key=key, at=at, report=ReportText(findings=TEXT, impression=rest))]


class Echo:
    """Answers with its own name and the path it was asked for."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = f"{self.name} {scope['method']} {scope['path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


class Stumbler:
    """A worker that ends, then fails, then works."""

    name = "stumbler"

    def __init__(self) -> None:
        self.runs = 0
        self.works = asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        if self.runs == 1:
            return
        if self.runs == 2:
            raise ZeroDivisionError
        self.works.set()
        await asyncio.Event().wait()


class Seam:
    """A wire with everything; its desk is at hand for the test."""

    def __init__(self) -> None:
        self.worker = Stumbler()
        self.sink = MemorySink("moot", answer=lambda _: DeliveryMoot("moot", "no context is open"))
        self.desk: Desk

    def __call__(self, site: Site, desk: Desk) -> Wire:
        self.desk = desk
        return Wire(
            name="test",
            translate=translate,
            sinks=(self.sink,),
            mounts=(Mount(path="/fhir", app=Echo("fhir")), Mount(path="/fhir/deep", app=Echo("deep"))),
            workers=(self.worker,),
        )

    async def say(self, said: str) -> None:
        await self.desk.commit(_take_in, said)


def _received(said: str) -> Received:
    return Received(
        wire="test", peer="", sender="T", control_id=said, kind="T", accession="A1", raw=said.encode(), ack=b""
    )


def _take_in(conn: Connection, said: Sequence[str]) -> list[None]:
    """A row of its own beside the message, as a wire does it."""
    for text in said:
        row = {"id": text, "accession": "", "issuer": "", "digest": "", "client": "", "created_at": datetime.now(UTC)}
        conn.execute(insert(fhir_jobs), row)
    messages.accept(conn, [_received(text) for text in said])
    return [None] * len(said)


async def test_the_longest_mount_gets_the_request(tmp_path: Path) -> None:
    """A mount gets its path and all below it, unredirected; what fits none stays with the port's own paths."""
    async with (
        live(make_site(tmp_path), Seam()) as gateway,
        httpx.AsyncClient(base_url=gateway.base, timeout=60) as http,
    ):
        assert (await http.post("/fhir")).text == "fhir POST /fhir"
        assert (await http.get("/fhir/a/b")).text == "fhir GET /fhir/a/b"
        assert (await http.get("/fhir/deep/b")).text == "deep GET /fhir/deep/b"
        assert (await http.get("/fhirs")).status_code == 404
        answer = await http.get("/healthz")
        assert answer.status_code == 200
        assert "server" not in answer.headers


async def test_a_worker_that_falls_is_put_on_its_feet(tmp_path: Path) -> None:
    """A worker that ends or fails is started again, and the gateway goes on meanwhile."""
    seam = Seam()
    async with live(make_site(tmp_path), seam) as gateway:
        await seam.say(f"dictate {TEXT}")
        await gateway.until(lambda: gateway.drafts("A1"))
        await asyncio.wait_for(seam.worker.works.wait(), 60)
    assert seam.worker.runs == 3


async def test_a_commit_holds_the_wires_rows_and_the_message(tmp_path: Path) -> None:
    """A wire's own rows and the message it takes in are one commit, and the message is applied at once."""
    seam = Seam()
    async with live(make_site(tmp_path), seam) as gateway:
        await seam.say(f"dictate {TEXT}")
        stored = await seam.desk.store.read(lambda conn: conn.execute(select(fhir_jobs.c.id)).scalar())
        assert stored == f"dictate {TEXT}"
        await gateway.until(lambda: gateway.case("A1"))


async def test_a_draft_is_waited_for(tmp_path: Path) -> None:
    """The desk gives the draft of just these findings when it is made, and None when there is none in time."""
    seam = Seam()
    async with live(make_site(tmp_path), seam):
        waiting = asyncio.create_task(seam.desk.draft_of(KEY, digest_findings(TEXT), at_most_s=60))
        await seam.say(f"dictate {TEXT}")
        found = await waiting
        assert found is not None
        assert found.draft.text == "Right effusion."
        issued = replace(KEY, issuer="HOSPITAL")
        assert await seam.desk.draft_of(issued, digest_findings(TEXT), at_most_s=0) == found
        assert await seam.desk.draft_of(KEY, digest_findings("Other."), at_most_s=0.01) is None


async def test_what_nobody_wants_is_cancelled(tmp_path: Path) -> None:
    """A moot delivery is cancelled and not tried again; its draft still stands, and the edit says it wasn't seen."""
    seam = Seam()
    async with live(make_site(tmp_path), seam) as gateway:
        await seam.say(f"dictate {TEXT}")
        await gateway.until(lambda: _states(gateway) == [DeliveryState.CANCELLED])
        assert [d.state for d in gateway.drafts("A1")] == [DraftState.CURRENT]
        assert seam.sink.attempts == 1
        await seam.say("sign Effusion.")
        await gateway.until(lambda: gateway.drafts("A1")[0].state is DraftState.SIGNED)
        edit = gateway.journal.read_now(lambda conn: conn.exec_driver_sql("SELECT document FROM edit").scalar_one())
        assert b'"delivered":false' in bytes(edit)


async def test_opening_a_report_prefetches_its_signer(tmp_path: Path) -> None:
    """An opened report makes a case with its signer, and the model server is told of them."""
    seam = Seam()
    async with live(make_site(tmp_path), seam) as gateway:
        await seam.say("open 1001")
        await gateway.until(lambda: gateway.model.prefetched == ["1001"])
        case = gateway.case("A1")
        assert case is not None
        assert case.signer.id == "1001"


async def test_what_was_told_of_a_draft_is_shown(tmp_path: Path) -> None:
    """`radbridge show` tells what became of a draft in front of somebody, and the wire that says so."""
    seam, made, site = Seam(), make_site(tmp_path), tmp_path / "site.toml"
    site.write_text(f'[store]\nurl = "{made.store.url}"\n')
    async with live(made, seam) as gateway:
        await seam.say(f"dictate {TEXT}")
        await gateway.until(lambda: gateway.drafts("A1"))
        told = {"draft_id": gateway.drafts("A1")[0].draft.id, "at": datetime.now(UTC)}
        row = told | {"source": "cdshooks", "outcome": "overridden", "reason_code": "wrong-side"}
        await seam.desk.store.write(_keep, row)
    result = await asyncio.to_thread(CliRunner().invoke, app, ["show", "A1", "--config", str(site)])
    assert "overridden (wrong-side) · cdshooks" in result.output


def _keep(conn: Connection, rows: Sequence[dict[str, Any]]) -> list[None]:
    conn.execute(insert(draft_feedback), list(rows))
    return [None] * len(rows)


def _states(gateway: LiveGateway) -> list[DeliveryState]:
    found = gateway.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))
    return [d.state for d in found]
