"""What is sent: valid, unverified, and complete."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from radbridge.case import Case, CaseKey, Code, Order, Patient, Radiologist, Sex, Study
from radbridge.config import Hl7Destination, Hl7v2, Site
from radbridge.draft import DraftImpression, Flag, Severity, Stage
from radbridge.errors import ConfigError
from radbridge.events import ReportDictated, ReportWithdrawn
from radbridge.testing import MemoryIntake
from radbridge.wire import Desk
from radbridge_adapters.hl7v2 import wire
from radbridge_adapters.hl7v2.compose import Addressing, Composer, Unverified, require_valid, specimen
from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.sink import MllpSink

NOW = datetime(2026, 1, 2, 4, tzinfo=UTC)
SIGNED_STATES = {"F", "C", "A", "U", "V"}

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
lines = st.text(st.sampled_from("ab .|^~\\&\r\n\u00e4\u8089\0\x0b\x1c"), max_size=60)


def composer(status: Unverified = Unverified.NOT_VERIFIED) -> Composer:
    return Composer(Addressing(application="RADBRIDGE", receiving_application="DICT", status=status), clock=lambda: NOW)


cases = st.builds(
    Case,
    key=st.builds(CaseKey, accession=words, issuer=words),
    patient=st.builds(
        Patient,
        id=words,
        issuer=words,
        name=words,
        birth_date=st.none() | st.dates(min_value=date(1000, 1, 1)),
        sex=st.sampled_from(Sex),
        patient_class=words,
    ),
    order=st.builds(
        Order, placer=words, filler=words, procedure=st.builds(Code, value=words, system=words, display=words)
    ),
    study=st.builds(Study, modality=words),
    signer=st.builds(Radiologist, id=words, name=words),
)
drafts = st.builds(
    DraftImpression,
    id=words,
    text=lines,
    findings_digest=words,
    signer=words,
    lora=words,
    model=words,
    base_digest=words,
    prompt_version=words,
    stage=st.sampled_from(Stage),
    flags=st.lists(st.builds(Flag, kind=words, message=lines, severity=st.sampled_from(Severity)), max_size=3).map(
        tuple
    ),
    made_at=st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
)


def states(message: Message) -> set[str]:
    return {obx.text(11) for obx in message.all("OBX")} | {obr.text(25) for obr in message.all("OBR")}


@given(cases, drafts, st.sampled_from(Unverified))
def test_no_draft_is_ever_signed(case: Case, draft: DraftImpression, status: Unverified) -> None:
    """Whatever case, draft and configuration, OBR-25 and every OBX-11 are the unverified state and nothing else."""
    message = Message(composer(status).compose(case, draft, "ID").decode())
    assert states(message) == {status.value}
    assert not states(message) & SIGNED_STATES
    assert [segment.name for segment in message.segments if segment.name in {"MSH", "OBR"}] == ["MSH", "OBR"]


@given(cases, drafts, st.sampled_from(Unverified))
def test_a_withdrawal_deletes_and_says_nothing(case: Case, draft: DraftImpression, status: Unverified) -> None:
    """A withdrawal has the draft's OBX with the same ids, deleted and empty, and OBR-25 stays unverified."""
    sent = Message(composer(status).compose(case, draft, "ID").decode())
    taken_back = Message(composer(status).compose_withdrawal(case, draft, "ID2").decode())
    before, after = list(sent.all("OBX")), list(taken_back.all("OBX"))
    assert [(o.raw(1), o.raw(3), o.raw(4)) for o in after] == [(o.raw(1), o.raw(3), o.raw(4)) for o in before]
    assert {(o.raw(5), o.raw(11)) for o in after} == {("", "D")}
    obr = taken_back.first("OBR")
    assert obr is not None
    assert obr.text(25) == status.value


@pytest.mark.parametrize("status", ["F", "C", "A", "U", "X", "final", ""])
def test_no_configuration_signs(status: str) -> None:
    """A destination whose status is a signed one can't be configured."""
    with pytest.raises(ValidationError):
        Hl7Destination.model_validate({"name": "d", "address": "127.0.0.1:1", "status": status})
    assert set(Unverified) == {"R", "P"}


