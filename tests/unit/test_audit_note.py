"""Audit notes: one canonical form, and the codes that an auditor's system knows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.audit import KINDS, MOST_CASES, Note, Outcome, What, in_parts, read, to_fhir, write
from radbridge.case import CaseKey
from radbridge.errors import AuditBroken
from radbridge.journal import audit
from radbridge.journal.losses import Losses
from radbridge_adapters.syslog.dicom_xml import to_xml
from tests.support.trail import NOON, make_note

_TEXT = st.text(max_size=40)
_NOTES = st.builds(
    Note,
    at=st.datetimes(timezones=st.just(UTC)),
    what=st.sampled_from(What),
    outcome=st.sampled_from(Outcome),
    actor=_TEXT,
    role=_TEXT,
    via=_TEXT,
    peer=_TEXT,
    entity=st.none() | st.builds(CaseKey, accession=st.text(min_size=1, max_size=20), issuer=_TEXT),
    patient=_TEXT,
    cases=st.lists(st.builds(CaseKey, accession=_TEXT, issuer=_TEXT), max_size=3).map(tuple),
    detail=st.dictionaries(st.text(min_size=1, max_size=10), _TEXT, max_size=3),
)


@given(note=_NOTES)
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    """Whatever a wire said, also what no encoding holds, is written in ASCII and read back the same."""
    document = write(note)
    assert document.isascii()
    assert read(document, note.at) == note


@pytest.mark.parametrize("what", What)
def test_every_kind_of_note_has_its_codes(what: What) -> None:
    """Each `What` has a DICOM event and an action, and becomes an AuditEvent that says both."""
    event = to_fhir(make_note(what=what), id="1")
    assert event["type"]["code"] == KINDS[what].event.value
    assert event["action"] == KINDS[what].action
    assert event["subtype"][-1]["code"] == what


def test_an_audit_event_names_who_and_whose_case() -> None:
    """The AuditEvent holds the account with its address, the patient's number and the accession."""
    event = to_fhir(make_note(1, actor="mueller", role="operator", peer="10.1.2.3", detail={"rows": "4"}), id="7")
    asker, own = event["agent"]
    assert asker["who"]["identifier"]["value"] == "mueller"
    assert asker["requestor"]
    assert asker["network"]["address"] == "10.1.2.3"
    assert not own["requestor"]
    assert [e["what"]["identifier"]["value"] for e in event["entity"]] == ["900001", "A1"]
    assert event["recorded"] == "2026-11-22T12:00:01.123Z"


def test_bytes_that_are_no_note_are_refused() -> None:
    """A document that no note was written as raises ValueError, whatever it is."""
    for junk in (b"", b"[]", b"{}", b'{"what":"unheard"}', b"\xff"):
        with pytest.raises(ValueError):  # noqa: PT011 - the message says nothing a caller could use
            read(junk, datetime.now(UTC))


def test_a_long_detail_is_cut() -> None:
    """A detail can't grow beyond what an auditor reads."""
    note = read(write(make_note(detail={"reason": "x" * 5000})), NOON)
    assert len(note.detail["reason"]) == 500


def test_an_event_of_many_cases_fits_its_forms() -> None:
    """Such a note is read as it was written, and names each case for FHIR and for DICOM, within 32 KiB of syslog."""
    note = make_note(what=What.PURGED, entity=None, patient="", detail={"kind": "cases"})
    first, second = in_parts(note, [CaseKey(accession=f"A{n:015}", issuer="RIS") for n in range(MOST_CASES + 1)])
    assert (len(first.cases), len(second.cases)) == (MOST_CASES, 1)
    assert [read(write(one), one.at) for one in (first, second)] == [first, second]
    assert list(in_parts(note, [])) == [note]
    entities = to_fhir(first, id="1")["entity"]
    assert [one["what"]["identifier"]["value"] for one in entities][-2:] == [f"A{MOST_CASES - 1:015}", "purged"]
    assert entities[-1]["detail"] == [{"type": "kind", "valueString": "cases"}]
    xml = to_xml(audit.Chained(seq=1, note=first, hash=bytes(32)))
    assert (xml.count("Accession Number"), len(xml) < 32_768) == (MOST_CASES, True)


@pytest.mark.parametrize("detail", [{"key_id": "1", "events_from_x": "00"}, {"events_from_1": "00"}])
def test_a_note_of_a_lost_key_that_nobody_wrote(detail: dict[str, str]) -> None:
    """What somebody put into the trail by hand is told as such, at its place, and not as an error of ours."""
    with pytest.raises(AuditBroken) as broken:
        Losses().hear(make_note(what=What.KEY_ROTATED, detail=detail), 7)
    assert broken.value.seq == 7
