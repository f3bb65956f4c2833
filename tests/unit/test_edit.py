"""What became of a draft is measured rightly, and leaves only de-identified."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from radbridge.case import Case, CaseKey, CaseState, Order, Patient, Radiologist, ReportText, Sex, Study
from radbridge.draft import DraftImpression, Stage
from radbridge.edit import (
    Change,
    Edit,
    Outcome,
    compare,
    diff_words,
    judge,
    measure_distance,
)
from radbridge.text.sequences import count_edits

CASE = Case(
    key=CaseKey(accession="ACC900001", issuer="HOSP"),
    patient=Patient(id="900001", name="DOE^JANE", sex=Sex.FEMALE, birth_date=date(1931, 3, 4)),
    order=Order(reason="Chest pain in Jane Doe."),
    study=Study(modality="CT", at=datetime(2026, 5, 1, tzinfo=UTC)),
    report=ReportText(findings="Doe: no embolus. MRN 900001.", impression="No pulmonary embolism.\nStable nodule."),
    signer=Radiologist(id="R77", name="SMITH^ALAN"),
    state=CaseState.SIGNED,
    signed_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
)
DRAFT = DraftImpression(
    id="d1",
    text="No acute pulmonary embolism.",
    findings_digest=CASE.findings_digest,
    signer="R77",
    lora="rad/R77@v1-000000000000",
    model="small",
    base_digest="b",
    prompt_version="p1",
    stage=Stage.FINE,
    made_at=datetime(2026, 5, 1, 11, tzinfo=UTC),
)

words = st.lists(st.sampled_from(["no", "acute", "stable", "nodule", "effusion", "4", "mm"]), max_size=12)


def plain_levenshtein(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def plain_common(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


@given(words, words)
def test_the_distance_is_levenshteins(a: list[str], b: list[str]) -> None:
    """The bit-parallel count agrees with the textbook's table."""
    assert count_edits(a, b) == plain_levenshtein(a, b)


@given(words, words)
def test_a_diff_rebuilds_both_texts_and_keeps_most(a: list[str], b: list[str]) -> None:
    """Kept and deleted words are the draft, kept and inserted ones the signed text, and no diff keeps more."""
    runs = diff_words(" ".join(a), " ".join(b))
    assert [w for r in runs if r.change is not Change.INSERT for w in r.words] == a
    assert [w for r in runs if r.change is not Change.DELETE for w in r.words] == b
    assert sum(len(r.words) for r in runs if r.change is Change.KEEP) == plain_common(a, b)


def test_long_repetitive_texts_are_compared_whole() -> None:
    """Thousands of the same few words, the worst case of a common diff, need no shortcut."""
    a, b = "no mass no node " * 800, "no node no mass " * 800
    assert 0 < measure_distance(a, b) < 0.6
    assert len([w for r in diff_words(a, b) for w in r.words]) < 6400


@given(words, words)
def test_the_distance_is_a_share(a: list[str], b: list[str]) -> None:
    """It is symmetric, between 0 and 1, and 0 only for the same words."""
    there, back = measure_distance(" ".join(a), " ".join(b)), measure_distance(" ".join(b), " ".join(a))
    assert there == back
    assert 0 <= there <= 1
    assert (there == 0) == (a == b)


@pytest.mark.parametrize(
    ("signed", "outcome"),
    [
        ("No acute pulmonary embolism.", Outcome.ACCEPTED),
        ("NO ACUTE PULMONARY EMBOLISM", Outcome.ACCEPTED),
        ("No pulmonary embolism.", Outcome.EDITED),
        ("No embolism seen in the chest.", Outcome.REWRITTEN),
        ("Appendicitis.", Outcome.IGNORED),
        ("", Outcome.IGNORED),
    ],
)
def test_the_outcome_follows_the_distance(signed: str, outcome: Outcome) -> None:
    """Same words are accepted, some others edited, half or more rewritten, nothing in common ignored."""
    case = replace(CASE, report=replace(CASE.report, impression=signed))
    assert compare(case, DRAFT, delivered=True).outcome is outcome


def test_a_draft_that_never_arrived_was_ignored() -> None:
    """Nobody can accept what nobody got, even where the words agree."""
    assert judge(0.0, delivered=False) is Outcome.IGNORED


def test_a_blocked_draft_was_edited_by_nobody() -> None:
    """What the guard kept back is told apart from every edit, even with the same words."""
    signed = replace(CASE, report=replace(CASE.report, impression=DRAFT.text))
    edit = compare(signed, DRAFT, delivered=False, blocked=True)
    assert (edit.outcome, edit.distance) == (Outcome.BLOCKED, 0.0)


def test_the_same_pair_has_the_same_id() -> None:
    """A replayed message makes the same edit again, a corrected report another one."""
    again = compare(CASE, DRAFT, delivered=True)
    corrected = replace(CASE, report=replace(CASE.report, impression="Corrected."))
    assert compare(CASE, DRAFT, delivered=True) == again
    assert compare(corrected, DRAFT, delivered=True).id != again.id


def test_a_case_that_nobody_signed_makes_no_edit() -> None:
    """Comparing before the signature is a programming error."""
    with pytest.raises(ValueError, match="signed"):
        compare(replace(CASE, signed_at=None), DRAFT, delivered=True)


def test_an_edit_survives_the_journal() -> None:
    """An edit is the same after JSON, and shows no text in its repr."""
    edit = compare(CASE, DRAFT, delivered=True)
    adapter = TypeAdapter(Edit)
    assert adapter.validate_json(adapter.dump_json(edit)) == edit
    assert "embolism" not in repr(edit)
