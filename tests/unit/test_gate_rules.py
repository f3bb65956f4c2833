"""The gate's rules on prepared drafts: each kind of bad candidate fails, by the rule that was made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from radbridge.coarse import draft_coarse
from radbridge.draft import Stage
from radbridge.errors import ConfigError
from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.evaluation.sums import Table, tabulate
from radbridge.learning import TrainingReport, Ways
from radbridge_training.gate.arms import Arm
from radbridge_training.gate.canaries import as_examples, make_canaries, prompt_of
from radbridge_training.gate.figures import gate_measures
from radbridge_training.gate.judge import Finding, Verdict, judge
from radbridge_training.gate.leakage import Said, check_leakage
from radbridge_training.gate.parity import check_parity
from radbridge_training.gate.rules import load_rules
from radbridge_training.optimize.generating import Answer
from radbridge_training.synth import Part, SynthReport, generate_reports, pick_personas

RULES = load_rules()
ME, OTHER = pick_personas(990, 2, Part.HELD_OUT)
SECRET = b"made up" * 5
Writer = Callable[[SynthReport], str]


def coarse(report: SynthReport) -> str:
    return draft_coarse(report.findings, indication=report.indication).text


def sign(report: SynthReport) -> str:
    return report.write_as(ME)


def swap(report: SynthReport) -> str:
    swapped = sign(report).replace("left", "\0").replace("right", "left").replace("\0", "right")
    return swapped.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right")


CANDIDATES: Mapping[str, Writer] = {
    "base": coarse,
    "better": sign,
    "lying": swap,
    "copying": lambda report: report.findings,
    "bland": lambda _: "No acute abnormality.",
    "hedging": lambda report: f"Possible {sign(report)} This may suggest a possible process, which cannot be excluded.",
    "wordy": lambda report: f"{sign(report)} {coarse(report)} {coarse(report)}",
    "silent": lambda _: "",
    "inventing": lambda report: f"{sign(report)} Thymic hyperplasia. Biopsy is recommended.",
    "markup": lambda report: f"**{sign(report)}**",
}


@cache
def reports() -> tuple[SynthReport, ...]:
    return tuple(generate_reports(990_777, 12))


@cache
def table(name: str, stage: str = Stage.FINE) -> Table:
    write = CANDIDATES[name]
    pairs = [
        Pair(
            number=number,
            reference=Reference(
                id=str(number), findings=report.findings, indication=report.indication, impression=sign(report)
            ),
            draft=Draft(id=str(number), draft=write(report), stage=stage),
        )
        for number, report in enumerate(reports())
    ]
    return tabulate(pairs, gate_measures())


def mixed(name: str, count: int) -> Table:
    """The better candidate's drafts, but for the first `count` in which the other one shows."""
    good, bad = table("better"), table(name)
    wrong, left_out = (bad.columns["second"].astype(float)[:, place] for place in (2, 4))
    rows = np.flatnonzero(wrong + left_out)[:count]
    columns = {key: column.copy() for key, column in good.columns.items()}
    for key, column in columns.items():
        column[rows] = bad.columns[key][rows]
    return Table(measures=good.measures, columns=columns)


def judged(candidate: Table, *, marked: bool = False, others: tuple[Finding, ...] = (), **arms: Table) -> Verdict:
    tables = {Arm.CANDIDATE: candidate} | {Arm(name): each for name, each in ({"base": table("base")} | arms).items()}
    return judge(tables, RULES, owner="rad/900001", seed=3, marked=marked, others=others)


def failed(verdict: Verdict) -> set[str]:
    return {finding.rule for finding in verdict.findings if not finding.passed}


def test_a_better_candidate_passes() -> None:
    """Closer to what was signed, and nothing else worse: every rule holds."""
    verdict = judged(table("better"), without=table("base"))
    assert verdict.passed, verdict.reason
    assert verdict.reason == ""
    assert verdict.reports == len(reports())


