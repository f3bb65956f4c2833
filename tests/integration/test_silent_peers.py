"""Peers of every wire that take a draft and then say nothing: whether they have it nobody knows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from radbridge.case import CaseKey
from radbridge.config import Delivery, Dicom
from radbridge.flow.delivery import make_couriers
from radbridge.flow.holding import SoleHolder
from radbridge.journal import Journal, deliveries
from radbridge.journal.schema import DeliveryState
from radbridge.metrics import Metrics
from radbridge.wire import Sink, Wire
from radbridge_adapters.dicom.writing.sink import sr_sinks
from radbridge_adapters.fhir.sinks.server import KINDS, FhirServerSink
from radbridge_adapters.fhircast import client as fhircast_client
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.rest import FhirClient
from tests.integration.test_dicom_sink import table
from tests.integration.test_fhircast_client import following, foreign_hub, states
from tests.support.delivering import NAME, queue
from tests.support.dicom_pacs import pacs
from tests.support.http_peer import Asked, HttpPeer, Reply, answer, run_peer
from tests.support.sharing import at_work, until

TIMEOUT_S = 0.3
PATIENCE_S = 60.0
ONCE = Delivery(resend_unanswered=False)
NOTHING = {"resourceType": "Bundle", "type": "searchset"}
SEARCHES = {f"/{kind}/_search": answer(200, NOTHING) for kind in (*KINDS, "ServiceRequest")}


async def hang(_: Asked, writer: asyncio.StreamWriter) -> None:
    """No answer, and the connection stays."""
    await asyncio.Event().wait()


def fhir_sink(peer: HttpPeer, timeout_s: float = TIMEOUT_S) -> Sink:
    composer = Composer(lambda key: f"case-{key.accession}", ttl=timedelta(hours=24))
    accessions = Accessions(types=frozenset({"ACSN"}), systems=frozenset())
    return FhirServerSink(FhirClient(NAME, peer.url, timeout_s=timeout_s), composer, accessions)


def dicom_sink(port: int, journal: Journal, timeout_s: float = TIMEOUT_S) -> Sink:
    [sink] = sr_sinks(Dicom(**table(port, name=NAME, timeout_s=timeout_s)), journal)
    return sink


@asynccontextmanager
async def going_to(journal: Journal, sink: Sink, rules: Delivery = ONCE) -> AsyncIterator[Metrics]:
    """Couriers to it, as many as the rules say."""
    metrics, wire = Metrics(), Wire(name="test", translate=lambda _: [], sinks=(sink,))
    holder = SoleHolder(f"deliver:{NAME}:{n}" for n in range(rules.sessions))
    couriers = make_couriers(journal, wire, {NAME: rules}, metrics=metrics, holder=holder, poll_s=0.02)
    try:
        async with at_work(*(courier.run for courier in couriers)):
            yield metrics
    finally:
        await sink.close()


def last(journal: Journal, accession: str = "A1") -> deliveries.Delivery:
    """The newest delivery of a case."""
    return journal.read_now(lambda conn: deliveries.of_case(conn, CaseKey(accession=accession)))[-1]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """With a draft that is to go out."""
    opened = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    await opened.write(queue, ("A1", datetime.now(UTC)))
    yield opened
    await opened.close()


async def no_second_copy(journal: Journal, metrics: Metrics) -> None:
    """It waits for an operator: the peer may have it."""
    await until(lambda: last(journal).state is DeliveryState.DEAD)
    assert (last(journal).attempts, last(journal).nacks) == (1, 0)
    assert "the peer may have it" in last(journal).answer
    assert f'radbridge_unanswered_total{{destination="{NAME}"}} 1.0' in metrics.page().decode()


async def test_a_fhir_server_that_takes_it_and_says_nothing(journal: Journal) -> None:
    """A transaction that is never answered counts as a copy that the server may have."""
    async with run_peer(SEARCHES | {"/": hang}) as peer, going_to(journal, fhir_sink(peer)) as metrics:
        await no_second_copy(journal, metrics)
        assert len(peer.asked_for("/")) == 1


async def test_a_fhir_server_that_says_nothing_when_asked(journal: Journal) -> None:
    """One that hangs at our question has got nothing of the draft: it gets it when it is back."""
    replies: dict[str, Reply] = SEARCHES | {"/": answer(200, NOTHING)}
    async with run_peer(replies | {"/Observation/_search": hang}) as peer:
        async with going_to(journal, fhir_sink(peer)) as metrics:
            await until(lambda: "gave no answer" in last(journal).answer)
            assert last(journal).attempts == 0
            assert "radbridge_unanswered_total{" not in metrics.page().decode()
        peer.replies = replies
        async with going_to(journal, fhir_sink(peer, timeout_s=PATIENCE_S)) as metrics:
            await until(lambda: last(journal).state is DeliveryState.CONFIRMED)
            assert "radbridge_unanswered_total{" not in metrics.page().decode()


async def test_a_pacs_that_takes_it_and_says_nothing(journal: Journal) -> None:
    """A C-STORE that is never answered counts as a copy that the PACS may have."""
    over = threading.Event()
    with pacs(answer=lambda *_: int(not over.wait(PATIENCE_S))) as peer:
        try:
            async with going_to(journal, dicom_sink(peer.port, journal)) as metrics:
                await no_second_copy(journal, metrics)
        finally:
            over.set()


async def test_a_pacs_that_says_nothing_to_the_association(journal: Journal) -> None:
    """One that never accepts an association has got nothing: no copy is counted, and it is tried again."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    sink = dicom_sink(server.sockets[0].getsockname()[1], journal)
    async with server, going_to(journal, sink):
        await until(lambda: "no answer" in last(journal).answer)
        assert (last(journal).state, last(journal).attempts) == (DeliveryState.PENDING, 0)


async def test_a_hub_that_takes_it_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that a foreign hub never answers counts as a copy that it may have: the next one has the same id."""
    monkeypatch.setattr(fhircast_client, "_TIMEOUT_S", 1.0)
    async with foreign_hub() as hub, following(hub, tmp_path, resend_unanswered=False) as gateway:
        await hub.act("fail", statuses=[-1])
        await hub.open()
        await hub.share("Clear lungs. No effusion.")
        await gateway.until(lambda: states(gateway) == [DeliveryState.DEAD])
        assert len((await hub.state())["published"]) == 1
        assert 'radbridge_unanswered_total{destination="hub"} 1.0' in gateway.metrics.page().decode()


@pytest.mark.parametrize("wire", ["fhir", "dicom"])
async def test_several_sessions(journal: Journal, wire: str) -> None:
    """Over several sessions drafts go out side by side, and each arrives once."""
    names = [f"A{n}" for n in range(1, 7)]
    for name in names[1:]:
        await journal.write(queue, (name, datetime.now(UTC)))
    together = threading.Barrier(2, timeout=PATIENCE_S)
    met: list[int] = []

    def meet(*_: Any) -> int:
        met.append(together.wait())
        return 0

    async def take(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(meet)
        await answer(200, NOTHING)(asked, writer)

    with pacs(answer=meet) as archive:
        async with run_peer(SEARCHES | {"/": take}) as peer:
            sink = dicom_sink(archive.port, journal, PATIENCE_S) if wire == "dicom" else fhir_sink(peer, PATIENCE_S)
            async with going_to(journal, sink, Delivery(sessions=2)):
                await until(lambda: [last(journal, name).state for name in names] == [DeliveryState.CONFIRMED] * 6)
            sent = len(archive.stored) if wire == "dicom" else len(peer.asked_for("/"))
    assert (sent, len(met)) == (6, 6)
