"""What is said first: which systems don't beat what needs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from radbridge.evaluation.measures import core_measures
from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.evaluation.sums import Table, group, tabulate
from radbridge.evaluation.verdicts import compare_systems, tell_verdicts

Drafts = Mapping[str, Sequence[str]]
SIGNED = [f"Left effusion of {n} cm. Cardiomegaly." for n in range(30)]
NORMAL = ["No acute disease."] * 30


def references(signed: Sequence[str]) -> list[Reference]:
    return [Reference(id=str(n), findings=text, impression=text) for n, text in enumerate(signed)]


def table(drafts: Sequence[str], signed: Sequence[str]) -> Table:
    pairs = (
        Pair(number=n, reference=reference, draft=Draft(id=reference.id, draft=draft))
        for n, (reference, draft) in enumerate(zip(references(signed), drafts, strict=True))
    )
    return tabulate(pairs, core_measures())


def verdicts(systems: Drafts, baselines: Drafts, signed: Sequence[str]) -> list[str]:
    told = {name: table(drafts, signed) for name, drafts in systems.items()}
    copied = {name: table(drafts, signed) for name, drafts in baselines.items()}
    groups = group(references(signed))
    return list(tell_verdicts(told, copied, groups, compare_systems(told, copied, groups, seed=0)))


def test_a_system_that_does_not_beat_a_baseline_says_so() -> None:
    """A worse system is told with figures and p beside the best baseline, and a better one in one sentence."""
    copies: Drafts = {"copy": [text.replace("Cardiomegaly", "Normal heart") for text in SIGNED], "empty": [""] * 30}
    worse, better = verdicts({"bad": ["Mass."] * 30, "good": SIGNED}, copies, SIGNED)
    assert worse.startswith("bad doesn't beat copy in ROUGE-1 (0.0 against ")
    assert "Label F1 (0.0 against 66.7, p < 0.001)" in worse
    assert "empty" not in worse
    assert better.startswith(
        "good beats every retrieval baseline in ROUGE-1, ROUGE-2, ROUGE-L, Label F1, Edit distance"
    )


def test_equal_to_a_baseline_is_not_better() -> None:
    """A system that is the baseline doesn't beat it."""
    [verdict] = verdicts({"same": SIGNED}, {"copy": SIGNED}, SIGNED)
    assert verdict.startswith("same doesn't beat copy in ROUGE-1 (100.0 against 100.0")


def test_what_is_not_defined_is_not_told() -> None:
    """Where no report has a finding nothing is said of labels, and without abnormal ones nothing of these."""
    [verdict] = verdicts({"same": NORMAL}, {"copy": NORMAL}, NORMAL)
    assert "Label" not in verdict
    assert "abnormal" not in verdict


def test_without_baselines_there_is_no_verdict() -> None:
    """Systems alone are compared with the first, and nothing is said of baselines."""
    assert verdicts({"a": SIGNED, "b": NORMAL}, {}, SIGNED) == []
    told = {name: table(drafts, SIGNED) for name, drafts in {"a": SIGNED, "b": NORMAL, "c": SIGNED}.items()}
    notes = compare_systems(told, {}, group(references(SIGNED)), seed=0)
    assert {(note.system, note.other) for note in notes} == {("a", "b"), ("a", "c")}
    by_pair = {(n.other, n.figure, n.subset): n for n in notes}
    assert by_pair["c", "rougeL", "all"].p_corrected == 1.0
    found = by_pair["b", "rougeL", "all"].p_corrected
    assert found is not None
    assert found < 0.05