@given(cases, drafts)
def test_text_and_flags_arrive(case: Case, draft: DraftImpression) -> None:
    """Every line of the draft is one OBX, and every flag is one NTE."""
    message = Message(composer().compose(case, draft, "ID").decode())
    flags = list(message.all("NTE"))
    assert len(flags) == len(draft.flags)
    written = [obx.whole(5) for obx in message.all("OBX")]
    expected = [" ".join(line.split()) for line in draft.text.replace("\0", "").splitlines() if line.strip()]
    assert [" ".join(line.split()) for line in written] == (expected or [""])


def test_strictly_valid() -> None:
    """hl7apy's strict validation accepts draft and withdrawal, whole and with nothing known but the accession."""
    case, draft = specimen()
    bare = Case(key=CaseKey(accession="A1"))
    for subject in (case, bare):
        for text in ("One.", "One.\n\n2. Two & three | four ^ five\\six.", ""):
            for status in Unverified:
                sent = replace(draft, text=text)
                require_valid(composer(status).compose(subject, sent, "CONTROLID"), "test")
                require_valid(composer(status).compose_withdrawal(subject, sent, "CONTROLID"), "test")


@settings(max_examples=15)  # hl7apy needs some 30 ms for each
@given(lines, st.lists(st.builds(Flag, kind=st.just("k"), message=lines), max_size=3))
def test_strictly_valid_whatever_is_said(text: str, flags: list[Flag]) -> None:
    """No text of a draft or flag makes the message invalid."""
    case, draft = specimen()
    require_valid(composer().compose(case, replace(draft, text=text, flags=tuple(flags)), "ID"), "test")


def test_content() -> None:
    """Accession, patient, impression code, method, LoRA, signer and control id are where the reference says."""
    case, draft = specimen()
    message = Message(composer().compose(case, draft, "CONTROL-1").decode())
    obr, obx, pid = message.first("OBR"), message.first("OBX"), message.first("PID")
    assert obr is not None
    assert obx is not None
    assert pid is not None
    assert (message.msh.text(10), message.msh.text(18), message.msh.text(12)) == ("CONTROL-1", "UNICODE UTF-8", "2.5.1")
    assert (obr.text(18), obr.raw(3), obr.text(2)) == ("ACC900001", "ACC900001^RIS", "P900001")
    assert obr.raw(32) == "1234&ROE&RICHARD"
    assert (pid.raw(3), pid.raw(5), pid.text(7), pid.text(8)) == ("900001^^^HOSP^MR", "DOE^JANE", "19600102", "F")
    assert (obx.text(3), obx.text(3, 3), obx.whole(5)) == ("19005-8", "LN", "No acute disease.")
    assert (obx.text(17, 2), obx.text(18)) == ("AI draft, not verified", "base")
    assert message.msh.text(7) == "20260102040000+0000"


def test_what_is_sent_can_be_taken_in() -> None:
    """Our own translator reads the draft as an unsigned impression and the withdrawal as a withdrawn report."""
    case, draft = specimen()
    site = Site(hl7v2=Hl7v2(destinations=(Hl7Destination(name="d", address="127.0.0.1:1"),)))
    built = wire(site, cast("Desk", MemoryIntake()))
    (sink,) = built.sinks
    (event,) = built.translate(sink.compose(case, draft, "ID"))
    assert isinstance(event, ReportDictated)
    assert (event.key, event.report.impression, event.signer.id) == (case.key, draft.text, "1234")
    (event,) = built.translate(sink.compose_withdrawal(case, draft, "ID"))
    assert isinstance(event, ReportWithdrawn)


def test_what_would_be_invalid_is_refused_at_start() -> None:
    """A configuration whose messages hl7apy refuses is a ConfigError that names the destination."""
    with pytest.raises(ConfigError, match="dictation"):
        require_valid(b"MSH|^~\\&|A|B|C|D|notatime||ORU^R01^ORU_R01|1|P|2.5.1\rOBX|1\r", "dictation")


def test_sink_takes_its_destination() -> None:
    """A sink addresses what it composes, in the state that its destination knows."""
    settings_ = Hl7v2(application="RB", facility="F1")
    destination = Hl7Destination(name="ris", address="127.0.0.1:1", application="RIS", facility="F2", status="P")
    message = Message(MllpSink(settings_, destination).compose(*specimen(), "ID").decode())
    assert [message.msh.text(n) for n in (3, 4, 5, 6)] == ["RB", "F1", "RIS", "F2"]
    assert states(message) == {"P"}
