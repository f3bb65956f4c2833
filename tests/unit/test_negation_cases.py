"""How sure a text is of what it mentions, over the sentences of the negation benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.guard_negation import DENIED, PATTERNS, UNCERTAIN, Answered, Case, read_cases, read_ours, read_patterns

CASES = read_cases()
READ = [case for case in CASES if not case.known_wrong]
MISREAD = [case for case in CASES if case.known_wrong]


@pytest.mark.parametrize("case", READ, ids=lambda case: case.text[:60])
def test_a_sentence_is_read_as_a_radiologist_means_it(case: Case) -> None:
    """The target of each sentence is denied, past, uncertain or affirmed as was set before any program read it."""
    assert read_ours(case) in case.right


@pytest.mark.parametrize("case", MISREAD, ids=lambda case: case.text[:60])
def test_a_known_mistake_is_still_one(case: Case) -> None:
    """A sentence marked `known_wrong` is read wrongly: where this fails, reading improved and the mark has to go."""
    assert read_ours(case) not in case.right


def test_there_are_enough_sentences() -> None:
    """No fewer than 120 sentences, each written once, are read, and at least three in four rightly."""
    assert len({case.text + str(case.start) for case in CASES}) == len(CASES) >= 120
    assert len(READ) >= 0.75 * len(CASES)


def test_a_pattern_becomes_each_plain_sentence_that_it_stands_for(tmp_path: Path) -> None:
    """Choices are spelled out, two files' labels are both right, and what is no plain sentence is left out."""
    described = {DENIED: "no hint of|for XXX", UNCERTAIN: "no hint of XXX"}
    for name, label in PATTERNS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        lines = [described[label], "XXX is normal", "parsing error"]
        form = "# {0}" if name.endswith(".txt") else "- {{pattern: p, comment: '{0}'}}"
        (tmp_path / name).write_text("\n".join(form.format(line) for line in lines), encoding="utf-8")
    said = {case.text: case for case in read_patterns(tmp_path)}
    assert said.keys() == {"No hint of pneumothorax.", "No hint for pneumothorax."}
    assert said["No hint of pneumothorax."].right >= {DENIED, UNCERTAIN}
    assert UNCERTAIN not in said["No hint for pneumothorax."].right
    assert all(case.target == "pneumothorax" for case in said.values())


@pytest.mark.parametrize(
    ("ours", "theirs", "who"),
    [
        (DENIED, UNCERTAIN, "RadBridge"),
        (UNCERTAIN, DENIED, "medspaCy"),
        (DENIED, DENIED, "RadBridge and medspaCy"),
        (UNCERTAIN, UNCERTAIN, "neither"),
    ],
)
def test_who_is_right(ours: str, theirs: str, who: str) -> None:
    """Right is whoever gave a right answer."""
    case = Case(category="c", text="No stone.", start=3, end=8, right=frozenset((DENIED,)))
    assert Answered(case=case, ours=ours, theirs=theirs).who == who