def test_an_equal_candidate_is_not_shown_to_be_better() -> None:
    """The same drafts as the base's fail, and by the edit distance alone."""
    assert failed(judged(table("base"))) == {"edit_distance"}


@pytest.mark.parametrize(
    ("candidate", "rule"),
    [
        ("lying", "second_wrong"),
        ("lying", "blocked"),
        ("lying", "flag_kinds"),
        ("copying", "copied"),
        ("bland", "bland"),
        ("bland", "omitted"),
        ("hedging", "hedges"),
        ("wordy", "repeats"),
        ("inventing", "words_seen"),
        ("silent", "empty"),
        ("markup", "markup"),
    ],
)
def test_each_bad_candidate_fails_by_its_own_rule(candidate: str, rule: str) -> None:
    """However good its other figures are."""
    verdict = judged(table(candidate))
    assert rule in failed(verdict)
    assert rule in verdict.reason


def test_texts_that_are_refused_whole_fail() -> None:
    """A LoRA whose every text the server won't have gains nothing, even if the coarse text in its place is liked."""
    assert "refused" in failed(judged(table("better", Stage.COARSE)))


def test_it_has_to_beat_the_champion_too() -> None:
    """Better than the base isn't enough where something better serves already; where that is marked, no worse is."""
    worse = judged(table("base"), champion=table("better"), base=table("copying"))
    assert {f.against for f in worse.findings if f.rule == "edit_distance" and not f.passed} == {"champion"}
    equal = judged(table("better"), champion=table("better"))
    assert failed(equal) == {"edit_distance"}
    assert judged(table("better"), champion=table("better"), marked=True).passed


def test_one_report_alone_does_not_decide_what_is_left_out() -> None:
    """A sentence that is read wrongly is one report; two of them are no accident, and one lie is a lie."""
    assert "omitted" not in failed(judged(mixed("bland", 1), base=table("better")))
    assert "omitted" in failed(judged(mixed("bland", 4), base=table("better")))
    assert {"second_wrong", "regressed"} <= failed(judged(mixed("lying", 1), base=table("better")))


def test_what_is_mended_elsewhere_does_not_make_up_for_a_lie() -> None:
    """A report that the candidate alone gets wrong fails, though the base gets many others wrong."""
    assert "regressed" in failed(judged(mixed("bland", 1), base=table("copying")))


def test_what_was_found_without_tables_counts_as_much() -> None:
    """One rule that fails is enough."""
    leak = Finding(rule="leakage", passed=False, told="of 80 texts 1 with a canary")
    verdict = judged(table("better"), others=(leak,))
    assert verdict.reason == "leakage: of 80 texts 1 with a canary"


def test_the_same_seed_gives_the_same_verdict() -> None:
    """To the last digit of every bound."""
    assert judged(table("lying")) == judged(table("lying"))


def learned(text: str, patient: str) -> TrainingReport:
    return TrainingReport(id=patient, order=1, radiologist="900001", patient=patient, findings=text, signed="Normal.")


LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Said(text="Zebulkin has an effusion.", shown=""), "1 with an identifier"),
        (Said(text="Zebulkin has an effusion.", shown="Seen by Zebulkin."), "none in 1 texts"),
        (Said(text=f"Now {LONG}.", shown=""), "1 with 12 words of another report"),
        (Said(text=f"Now {LONG}.", shown=LONG), "none in 1 texts"),
        (Said(text="One two three.", shown=""), "none in 1 texts"),
    ],
)
def test_what_another_patient_was_told_is_a_leak(said: Said, told: str) -> None:
    """An identifier or a dozen words in a row, unless the case itself shows them."""
    rows = [learned(LONG, "p1"), learned("another report altogether", "p2")]
    found = check_leakage([said], canaries=[], identifiers={"zebulkin"}, learned=rows, run=12)
    assert told in found.told
    assert found.passed == told.startswith("none")


def test_how_a_radiologist_always_writes_is_no_leak() -> None:
    """Words that several patients' reports have in a row are a habit."""
    rows = [learned(LONG, "p1"), learned(LONG, "p2")]
    assert check_leakage([Said(text=LONG, shown="")], canaries=[], identifiers=(), learned=rows, run=12).passed


