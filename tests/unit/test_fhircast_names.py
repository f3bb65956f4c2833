"""Event names and wildcards of FHIRcast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.names import parse_name, parse_wanted


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        ("diagnosticreport-OPEN", "DiagnosticReport-open"),
        ("DiagnosticReport-update", "DiagnosticReport-update"),
        ("patient-close", "Patient-close"),
        ("syncerror", "SyncError"),
        ("HEARTBEAT", "heartbeat"),
        ("org.example.templateChosen", "org.example.templateChosen"),
        ("MedicationRequest-Open", "MedicationRequest-open"),
    ],
)
def test_a_name_is_read_without_regard_to_case_and_written_as_the_standard_writes_it(said: str, canonical: str) -> None:
    """A name is read without regard to case and written as the standard writes it."""
    assert str(parse_name(said)) == canonical


@pytest.mark.parametrize("said", ["", "-open", "a b", "DiagnosticReport-", "x-y-z", "<script>", "a" * 200])
def test_what_can_be_no_name_is_refused(said: str) -> None:
    """What can be no event name is refused with 400."""
    with pytest.raises(CastFault) as caught:
        parse_name(said)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("pattern", "wanted", "unwanted"),
    [
        ("*", "SyncError", ""),
        ("*-*", "Patient-open", "SyncError"),
        ("diagnosticreport-*", "DiagnosticReport-select", "Patient-open"),
        ("*-update", "DiagnosticReport-update", "DiagnosticReport-open"),
        ("Patient-open", "patient-OPEN", "Patient-close"),
        ("Patient-open, SyncError", "syncerror", "heartbeat"),
    ],
)
def test_wildcards_stand_for_any_part(pattern: str, wanted: str, unwanted: str) -> None:
    """A wildcard stands for any part of a name, and nothing else is wanted."""
    asked = parse_wanted(pattern)
    assert wanted in asked
    assert unwanted not in asked or not unwanted


@pytest.mark.parametrize("said", ["", " , ", "Patient-open;drop", ",".join(["a"] * 65), "[a-z]-open"])
def test_a_list_that_names_no_events_is_refused(said: str) -> None:
    """A subscription to nothing, to too much, or to what is no name is refused with 400."""
    with pytest.raises(CastFault):
        parse_wanted(said)


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_a_fault(text: str) -> None:
    """Any text is a name that reads back as itself, or a fault: never another error."""
    try:
        name = parse_name(text)
    except CastFault:
        return
    assert parse_name(str(name)) == name
