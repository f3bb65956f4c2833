"""Drafts as FHIR resources: never anything but unverified, and always labelled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import Case, CaseKey, Code, Order, Patient, Study
from radbridge.draft import DraftImpression, Flag, FlagKind, Section, Severity, Span, Stage
from radbridge_adapters.resources.codes import ACCESSION_SYSTEM, AIAST, DRAFT_SYSTEM, coding
from radbridge_adapters.resources.draft import Composer, DraftResources, Unverified, link_to
from radbridge_adapters.resources.extensions import read_extension, url_of
from radbridge_adapters.resources.ours import is_machine_text
from radbridge_adapters.resources.validate import validate
from tests.support.drafts import AT, CASE, DRAFT

COMPOSER = Composer(lambda key: "ca5e", ttl=timedelta(hours=24))
SIGNED_WORDS = {"final", "amended", "corrected", "appended", "cancelled"}

words = st.text(alphabet=st.characters(min_codepoint=9, max_codepoint=0x2FFF), max_size=30)
drafts = st.builds(
    DraftImpression,
    id=st.from_regex(r"D[0-9a-f]{16}", fullmatch=True),
    text=words,
    findings_digest=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    signer=words,
    lora=st.sampled_from(["base", "rad/1234@v1-0123456789ab", "final"]),
    model=st.sampled_from(["", "tiny"]),
    base_digest=st.sampled_from(["", "0" * 12]),
    prompt_version=st.just("p1"),
    stage=st.sampled_from(Stage),
    flags=st.lists(
        st.builds(
            Flag,
            kind=st.sampled_from([*FlagKind, "of a newer server"]),
            message=st.sampled_from(["", "Left, not right.", "Two\nlines."]),
            severity=st.sampled_from(Severity),
            spans=st.lists(
                st.builds(Span, section=st.sampled_from(Section), start=st.integers(0, 9), end=st.integers(9, 99)),
                max_size=2,
            ).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    made_at=st.integers(0, 2**32).map(lambda s: datetime.fromtimestamp(s, UTC)),
)
names = st.sampled_from(["", "urn:oid:1.2.3", "RIS", "a b"])
cases = st.builds(
    Case,
    key=st.builds(CaseKey, accession=st.from_regex(r"[A-Z0-9]{1,16}", fullmatch=True), issuer=names),
    patient=st.builds(Patient, id=st.sampled_from(["", "900001"]), issuer=names),
    order=st.builds(
        Order, procedure=st.sampled_from([Code(), Code(value="X"), Code(display="CT"), Code(value="X", system="LN")])
    ),
    study=st.builds(Study, at=st.sampled_from([None, AT])),
)


def parts(made: DraftResources) -> Iterator[dict[str, Any]]:
    yield from (dict(one) for one in (made.observation, made.report, made.provenance))


@given(cases, drafts)
def test_never_signed(case: Case, draft: DraftImpression) -> None:
    """Whatever the case and the draft, its statuses are the unverified ones, and the label and the tag are on each."""
    made = COMPOSER.compose(case, draft)
    assert (made.observation["status"], made.report["status"]) == ("preliminary", "partial")
    withdrawn = COMPOSER.withdraw(case, draft)
    assert {withdrawn.observation["status"], withdrawn.report["status"]} == {"entered-in-error"}
    for one, tag in [(p, draft.id) for p in parts(made)] + [(p, f"{draft.id}-withdrawn") for p in parts(withdrawn)]:
        assert coding(AIAST) in one["meta"]["security"]
        assert one["meta"]["tag"] == [{"system": DRAFT_SYSTEM, "code": tag}]
        assert read_extension(one, "findings-digest") == draft.findings_digest
        assert read_extension(one, "expires")
        assert read_extension(one, "lora") == draft.lora


def test_no_other_status_exists() -> None:
    """The type of our statuses has no word that a signed or cancelled report has."""
    assert not SIGNED_WORDS & {status.value for status in Unverified}


@given(cases, drafts)
def test_always_valid(case: Case, draft: DraftImpression) -> None:
    """Every draft and every withdrawal is valid R4."""
    for made in (COMPOSER.compose(case, draft), COMPOSER.withdraw(case, draft)):
        validate(json.loads(json.dumps(made.bundle())))


@given(cases, drafts)
def test_ours_is_known_for_ours(case: Case, draft: DraftImpression) -> None:
    """A draft that comes back from anywhere is known for a machine's text."""
    made = COMPOSER.compose(case, draft)
    assert is_machine_text(made.observation)
    assert is_machine_text(made.report)


