"""Documents held to R4: what is refused, with which place, and that it all is told at once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge_adapters.resources.bundle import resolve_urns
from radbridge_adapters.resources.json import read_json, write_json
from radbridge_adapters.resources.models import model_of
from radbridge_adapters.resources.outcome import Issue, Issues, outcome_of
from radbridge_adapters.resources.validate import MAX_ISSUES, validate

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
REPORT: dict[str, Any] = {
    "resourceType": "DiagnosticReport",
    "id": "r1",
    "meta": {"versionId": "1", "lastUpdated": "2026-01-02T03:04:05.678Z"},
    "text": {"status": "generated", "div": DIV.format("<p>Draft</p>")},
    "identifier": [{"system": "urn:x", "value": "ACC900001", "use": "official"}],
    "status": "partial",
    "code": {"coding": [{"system": "http://loinc.org", "code": "18748-4"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-01-02",
    "issued": "2026-01-02T03:04:05+01:00",
    "result": [{"reference": "Observation/o1"}],
    "conclusion": "No acute disease.",
    "_conclusion": {"extension": [{"url": "urn:x", "valueBoolean": True}]},
    "presentedForm": [{"contentType": "text/plain", "data": "YWJj"}],
    "contained": [{"resourceType": "Organization", "id": "org", "name": "Radiology"}],
    "performer": [{"reference": "#org"}],
    "extension": [{"url": "urn:x", "valueDecimal": 1.5}, {"url": "urn:y", "valuePeriod": {"start": "2026"}}],
}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "name": [
        {"family": "DOE", "given": ["JANE", None], "_given": [None, {"extension": [{"url": "a", "valueCode": "b"}]}]}
    ],
    "gender": "female",
    "birthDate": "1960-01-02",
    "multipleBirthInteger": 2,
    "telecom": [{"system": "phone", "value": "555"}],
}


def with_text(div: str) -> dict[str, Any]:
    return report(text={"status": "generated", "div": div})


def issues_of(document: Any) -> list[tuple[str, str]]:
    try:
        validate(document)
    except Issues as found:
        return [(issue.code, issue.expression) for issue in found.issues]
    return []


def report(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**REPORT, **changes}.items() if value is not None or name == "conclusion"}


def patient(**changes: Any) -> dict[str, Any]:
    return {**PATIENT, **changes}


def test_valid_documents_pass() -> None:
    """What R4 allows is taken, extensions of primitives and contained resources included."""
    assert issues_of(report(issued="2026-01-02T23:59:60.123456789-05:00", effectiveDateTime="2026")) == []
    assert issues_of(REPORT) == []
    assert issues_of(PATIENT) == []


@pytest.mark.parametrize(
    ("document", "code", "expression"),
    [
        (report(status="nonsense"), "code-invalid", "DiagnosticReport.status"),
        (patient(active="yes"), "value", "Patient.active"),
        (patient(multipleBirthInteger="2"), "value", "Patient.multipleBirthInteger"),
        (patient(multipleBirthBoolean=True), "structure", "Patient.multipleBirth[x]"),
        (patient(active=1), "value", "Patient.active"),
        (report(conclusion=None), "structure", "DiagnosticReport.conclusion"),
        (report(identifier=[]), "structure", "DiagnosticReport.identifier"),
        (report(identifier={"value": "x"}), "structure", "DiagnosticReport.identifier"),
        (report(identifier=[{"value": "é" * 501}]), "too-long", "DiagnosticReport.identifier[0].value"),
        (patient(identifier=[{"system": f"urn:{'x' * 997}"}]), "too-long", "Patient.identifier[0].system"),
        (report(code={}), "structure", "DiagnosticReport.code"),
        (report(code="x"), "structure", "DiagnosticReport.code"),
        (report(conclusion=""), "value", "DiagnosticReport.conclusion"),
        (report(conclusion="a\u0000b"), "value", "DiagnosticReport.conclusion"),
        (report(bogus=1), "structure", "DiagnosticReport.bogus"),
        (report(fhir_comments="x"), "structure", "DiagnosticReport"),
        (report(effectiveDateTime="2026-13-45"), "value", "DiagnosticReport.effectiveDateTime"),
        (report(effectiveDateTime="2026-02-30"), "value", "DiagnosticReport.effectiveDateTime"),
        (report(issued="2026-01-02"), "value", "DiagnosticReport.issued"),
        (report(issued="0001-01-01T00:00:00+14:00"), "value", "DiagnosticReport.issued"),
        (report(issued="2026-01-02T03:04:05"), "value", "DiagnosticReport.issued"),
        (report(effectivePeriod={"start": "2026"}), "structure", "DiagnosticReport.effective[x]"),
        (report(subject={"reference": 5}), "value", "DiagnosticReport.subject.reference"),
        (report(result=[{"reference": "Patient/1"}]), "invariant", "DiagnosticReport.result[0].reference"),
        (report(media=[{"link": {"reference": "#n"}}]), "value", "DiagnosticReport.media[0].link.reference"),
        (report(result=[{"reference": "#org"}]), "invariant", "DiagnosticReport.result[0].reference"),
        (report(result=[{"reference": "Nonsense/1"}]), "value", "DiagnosticReport.result[0].reference"),
        (report(result=[{"reference": "observation one"}]), "value", "DiagnosticReport.result[0].reference"),
        (patient(contained=[{"resourceType": "Nonsense"}]), "structure", "Patient.contained[0].resourceType"),
        (patient(contained=[{"id": "x"}]), "required", "Patient.contained[0].resourceType"),
        (patient(photo=[{"data": "a", "contentType": "image/png"}]), "value", "Patient.photo[0].data"),
        (report(presentedForm=[{"data": "YWJj"}]), "invariant", "DiagnosticReport.presentedForm[0]"),
        (report(extension=[{"url": "x"}]), "invariant", "DiagnosticReport.extension[0]"),
        (report(extension=[{"valueCode": "x"}]), "required", "DiagnosticReport.extension[0].url"),
        (with_text(DIV.format("<script>x</script>")), "value", "DiagnosticReport.text.div"),
        (with_text(DIV.format('<p onclick="x">y</p>')), "value", "DiagnosticReport.text.div"),
        (with_text(DIV.format('<a href="javascript:x">y</a>')), "value", "DiagnosticReport.text.div"),
        (with_text(DIV.format("<p>open")), "value", "DiagnosticReport.text.div"),
        (with_text("<div>no namespace</div>"), "value", "DiagnosticReport.text.div"),
        (with_text(f"<!DOCTYPE div>{DIV.format('x')}"), "value", "DiagnosticReport.text.div"),
        (report(_issued=[None]), "structure", "DiagnosticReport.issued"),
        (report(_code={"id": "x"}), "structure", "DiagnosticReport._code"),
        (patient(name=[{"given": [None]}]), "structure", "Patient.name[0].given[0]"),
        (patient(name=[{"given": ["A"], "_given": [None, None]}]), "structure", "Patient.name[0].given"),
        (patient(name=[{"id": "x"}]), "invariant", "Patient.name[0]"),
        (patient(telecom=[{"value": "555"}]), "invariant", "Patient.telecom[0]"),
        ({"resourceType": "Patient", "id": "a b"}, "value", "Patient.id"),
        ({"resourceType": "Nonsense"}, "structure", "resourceType"),
        ({"status": "partial"}, "required", "resourceType"),
        ([], "structure", ""),
        ({"resourceType": "Parameters", "parameter": [{"name": "x"}]}, "invariant", "Parameters.parameter[0]"),
        ({"resourceType": "Basic"}, "required", "Basic.code"),
    ],
)  # fmt: skip
def test_every_fault_has_its_place(document: Any, code: str, expression: str) -> None:
    """A wrong type, code, reference, narrative or null is refused, with the FHIRPath of the element."""
    assert issues_of(document) == [(code, expression)]


def test_all_faults_at_once() -> None:
    """One answer tells every fault of a Bundle, each entry's with its place in the Bundle."""
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": {"resourceType": "Nonsense"}, "request": {"method": "POST", "url": "Nonsense"}},
            {"resource": report(status="nonsense", code={"text": 5}), "request": {"method": "FETCH", "url": "x"}},
            {"resource": PATIENT},
        ],
    }
    assert issues_of(bundle) == [
        ("structure", "Bundle.entry[0].resource.resourceType"),
        ("code-invalid", "Bundle.entry[1].resource.status"),
        ("value", "Bundle.entry[1].resource.code.text"),
        ("code-invalid", "Bundle.entry[1].request.method"),
        ("invariant", "Bundle"),
    ]


