"""`$draft-impression`: a draft on demand, waited for or asked for again (R4 async.html).

The operation never makes the model work out of turn: it stores the report where it has to, and waits for the draft that
these very findings get anyway.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from radbridge.audit import Subject
from radbridge.case import Case, CaseKey, digest_findings
from radbridge.config import Site
from radbridge.draft import DraftState, StoredDraft
from radbridge.events import ReportDictated
from radbridge.journal import cases
from radbridge.journal.schema import fhir_jobs
from radbridge.wire import Desk
from radbridge_adapters.fhir.body import Bodies
from radbridge_adapters.fhir.execution import Author, Executor
from radbridge_adapters.fhir.planning import Intent
from radbridge_adapters.fhir.request import Answer, Request
from radbridge_adapters.fhir.route import Route
from radbridge_adapters.fhir.shown import Shown
from radbridge_adapters.fhir.store.read import newest
from radbridge_adapters.fhir.store.snapshots import Snapshots
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.ours import is_machine_text
from radbridge_adapters.resources.outcome import Issue, Issues, outcome_of, refuse
from radbridge_adapters.resources.snapshot import Snapshot
from radbridge_adapters.resources.translate import SnapshotTranslator

Interaction = Callable[[Request], Awaitable[Answer]]
Document = Mapping[str, Any]

TYPE = "DiagnosticReport"
LONGEST_S = 60.0
"""A caller waits for at most."""
JOB_LIFE = timedelta(hours=1)
"""So long a job is waited for, and can be asked for."""
_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "min": Decimal(60)}
"""UCUM codes of a deadline -> seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The findings that a draft is wanted of."""

    key: CaseKey
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """An asynchronous request that was accepted."""

    id: str
    wanted: Wanted
    client: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What a request holds."""

    report: Document | None = field(default=None, repr=False)
    deadline_s: float


class Operation:
    """Answers the operation, and the questions after its jobs."""

    routes: Sequence[Route] = (
        Route(method="POST", path="{type}/{id}/$draft-impression", interaction="draft", verb="u", of_type=TYPE),
        Route(method="POST", path="{type}/$draft-impression", interaction="draft", verb="u", of_type=TYPE),
        Route(method="GET", path="$draft-status/{id}", interaction="draft-status"),
        Route(method="DELETE", path="$draft-status/{id}", interaction="draft-cancel"),
    )

    def __init__(
        self, site: Site, desk: Desk, *, executor: Executor, bodies: Bodies, composer: Composer, shown: Shown
    ) -> None:
        self._desk = desk
        self._executor = executor
        self._bodies = bodies
        self._composer = composer
        self._shown = shown
        self._accessions = Accessions.of(site)
        self._translator = SnapshotTranslator.of(site)
        self._deadline_s = site.model.settle_s + site.model.deadline_s

    @property
    def interactions(self) -> Mapping[str, Interaction]:
        """By the names of `routes`."""
        return {"draft": self.draft, "draft-status": self.status, "draft-cancel": self.cancel}

    async def draft(self, request: Request) -> Answer:
        """The draft as a Bundle, or the address to ask at. Raises Issues: 404, 422, 504."""
        request.client.require(TYPE, "r")
        asked = await self._read(request)
        id = request.id or await self._store(asked, request)
        wanted, version = await self._desk.store.read(lambda conn: self._find(conn, id))
        request.views.add(TYPE, id, version)
        if request.prefers("respond-async"):
            return await self._accept(wanted, request)
        stored = await self._desk.draft_of(wanted.key, wanted.digest, at_most_s=asked.deadline_s)
        if stored is None:
            raise refuse(
                "timeout", "no draft before the deadline; ask again, or with Prefer: respond-async", status=504
            )
        return Answer(document=await self._bundle(stored, request))

    async def status(self, request: Request) -> Answer:
        """202 while it is waited for; then what it came to, whole, with its own status inside."""
        job = await self._desk.store.read(lambda conn: _find_job(conn, request))
        stored = await self._desk.draft_of(job.wanted.key, job.wanted.digest, at_most_s=0.0)
        if stored is None:
            return Answer(status=202, headers={"x-progress": "drafting", "retry-after": "1"})
        try:
            entry: dict[str, Any] = {"resource": await self._bundle(stored, request), "response": {"status": "200 OK"}}
        except Issues as fault:
            entry = {"response": {"status": str(fault.status), "outcome": outcome_of(fault.issues)}}
        return Answer(document={"resourceType": "Bundle", "type": "batch-response", "entry": [entry]})

    async def cancel(self, request: Request) -> Answer:
        """Forget the job; the draft itself is the case's."""
        job = await self._desk.store.read(lambda conn: _find_job(conn, request))
        await self._desk.store.write_first(_forget_jobs, job.id)
        return Answer(status=202, headers={})

    async def _read(self, request: Request) -> _Asked:
        """The Parameters of the body; an empty one asks for the usual."""
        given = await self._bodies.parse(request.body) if request.body.strip() else {"resourceType": "Parameters"}
        if given["resourceType"] != "Parameters":
            raise refuse("structure", "the operation takes Parameters", expression="resourceType")
        report, deadline_s = None, self._deadline_s
        for index, one in enumerate(given.get("parameter", ())):
            place = f"Parameters.parameter[{index}]"
            match one["name"]:
                case "report":
                    report = _read_report(one, place)
                case "deadline":
                    deadline_s = _read_deadline(one, place)
                case _:
                    raise refuse("not-supported", "the operation has no such parameter", expression=f"{place}.name")
        if (report is None) is not bool(request.id):
            raise refuse("required", "either a report's address, or the parameter report", expression="Parameters")
        return _Asked(report=report, deadline_s=deadline_s)

    async def _store(self, asked: _Asked, request: Request) -> str:
        """The id under which the report of the body stands here: as an update where it has one, else created."""
        report = asked.report or {}
        id = str(report.get("id", ""))
        intent = Intent(method="PUT" if id else "POST", type=TYPE, id=id, document=report)
        author = Author(client=request.client, base=request.base, peer=request.peer)
        [outcome] = await self._executor.execute([intent], author)
        request.views.keep(outcome.type, outcome.id, outcome.version, is_new=outcome.is_new)
        return outcome.id

    def _find(self, conn: Connection, id: str) -> tuple[Wanted, int]:
        """The case and the findings of a stored report, and its version.

        Raises Issues: 404, and 422 for one that gets no draft.
        """
        stored = newest(conn, TYPE, id)
        if stored is None:
            raise refuse("not-found", "there is no such resource", status=404)
        focus = read_json(stored.raw)
        if is_machine_text(focus):
            raise refuse("business-rule", "a draft is not drafted from a draft")
        neighbours = Snapshots(conn, self._accessions, ()).around(focus)
        for event in self._translator.read(Snapshot(focus, neighbours)):
            if isinstance(event, ReportDictated) and event.report.findings:
                return Wanted(key=event.key, digest=digest_findings(event.report.findings)), stored.version
        raise refuse("business-rule", "no unsigned report with an accession number and findings")

    async def _accept(self, wanted: Wanted, request: Request) -> Answer:
        job = Job(id=secrets.token_hex(24), wanted=wanted, client=request.client.id, created_at=datetime.now(UTC))
        await self._desk.store.write_first(_add_jobs, job)
        return Answer(status=202, headers={"content-location": f"{request.base}/$draft-status/{job.id}"})

    async def _bundle(self, stored: StoredDraft, request: Request) -> dict[str, Any]:
        """The three resources. Raises Issues (422) where no draft could be made, or none may be shown."""
        if stored.state in (DraftState.NONE, DraftState.BLOCKED):
            why = "kept back by the guard" if stored.state is DraftState.BLOCKED else "none could be made"
            raise Issues([Issue(code="processing", diagnostics=f"no draft: {why}")], status=422)
        case: Case | None = await self._desk.store.read(lambda conn: cases.load(conn, stored.key))
        if case is None or stored.state is not DraftState.CURRENT:
            raise refuse("business-rule", "the draft stands no more: its report was signed, or is taken back")
        resources = await asyncio.to_thread(self._composer.compose, case, stored.draft)  # it may read, once
        bundle = resources.bundle()
        self._shown.note(write_json(bundle))
        request.views.subjects.append(Subject(entity=case.key, patient=case.patient.id))
        return bundle


