"""Searches read from parameters, without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.fhir.search.params import PARAMS
from radbridge_adapters.fhir.search.query import MAX_COUNT, Include, SearchQuery, parse
from radbridge_adapters.fhir.store.index import fold, rows_of
from radbridge_adapters.fhir.writing import MAX_CRITERIA, read_criteria
from radbridge_adapters.resources.outcome import Issues

NAMES = sorted({name for params in PARAMS.values() for name in params} | {"_count", "_sort", "_include", "_id", "x"})
MODIFIERS = ("", ":missing", ":not", ":exact", ":contains", ":identifier", ":Patient", ":iterate", ":above")


def read(kind: str, pairs: list[tuple[str, str]], *, strict: bool) -> SearchQuery | Issues:
    try:
        return parse(kind, pairs, strict=strict)
    except Issues as fault:
        return fault


@given(
    kind=st.sampled_from(sorted(PARAMS)),
    pairs=st.lists(
        st.tuples(
            st.builds(str.__add__, st.sampled_from(NAMES), st.sampled_from(MODIFIERS)),
            st.text(max_size=20)
            | st.sampled_from(["2026-13", "ge2026-11-21", "a|b,c", "true", "Patient:x", "-_id", "\\,"]),
        ),
        max_size=6,
    ),
    strict=st.booleans(),
)
def test_whatever_is_asked(kind: str, pairs: list[tuple[str, str]], strict: bool) -> None:
    """Any parameters give a search or an issue with its sentence, never another error; what applied was asked for."""
    answer = read(kind, pairs, strict=strict)
    if isinstance(answer, Issues):
        assert answer.issues[0].code in ("not-supported", "value", "too-costly")
        assert answer.status == 400
    else:
        assert answer.type == kind
        assert [pair for pair in pairs if pair in answer.applied] == list(answer.applied)
        assert len(answer.terms) <= len(answer.applied)


def test_tokens() -> None:
    """A token may name its system, none, or any; commas separate alternatives, and an escaped one doesn't."""
    [term] = parse("Patient", [("identifier", r"urn:a|1,|2,3,urn:b|,a\,b\|c")]).terms
    assert [(v.system, v.text) for v in term.values] == [
        ("urn:a", "1"),
        ("", "2"),
        (None, "3"),
        ("urn:b", ""),
        (None, "a,b|c"),
    ]


def test_without_a_base_nothing_is_cut() -> None:
    """What is searched for keeps its slashes where this server has no name."""
    [term] = parse("Patient", [("identifier", "https://hospital.example/mrn|900001")]).terms
    assert (term.values[0].system, term.values[0].text) == ("https://hospital.example/mrn", "900001")


def test_references_of_our_own() -> None:
    """An absolute reference below our base is one to our own resource; a type fills in what an id lacks."""
    pairs = [("subject", "http://here/fhir/Patient/1"), ("patient", "2"), ("subject:Patient", "3"), ("result", "4")]
    terms = parse("DiagnosticReport", pairs, base="http://here/fhir").terms
    assert [t.values[0].text for t in terms] == ["Patient/1", "Patient/2", "Patient/3", "4"]


@pytest.mark.parametrize(
    ("text", "prefix", "low", "high"),
    [
        ("2026", "eq", "2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("ge2026-02", "ge", "2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"),
        ("lt2026-12-31", "lt", "2026-12-31T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("2026-11-21T10:39Z", "eq", "2026-11-21T10:39:00+00:00", "2026-11-21T10:40:00+00:00"),
        ("2026-11-21T10:39:31+01:00", "eq", "2026-11-21T09:39:31+00:00", "2026-11-21T09:39:32+00:00"),
        ("2026-11-21T10:39:31.12Z", "eq", "2026-11-21T10:39:31.120000+00:00", "2026-11-21T10:39:31.130000+00:00"),
    ],
)
def test_dates_are_ranges(text: str, prefix: str, low: str, high: str) -> None:
    """A date of any precision is the whole time that it names (R4 search.html#date)."""
    [term] = parse("DiagnosticReport", [("date", text)]).terms
    value = term.values[0]
    assert value.low is not None
    assert value.high is not None
    assert (value.prefix, value.low.isoformat(), value.high.isoformat()) == (prefix, low, high)


def test_controls() -> None:
    """Paging, sorting and inclusion are read, within their limits."""
    pairs = [
        ("_count", "9999"),
        ("_sort", "-date"),
        ("_elements", "status, code"),
        ("_total", "none"),
        ("_include", "DiagnosticReport:subject:Patient"),
        ("_revinclude:iterate", "Provenance:target"),
    ]
    query = parse("DiagnosticReport", pairs)
    assert (query.count, query.sort, query.elements, query.total) == (
        MAX_COUNT,
        ("date", True),
        ("status", "code"),
        False,
    )
    assert query.includes == (
        Include(source="DiagnosticReport", param="subject", target="Patient"),
        Include(source="Provenance", param="target", iterate=True, reverse=True),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("identifier:above", "1"),
        ("birthdate:not", "2026"),
        ("birthdate", "soon"),
        ("_sort", "name"),
        ("_count", "many"),
        ("_summary", "true"),
        ("_include", "Patient:name"),
        ("_include", "Nonsense:x"),
        ("gender:missing", "maybe"),
        ("identifier", ",".join("x" * 101)),
    ],
)
def test_what_is_not_supported_is_told(name: str, value: str) -> None:
    """A modifier or value that can't be honoured is never left out silently: the answer would be another one."""
    with pytest.raises(Issues):
        parse("Patient", [(name, value)])


@given(st.builds(str.__mul__, st.text(max_size=4), st.integers(1, 1000)))
def test_a_name_of_any_length_fits_the_index(text: str) -> None:
    """A row of the index is short enough for a database to take it, and a search for the same text finds it."""
    [row] = rows_of({"resourceType": "Patient", "name": [{"text": f"x{text}"}]}, "http://here")[:1]
    assert len(row.value.encode(errors="replace")) + len(row.system.encode(errors="replace")) <= 2000
    assert row.value == fold(f"x{text}")


def test_criteria_have_so_many_parameters() -> None:
    """A conditional interaction whose criteria have one parameter more isn't read at all."""
    assert len(read_criteria("&".join(["identifier=x"] * MAX_CRITERIA))) == MAX_CRITERIA
    with pytest.raises(Issues) as refused:
        read_criteria("&".join(["identifier=x"] * (MAX_CRITERIA + 1)))
    assert refused.value.status == 400