def test_the_status_tells_syntax_from_rules() -> None:
    """A document that only breaks rules is 422, one that is no document of its type is 400."""
    for document, status in ((report(status="nonsense"), 422), (report(status="nonsense", bogus=1), 400)):
        with pytest.raises(Issues) as refused:
            validate(document)
        assert refused.value.status == status


def test_an_unsayable_name_is_not_repeated() -> None:
    """A property name that may hold anything is told by its parent's place alone."""
    with pytest.raises(Issues) as refused:
        validate(report(**{"DOE^JANE 900001": 1}))
    assert "DOE" not in str(outcome_of(refused.value.issues))


def test_issues_are_bounded() -> None:
    """A document with a million faults makes no million issues."""
    assert len(issues_of(report(identifier=[{"value": 1}] * 10_000))) == MAX_ISSUES


def test_outcomes_are_resources() -> None:
    """The OperationOutcome of a fault is itself valid, with the expression."""
    outcome = outcome_of([Issue(code="value", expression="Patient.active", diagnostics="no boolean")])
    assert issues_of(outcome) == []
    assert outcome["issue"][0]["expression"] == ["Patient.active"]


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"nul", b"[]", b'"x"', b"\xff{}", b'{"a":NaN}', b'{"a":"\\ud800"}', b'{"a":1,"a":2}',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"[" * 1_000_000, b'{"a":1}x', b'{"a":' + b"9" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json(raw: bytes) -> None:
    """Broken, ambiguous or deeply nested JSON is refused before anything reads it."""
    with pytest.raises(Issues) as refused:
        read_json(raw)
    assert (refused.value.status, refused.value.issues[0].code) == (400, "structure")