def _read_report(parameter: Document, place: str) -> Document:
    report: Document = parameter.get("resource", {})
    if report.get("resourceType") != TYPE:
        raise refuse("invariant", f"report is a {TYPE}", expression=f"{place}.resource", status=400)
    return report


def _read_deadline(parameter: Document, place: str) -> float:
    duration = parameter.get("valueDuration", {})
    unit = _UNITS.get(duration.get("code") or duration.get("unit", ""))
    if unit is None or not 0 <= (value := duration.get("value", -1)) <= 10**6:
        raise refuse("value", "deadline is a Duration in ms, s or min", expression=f"{place}.valueDuration")
    return min(float(value * unit), LONGEST_S)


def _find_job(conn: Connection, request: Request) -> Job:
    """Raises Issues (404): unknown, too old, or somebody else's."""
    request.client.require(TYPE, "r")
    row = conn.execute(select(fhir_jobs).where(fhir_jobs.c.id == request.id)).first()
    if row is None or row.client != request.client.id or row.created_at < datetime.now(UTC) - JOB_LIFE:
        raise refuse("not-found", "there is no such job", status=404)
    wanted = Wanted(key=CaseKey(accession=row.accession, issuer=row.issuer), digest=row.digest)
    return Job(id=row.id, wanted=wanted, client=row.client, created_at=row.created_at)


def _add_jobs(conn: Connection, jobs: Sequence[Job]) -> list[None]:
    """Note them; those that nobody may ask for any more go."""
    conn.execute(delete(fhir_jobs).where(fhir_jobs.c.created_at < datetime.now(UTC) - JOB_LIFE))
    rows = [
        {
            "id": job.id,
            "accession": job.wanted.key.accession,
            "issuer": job.wanted.key.issuer,
            "digest": job.wanted.digest,
            "client": job.client,
            "created_at": job.created_at,
        }
        for job in jobs
    ]
    conn.execute(insert(fhir_jobs), rows)
    return [None] * len(jobs)


def _forget_jobs(conn: Connection, ids: Sequence[str]) -> list[None]:
    conn.execute(delete(fhir_jobs).where(fhir_jobs.c.id.in_(ids)))
    return [None] * len(ids)
