"""The guard's benchmark makes exactly the errors that it labels: a wrong label would tune the guard to nonsense."""

from __future__ import annotations

import ast
import io
import re
from collections import Counter
from dataclasses import asdict
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from radbridge.draft import Flag, Severity
from tests.bench.guard.assertions import leave_out
from tests.bench.guard.change import Injection
from tests.bench.guard.injector import KINDS, inject, inject_all
from tests.bench.guard.measure import ANY_CRITICAL, CONTRADICTED, Rate, judge, rate_alarms
from tests.bench.guard.measure import listen as listen_to
from tests.bench.guard.picture import draw
from tests.bench.guard.reports import Report, Source, read_generated, read_hand_written
from tests.bench.guard.sentences import hedged, negated, split
from tests.bench.guard.table import Figures, as_json, show

CHANGES_CASE = {"sex_or_age/case": {"sex"}, "omitted/critical-unsaid": {"findings"}}
"""What changes beside, or instead of, the impression alone; with `critical/` it is the findings too."""
FOLDER = Path(__file__).parents[1] / "bench" / "guard"
SIDES = {"left": "right", "right": "left"}


@cache
def hand_written() -> tuple[Report, ...]:
    return tuple(read_hand_written())


@cache
def injections(kind: str) -> tuple[Injection, ...]:
    return tuple(inject_all(kind, hand_written(), count=40, seed=7))


def make_report(findings: str, impression: str, **case: str | int) -> Report:
    told = {"findings": findings, "impression": impression, **case}
    return Report(id="made", source=Source.HAND_WRITTEN, **told)  # type: ignore[arg-type]


