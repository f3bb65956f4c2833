"""The text of reports that were signed on a hub without it: fetched from the FHIR server that has it, then journaled.

Reporting software tells the hub that a report is final, and seldom its text. The sign-off counts at once; the text
follows as a message of its own. What a crash left unfetched is found again in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, bindparam, select

from radbridge.case import CaseKey
from radbridge.config import FhirDestination
from radbridge.errors import DeliveryError, JournalError, MessageFault
from radbridge.events import Event, ReportSigned
from radbridge.journal.schema import messages
from radbridge.wire import Desk, Received
from radbridge_adapters.fhircast.names import REPORT
from radbridge_adapters.fhircast.record import Record, read_record
from radbridge_adapters.resources.codes import ACCESSION, concept
from radbridge_adapters.resources.ours import SIGNED
from radbridge_adapters.rest import FhirClient, make_client

log = structlog.get_logger(__name__)

WIRE = "fhircast"
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
GIVE_UP_S = 3600.0
"""A report that the server doesn't have as signed within so long after its sign-off is left without its text."""
_AT_ONCE = 4
_WAITING = 1024
_MOST_RESULTS = 32
_FETCHED = "text of "
"""Begins the ids of messages that hold a fetched text."""
_RECENT = select(messages.c.peer, messages.c.sender_key, messages.c.raw).where(
    messages.c.wire == WIRE, messages.c.kind == f"{REPORT}-update", messages.c.received_at > bindparam("since")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signoff:
    """A report that was signed, and where its text is to be had."""

    peer: str
    sender: str
    record: Record
    key: CaseKey = field(repr=False)
    server: str
    """The FHIR destination that has it."""


class SignoffFetcher:
    """Fetches one text after the other; a `radbridge.wire.Worker`."""

    name = "fhircast sign-offs"

    def __init__(
        self, desk: Desk, translate: Callable[[bytes], Sequence[Event]], servers: Mapping[str, FhirDestination]
    ) -> None:
        """`servers` by the name of the hub, empty for our own; without one a text isn't fetched."""
        self._desk = desk
        self._translate = translate
        self._servers = servers
        self._waiting = asyncio.Queue[Signoff](_WAITING)

    def expect(self, received: Received) -> None:
        """A sign-off was journaled. Never waits; the next start finds what there is no room for."""
        signoff = self._read(received.peer, received.sender, received.raw)
        if signoff is not None and not self._waiting.full():
            self._waiting.put_nowait(signoff)

    async def run(self) -> None:
        """Fetch what a crash left, then what comes."""
        async with AsyncExitStack() as stack:
            clients = {one.name: make_client(one) for one in self._servers.values()}
            for client in clients.values():
                stack.push_async_callback(client.close)
            for signoff in await self._desk.store.read(self._left):
                await self._waiting.put(signoff)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(_AT_ONCE):
                    tasks.create_task(self._work(clients))

    async def _work(self, clients: Mapping[str, FhirClient]) -> None:
        while True:
            signoff = await self._waiting.get()
            wait_s = FIRST_RETRY_S
            while not await self._fetch(signoff, clients[signoff.server]):
                if (datetime.now(UTC) - signoff.record.at).total_seconds() > GIVE_UP_S:
                    log.warning("no text of a signed report", destination=signoff.server)
                    break
                await asyncio.sleep(wait_s)
                wait_s = min(LAST_RETRY_S, wait_s * 2)

    def _left(self, conn: Connection) -> list[Signoff]:
        """Sign-offs of the last hour without a text, and without a text fetched later."""
        since = datetime.now(UTC) - timedelta(seconds=GIVE_UP_S)
        rows = conn.execute(_RECENT, {"since": since}).all()
        keys = {row.sender_key for row in rows}
        found = [self._read(row.peer, row.sender_key.partition("\x1f")[0], row.raw) for row in rows]
        return [s for s in found if s is not None and f"{s.sender}\x1f{_FETCHED}{s.record.id}" not in keys]

    def _read(self, peer: str, sender: str, raw: bytes) -> Signoff | None:
        """The sign-off in a journaled event, when it has no text and there is a server to ask."""
        server = self._servers.get(peer) or self._servers.get("")
        try:
            signed = [fact for fact in self._translate(raw) if isinstance(fact, ReportSigned)]
            record = read_record(raw)
        except MessageFault:
            return None
        if server is None or not signed or signed[0].report.impression or record.id.startswith(_FETCHED):
            return None
        return Signoff(peer=peer, sender=sender, record=record, key=signed[0].key, server=server.name)

    async def _fetch(self, signoff: Signoff, server: FhirClient) -> bool:
        """Journal the text; False when the server doesn't have it yet, or gives no answer."""
        try:
            reply = await server.read(f"{REPORT}/{signoff.record.anchor}")
            report = reply.document
            if not reply.ok or report.get("resourceType") != REPORT or report.get("status") not in SIGNED:
                return False
            results = [await server.read(one) for one in _results_of(report)]
            found = [result.document for result in results if result.ok]
            await self._desk.accept(_received(signoff, _complete(signoff.record, signoff.key, report, found)))
        except (DeliveryError, JournalError) as error:
            log.info("text not fetched", destination=server.name, reason=str(error))
            return False
        log.info("text fetched", destination=server.name)
        return True


def _results_of(report: Mapping[str, Any]) -> list[str]:
    named = [one.get("reference") for one in report.get("result", ()) if isinstance(one, Mapping)]
    return [text for text in named if isinstance(text, str) and not text.startswith("#")][:_MOST_RESULTS]


def _complete(record: Record, key: CaseKey, report: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Record:
    """The event once more, with the report as its server has it, and known to be of the same case."""
    issuer = {"assigner": {"display": key.issuer}} if key.issuer else {}
    accession = {"type": concept(ACCESSION), "value": key.accession, **issuer}
    known = {**report, "id": record.anchor, "identifier": [accession, *report.get("identifier", ())]}
    others = [item for item in record.context if item.get("key") == "patient"]
    return replace(
        record,
        id=f"{_FETCHED}{record.id}",
        at=datetime.now(UTC),
        fhir="R4",
        context=[{"key": "report", "resource": known}, *others],
        content=results,
    )


def _received(signoff: Signoff, record: Record) -> Received:
    return Received(
        wire=WIRE,
        peer=signoff.peer,
        sender=signoff.sender,
        control_id=record.id,
        kind=str(record.name),
        accession=signoff.key.accession,
        raw=record.write(),
        ack=b"",
    )
