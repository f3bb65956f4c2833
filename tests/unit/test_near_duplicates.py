"""Reports that say nearly the same."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from radbridge.learning.near import _cut, _meet, find_near
from radbridge.learning.report import TrainingReport

WORDS = [f"word{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(600)]
BASE = TrainingReport(id="", order=0, radiologist="1001", patient="", findings="", signed="")


def make(order: int, findings: str, signed: str) -> TrainingReport:
    """One report."""
    return replace(BASE, id=f"{order:016x}", order=order, findings=findings, signed=signed)


def near(reports: list[TrainingReport]) -> set[int]:
    """The orders of those that a newer one repeats."""
    return {int(id, 16) for id in find_near(reports, jaccard=0.9, shingle=4)}


@given(st.integers(0, 1 << 16), st.integers(0, 119))
def test_one_word(seed: int, place: int) -> None:
    """A report of 120 words that differs in one from a later one is found out; one of other words isn't."""
    drawn = Random(seed).sample(WORDS, 400)
    words, others = drawn[:120], drawn[120:240]
    changed = [*words[:place], "changed", *words[place + 1 :]]
    said = [make(2, " ".join(words), "No effusion is seen."), make(1, " ".join(changed), "No effusion is seen.")]
    assert near([*said, make(3, " ".join(others), "No effusion is seen.")]) == {1}


def test_both_texts() -> None:
    """The same findings with another impression are two reports, and so is the same impression of other findings."""
    one, other = " ".join(WORDS[:60]), " ".join(WORDS[60:120])
    assert near([make(1, one, "Small effusion."), make(2, one, "Large effusion.")]) == set()
    assert near([make(1, one, "Small effusion."), make(2, other, "Small effusion.")]) == set()
    assert near([make(1, one, "Small effusion."), make(2, one, "small  effusion")]) == {1}


def test_a_template_of_thousands() -> None:
    """Of 2,000 copies of one report the last is left, without comparing each with each."""
    copies = [make(n, " ".join(WORDS[:40]), "Normal study of the chest.") for n in range(1, 2001)]
    assert near(copies) == set(range(1, 2000))
    assert len(list(_meet({c.id: _cut(c.signed, 4) for c in copies}, {c.id: c.order for c in copies}))) < 5_000


def test_nothing_said() -> None:
    """Reports without a word repeat nobody."""
    assert near([make(1, "", ""), make(2, "", "")]) == set()
