"""Journaled events to facts: what was opened, dictated, signed or withdrawn in a reading session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from radbridge.config import Site
from radbridge.errors import MessageFault
from radbridge.events import Event, ReportDictated, ReportOpened
from radbridge_adapters.fhircast.names import REPORT
from radbridge_adapters.fhircast.reading import make_snapshot, reading
from radbridge_adapters.fhircast.record import read_record
from radbridge_adapters.resources.signer import read_signer
from radbridge_adapters.resources.snapshot import Snapshot
from radbridge_adapters.resources.translate import SnapshotTranslator


class RecordTranslator:
    """Translates by the site's tables; a `radbridge.wire.Wire.translate`."""

    def __init__(self, site: Site) -> None:
        self._default_signer = site.fhir.default_signer
        self._snapshots = SnapshotTranslator.of(site)

    def __call__(self, raw: bytes) -> Sequence[Event]:
        """The facts that one event tells: none for a close. Raises MessageFault for what can't be read."""
        record = read_record(raw)
        if record.name.resource != REPORT or record.name.verb == "close":
            return ()
        snapshot = make_snapshot(record.anchor, record.context, record.content, record.fhir)
        with reading():
            facts = [replace(fact, at=record.at) for fact in self._snapshots.read(snapshot)]
            if record.name.verb == "update":
                return facts
            dictated = [fact for fact in facts if isinstance(fact, ReportDictated)]
            return [self._opened(snapshot, record.at), *dictated]

    def _opened(self, snapshot: Snapshot, at: datetime) -> ReportOpened:
        """Somebody has the report before them, which selecting something in it says too."""
        about = self._snapshots.about(snapshot)
        if about is None:
            raise MessageFault("no_accession", "neither the report nor its order or study names an accession")
        signer = read_signer(snapshot, self._default_signer)
        return ReportOpened(
            key=about.key, at=at, patient=about.patient, order=about.order, study=about.study, signer=signer
        )
