"""Syslog messages: RFC 5424 in RFC 5425 frames, with a DICOM audit message that any XML reader reads."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.audit import KINDS, What
from radbridge.case import CaseKey
from radbridge.journal.audit import Chained
from radbridge_adapters.syslog.message import write_frame, write_message
from tests.support.trail import make_note

_HEAD = re.compile(
    rb"<85>1 (\S+) ([!-~]{1,255}) radbridge (\d+) (\S+) \[meta sequenceId=\"(\d+)\"\] \xef\xbb\xbf(.*)", re.DOTALL
)


def chained(seq: int = 7, **told: object) -> Chained:
    return Chained(seq=seq, note=make_note(**told), hash=bytes(range(32)))  # type: ignore[arg-type]  # a test's words


def body_of(event: Chained) -> ET.Element:
    match = _HEAD.fullmatch(write_message(event, "dicom"))
    assert match is not None
    return ET.fromstring(match[6].decode())  # noqa: S314 - our own text


def test_a_message_has_the_parts_that_iti_20_asks_for() -> None:
    """PRI 85, version 1, a time with microseconds and Z, the MSGID of IHE, the event's number, a BOM."""
    match = _HEAD.fullmatch(write_message(chained(), "dicom"))
    assert match is not None
    assert match[1] == b"2026-11-22T12:00:00.123456Z"
    assert match[4] == b"IHE+RFC-3881"
    assert match[5] == b"7"


@pytest.mark.parametrize(("seq", "told"), [(1, 1), (2**31 - 1, 2**31 - 1), (2**31, 1)])
def test_the_number_begins_again_where_the_standard_says(seq: int, told: int) -> None:
    """RFC 5424, 7.3.1: `sequenceId` goes to 2147483647 and then from 1 on."""
    assert f'sequenceId="{told}"'.encode() in write_message(chained(seq), "dicom")


@pytest.mark.parametrize("what", What)
def test_every_kind_of_event_is_a_dicom_audit_message(what: What) -> None:
    """Each has its EventID, action, time, outcome, a requestor, a source, in the order of PS3.15 A.5.1."""
    message = body_of(chained(what=what))
    parts = [part.tag for part in message]
    order = ["EventIdentification", "ActiveParticipant", "AuditSourceIdentification", "ParticipantObjectIdentification"]
    assert sorted(parts, key=order.index) == parts
    event = message[0]
    assert event.attrib["EventActionCode"] == KINDS[what].action
    assert event.attrib["EventDateTime"] == "2026-11-22T12:00:00.123Z"
    assert event[0].attrib["csd-code"] == KINDS[what].event.value
    assert message.find("ActiveParticipant[@UserIsRequestor='true']") is not None


def test_a_patient_and_a_case_are_told_apart() -> None:
    """The patient's number is a person's, the accession a report's, and the trail's own hash stands with the event."""
    message = body_of(chained(actor="mueller", role="operator", peer="10.1.2.3", detail={"rows": "4"}))
    patient, case, own = message.findall("ParticipantObjectIdentification")
    kinds = [
        (part.attrib["ParticipantObjectID"], part.attrib["ParticipantObjectTypeCode"]) for part in (patient, case, own)
    ]
    assert kinds == [("900001", "1"), ("A0", "2"), ("radbridge:audit:7", "2")]
    details = {d.attrib["type"]: base64.b64decode(d.attrib["value"]).decode() for d in own.iter() if "type" in d.attrib}
    assert details == {"hash": bytes(range(32)).hex(), "rows": "4"}
    asker = message.find("ActiveParticipant")
    assert asker is not None
    assert asker.attrib["NetworkAccessPointID"] == "10.1.2.3"


@given(text=st.text(min_size=1, max_size=60))
def test_no_text_of_a_peer_breaks_the_message(text: str) -> None:
    """Whatever an accession or an account holds, the XML is read, and no line ends within it."""
    event = Chained(
        seq=1,
        note=make_note(actor=text, entity=CaseKey(accession=text), patient=text, detail={"reason": text}),
        hash=bytes(32),
    )
    assert body_of(event).tag == "AuditMessage"
    assert b"\n" not in write_message(event, "dicom")


def test_a_frame_counts_bytes() -> None:
    """RFC 5425, 4.3.1: the length in bytes, a blank, the message."""
    assert write_frame("Ärzte".encode()) == b"6 \xc3\x84rzte"


def test_the_fhir_form_is_the_audit_event() -> None:
    """`format = "fhir"`: one line of JSON, whose id is the event's number."""
    match = _HEAD.fullmatch(write_message(chained(), "fhir"))
    assert match is not None
    told = json.loads(match[6])
    assert (told["resourceType"], told["id"]) == ("AuditEvent", "7")
    assert datetime.fromisoformat(told["recorded"]).tzinfo is not None
