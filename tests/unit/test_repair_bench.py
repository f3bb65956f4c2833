"""The repair bench tells by words alone what became of an error: it must not be taken in by other words."""

from __future__ import annotations

import pytest

from tests.bench.guard.change import Change, Injection
from tests.bench.guard.reports import Report, Source
from tests.bench.repair_truth import find_wrong, is_gone, is_mended, lost, share_kept

CLEAN = "Small left pleural effusion. 12 mm nodule in the right upper lobe. No pneumothorax."


def make(old: str, new: str) -> Injection:
    """The clean impression with `new` in the place of `old`."""
    report = Report(id="made", source=Source.HAND_WRITTEN, findings=CLEAN, impression=CLEAN)
    start = CLEAN.index(old)
    return Change(sub="made", start=start, end=start + len(old), text=new, about="").apply("laterality", report)


SIDE = make("left", "right")
DENIAL = make("No pneumo", "Pneumo")
ADDED = make(" No pneumothorax.", " No pneumothorax. MRN 900001.")


@pytest.mark.parametrize(
    ("injection", "text", "gone", "mended"),
    [
        (SIDE, SIDE.report.impression, False, False),
        (SIDE, "There is a small pleural effusion on the right.", False, False),
        (SIDE, "12 mm nodule in the right upper lobe. No pneumothorax.", True, False),
        (SIDE, "There is a small pleural effusion on the left.", True, True),
        (DENIAL, DENIAL.report.impression, False, False),
        (DENIAL, "Small left pleural effusion.", True, False),
        (DENIAL, CLEAN, True, True),
        (ADDED, ADDED.report.impression, False, True),
        (ADDED, CLEAN, True, True),
    ],
)
def test_what_became_of_an_error(injection: Injection, text: str, gone: bool, mended: bool) -> None:
    """An error is gone when no words tell it, and mended when the truth stands in its place."""
    assert (is_gone(text, injection), is_mended(text, injection)) == (gone, mended)


def test_what_was_lost_beside_it() -> None:
    """Lost is an affirmed true statement beside the error; what the error was made in, and denials, are not."""
    assert lost("No pneumothorax.", SIDE) == ["12 mm nodule in the right upper lobe."]
    assert lost("A nodule of 12 mm in the right upper lobe.", SIDE) == []
    assert share_kept(CLEAN, SIDE) == 1
    assert share_kept("", SIDE) == 0


def test_what_is_only_taken_out_is_no_wrong_sentence() -> None:
    """Where the error is that something is missing, there is nothing to drop."""
    assert find_wrong(make("No pneumothorax.", "")) == []