def test_what_a_draft_says() -> None:
    """Text, accession, patient, flags and sources stand where readers look for them."""
    made = COMPOSER.compose(CASE, DRAFT)
    assert made.observation["valueString"] == made.report["conclusion"] == DRAFT.text
    own, accession = made.report["identifier"]
    assert own == {"system": DRAFT_SYSTEM, "value": "ca5e"}
    assert (accession["value"], accession["system"]) == ("ACC900001", ACCESSION_SYSTEM)
    theirs = made.report["basedOn"][0]["identifier"]
    assert (theirs["value"], theirs["assigner"]) == ("ACC900001", {"display": "RIS"})
    assert made.report["subject"]["identifier"]["value"] == "900001"
    assert "DOE" not in json.dumps(made.bundle())
    assert made.report["result"] == [{"reference": made.urns[0]}]
    assert {one["reference"] for one in made.provenance["target"]} == set(made.urns[:2])
    flag = next(one for one in made.report["extension"] if one["url"] == url_of("flag"))
    assert [part["url"] for part in flag["extension"]] == ["kind", "severity", "message", "span"]
    assert read_extension(made.report, "expires") == "2026-01-03T03:04:05.000Z"
    assert read_extension(made.provenance, "model") == "tiny"


def test_which_reports_it_was_written_beside() -> None:
    """The Provenance alone says which signed reports were used, by their names in the memory; without any, nothing."""
    made = COMPOSER.compose(CASE, DRAFT)
    assert read_extension(made.provenance, "style-memory") == "m1/9: m3 m9"
    assert not read_extension(made.report, "style-memory")
    assert not read_extension(COMPOSER.compose(CASE, replace(DRAFT, examples=())).provenance, "style-memory")


def test_a_withdrawal_has_no_text() -> None:
    """A withdrawn draft keeps its identifiers and loses its words and flags."""
    made = COMPOSER.withdraw(CASE, DRAFT)
    said = json.dumps(made.bundle())
    assert "nodule" not in said
    assert "Invented" not in said
    assert made.report["identifier"] == COMPOSER.compose(CASE, DRAFT).report["identifier"]


def test_same_in_same_out() -> None:
    """The same case and draft are the same bytes, and another draft of the case has the same identifier."""
    assert COMPOSER.compose(CASE, DRAFT) == COMPOSER.compose(CASE, DRAFT)
    again = COMPOSER.compose(CASE, replace(DRAFT, id="D2", text="Other."))
    assert again.report["identifier"] == COMPOSER.compose(CASE, DRAFT).report["identifier"]


def test_linked_to_the_hospitals_report() -> None:
    """Beside a report of the hospital's, the draft has its patient and order, and names it as the source."""
    source: dict[str, Any] = {"resourceType": "DiagnosticReport", "id": "h1", "status": "partial", "conclusion": "x"}
    source |= {"subject": {"reference": "Patient/p1"}, "imagingStudy": [{"reference": "ImagingStudy/i1"}]}
    made = link_to(COMPOSER.compose(CASE, DRAFT), source)
    assert made.report["subject"] == made.observation["subject"]
    assert made.report["subject"]["reference"] == "Patient/p1"
    assert made.report["subject"]["identifier"]["value"] == "900001"
    assert made.report["imagingStudy"] == [{"reference": "ImagingStudy/i1"}]
    assert made.provenance["entity"][0]["what"] == {"reference": "DiagnosticReport/h1"}
    assert made.report["conclusion"] == DRAFT.text
    validate(json.loads(json.dumps(made.bundle())))
