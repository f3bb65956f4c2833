"""Which signed sentence is the rewrite of which statement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.coarse import draft_coarse
from radbridge.guard import find_fault
from radbridge.rewrites import align, split_signed
from radbridge.rewrites.alignment import like_case
from radbridge.text import read_words
from radbridge_training.synth import Part, generate_reports, pick_personas
from radbridge_training.synth.mixture import PLAIN

STATEMENTS = ("No pneumothorax.", "Small left pleural effusion.", "Small right pleural effusion.", "4 mm nodule.")


def test_each_statement_finds_its_own_sentence() -> None:
    """Sides, numbers and denials decide, not the order; what nobody signed has no pair."""
    signed = ["There is a small pleural effusion on the right.", "Effusion.", "There is a 4 mm nodule.", "No mass."]
    assert align(STATEMENTS, signed) == [
        ("Small right pleural effusion.", "There is a small pleural effusion on the right."),
        ("4 mm nodule.", "There is a 4 mm nodule."),
    ]


def test_a_sentence_serves_once_and_the_nearer_one_first() -> None:
    """Of several that would do, the one with the most words in common; each statement and each sentence once."""
    said = ("No pleural effusion.", "No pleural effusion or pneumothorax.")
    assert align(said, ["No pneumothorax or pleural effusion."]) == [(said[1], "No pneumothorax or pleural effusion.")]
    alike = ("Renal cyst.", "Kidney cyst.")
    assert align(alike, alike[::-1]) == [(one, one) for one in alike]
    assert align((said[0], said[0]), ["No effusion in the pleural space.", "No pleural effusion."]) == [
        (said[0], "No pleural effusion.")
    ]


@pytest.mark.parametrize(
    ("impression", "sentences"),
    [
        ("1. Small effusion.\n2. No mass, and no nodule.", ("Small effusion.", "No mass.", "No nodule.")),
        ("IMPRESSION: No mass, and no nodule, and no cyst.", ("No mass.", "No nodule.", "No cyst.")),
        ("- MASS AT L4-L5.\n- NO CYST, AND NO NODULE.", ("Mass at l4-l5.", "No cyst.", "No nodule.")),
        ("See findings above.", ("See findings above.",)),
        ("", ()),
    ],
)
def test_a_signed_impression_falls_into_its_sentences(impression: str, sentences: tuple[str, ...]) -> None:
    """Without list marks and framing; what was denied in one breath is denied in two."""
    assert (
        split_signed(impression, draft_coarse("There is a small effusion. There is no mass.").statements) == sentences
    )


@pytest.mark.parametrize(
    ("sentence", "statement", "like"),
    [
        ("Disc bulge at l4-l5.", "L4-L5 disc bulge.", "Disc bulge at L4-L5."),
        ("Ct is advised.", "Recommend CT.", "CT is advised."),
        ("There is an effusion.", "Effusion. Nodule.", "There is an effusion."),
        ("At L4 and t2 a lesion.", "T2 bright lesion at L4.", "At L4 and t2 a lesion."),
        ("Patent tips shunt.", "TIPS shunt is patent.", "Patent TIPS shunt."),
        ("3 µg.", "3 ΜG.", "3 µg."),
    ],
)
def test_capitals_come_back_where_there_were_none(sentence: str, statement: str, like: str) -> None:
    """A sentence without capitals takes the statement's; one that has its own keeps them."""
    assert like_case(sentence, statement) == like


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_but_case_ever_changes(sentence: str, statement: str) -> None:
    """Whatever the texts, the words of a sentence stay the same words."""
    assert like_case(sentence, statement).lower() == sentence.lower()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), shouts=st.booleans())
def test_targets_are_what_serving_accepts(seed: int, *, shouts: bool) -> None:
    """Every pair of a random report, in whatever style it was signed, passes the check that serving makes."""
    persona = pick_personas(seed, 1, Part.HELD_OUT)[0]
    (report,) = generate_reports(seed, 1, replace(PLAIN, personas=(persona,)))
    coarse = draft_coarse(report.findings).statements
    signed = report.write_as(persona)
    pairs = align([s.text for s in coarse], split_signed(signed.upper() if shouts else signed, coarse))
    assert [find_fault(sentence, statement) for statement, sentence in pairs] == [""] * len(pairs)
    assert [statement for statement, _ in pairs] == [s.text for s in coarse if s.text in dict(pairs)]
    words = set(read_words(signed))
    assert all(words.issuperset(read_words(sentence)) for _, sentence in pairs)
