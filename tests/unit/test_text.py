"""Sentences, words and denials of report text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.text import content_words, drop_list_numbers, label_sentences, read_words, split_sentences, stem
from radbridge.text.scopes import read_statement
from radbridge.text.vocabulary import load_vocabulary


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("A 1.5 cm nodule. No effusion.", ["A 1.5 cm nodule.", "No effusion."]),
        ("Discussed with Dr. Doe. Clear.", ["Discussed with Dr. Doe.", "Clear."]),
        ("1. Small effusion. 2. No fracture.", ["Small effusion.", "No fracture."]),
        ("LUNGS: Clear. HEART: Normal size.", ["Clear.", "Normal size."]),
        ("Lungs clear\nHeart normal\nNo effusion", ["Lungs clear", "Heart normal", "No effusion"]),
        ("There is a small\nleft effusion. Clear\notherwise.", ["There is a small left effusion.", "Clear otherwise."]),
        ("The nodule is in the left\nLingula.", ["The nodule is in the left Lingula."]),
        ("Is there a fracture? No.", ["Is there a fracture?", "No."]),
        ("L4-5. Disc bulge.", ["Disc bulge."]),
        ("- Clear lungs\n- Normal heart", ["Clear lungs", "Normal heart"]),
        ("Stenosis is grade 3. No fracture.", ["Stenosis is grade 3.", "No fracture."]),
        ("1) Mass 2) Cyst", ["Mass", "Cyst"]),
        ("***\n\n...", []),
    ],
)
def test_a_statement_ends_where_its_author_ended_it(text: str, sentences: list[str]) -> None:
    """Numbers, abbreviations, list numbers, headings and wrapped lines don't break a statement."""
    assert split_sentences(text) == sentences


def test_the_label_of_a_heading_is_kept_beside_its_statements() -> None:
    """A statement under `RIGHT KIDNEY:` or `L4-5.` can still be placed."""
    labels = [s.label for s in label_sentences("RIGHT KIDNEY: Stone. Cyst.\nL4-L5: Bulge.")]
    assert labels == ["RIGHT KIDNEY", "RIGHT KIDNEY", "L4-L5"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("effusions", "effusion"),
        ("opacities", "opacity"),
        ("calculi", "calculus"),
        ("metastases", "metastasis"),
        ("stenotic", "stenosis"),
        ("enlarged", "enlargement"),
        ("calcified", "calcification"),
        ("oedema", "edema"),
        ("haemorrhagic", "hemorrhage"),
        ("nodular", "nodules"),
        ("thickened", "thickening"),
        ("masses", "mass"),
    ],
)
def test_inflections_of_a_word_meet(one: str, other: str) -> None:
    """A plural, a Latin form, an adjective or a British spelling has the stem of its word."""
    assert stem(one) == stem(other)


@pytest.mark.parametrize(("one", "other"), [("left", "right"), ("mass", "mast"), ("ileum", "ilium"), ("2.3", "2.4")])
def test_different_words_stay_apart(one: str, other: str) -> None:
    """Stemming never joins words of different meaning."""
    assert stem(one) != stem(other)


def test_content_words_leave_function_words_out() -> None:
    """What is left carries content, levels are spelled out, and numbers are words."""
    assert content_words("There are 2.5 cm effusions at L4-5.") == ["2.5", "cm", stem("effusion"), "l4", "l5"]


def test_a_list_number_is_no_content() -> None:
    """`1.` before an item goes, a measurement stays."""
    assert read_words(drop_list_numbers("Grade 3. Ratio of 56.3. No cyst.")) == read_words(
        "Grade 3 Ratio of 56.3 No cyst"
    )
    assert read_words(drop_list_numbers("1. Nodule of 2.5 cm.\n2. Cyst.")) == ["nodule", "of", "2.5", "cm", "cyst"]
    assert read_words(drop_list_numbers("1. Cyst.\n2. 98 mm mass.")) == ["cyst", "98", "mm", "mass"]


@pytest.mark.parametrize(
    ("text", "affirmed", "denied"),
    [
        ("No pneumothorax, effusion, or consolidation.", set(), {"pneumothorax", "effusion", "consolidation"}),
        ("No pneumothorax, small left effusion.", {"effusion"}, {"pneumothorax"}),
        ("No effusion but there is a mass.", {"mass"}, {"effusion"}),
        ("No effusion; small pneumothorax.", {"pneumothorax"}, {"effusion"}),
        ("Cannot exclude a small pneumothorax.", {"pneumothorax"}, set()),
        ("No change in the left effusion.", {"effusion"}, set()),
        ("Pneumothorax is not seen.", set(), {"pneumothorax"}),
        ("A large effusion is present and pneumothorax is not seen.", {"effusion"}, {"pneumothorax"}),
        ("Effusion has resolved.", set(), {"effusion"}),
        ("Atelectasis rather than pneumonia.", {"atelectasis"}, {"pneumonia"}),
        ("There is no Doppler flow in the left testis.", {"absent_flow"}, set()),
        ("Consolidation without effusion.", {"consolidation"}, {"effusion"}),
    ],
)
def test_a_denial_reaches_what_it_denies(text: str, affirmed: set[str], denied: set[str]) -> None:
    """Findings stand on the side, affirmed or denied, that a reader would put them on."""
    reading = read_statement(text)
    assert (set(reading.affirms()), set(reading.denies())) == (affirmed, denied)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """No text breaks the readers, and every word of a statement is a word of the text."""
    words = set(read_words(text))
    for sentence in split_sentences(text):
        assert set(read_words(sentence)) <= words
        assert read_statement(sentence) == read_statement(sentence)
    assert content_words(text) == content_words(text)


def test_every_finding_is_found_by_each_of_its_names() -> None:
    """The vocabulary has no term that another table shadows."""
    findings = load_vocabulary().findings
    for text, name in (
        ("pulmonary emboli", "embolism"),
        ("gallstones", "stone"),
        ("free intraperitoneal air", "free_air"),
    ):
        assert [concept.name for _, _, concept in findings.find([stem(w) for w in read_words(text)])] == [name]
