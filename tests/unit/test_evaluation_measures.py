"""The core measures on texts whose figures are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

from radbridge.entities.labels import label_names
from radbridge.errors import RadBridgeError
from radbridge.evaluation.labels import LabelCounts
from radbridge.evaluation.measures import core_measures
from radbridge.evaluation.resample import draw_sums, sum_rows
from radbridge.evaluation.rouge import Rouge
from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.evaluation.sums import Table, group, tabulate
from radbridge.style.features import measure_style

FINDINGS = "There is a small left pleural effusion with atelectasis. The heart is enlarged. No pneumothorax."
SIGNED = "Small left pleural effusion. Cardiomegaly."


def pair(draft: str, signed: str = SIGNED, number: int = 1, **told: Any) -> Pair:
    reference = Reference(id=str(number), impression=signed, **{"findings": FINDINGS, **told})
    return Pair(number=number, reference=reference, draft=Draft(id=str(number), draft=draft))


def figures(*pairs: Pair) -> dict[str, float]:
    return read(tabulate(pairs, core_measures()))


def read(table: Table) -> dict[str, float]:
    return {figure.name: float(figure.estimate(sum_rows(rows))) for figure, rows in table.figures()}


def test_the_signed_text_itself_is_perfect() -> None:
    """A draft equal to the signed text has every overlap at one, and no fault."""
    found = figures(pair(SIGNED))
    full = {"rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "label_f1", "chexpert_f1", "verbatim", "acceptable"}
    assert {name: found[name] for name in full} == pytest.approx(dict.fromkeys(full, 1.0))
    none = {"edit_distance", "omitted", "unsupported", "unsupported_words", "blocked", "flagged", "empty"}
    assert {name: found[name] for name in none} == dict.fromkeys(none, 0.0)
    assert (found["words"], found["length_ratio"]) == (5.0, 1.0)


def test_no_draft_is_an_empty_one() -> None:
    """A report without a draft counts: it leaves out everything, overlaps with nothing and makes nothing up."""
    found = figures(pair(""), pair(SIGNED))
    assert found["empty"] == found["rouge1"] == found["any_omitted"] == found["acceptable"] == 0.5
    assert (found["omitted"], found["unsupported"], found["edit_distance"]) == (1.0, 0.0, 0.5)


def test_who_writes_nothing_is_not_safe() -> None:
    """Flags and made-up findings are shares of the drafts that are there; of none they aren't defined."""
    one, none = figures(pair(""), pair("Cholelithiasis.")), figures(pair(""))
    assert (one["flagged"], one["any_unsupported"], one["omitted"]) == (1.0, 1.0, 2.0)
    assert np.isnan([none["flagged"], none["blocked"], none["unsupported"]]).all()


def test_a_draft_without_end_takes_no_time_without_end() -> None:
    """A draft of 100,000 words is read as far as the guard reads."""
    long = pair("effusion " * 100_000, "effusion " * 300)
    [row] = Rouge().rows([long])
    [cut] = Rouge().rows([pair("effusion " * 1_333, "effusion " * 300)])
    assert row == pytest.approx(cut, abs=0.001)


def test_what_is_left_out_and_what_is_made_up_are_counted_apart() -> None:
    """A finding missing in the draft is omitted; one that neither findings nor indication tell is unsupported."""
    found = figures(pair("Small left pleural effusion. Right hip fracture."))
    assert (found["omitted"], found["unsupported"]) == (1.0, 1.0)
    assert found["unsupported_words"] == pytest.approx(3 / 7)
    asked = figures(pair("Small left pleural effusion. Right hip fracture.", indication="Right hip fracture."))
    assert (asked["omitted"], asked["unsupported"], asked["unsupported_words"]) == (1.0, 0.0, 0.0)


def test_label_f1_by_hand() -> None:
    """Two labels of three in common, one made up: precision, recall and F1 are sums over all reports."""
    pairs = (
        pair("Left pleural effusion. Pneumothorax.", "Left pleural effusion. Cardiomegaly."),
        pair("Left lower lobe atelectasis.", "Left lower lobe atelectasis."),
        pair("No acute abnormality.", "Normal chest."),
    )
    found = figures(*pairs)
    assert found["label_precision"] == found["label_recall"] == found["label_f1"] == pytest.approx(2 / 3)
    assert np.isnan(figures(pairs[2])["label_f1"])


def test_each_label_is_counted_by_its_own() -> None:
    """Each label is counted where it is said and meant, only said, only meant; together they are micro F1's counts."""
    drafts = ("Left pleural effusion. Pneumothorax.", "Left lower lobe atelectasis.", "")
    signed = ("Left pleural effusion. Cardiomegaly.", "Left lower lobe atelectasis.", "Cardiomegaly.")
    table = tabulate([pair(d, s, n) for n, (d, s) in enumerate(zip(drafts, signed, strict=True))], core_measures())
    counts = LabelCounts(table.columns["each_label"])
    by_label = dict(zip(label_names(), sum_rows(counts).reshape(-1, 3).tolist(), strict=True))
    told = {name: found for name, found in by_label.items() if any(found)}
    assert told == {
        "pleural_effusion": [1, 0, 0],
        "atelectasis": [1, 0, 0],
        "pneumothorax": [0, 1, 0],
        "cardiomegaly": [0, 0, 2],
    }
    assert sum_rows(table.columns["labels"])[:3].tolist() == [2, 1, 2]


