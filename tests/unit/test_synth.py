"""The generated reports, and the personas' rules."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.text import content_words, read_words
from radbridge_training.synth import PERSONAS, SynthReport, generate_reports, rewrite
from radbridge_training.synth.words import invent_word, misspell

SIDES = {"left", "right", "bilateral"}
LIST_NUMBER = re.compile(r"^\d+\. ", re.MULTILINE)
SEEDS = st.integers(min_value=0, max_value=2**40)
WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=12)
STATEMENTS = st.lists(st.lists(WORDS, min_size=1, max_size=12).map(" ".join), min_size=1, max_size=5)


def test_the_same_seed_gives_the_same_reports() -> None:
    """A recipe can be run again: nothing but the seed decides what is generated."""
    assert list(generate_reports(11, 30)) == list(generate_reports(11, 30))
    assert list(generate_reports(11, 30)) != list(generate_reports(12, 30))


@given(seed=SEEDS)
def test_numbers_and_sides_of_every_impression_stem_from_the_findings(seed: int) -> None:
    """No impression teaches a model to invent a size, a level, a date or a side."""
    for report in generate_reports(seed, 3):
        found = set(read_words(report.findings))
        for impression in report.impressions.values():
            words = set(read_words(LIST_NUMBER.sub("", impression)))
            assert {w for w in words if w[0].isdigit()} <= found
            assert words & SIDES <= found


@given(seed=SEEDS)
def test_what_is_abnormal_is_said_in_the_words_of_the_findings(seed: int) -> None:
    """An impression with something to report holds only content that was dictated, in every style."""
    for report in generate_reports(seed, 3):
        known = set(content_words(f"{report.findings} evidence recommended correlation considered")) | {"find"}
        if set(content_words(report.coarse)) <= known:
            for impression in report.impressions.values():
                assert set(content_words(LIST_NUMBER.sub("", impression))) <= known


def test_reports_cover_the_modalities_with_ct_first() -> None:
    """Work is as mixed as in a hospital: all modalities occur, CT most."""
    reports = list(generate_reports(3, 600))
    modalities = [r.modality for r in reports]
    assert {"CT", "MR", "US", "CR", "MG", "PT", "NM", "RF"} <= set(modalities)
    assert max(set(modalities), key=modalities.count) == "CT"


def test_reports_hold_words_that_nobody_knows() -> None:
    """A model that is to copy sees invented words, and not in every report."""
    reports = list(generate_reports(4, 200))
    usual = {w for r in generate_reports(5, 200) for w in read_words(r.findings)}
    strange = [any(w not in usual for w in read_words(r.findings)) for r in reports]
    assert 0.2 < sum(strange) / len(strange) < 0.95


def test_some_dictations_repeat_themselves() -> None:
    """Statements that begin alike are common, so that a model learns to tell them apart."""
    beginnings = [[s.split()[0] for s in r.statements] for r in generate_reports(7, 300)]
    assert sum(len(set(b)) < len(b) for b in beginnings) > 30


def test_sex_fits_the_organs() -> None:
    """No man has a uterus and no woman a prostate, and both sexes occur."""
    reports = list(generate_reports(6, 400))
    men, women = ([r.findings for r in reports if r.sex == sex] for sex in "MF")
    assert not any(re.search(r"\b(?:uterus|fetal|ovary)\b", f) for f in men)
    assert not any(re.search(r"\bprostate\b", f) for f in women)
    assert len(men) > 100 < len(women)


@pytest.mark.parametrize(
    ("persona", "impression"),
    [
        ("neutral", "The 5 mm nodule in the left lung is unchanged. No effusion is seen."),
        ("succinct", "5 mm nodule in the left lung is unchanged. No effusion."),
        ("elaborate", "The 5 mm nodule in the left lung is unchanged. No effusion is seen."),
        ("numbered", "1. The 5 mm nodule in the left lung is unchanged.\n2. No effusion is seen."),
    ],
)
def test_each_persona_writes_whole_sentences_its_own_way(persona: str, impression: str) -> None:
    """The same statements read differently by signer, and say the same."""
    assert rewrite(["The 5 mm nodule in the left lung is unchanged.", "no effusion is seen"], persona) == impression


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("Mild cardiomegaly.", "There is mild cardiomegaly."),
        ("Small cysts in the liver.", "There are small cysts in the liver."),
        ("Cyst in the liver, which is new.", "There is a cyst in the liver, which is new."),
        ("No pneumothorax.", "There is no evidence of pneumothorax."),
        ("Negative for fracture.", "There is no evidence of fracture."),
        ("CT angiogram artifact.", "There is CT angiogram artifact."),
        ("Suspicious for infection.", "Findings are suspicious for infection."),
        ("Recommend MRI in 3 months.", "MRI is recommended in 3 months."),
        ("L4-L5: broad disc bulge.", "L4-L5: broad disc bulge."),
        ("Unremarkable CT.", "This is an unremarkable CT."),
    ],
)
def test_elaborate_makes_sentences_of_fragments(statement: str, sentence: str) -> None:
    """Where there is no verb, one is supplied; what is a sentence already stays."""
    assert rewrite([statement], "elaborate") == sentence


@given(statements=STATEMENTS)
def test_no_style_loses_or_adds_content(statements: list[str]) -> None:
    """Whatever the words are, each style says all of them and no other, in their order."""
    framing = {"evidence", "find", "see", "note", "identify", "present", "visualiz", "demonstrate", "observe"}
    framing |= {"appreciate", "detect", "seen", "noted", "identifi", "visualize", "appreciat", "recommend", "consider"}
    framing |= {"correlation", "correlat", "evident", "negative"}
    said = [w for s in statements for w in content_words(s) if w not in framing]
    for persona in PERSONAS:
        text = LIST_NUMBER.sub("", rewrite(statements, persona))
        assert [w for w in content_words(text) if w not in framing] == said


@given(statements=STATEMENTS)
def test_numbered_numbers_each_statement(statements: list[str]) -> None:
    """A numbered list has one line for each statement, counted from one."""
    lines = rewrite(statements, "numbered").splitlines()
    assert [line.split(". ")[0] for line in lines] == [str(i) for i in range(1, len(statements) + 1)]


@given(seed=SEEDS)
def test_invented_words_hold_no_space(seed: int) -> None:
    """An invented word is one word, and never empty."""
    rng = Random(seed)
    words = [invent_word(rng) for _ in range(20)]
    assert all(word and not re.search(r"\s", word) for word in words)
    assert all(misspell(word, rng) for word in words)


def test_a_value_of_a_report_shows_no_text_where_it_is_not_asked_for() -> None:
    """A report is told apart by modality and persona; its derived texts stay out of its `repr`."""
    report = next(iter(generate_reports(1, 1)))
    assert isinstance(report, SynthReport)
    assert "impressions" not in repr(report)
