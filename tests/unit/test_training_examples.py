"""Examples from signed reports: which statements, beside what, and what is preferred to what."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import ConfigError
from radbridge.guard import find_fault
from radbridge.learning import (
    EXAMPLE,
    REPORT,
    PreferenceExample,
    TrainingReport,
    Use,
    Ways,
    make_examples,
    nearest_persona,
    show_earlier,
)
from radbridge.learning.examples import is_unseen
from radbridge.learning.personas import load_centres
from tests.bench.persona_centres import print_centres
from tests.support.training_reports import make_reports

FINDINGS = "There is a small left pleural effusion. There is a nondisplaced fracture of the left sixth rib."
REPORT_OF_TWO = TrainingReport(
    id="f" * 16,
    order=7,
    radiologist="1001",
    patient="p",
    findings=FINDINGS,
    signed="1. Nondisplaced left sixth rib fracture is seen.\n2. A small left pleural effusion is present.\n"
    "3. Discussed with the team.",
    draft="Small left pleural effusion. Nondisplaced fracture of the left sixth rib.",
    use=Use.PREFERENCE,
)


def make(*reports: TrainingReport, ways: Ways | None = None, unseen: float = 0.0) -> list[PreferenceExample]:
    """Their examples."""
    return list(make_examples(reports, ways or Ways(), alike=3, newest=2, unseen_share=unseen))


def test_a_statement_and_how_it_was_signed() -> None:
    """Each statement is learned as it was signed, without list marks; what no finding holds is no example."""
    examples = {e.statement: e for e in make(REPORT_OF_TWO)}
    assert {s: (e.chosen, e.rejected) for s, e in examples.items()} == {
        "Small left pleural effusion.": (" A small left pleural effusion is present.", " Small left pleural effusion."),
        "Nondisplaced fracture of the left sixth rib.": (
            " Nondisplaced left sixth rib fracture is seen.",
            " Nondisplaced fracture of the left sixth rib.",
        ),
    }
    assert all(e.id.startswith(f"{'f' * 16}/") and e.prompt.endswith("Impression:\n") for e in examples.values())


def test_what_is_no_preference() -> None:
    """A report for imitation alone rejects nothing, and one that teaches nothing gives no example."""
    assert [e.rejected for e in make(replace(REPORT_OF_TWO, use=Use.SFT))] == ["", ""]
    assert make(replace(REPORT_OF_TWO, use=Use.NONE)) == []


def test_signed_as_drafted() -> None:
    """A sentence that was signed as it was drafted is preferred to nothing."""
    (example, _) = make(replace(REPORT_OF_TWO, signed=REPORT_OF_TWO.draft))
    assert (example.chosen, example.rejected) == (f" {example.statement}", "")


@pytest.mark.parametrize("coarse_by", ["extractive", "site_lora"])
def test_whole_texts(coarse_by: str) -> None:
    """Where a model writes the whole impression, that is one example, with its list and the draft of the whole."""
    ways = Ways(strategy="single") if coarse_by == "extractive" else Ways(coarse_by="site_lora")
    (example,) = make(REPORT_OF_TWO, ways=ways)
    assert (example.chosen, example.rejected) == (f" {REPORT_OF_TWO.signed}", f" {REPORT_OF_TWO.draft}")
    assert example.statement == ""
    assert ("Preliminary: " in example.prompt) == (coarse_by == "site_lora")


def test_nothing_to_train() -> None:
    """Where no model writes, nothing can be trained, and that is said."""
    with pytest.raises(ConfigError, match="no model writes"):
        make(REPORT_OF_TWO, ways=Ways(strategy="coarse"))


@given(st.integers(0, 20), st.randoms(use_true_random=False))
def test_only_earlier_reports_are_shown(count: int, random: object) -> None:
    """Whatever order they come in, a report is shown beside earlier ones of its signer, never itself or a later one."""
    reports = [replace(REPORT_OF_TWO, id=f"{n:016x}", order=n) for n in range(1, count + 1)]
    getattr(random, "shuffle")(reports)  # noqa: B009 - hypothesis gives it no better type
    for shown in show_earlier(reports, alike=3, newest=2):
        orders = [int(e.id.removeprefix("m")) for e in shown.examples]
        assert len(orders) == len(set(orders)) == min(5, shown.report.order - 1)
        assert all(order < shown.report.order for order in orders)


def test_what_teaches_nothing_was_shown_all_the_same() -> None:
    """A report that gives no example still stood in the memory when the next one was dictated."""
    first, then = replace(REPORT_OF_TWO, id="1" * 16, order=1, use=Use.NONE), REPORT_OF_TWO
    assert all("Style: " in e.prompt for e in make(first, then))
    assert not any("Style: " in e.prompt for e in make(then))


def test_first_days() -> None:
    """The share of the reports that is learned without examples in view is always the same ones."""
    reports = [replace(REPORT_OF_TWO, id=f"{n * 2**57:016x}", order=n) for n in range(100)]
    unseen = {r.order for r in reports if is_unseen(r, 0.12)}
    assert unseen == set(range(16))  # of the 128 steps up to 16**16
    shown = {e.id.partition("/")[0] for e in make(*reports, unseen=0.12) if "Style: " in e.prompt}
    assert shown == {r.id for r in reports if r.order not in unseen}


def test_generated_reports() -> None:
    """Every target of a statement is one that serving would accept as its rewrite, and what was aligned is told."""
    tally: Counter[str] = Counter()
    examples = list(make_examples(make_reports(4, 30), Ways(), alike=16, newest=8, tally=tally))
    assert not any(find_fault(e.chosen, e.statement) for e in examples)
    assert tally["reports"] == 30
    assert 60 <= len(examples) <= tally["aligned"] + 3 <= tally["statements"]
    assert all(e.rejected != e.chosen for e in examples)


def test_rows_come_back() -> None:
    """Reports and examples are the same after they were written as JSON, and tell no text when they are shown."""
    (example, _) = make(REPORT_OF_TWO)
    assert EXAMPLE.validate_json(EXAMPLE.dump_json(example)) == example
    assert REPORT.validate_json(REPORT.dump_json(REPORT_OF_TWO)) == REPORT_OF_TWO
    assert "effusion" not in repr(example) + repr(REPORT_OF_TWO)


def test_the_nearest_persona() -> None:
    """Who numbers is nearest to the persona that does; who writes nothing, to none."""
    assert nearest_persona(["1. Effusion.\n2. Rib fracture.", "1. Mass."]) == "persona/numbered"
    assert nearest_persona(["There is a small effusion. A rib fracture is seen."]) == "persona/elaborate"
    assert nearest_persona(["Small effusion. Rib fracture."]) == "persona/succinct"
    assert nearest_persona(["", " - "]) == ""


def test_the_centres_are_made_again() -> None:
    """The packaged centres are about what the script prints, here from a tenth of the reports."""
    lines = [line for line in print_centres(40) if "=" in line]
    told = [value for features in load_centres().values() for value in features.values()]
    for line, value in zip(lines, told, strict=True):
        assert float(line.partition("=")[2]) == pytest.approx(value, rel=0.25, abs=0.1)
