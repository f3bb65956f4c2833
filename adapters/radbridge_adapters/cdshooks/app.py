"""The ASGI application at `/cds-services`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Connection, select

from radbridge.access import Actor
from radbridge.audit import Note, What
from radbridge.case import CaseKey, digest_findings
from radbridge.config import Site
from radbridge.draft import DraftState, StoredDraft
from radbridge.errors import JournalError
from radbridge.events import OrderPlaced, ReportDictated
from radbridge.journal import cases
from radbridge.journal.schema import messages
from radbridge.traces import answering, carried
from radbridge.wire import Desk, Receive, Received, Rejected, Scope, Send
from radbridge_adapters.cdshooks.caller import Callers
from radbridge_adapters.cdshooks.card import make_card
from radbridge_adapters.cdshooks.feedback import parse_feedback, record, remember
from radbridge_adapters.cdshooks.finding import ReportFinder
from radbridge_adapters.cdshooks.hook import HookRequest, lacking, parse_request, unpack
from radbridge_adapters.cdshooks.openapi import describe
from radbridge_adapters.cdshooks.services import ORDER_SIGN, PATH, SERVICES, Service, discover
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.resources.outcome import Issues, outcome_of, refuse
from radbridge_adapters.resources.snapshot import Snapshot, make_snapshot
from radbridge_adapters.resources.translate import SnapshotTranslator
from radbridge_adapters.security.http import BodyTooLarge, Gone, answer, headers_of, read_body

log = structlog.get_logger(__name__)

WIRE = "cdshooks"
MAX_BYTES = 2 * 2**20
_KEPT_BYTES = 65536
"""Of a body that was refused, for an operator to look at."""
_LARGE = 65536
"""A body over this is read in a thread, beside the event loop."""
_NO_CARDS: Mapping[str, Any] = {"cards": []}
_FEEDBACK = "feedback"
_DOCUMENTS: tuple[list[str], ...] = ([], ["openapi.json"])


class CdsApp:
    """Answers discovery, calls and feedback."""

    def __init__(self, site: Site, desk: Desk, translate: SnapshotTranslator, composer: Composer) -> None:
        self._site = site
        self._desk = desk
        self._translate = translate
        self._composer = composer
        self._callers = Callers(site, desk)
        self.pings = self._callers.pings
        self._finder = ReportFinder(site.fhir.destinations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            status, document = await self._route(scope, receive)
        except Gone:
            return
        except BodyTooLarge:
            too_large = refuse("too-costly", f"the body is larger than {MAX_BYTES} bytes", status=413)
            await answer(send, 413, outcome_of(too_large.issues))
        except Issues as fault:
            headers = headers_of(fault.status, fault.retry_after_s)
            await answer(send, fault.status, outcome_of(fault.issues), headers)
        except JournalError:
            log.exception("journal unavailable")
            await answer(send, 503, None, {"retry-after": "5"})
        else:
            await answer(send, status, document)

    async def _route(self, scope: Scope, receive: Receive) -> tuple[int, Mapping[str, Any]]:
        parts = [part for part in scope["path"].removeprefix(PATH).split("/") if part]
        is_read = scope["method"] in {"GET", "HEAD"}
        if parts in _DOCUMENTS:
            if not is_read:
                raise refuse("not-supported", "GET reads this", status=405)
            return 200, describe() if parts else discover()
        service = SERVICES.get(parts[0])
        if service is None or parts[1:] not in ([], [_FEEDBACK]):
            raise refuse("not-found", "no such service", status=404)
        if scope["method"] != "POST":
            raise refuse("not-supported", "POST calls a service", status=405)
        caller = await self._callers.identify(scope, service.id)
        raw = await read_body(receive, MAX_BYTES)
        try:
            return 200, await self._answer(service, caller, scope, raw, is_feedback=len(parts) > 1)
        except Issues as fault:
            if fault.status == 400:
                await self._keep(scope, raw, fault, service)
            raise

    async def _answer(
        self, service: Service, caller: Actor, scope: Scope, raw: bytes, *, is_feedback: bool
    ) -> Mapping[str, Any]:
        if is_feedback:
            unknown = await self._desk.store.write_first(record, parse_feedback(raw))
            if unknown:
                log.info("feedback on cards that are not known here", count=unknown)
            return {}
        is_large = len(raw) > _LARGE
        request = await asyncio.to_thread(parse_request, raw, service) if is_large else parse_request(raw, service)
        if service is ORDER_SIGN:
            await self._learn_orders(request, caller, scope)
            return _NO_CARDS
        return await self._draft(request, caller, scope)

    async def _learn_orders(self, request: HookRequest, caller: Actor, scope: Scope) -> None:
        """Journal each imaging order that names its accession; without one there is nothing to keep it by."""
        for resource in unpack(request.context["draftOrders"]):
            snapshot = Snapshot(resource, request.prefetched())
            if resource["resourceType"] == "ServiceRequest":
                for event in self._translate.read(snapshot):
                    if isinstance(event, OrderPlaced):
                        await self._journal(snapshot, event.key, caller, scope, request)

    async def _draft(self, request: HookRequest, caller: Actor, scope: Scope) -> Mapping[str, Any]:
        """Journal the report as it is now, wait for its draft, show it."""
        snapshot = await self._finder.find(request)
        if snapshot is None:
            return _NO_CARDS
        if not (events := self._translate.read(snapshot)):
            raise lacking("the report names no accession number, or is none of imaging")
        event = events[0]
        if not isinstance(event, ReportDictated) or not event.report.findings:
            return _NO_CARDS  # signed, withdrawn, a machine's own, or nothing dictated yet
        await self._journal(snapshot, event.key, caller, scope, request)
        stored = await self._desk.draft_of(
            event.key, digest_findings(event.report.findings), at_most_s=self._site.cdshooks.deadline_s
        )
        if stored is None or stored.state is not DraftState.CURRENT:
            return _NO_CARDS
        return await self._show(stored, caller, _peer(scope))

    async def _show(self, stored: StoredDraft, caller: Actor, peer: str) -> Mapping[str, Any]:
        case = await self._desk.store.read(lambda conn: cases.load(conn, stored.key))
        if case is None:
            return _NO_CARDS
        note = Note(
            at=datetime.now(UTC),
            what=What.VIEWED,
            actor=caller.known_as,
            via=WIRE,
            peer=peer,
            entity=case.key,
            patient=case.patient.id,
            detail={"draft_id": stored.draft.id},
        )
        await self._desk.store.write_first(remember, (stored.draft, note))
        resources = await asyncio.to_thread(self._composer.compose, case, stored.draft)  # it may read, once
        return {"cards": [make_card(stored.draft, resources.observation)]}

    async def _journal(
        self, snapshot: Snapshot, key: CaseKey, caller: Actor, scope: Scope, request: HookRequest
    ) -> None:
        """Commit; what was the last thing told of this accession is not told again."""
        raw = make_snapshot(snapshot.focus, snapshot.resources)
        if await self._desk.store.read(lambda conn: _is_last(conn, key.accession, raw)):
            return
        with answering(self._desk.meter, WIRE):  # to the commit: the answer itself may wait for a draft, on purpose
            await self._desk.accept(
                Received(
                    wire=WIRE,
                    peer=_peer(scope),
                    sender=caller.name,
                    control_id=f"{request.instance}/{key.accession}/{snapshot.focus.get('id', '')}",
                    kind=request.hook,
                    accession=key.accession,
                    raw=raw,
                    ack=b"",
                    trace=carried(),
                )
            )

    async def _keep(self, scope: Scope, raw: bytes, fault: Issues, service: Service) -> None:
        rejected = Rejected(
            wire=WIRE,
            peer=_peer(scope),
            reason=fault.reason,
            detail=str(fault),
            kind=service.hook,
            raw=raw[:_KEPT_BYTES],
            size=len(raw),
            ack=b"",
        )
        await self._desk.reject(rejected)


def _peer(scope: Scope) -> str:
    host: Sequence[Any] = scope.get("client") or ("",)
    return str(host[0])


def _is_last(conn: Connection, accession: str, raw: bytes) -> bool:
    """Whether the newest message of the accession, on whatever wire, is just this."""
    newest = select(messages.c.wire, messages.c.raw).where(messages.c.accession == accession)
    row = conn.execute(newest.order_by(messages.c.id.desc()).limit(1)).first()
    return row is not None and (row.wire, row.raw) == (WIRE, raw)
