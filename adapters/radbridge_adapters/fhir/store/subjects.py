"""Whose case and which patient stored resources are about: what the audit trail is asked by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import structlog
from sqlalchemy import Connection, select

from radbridge.audit import Subject
from radbridge.case import CaseKey
from radbridge.journal.schema import resource_index
from radbridge_adapters.fhir.store.read import versions_of
from radbridge_adapters.fhir.store.snapshots import Document, Snapshots
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.patient import read_patient
from radbridge_adapters.resources.snapshot import Snapshot, key_of

log = structlog.get_logger(__name__)

PAST = "/_history/"
"""Between a resource's name and the number of a version of it."""
_OF_CASES = ("DiagnosticReport", "ServiceRequest", "ImagingStudy")
"""Types that may name an accession."""
_KINDS = frozenset((*_OF_CASES, "Composition", "Observation", "Patient", "Provenance"))
_AT_ONCE = 200
_T = TypeVar("_T")


def find_subjects(conn: Connection, accessions: Accessions, names: Iterable[str]) -> dict[str, Subject]:
    """By `Patient/12` or `Patient/12/_history/3`; without what isn't here, and what is about nobody.

    A version is read as it was: what was corrected since may have been another patient's.
    """
    wanted = [name for name in dict.fromkeys(names) if name.partition("/")[0] in _KINDS]
    plain = {name: name.partition(PAST)[0] for name in wanted}
    results = [name for name in plain.values() if name.startswith("Observation/")]
    reports = _reports_with(conn, results) if results else {}
    snapshots = Snapshots(conn, accessions, ())
    of = snapshots.of([*plain.values(), *reports.values()])
    around = {key_of(one): Snapshot(one, beside) for one, beside in of}
    found: dict[str, Subject] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        for name, own in _as_of(conn, snapshots, wanted[start : start + _AT_ONCE], around).items():
            near = [one for one in (own, around.get(reports.get(plain[name], ""))) if one is not None]
            if near and (subject := _read(near, accessions)) != Subject():
                found[name] = subject
    return found


def _as_of(
    conn: Connection, snapshots: Snapshots, names: Sequence[str], newest: Mapping[str, Snapshot]
) -> Mapping[str, Snapshot | None]:
    """The versions that are named, with what is beside them now; the newest where none is."""
    found: dict[str, Snapshot | None] = {}
    past: list[tuple[str, str, int]] = []
    for name in names:
        key, _, version = name.partition(PAST)
        found[name] = newest.get(key)
        if version and ((one := found[name]) is None or one.focus["meta"]["versionId"] != version):
            found[name] = None
            resource_type, _, id = key.partition("/")
            past.append((resource_type, id, int(version)))
    stored = versions_of(conn, past) if past else ()
    for focus, beside in snapshots.beside([read_json(one.raw) for one in stored]):
        found[f"{key_of(focus)}{PAST}{focus['meta']['versionId']}"] = Snapshot(focus, beside)
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
    return Subject(entity=_first(keys), patient=_first(patients) or "")


def _first(found: Iterable[_T]) -> _T | None:
    try:
        return next(iter(found), None)
    except Exception:  # a resource that we read wrongly must not hold up the notes of all others
        log.exception("whose data it is can't be told")
        return None


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