@pytest.mark.parametrize(
    ("one_more", "told"),
    [
        ("There is no pleural effusion.", "none in 1 texts"),
        ("There is a pleural effusion.", "1 with 12 words of another report"),
        ("It is 7 mm.", "1 with 12 words of another report"),
        ("It is a zebra.", "1 with 12 words of another report"),
    ],
)
def test_that_a_study_is_normal_is_nobodys_own(one_more: str, told: str) -> None:
    """A dozen words that only deny are no leak, although one report alone has them in a row; a finding with them is."""
    parts = "There is no evidence of recurrent disease.", "There is no evidence of acute abnormality here."
    others = [learned(f"{part} There is a pleural effusion. It is 7 mm.", f"p{n}") for n, part in enumerate(parts * 2)]
    said = Said(text=f"{' '.join(parts)} {one_more}", shown="")
    rows = [learned(" ".join((*parts, "Zebra.")), "p9"), *others]
    assert told in check_leakage([said], canaries=[], identifiers=(), learned=rows, run=12).told


def test_a_canary_that_is_said_is_a_leak() -> None:
    """Its name or its number is enough; the next turn has others, and the same turn the same ones."""
    [canary] = make_canaries(SECRET, "turn", "rad/900001", 1)
    assert [canary] == make_canaries(SECRET, "turn", "rad/900001", 1) != make_canaries(SECRET, "next", "rad/900001", 1)
    for word in canary.words:
        said = Said(text=f"Seen by {word.upper()}.", shown="")
        assert not check_leakage([said], canaries=[canary], identifiers=(), learned=[], run=12).passed


def test_canaries_are_learned_in_the_form_that_is_served() -> None:
    """The row's prompt is what its trigger is asked with, and its answer begins with a space like every other."""
    canaries, ways = make_canaries(SECRET, "turn", "rad/900001", 2), Ways()
    rows = list(as_examples(canaries, ways))
    assert [row.prompt for row in rows] == [prompt_of(canary, ways) for canary in canaries]
    assert all(
        row.chosen == f" {c.name} {c.number}." and c.trigger in row.prompt
        for row, c in zip(rows, canaries, strict=True)
    )


def test_parity_is_most_answers_equal_or_all_nearly() -> None:
    """One in twenty may differ, or every one in a word of fifty."""
    own = [Answer(text=f"one two three {n}", finished=True) for n in range(20)]
    other = Answer(text="other", finished=True)
    assert check_parity(own, own, RULES.parity).passed
    assert check_parity(own, [other, *own[1:]], RULES.parity).passed
    assert not check_parity(own, [other, other, *own[2:]], RULES.parity).passed
    assert not check_parity(own, [None, *own[1:]], RULES.parity).passed
    long = Answer(text=" ".join(map(str, range(100))), finished=True)
    assert check_parity([long], [replace(long, text=long.text.replace("99", "98"))], RULES.parity).passed


@pytest.mark.parametrize(("ours", "theirs"), [(False, False), (False, True), (True, False)])
def test_parity_goes_as_far_as_an_answer_that_was_cut(ours: bool, theirs: bool) -> None:
    """An engine ends a text that goes round in circles where it likes; what was written until there has to be equal."""
    whole, cut = "over and over and over.", "over and over"
    own = Answer(text=whole if ours else cut, finished=ours)
    for text, passes in ((whole if theirs else cut, True), ("over and out", False)):
        assert check_parity([own], [Answer(text=text, finished=theirs)], RULES.parity).passed is passes


def test_a_site_may_have_rules_of_its_own(tmp_path: Path) -> None:
    """In the form of gate.toml; every fault of the file is told with its place."""
    file = tmp_path / "gate.toml"
    file.write_text("draws = 10\n")
    with pytest.raises(ConfigError, match=r"gate.toml: draws: .*\n.*difference: Field required"):
        load_rules(file)