def test_brackets_in_strings_are_no_depth() -> None:
    """A report full of brackets is no deep document."""
    text = "[{" * 500 + '\\"' + "[" * 500
    assert read_json(b'{"a":"' + text.encode() + b'"}') == {"a": text.replace("\\", "")}


def test_decimals_survive() -> None:
    """A decimal leaves as it came: its last zero is a statement of precision (R4 datatypes.html#decimal)."""
    raw = b'{"a":1.50,"b":[2.0e3,7],"c":12345678901234567890.123}'
    assert write_json(read_json(raw)) == b'{"a":1.50,"b":[2.0E+3,7],"c":12345678901234567890.123}'


def test_urns_become_references() -> None:
    """A urn:uuid is put in its place in every Reference, never in an Identifier; a dangling one is told."""
    name = "urn:uuid:c0ffee00-0000-4000-8000-000000000001"
    document = report(
        subject={"reference": name},
        identifier=[{"system": "urn:ietf:rfc:3986", "value": name}],
        extension=[{"url": "x", "valueReference": {"reference": name}}],
    )
    bundle: dict[str, Any] = {"resourceType": "Bundle", "entry": [{"resource": copy.deepcopy(document)}]}
    resolve_urns(bundle, {name: "Patient/p9"})
    resolved = bundle["entry"][0]["resource"]
    assert resolved["subject"]["reference"] == "Patient/p9"
    assert resolved["extension"][0]["valueReference"]["reference"] == "Patient/p9"
    assert resolved["identifier"][0]["value"] == name
    bundle = {"resourceType": "Bundle", "entry": [{"resource": document}]}
    with pytest.raises(Issues) as refused:
        resolve_urns(bundle, {})
    assert {issue.expression for issue in refused.value.issues} == {
        "Bundle.entry[0].resource.subject.reference",
        "Bundle.entry[0].resource.extension[0].valueReference.reference",
    }


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(["", " ", "x", "final", "2026-01-02", "Patient/1", "#org", "2026-01-02T03:04:05Z", [], {}, [None]]),
    st.sampled_from([{"text": "x"}, [{"text": "x"}], {"reference": "Patient/1"}, [{"value": "x"}], {"value": 1.5}]),
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A valid document with one to three values put in, exchanged or taken out."""
    document = copy.deepcopy(draw(st.sampled_from([REPORT, PATIENT])))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = document
        while True:
            names = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not names:
                break
            name = draw(st.sampled_from(names))
            if isinstance(place[name], dict | list) and place[name] and draw(st.booleans()):
                place = place[name]
                continue
            if isinstance(place, dict) and draw(st.booleans()):
                del place[name]
            else:
                place[name] = copy.deepcopy(draw(VALUES))  # what is put in may be changed by the next turn
            break
    return document


@settings(max_examples=300)
@given(mutated())
def test_what_passes_is_a_resource_for_fhir_resources_too(document: Any) -> None:
    """No mutated document makes the walk raise anything but Issues, and what it takes the R4B models take."""
    if not issues_of(document):
        model_of(document["resourceType"]).model_validate(document)
