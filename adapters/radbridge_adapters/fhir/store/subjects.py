"""Whose case and which patient stored resources are about: what the audit trail is asked by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, select

from radbridge.audit import Subject
from radbridge.case import CaseKey
from radbridge.journal.schema import resource_index
from radbridge_adapters.fhir.store.snapshots import Document, Snapshots
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.patient import read_patient
from radbridge_adapters.resources.snapshot import Snapshot, key_of

_OF_CASES = ("DiagnosticReport", "ServiceRequest", "ImagingStudy")
"""Types that may name an accession."""
_KINDS = frozenset((*_OF_CASES, "Composition", "Observation", "Patient", "Provenance"))
_AT_ONCE = 200


def find_subjects(conn: Connection, accessions: Accessions, names: Iterable[str]) -> dict[str, Subject]:
    """By `Patient/12`; without what isn't here, and what is about nobody."""
    wanted = [name for name in dict.fromkeys(names) if name.partition("/")[0] in _KINDS]
    snapshots = Snapshots(conn, accessions, ())
    results = [name for name in wanted if name.startswith("Observation/")]
    reports = _reports_with(conn, results) if results else {}
    around = {key_of(one): Snapshot(one, beside) for one, beside in snapshots.of([*wanted, *reports.values()])}
    found: dict[str, Subject] = {}
    for name in wanted:
        near = [around[one] for one in (name, reports.get(name, "")) if one in around]
        if near and (subject := _read(near, accessions)) != Subject():
            found[name] = subject
    return found


def _reports_with(conn: Connection, results: Sequence[str]) -> Mapping[str, str]:
    """A report that has each of these Observations as a result: a result itself seldom names its order."""
    i, found = resource_index, dict[str, str]()
    for start in range(0, len(results), _AT_ONCE):
        of = (i.c.type == "DiagnosticReport", i.c.param == "result", i.c.value.in_(results[start : start + _AT_ONCE]))
        found |= {row.value: f"DiagnosticReport/{row.id}" for row in conn.execute(select(i.c.value, i.c.id).where(*of))}
    return found


def _read(near: Sequence[Snapshot], accessions: Accessions) -> Subject:
    keys = (key for one in near for key in _keys(one, accessions))
    patients = (number for one in near for number in _patients(one))
    return Subject(entity=next(keys, None), patient=next(patients, ""))


def _keys(snapshot: Snapshot, accessions: Accessions) -> Iterable[CaseKey]:
    for one in (snapshot.focus, *(r for r in snapshot.resources if r["resourceType"] in _OF_CASES)):
        if (key := accessions.find(Snapshot(one, snapshot.resources))) is not None:
            yield key


def _patients(snapshot: Snapshot) -> Iterable[str]:
    focus = snapshot.focus
    if focus["resourceType"] == "Patient":
        yield read_patient(focus).id
        return
    owners: Sequence[Document] = (focus, *(r for r in snapshot.resources if r["resourceType"] in _OF_CASES))
    for one in owners:
        reference = one.get("subject")
        if number := read_patient(snapshot.find(reference, one), reference).id:
            yield number
