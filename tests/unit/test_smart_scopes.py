"""Scopes: what they let somebody do, and what is left of those that are asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.scopes import FHIRCAST, SYSTEM, narrow, parse_scope, parse_scopes

TYPES = ("DiagnosticReport", "Patient", "Observation")
scopes = st.builds(
    "system/{}.{}".format,
    st.sampled_from([*TYPES, "*"]),
    st.one_of(
        st.sampled_from(["read", "write", "*"]),
        st.sets(st.sampled_from("cruds"), min_size=1).map(lambda v: "".join(x for x in "cruds" if x in v)),
    ),
)


@pytest.mark.parametrize(
    ("text", "type", "verbs"),
    [
        ("system/DiagnosticReport.rs", "DiagnosticReport", "rs"),
        ("system/*.read", "Patient", "rs"),
        ("system/Patient.write", "Patient", "cud"),
        ("system/*.*", "Observation", "cruds"),
        ("system/*.cruds", "Patient", "cruds"),
    ],
)
def test_a_scope_lets_do_what_it_says(text: str, type: str, verbs: str) -> None:
    """Verbs of both versions of SMART mean what they mean there, and no more."""
    scope = parse_scope(text)
    assert scope is not None
    assert {v for v in "cruds" if scope.covers(SYSTEM, type, v)} == set(verbs)


@pytest.mark.parametrize(
    "text",
    """patient/*.rs user/*.rs openid launch/patient system/Patient system/Patient. system/patient.rs system/Patient.sr
    system/Patient.rs?active=true system/Pat*.rs system//Patient.rs fhircast/x.rs fhircast/.read""".split(),
)
def test_what_cannot_be_held_to_is_no_scope(text: str) -> None:
    """A scope of another kind, a misspelt one, and one that narrows by a query are never granted."""
    assert parse_scope(text) is None


def test_another_type_or_event_is_not_covered() -> None:
    """A scope covers its own type, and its own kind of thing only."""
    (report,) = parse_scopes(["system/DiagnosticReport.cruds"])
    (everything,) = parse_scopes(["system/*.cruds"])
    assert not report.covers(SYSTEM, "Patient", "r")
    assert not everything.covers(FHIRCAST, "diagnosticreport-open", "r")


@pytest.mark.parametrize(
    ("text", "event", "verb", "allowed"),
    [
        ("fhircast/DiagnosticReport-update.write", "diagnosticreport-update", "w", True),
        ("fhircast/DiagnosticReport-update.write", "diagnosticreport-update", "r", False),
        ("fhircast/DiagnosticReport-*.read", "diagnosticreport-open", "r", True),
        ("fhircast/DiagnosticReport-*.read", "patient-open", "r", False),
        ("fhircast/*-*.*", "patient-open", "w", True),
        ("fhircast/*.*", "syncerror", "w", True),
    ],
)
def test_a_fhircast_scope_names_events(text: str, event: str, verb: str, *, allowed: bool) -> None:
    """FHIRcast's scopes name events in any case, with wildcards, and read or write."""
    (scope,) = parse_scopes([text])
    assert scope.covers(FHIRCAST, event, verb) is allowed


@given(st.lists(scopes, max_size=4), st.lists(scopes, max_size=4))
def test_what_is_granted_is_what_both_hold(asked: list[str], limits: list[str]) -> None:
    """A granted scope covers just what some asked one and some permitted one both cover; and it can be read again."""
    granted = narrow(asked, parse_scopes(limits))
    again = parse_scopes(scope.text for scope in granted)
    for type in TYPES:
        for verb in "cruds":
            wanted = any(s.covers(SYSTEM, type, verb) for s in parse_scopes(asked)) and any(
                s.covers(SYSTEM, type, verb) for s in parse_scopes(limits)
            )
            assert any(s.covers(SYSTEM, type, verb) for s in granted) is wanted
            assert any(s.covers(SYSTEM, type, verb) for s in again) is wanted


def test_what_cannot_be_granted_is_left_out() -> None:
    """The rest is granted, as narrow as the site allows it."""
    limits = parse_scopes(["system/DiagnosticReport.cruds", "fhircast/DiagnosticReport-*.*"])
    asked = ["launch/patient", "system/*.rs", "fhircast/*.read", "system/Patient.rs"]
    assert [s.text for s in narrow(asked, limits)] == [
        "system/DiagnosticReport.rs",
        "fhircast/diagnosticreport-*.read",
    ]
