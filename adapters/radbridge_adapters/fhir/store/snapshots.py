"""What of a write the rest of RadBridge has to know: snapshots of reports, orders, studies and patients, journaled.

A report says little without its patient, order and observations, and these may be stored before it or after: storing
one of them journals each unsigned report that refers to it once more. To apply an equal text again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from radbridge.journal import messages
from radbridge.journal.schema import resource_index
from radbridge.wire import Received
from radbridge_adapters.fhir.search.params import references_of
from radbridge_adapters.fhir.store.find import fetch
from radbridge_adapters.fhir.store.record import Version
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.ours import UNSIGNED, is_machine_text
from radbridge_adapters.resources.references import find_references, parse_reference
from radbridge_adapters.resources.snapshot import Snapshot, key_of, make_snapshot
from radbridge_adapters.resources.translate import FOCUSES

WIRE = "fhir"
HOPS = 3
"""From a report over its PractitionerRole to the Practitioner, with one to spare."""
MAX_NEIGHBOURS = 200
_REFERRERS = ("DiagnosticReport", "Composition", "PractitionerRole", "ServiceRequest", "ImagingStudy", "Patient")
_BACK_HOPS = 2
"""From a Practitioner over the PractitionerRole to the report."""

Document = Mapping[str, Any]


class Snapshots:
    """Journals what the versions of one transaction tell."""

    def __init__(self, conn: Connection, accessions: Accessions, versions: Sequence[Version]) -> None:
        self._conn = conn
        self._accessions = accessions
        self._versions = versions
        self._known: dict[str, Document | None] = {v.key: v.document for v in versions}
        """The newest state of what was looked at; None for what isn't here."""
        self._pointed: dict[tuple[str, str], tuple[str, ...]] = {}
        """By name and version, for an older one may point elsewhere."""
        self._beside: dict[str, list[str]] = {}
        self._new_names = {v.key for v in versions if v.is_new_name}

    def journal(self, peer: str) -> None:
        """Take in one message for each focus, in the same transaction as the versions."""
        foci = [v for v in self._versions if v.type in FOCUSES and not is_machine_text(v.document)]
        told = {v.key for v in foci}
        again = [(v, d) for v in self._versions for d in self._reports_about(v) if key_of(d) not in told]
        self._load_around([v.document for v in foci] + [document for _, document in again])
        received = [self._received(v.document, f"{v.key}/_history/{v.version}", v, peer) for v in foci]
        for version, document in again:
            seen = f"{key_of(document)}/_history/{document['meta']['versionId']}"
            received.append(self._received(document, f"{seen}+{version.key}/_history/{version.version}", version, peer))
        if received:
            messages.accept(self._conn, received)

    def around(self, focus: Document) -> list[Document]:
        """What a snapshot of `focus` holds beside it."""
        self._load_around([focus])
        return self._around(focus)

    def of(self, names: Iterable[str]) -> list[tuple[Document, list[Document]]]:
        """Resources by `Patient/12`, as far as they are here, each with what a snapshot of it holds beside it."""
        return self.beside(self._find(dict.fromkeys(names)))

    def beside(self, foci: Sequence[Document]) -> list[tuple[Document, list[Document]]]:
        """Resources, each in any of its versions, with what a snapshot of it holds beside it now."""
        self._load_around(foci)
        return [(focus, self._around(focus)) for focus in foci]

    def _received(self, focus: Document, control_id: str, by: Version, peer: str) -> Received:
        neighbours = self._around(focus)
        key = self._accessions.find(Snapshot(focus, neighbours))
        status = focus.get("status")
        return Received(
            wire=WIRE,
            peer=peer,
            sender=by.client,
            control_id=control_id,
            kind=f"{focus['resourceType']}/{status}" if status else str(focus["resourceType"]),
            accession=key.accession if key else "",
            raw=make_snapshot(focus, neighbours),
            ack=b"",
            trace=by.trace,
        )

    def _reports_about(self, version: Version) -> list[Document]:
        """What it belongs to: unsigned reports of others that refer to it, a Composition's own, merged patients."""
        near = set(self._points_at(version.document)) if version.type == "Composition" else set()
        names = set() if version.is_new_name else {version.key}  # a name that is new was never referred to
        if not near and not names:
            return []
        reports: dict[str, Document] = {}
        seen = {version.key}
        for _ in range(_BACK_HOPS):
            near |= self._referrers(names) if names else set()
            found = self._find(near - seen)
            seen |= near
            reports |= {key_of(d): d for d in found if _is_awaited(d)}
            names, near = {key_of(d) for d in found if d["resourceType"] != "DiagnosticReport"}, set()
        return list(reports.values())[:MAX_NEIGHBOURS]

    def _referrers(self, names: Iterable[str]) -> set[str]:
        i = resource_index
        found: set[str] = set()
        for kind in _REFERRERS:
            rows = select(i.c.id).where(i.c.type == kind, i.c.param.in_(references_of(kind)), i.c.value.in_(names))
            found |= {f"{kind}/{id}" for id in self._conn.execute(rows.limit(MAX_NEIGHBOURS)).scalars()}
        return found

    def _load_around(self, foci: Sequence[Document]) -> None:
        """Read everything within reach of the foci: a query for each hop, for all of them together."""
        self._look_beside([key_of(focus) for focus in foci if focus["resourceType"] == "DiagnosticReport"])
        edge = [*foci, *(one for focus in foci for one in self._compositions_of(focus))]
        seen: set[str] = set()
        for _ in range(HOPS):
            near = {key for document in edge for key in self._points_at(document)} - seen
            edge = self._find(near)
            seen |= near

    def _around(self, focus: Document) -> list[Document]:
        """What is within reach of one focus, and the Compositions that have it as an entry."""
        beside = self._compositions_of(focus)
        found = {key_of(d): d for d in beside}
        edge = [focus, *beside]
        for _ in range(HOPS):
            near = [self._known.get(key) for document in edge for key in self._points_at(document)]
            edge = [d for d in near if d is not None and key_of(d) not in found]
            found |= {key_of(d): d for d in edge}
        found.pop(key_of(focus), None)
        return list(found.values())[:MAX_NEIGHBOURS]

    def _look_beside(self, reports: Sequence[str]) -> None:
        """Find the Compositions of many reports together; where some have too many, each is asked for alone."""
        wanted = [name for name in dict.fromkeys(reports) if name not in self._beside and name not in self._new_names]
        if len(wanted) < 2 or any(v.type == "Composition" for v in self._versions):
            return
        i = resource_index
        for start in range(0, len(wanted), MAX_NEIGHBOURS):
            part = wanted[start : start + MAX_NEIGHBOURS]
            rows = select(i.c.id, i.c.value).where(i.c.type == "Composition", i.c.param == "entry", i.c.value.in_(part))
            found = self._conn.execute(rows.limit(MAX_NEIGHBOURS + 1)).all()
            if len(found) <= MAX_NEIGHBOURS:
                self._beside |= {name: [f"Composition/{row.id}" for row in found if row.value == name] for name in part}

    def _compositions_of(self, focus: Document) -> list[Document]:
        """The Compositions that have a report as an entry: R4 has no element that points the other way."""
        name = key_of(focus)
        if focus["resourceType"] != "DiagnosticReport":
            return []
        if name not in self._beside:
            beside = [v.key for v in self._versions if v.type == "Composition" and name in self._points_at(v.document)]
            if name not in self._new_names:
                i = resource_index
                rows = select(i.c.id).where(i.c.type == "Composition", i.c.param == "entry", i.c.value == name)
                beside += [f"Composition/{id}" for id in self._conn.execute(rows.limit(MAX_NEIGHBOURS)).scalars()]
            self._beside[name] = beside
        return self._find(self._beside[name])

    def _find(self, names: Iterable[str]) -> list[Document]:
        """Resources by `Patient/12`, from memory where they were looked at before."""
        wanted = [name for name in names if name not in self._known]
        self._known |= dict.fromkeys(wanted)
        pairs = [(kind, id) for kind, _, id in (name.partition("/") for name in wanted)]
        for match in fetch(self._conn, pairs):
            self._known[f"{match.type}/{match.id}"] = read_json(match.raw)
        return [document for name in names if (document := self._known[name]) is not None]

    def _points_at(self, document: Document) -> tuple[str, ...]:
        name = (key_of(document), str(document["meta"]["versionId"]))
        if name not in self._pointed:
            literals = (parse_reference(reference["reference"]) for _, reference in find_references(document, ""))
            self._pointed[name] = tuple(dict.fromkeys(one.key for one in literals if one is not None))
        return self._pointed[name]


def _is_awaited(document: Document) -> bool:
    """Whether it is a report that a radiologist still works on, or a patient's record that may name another."""
    if document["resourceType"] == "Patient":
        return "link" in document
    is_report = document["resourceType"] == "DiagnosticReport"
    return is_report and document.get("status") in UNSIGNED and not is_machine_text(document)