def test_a_wrong_side_is_flagged_and_blocked() -> None:
    """The guard's default policy decides what would be kept back, and its flags are told by kind."""
    found = figures(pair("Small right pleural effusion. Cardiomegaly."), pair(SIGNED))
    assert found["flag_laterality"] == found["blocked"] == found["flagged"] == 0.5
    assert found["acceptable"] == 0.5
    told = figures(pair("Small left pleural effusion. Cardiomegaly. Cholelithiasis."))
    assert (told["flag_unsupported"], told["flagged"], told["blocked"]) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("draft", "acceptable"),
    [
        ("The heart shows cardiomegaly, with a pleural effusion on the left that is small.", 0.0),
        ("Small left pleural effusion. Cardiomegaly is seen.", 1.0),
        ("Small left pleural effusion.", 0.0),
        ("Small left pleural effusion. Cardiomegaly. Atelectasis.", 0.0),
    ],
    ids=["rewritten", "reworded", "less", "more"],
)
def test_what_is_acceptable(draft: str, acceptable: float) -> None:
    """A draft is acceptable when less than half of it changes and it tells the same findings, no more and no less."""
    assert figures(pair(draft))["acceptable"] == acceptable


def test_style_is_a_distance_whatever_is_said() -> None:
    """Texts written alike are near though they tell other things; another layout and wording is far."""
    signed = "1. Small left effusion.\n2. Cardiomegaly."
    near = figures(pair("1. Right hip fracture.\n2. Hepatomegaly.", signed))["style_distance"]
    far = figures(pair("There is a small left effusion, and cardiomegaly is seen.", signed))["style_distance"]
    assert near < 0.2
    assert far > 0.5
    assert figures(pair(signed, signed))["style_distance"] == 0


@given(st.text(), st.text())
def test_style_of_any_text(one: str, other: str) -> None:
    """Any two texts have a finite distance, the same both ways, and none to themselves."""
    assert measure_style(one, one) == 0
    assert 0 <= measure_style(one, other) == measure_style(other, one) < float("inf")


TEXTS = (
    ("1. Small left effusion. 2. Big heart.", "Small effusion on the left."),
    ("No acute disease.", "1. No acute cardiopulmonary disease."),
    ("", "Normal."),
    ("Stable 4 mm nodule, no change.", "Stable 4 mm nodule."),
)


def test_rouge_is_the_librarys() -> None:
    """ROUGE-1, -2 and -L are the mean of the library's stemmed F1 on the raw texts; -Lsum is cut into sentences."""
    found = figures(*(pair(draft, signed) for draft, signed in TEXTS))
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    scores = [scorer.score(signed, draft) for draft, signed in TEXTS]
    for name in ("rouge1", "rouge2", "rougeL"):
        assert found[name] == pytest.approx(np.mean([score[name].fmeasure for score in scores]))
    turned = figures(pair("Big heart. Small effusion.", "Small effusion. Big heart."))
    assert turned["rougeL"] == pytest.approx(0.5)
    assert turned["rougeLsum"] == pytest.approx(1.0)


def test_bleu_is_the_librarys() -> None:
    """BLEU is SacreBLEU's corpus score, of all reports and of any part of them."""
    pairs = [pair(draft, signed) for draft, signed in TEXTS]
    counter = BLEU(lowercase=True, tokenize="13a", smooth_method="exp")
    for part in (pairs, pairs[:2], pairs[1:2], pairs[3:]):
        expected = counter.corpus_score([p.draft.draft for p in part], [[p.reference.impression for p in part]])
        assert figures(*part)["bleu"] == pytest.approx(expected.score / 100)


def test_sums_hold_for_any_part_of_the_reports() -> None:
    """The figures of some rows of a table are those of the same pairs measured alone."""
    pairs = [pair(draft, signed, n) for n, (draft, signed) in enumerate((*TEXTS, (SIGNED, SIGNED)))]
    table = tabulate(pairs, core_measures())
    for place, one in enumerate(pairs):
        part = Table(
            measures=table.measures, columns={name: rows[place : place + 1] for name, rows in table.columns.items()}
        )
        assert read(part) == pytest.approx(figures(one), nan_ok=True)


def test_every_estimate_takes_many_sums_at_once() -> None:
    """An estimate of a block of bootstrap sums is that of each of them."""
    table = tabulate([pair(d, s, n) for n, (d, s) in enumerate(TEXTS)], core_measures())
    for figure, rows in table.figures():
        drawn = draw_sums(rows, draws=6)
        assert figure.estimate(drawn) == pytest.approx(
            np.array([float(figure.estimate(sums)) for sums in drawn]), nan_ok=True
        )


def test_a_measure_that_breaks_its_promise_is_named() -> None:
    """A measure with too few numbers ends the evaluation with its name instead of shifting every later report."""

    class Short:
        name = "short"
        typecode = "f"
        width = 2
        figures = ()

        def rows(self, pairs: Sequence[Pair]) -> list[list[float]]:
            return [[1.0] for _ in pairs]

    with pytest.raises(RadBridgeError, match="the measure short gave 1 numbers for 1 reports"):
        tabulate([pair("x")], [Short()])  # type: ignore[list-item]


def test_reports_are_told_apart_by_what_they_say() -> None:
    """A report's group is what its row says, and it is abnormal by its row's word, else by its impression."""
    rows = [
        Reference(id="a", findings="x", impression="No acute disease.", modality="CT", age=80, sex="F"),
        Reference(id="b", findings="x", impression="Left effusion.", modality="MR", age=3),
        Reference(id="c", findings="x", impression="No acute disease.", modality="CT", abnormal=True),
    ]
    found = group(rows)
    assert found.levels["modality"] == ("CT", "MR")
    assert found.codes["modality"].tolist() == [0, 1, 0]
    assert [found.levels["age_band"][code] for code in found.codes["age_band"] if code >= 0] == ["80+", "0-17"]
    assert found.codes["sex"].tolist() == [0, -1, -1]
    assert found.abnormal.tolist() == [False, True, True]
