"""The generated reports, and the personas' rules."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.text import content_words, read_words
from radbridge_training.synth import PERSONAS, Part, SynthReport, generate_reports, pick_personas, rewrite
from radbridge_training.synth.__main__ import main
from radbridge_training.synth.mixture import EVEN, PLAIN, services
from radbridge_training.synth.wording import is_advice
from radbridge_training.synth.words import invent_word, misspell

SIDES = {"left", "right", "bilateral"}
SYSTEMS = {"chest", "abdomen", "pelvis", "neuro", "spine", "msk", "breast", "vascular"}
DATE = re.compile(r"\b\d{1,2}/\d{1,2}/\d{4}\b|\b\d{4}-\d\d-\d\d\b")
CHANGED = re.compile(
    r"\b(?:since|prior|previously|unchanged|again seen|interval|worsened|increased from)\b", re.IGNORECASE
)
MEASURED_AGAIN = re.compile(
    r"(\d+) mm [^.]*?(increased|enlarged|larger|decreased|smaller|improved)(?: from| than on| since)[^.]*?(\d+) mm"
)
FORMER_SIZES = {str(size) for size in range(1, 61)}
"""Those of a lesion that is told to be as it was need not be repeated."""
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


def test_a_hospitals_mixture_has_its_shares_of_services() -> None:
    """Most is CT, then MR; the services that are rare are there, and rare."""
    reports = list(generate_reports(3, 1000))
    counts = Counter(r.study for r in reports)
    for name, service in services().items():
        assert counts[name] / len(reports) == pytest.approx(service.share / 1000, abs=0.025)
    assert sum(services()[name].share for name in ("PET", "MRA")) == 12


def test_another_mixture_has_the_rare_services_too() -> None:
    """Training meets all nine services, all eight body systems and every DICOM modality."""
    reports = list(generate_reports(3, 400, EVEN))
    assert {r.study for r in reports} == set(services()) == set(EVEN.shares)
    assert len(services()) == 9
    assert {r.modality for r in reports} == {"CT", "MR", "US", "CR", "MG", "PT", "NM", "RF"}
    assert {r.body_system for r in reports} == SYSTEMS


def test_sections_are_as_long_as_real_ones() -> None:
    """On average findings have 130 words, impressions 29, clinical information 16."""
    reports = list(generate_reports(9, 500))
    found, signed, asked = (
        mean(len(text.split()) for text in texts)
        for texts in zip(*((r.findings, r.impression, r.indication) for r in reports), strict=True)
    )
    assert found == pytest.approx(130, rel=0.08)
    assert signed == pytest.approx(29, rel=0.12)
    assert asked == pytest.approx(16, rel=0.12)


def test_some_studies_are_normal_and_say_so() -> None:
    """About a quarter has nothing abnormal; their impression denies, it finds nothing."""
    reports = list(generate_reports(10, 250, PLAIN))
    normal = [r for r in reports if not r.abnormal]
    assert 0.15 < len(normal) / len(reports) < 0.35
    said = [s for r in normal for s in r.statements if not is_advice(s)]
    assert all(re.search(r"\b(?:no|negative|normal|unremarkable|without|free|not)\b", s, re.IGNORECASE) for s in said)


@given(seed=SEEDS)
def test_change_is_told_against_the_prior_study_alone(seed: int) -> None:
    """A date in the findings is the comparison's, and without a comparison nothing has changed."""
    for report in generate_reports(seed, 4, PLAIN):
        for date in DATE.findall(report.findings):
            assert date in report.comparison
        if not any(c.isdigit() for c in report.comparison):
            assert not CHANGED.search(report.findings), report.findings


@given(seed=SEEDS)
def test_sizes_agree_with_the_change_that_is_told(seed: int) -> None:
    """What has increased was smaller before, what has decreased was larger."""
    for report in generate_reports(seed, 3, PLAIN):
        for now, word, before in MEASURED_AGAIN.findall(report.findings):
            grew = word in ("increased", "enlarged", "larger")
            assert (int(now) > int(before)) == grew, report.findings


def test_a_report_knows_what_it_can_be_grouped_by() -> None:
    """A radiologist belongs to one institution and has one persona; a mixture's own personas are used."""
    own = tuple(pick_personas(1, 7, Part.HELD_OUT))
    reports = list(generate_reports(12, 120, replace(PLAIN, personas=own)))
    for attribute in ("institution", "persona"):
        assert len({(r.radiologist, getattr(r, attribute)) for r in reports}) == len({r.radiologist for r in reports})
    assert {r.persona for r in reports} == {p.name for p in own}
    assert all(r.impression == r.impressions[r.persona] for r in reports)
    assert len({r.institution for r in reports}) == PLAIN.institutions


@given(seed=SEEDS)
def test_the_prior_study_said_what_is_measured_again(seed: int) -> None:
    """The prior impression holds a lesion only where there is a comparison, and in words that are dictated again."""
    for report in generate_reports(seed, 3, PLAIN):
        assert set(content_words(report.prior)) <= set(content_words(report.findings)) | FORMER_SIZES
        assert not report.prior or any(c.isdigit() for c in report.comparison)


def test_reports_are_written_as_lines(tmp_path: Path) -> None:
    """The command writes what evaluation reads: one report a line, with all that it can be grouped by."""
    out = tmp_path / "reports.jsonl"
    main(count=5, out=out, seed=3, personas=4)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert all(row["findings"] and row["impression"] and row["body_system"] in SYSTEMS for row in rows)
    assert {row["persona"] for row in rows} <= {p.name for p in pick_personas(3, 4, Part.HELD_OUT)}


@given(seed=SEEDS)
def test_statements_know_their_place_in_the_findings(seed: int) -> None:
    """Each statement says only what stands at its place; one beyond the end answers for the whole study."""
    for report in generate_reports(seed, 3, PLAIN):
        sentences = re.split(r"(?<=[.]) (?=[A-Z0-9])", report.findings)
        for statement, place in zip(report.statements, report.places, strict=True):
            assert place <= len(sentences)
            if place < len(sentences):
                assert set(content_words(statement)) <= set(content_words(sentences[place]))


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
    reports = list(generate_reports(6, 300))
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