def test_the_injector_shares_no_code_with_the_guard() -> None:
    """Of radbridge the bench imports only the flag and the check that is measured, and that in one place."""
    imported = {
        f"{path.stem}: {node.module}"
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("radbridge")
    }
    assert imported == {"measure: radbridge.draft", "measure: radbridge.guard", "reports: radbridge_training.synth"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_hand_written_reports_hold_room_for_every_kind(kind: str) -> None:
    """Every kind of error can be made in at least twenty ways."""
    assert len(injections(kind)) >= 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_differs_by_its_labelled_span(kind: str) -> None:
    """Before and after the labelled span the impression is as it was; with no span something was only taken out."""
    for made in injections(kind):
        before, after = made.clean.impression, made.report.impression
        start, end = made.span or (len(_common_start(before, after)),) * 2
        tail = after[end:]
        assert before.startswith(after[:start]), made.about
        assert before.endswith(tail), made.about
        assert len(before) >= start + len(tail), made.about
        assert made.span is None or after[start:end].strip(), made.about
        old, became, new = made.about.partition(" became ")
        if became and made.span:
            assert before == after[:start] + old[1:-1] + tail
            assert after[start:end] == new[1:-1]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_of_the_case_changes(kind: str) -> None:
    """Each sub-kind changes its own fields and no others."""
    for made in injections(kind):
        clean, changed = asdict(made.clean), asdict(made.report)
        differing = {key for key in clean if clean[key] != changed[key]}
        usual = {"impression", "findings"} if kind == "critical" else {"impression"}
        assert differing == CHANGES_CASE.get(made.sub, usual), made.about


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_errors(kind: str) -> None:
    """A run can be repeated, and another seed gives another choice."""
    again = inject_all(kind, hand_written(), count=40, seed=7)
    assert again == list(injections(kind))
    assert inject_all(kind, hand_written(), count=40, seed=8) != again


@given(seed=st.integers(0, 2**32), number=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
@settings(max_examples=60, deadline=None)
def test_a_label_names_its_kind_and_its_place(seed: int, number: int, kind: str) -> None:
    """The sub-kind begins with its kind, the span lies inside the impression, and the clean report is kept."""
    report = hand_written()[number % len(hand_written())]
    made = inject(kind, report, Random(seed))
    if made is not None:
        assert made.clean == report
        assert made.kind == kind
        assert made.sub.startswith(f"{kind}/")
        assert made.span is None or 0 <= made.span[0] < made.span[1] <= len(made.report.impression)


@given(text=st.text(alphabet="aNo12.);- \nXleft[]", max_size=120))
@settings(deadline=None)
def test_sentences_lie_where_they_say(text: str) -> None:
    """A sentence's text stands at its place, and sentences don't overlap."""
    end = 0
    for sentence in split(text):
        assert text[sentence.start : sentence.end] == sentence.text
        assert sentence.start >= end
        end = sentence.end


@given(findings=st.text(max_size=200), impression=st.text(max_size=200), kind=st.sampled_from(KINDS))
@settings(max_examples=60, deadline=None)
def test_any_text_is_survived(findings: str, impression: str, kind: str) -> None:
    """What isn't a report gives no error, or an error, and never a crash."""
    inject(kind, make_report(findings, impression, sex="F", age=80), Random(1))


def test_a_side_that_the_findings_hold_twice_is_left_alone() -> None:
    """Where both sides have the thing, the other side would be no error."""
    both = make_report("Right pleural effusion. Small left pleural effusion.", "Right pleural effusion.")
    assert inject("laterality", both, Random(1)) is None
    bilateral = make_report("Bilateral pleural effusions, right pleural effusion larger.", "Right pleural effusion.")
    assert inject("laterality", bilateral, Random(1)) is None


def test_a_side_that_the_findings_deny_is_an_error() -> None:
    """The other side's denial makes the swap no less wrong."""
    one = make_report("Right pleural effusion. No left pleural effusion.", "Right pleural effusion.")
    made = inject("laterality", one, Random(1))
    assert made is not None
    assert made.report.impression == "Left pleural effusion."


def test_every_swapped_side_is_the_opposite() -> None:
    """Left becomes right and right becomes left."""
    for made in injections("laterality"):
        assert made.span
        new = made.report.impression[slice(*made.span)].lower()
        old = made.clean.impression[made.span[0] : made.span[1] + 1].lower()
        assert old.startswith(SIDES.get(new, "")) or "scoliosis" in new


def test_a_removed_word_is_never_edited_around() -> None:
    """A sentence with a removed word or an open field isn't touched: what stood there can't be known."""
    for hole in ("X" * 4, "[ ]", "***", "___"):
        report = make_report("Right pleural effusion.", f"Right pleural effusion, {hole}.")
        assert inject("laterality", report, Random(1)) is None
        assert inject("negation", report, Random(1)) is None


def test_a_size_near_one_in_the_findings_is_no_error() -> None:
    """No altered size is, in any unit, one that the findings hold."""
    for made in injections("measurement"):
        assert made.span
        new = made.report.impression[slice(*made.span)]
        assert not re.search(rf"(?<![\d.]){re.escape(new)}(?!\w)", made.clean.findings)


def test_no_size_is_altered_to_another_of_the_findings() -> None:
    """A size that becomes one of the findings' own may be meant, whatever its unit."""
    report = make_report("Mass of 2 cm. Cyst of 20 cm. Node of 2 mm. Clot of 0.2 cm.", "Mass of 2 cm.")
    made = [inject("measurement", report, Random(seed)) for seed in range(40)]
    assert {one.sub for one in made if one} == {"measurement/value"}


def test_a_decimal_point_moves_by_one_place() -> None:
    """The number becomes ten times what it was, or a tenth."""
    for made in injections("measurement"):
        if made.sub == "measurement/decimal":
            old, new = (float(number) for number in re.findall(r"'(\d+(?:\.\d+)?)", made.about))
            assert new / old == pytest.approx(10) or new / old == pytest.approx(0.1)


def test_a_dropped_sentence_was_said_nowhere_else() -> None:
    """What is left out is stated in the findings, without doubt, and takes whole sentences with it."""
    dropped = [made for made in injections("omitted") if made.sub != "omitted/critical-unsaid"]
    assert len(dropped) >= 20
    for made in dropped:
        gone = made.about.removesuffix(" was left out")[1:-1]
        assert gone in made.clean.impression
        assert gone not in made.report.impression
        assert not negated(gone)
        assert not hedged(gone)
        assert made.report.impression.strip()


def test_what_is_said_twice_is_not_left_out() -> None:
    """One of two sentences that say it can go without harm."""
    findings = "Large right pneumothorax. Rib fracture."
    twice = make_report(findings, "Large right pneumothorax. Drain for the pneumothorax.")
    once = make_report(findings, "Large right pneumothorax. Degenerative spine.")
    assert not list(leave_out(twice, Random(1)))
    (dropped,) = leave_out(once, Random(1))
    assert dropped.sub == "omitted/critical"
    assert dropped.apply("omitted", once).report.impression == "Degenerative spine."


def test_an_unfounded_comparison_has_no_earlier_study() -> None:
    """A change is claimed only where the case names no earlier study."""
    for made in injections("comparison"):
        if made.sub == "comparison/no-prior":
            assert made.clean.comparison.lower().strip(".") in {"", "none", "none available", "no prior"}


def test_no_sub_kind_crowds_out_the_others() -> None:
    """What can be added anywhere makes up no more than half of a kind."""
    subs = Counter(made.sub for made in inject_all("device", hand_written(), count=40, seed=1))
    assert max(subs.values()) <= 20
    assert len(subs) == 3


def test_generated_reports_can_be_had_again() -> None:
    """Reports are whole, each is another, and the same seed gives the same ones."""
    reports = read_generated(20, 3)
    assert reports == read_generated(20, 3)
    assert len({report.id for report in reports}) == 20
    assert all(report.impression and report.findings for report in reports)


def flag(kind: str, message: str = "m") -> Flag:
    return Flag(kind=kind, message=message, severity=Severity.CRITICAL)


def test_only_what_the_error_adds_counts_as_seen() -> None:
    """A flag that the clean report raises too is no recall; another kind's flag counts as any."""
    made = injections("laterality")[0]
    assert not judge(made, lambda report: (flag("laterality"),)).any
    changed = judge(made, lambda report: (flag("laterality"),) if report is made.report else ())
    assert changed.right
    other = judge(made, lambda report: (flag("site"),) if report is made.report else ())
    assert other.any
    assert not other.right


def test_alarms_are_counted_by_report() -> None:
    """Two flags of a kind on one report are one alarm."""
    alarms = listen_to(hand_written()[:4], lambda report: (flag("site"), flag("site", "n")) * (report.sex == "F"))
    women = sum(report.sex == "F" for report in hand_written()[:4])
    rates = rate_alarms(alarms, KINDS)
    assert (rates["site"].hits, rates["site"].total) == (women, 4)
    assert rates[ANY_CRITICAL].hits == women
    assert rates["count"].hits == 0


def test_a_critical_finding_is_no_contradiction() -> None:
    """A clean report with a critical finding counts as critical, and not as contradicted."""
    alarms = listen_to(hand_written()[:1], lambda report: (flag("critical"),))
    rates = rate_alarms(alarms, KINDS)
    assert rates[ANY_CRITICAL].hits == 1
    assert rates[CONTRADICTED].hits == 0


def test_the_figures_are_shown_told_and_drawn(tmp_path: Path) -> None:
    """The table, the JSON and the picture hold the same recall, and a sub-kind has a row of its own."""
    reports = hand_written()
    outcomes = {kind: [judge(made, lambda report: ()) for made in injections(kind)] for kind in ("omitted", "site")}
    figures = Figures(
        outcomes={Source.HAND_WRITTEN: outcomes}, alarms={Source.HAND_WRITTEN: listen_to(reports, lambda report: ())}
    )
    told = as_json(figures)["recall"]["hand-written"]
    critical = [made for made in injections("omitted") if made.sub.startswith("omitted/critical")]
    assert told["omitted/critical"]["right"]["total"] == len(critical) > 0
    assert told["site"]["right"]["share"] == 0
    console = Console(file=io.StringIO(), width=160, record=True)
    show(figures, console)
    assert f"[0%, {Rate(hits=0, total=len(critical)).interval[1]:.0%}] of {len(critical)}" in console.export_text()
    draw(figures, tmp_path / "recall.svg")
    assert "<svg" in (tmp_path / "recall.svg").read_text(encoding="utf-8")


def test_wilson_s_interval() -> None:
    """The interval is Wilson's: 8 of 10 lies within 49 % and 94 %, none of none says nothing."""
    assert list(Rate(hits=8, total=10).interval) == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert Rate(hits=0, total=0).interval == (0.0, 1.0)


@given(total=st.integers(1, 500), share=st.floats(0, 1))
def test_an_interval_holds_its_share(total: int, share: float) -> None:
    """The share lies inside its interval, which lies inside 0 and 1."""
    rate = Rate(hits=round(total * share), total=total)
    low, high = rate.interval
    assert 0 <= low <= rate.share + 1e-12
    assert rate.share - 1e-12 <= high <= 1


def _common_start(one: str, other: str) -> str:
    n = 0
    while n < min(len(one), len(other)) and one[n] == other[n]:
        n += 1
    return one[:n]
