"""How sure a text is of what it mentions, over the sentences of the negation benchmark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench.guard_negation import (
    AFFIRMED,
    DENIED,
    PAST,
    PATTERNS,
    UNCERTAIN,
    Answered,
    Case,
    read_cases,
    read_ours,
    read_patterns,
)

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


BY_CAUSE = (
    # a change is denied, the finding stays
    ("No growth of the left adrenal [adenoma].", AFFIRMED),
    ("No appreciable interval progression of the [hydronephrosis].", AFFIRMED),
    ("There is no evidence of worsening of the subdural [hematoma].", AFFIRMED),
    ("No further increase in the pleural [effusion].", AFFIRMED),
    ("No worsening or new [consolidation].", DENIED),
    ("Negative for growth restriction or [placental abruption].", DENIED),
    # resolved in part, or not at all
    ("The [pneumothorax] has not yet completely resolved.", AFFIRMED),
    ("Almost completely resolved [edema] of the right lung.", AFFIRMED),
    ("Partial clearing of the left lower lobe [pneumonia].", AFFIRMED),
    ("Interval clearing of the [atelectasis].", DENIED),
    ("The [collection] is no longer apparent.", DENIED),
    ("No longer any [hydronephrosis] on the left.", DENIED),
    # where a denial ends
    ("No fracture, and a small [joint effusion] is new.", AFFIRMED),
    ("No pneumothorax, the [cardiomegaly] persists.", AFFIRMED),
    ("No abscess and unchanged [lymphadenopathy] in the groin.", AFFIRMED),
    ("No hydronephrosis, 12 mm [cyst] at the upper pole.", AFFIRMED),
    ("No acute bleed, chronic [infarct] in the cerebellum.", AFFIRMED),
    ("No effusion, consolidation, and [pneumothorax].", DENIED),
    ("No stone, mass or [hydronephrosis] is seen in either kidney.", DENIED),
    ("Without fracture, [dislocation].", DENIED),
    ("No pleural effusion, focal [consolidation].", DENIED),
    ("The heart is enlarged, and [pneumothorax] is not seen.", DENIED),
    ("The [heart is enlarged], and pneumothorax is not seen.", AFFIRMED),
    # denied twice
    ("The study is not without [artifact].", AFFIRMED),
    ("[Atherosclerosis] is not absent.", AFFIRMED),
    ("No lack of [diverticulosis].", AFFIRMED),
    ("Without doubt an acute [appendicitis].", AFFIRMED),
    # not excluded
    ("A [dissection] can't be entirely excluded.", UNCERTAIN),
    ("Small [abscess] could not be reliably ruled out.", UNCERTAIN),
    ("Normal films do not completely exclude a scaphoid [fracture].", UNCERTAIN),
    ("An underlying [mass] would be hard to exclude.", UNCERTAIN),
    # other denials
    ("[Gallstones] were not found.", DENIED),
    ("Radiographs fail to show a [fracture].", DENIED),
    ("Instead of a [hernia], there is a lipoma.", DENIED),
    ("[Lymphadenopathy] isn't visualised.", DENIED),
    ("[Ascites] could not be demonstrated.", DENIED),
    ("[Pneumothorax]: none seen.", DENIED),
    # no denial of a finding
    ("CT without intravenous contrast shows [nephrolithiasis].", AFFIRMED),
    ("There are no previous studies to show whether the [mass] is new.", UNCERTAIN),
    ("Without comparison, the [nodule] is indeterminate.", AFFIRMED),
    ("No contrast [extravasation].", DENIED),
    ("Not merely [sprain] but a full tear.", AFFIRMED),
    # hedges
    ("[Osteomyelitis] is unlikely.", UNCERTAIN),
    ("Small [hiatal hernia], if present.", UNCERTAIN),
    ("[Lymphoma] or sarcoidosis.", UNCERTAIN),
    ("[Scar] and/or atelectasis at the base.", AFFIRMED),
    ("There is a suggestion of [hepatic steatosis].", UNCERTAIN),
    ("Small [effusion] with suspected pneumonia.", AFFIRMED),
    # the past
    ("Remote [rib fracture].", PAST),
    ("Previous [stroke] in the left hemisphere.", PAST),
    ("Chronic [subdural hematoma].", AFFIRMED),
)


@pytest.mark.parametrize(("text", "right"), BY_CAUSE, ids=lambda value: value[:60])
def test_a_cause_of_misreading_is_gone_beyond_the_benchmark(text: str, right: str) -> None:
    """Other sentences, with other findings, for each cause that the benchmark's sentences brought up."""
    before, target, after = re.split(r"[\[\]]", text)
    plain, start = before + target + after, len(before)
    case = Case(category="c", text=plain, start=start, end=start + len(target), right=frozenset((right,)))
    assert read_ours(case) == right


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
