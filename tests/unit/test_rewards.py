"""What GRPO is rewarded for: truth before style, and nothing for words that are kept for evaluation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.guard import find_fault
from radbridge.learning import PreferenceExample, TrainingReport
from radbridge.learning.vocabulary import is_held_out
from radbridge.text import content_words
from radbridge_training.optimize.rewards import (
    LENGTH,
    STYLE,
    UNTRUE,
    WARNING,
    Rewards,
    Truth,
    Verdict,
    blank,
    is_hidden,
)

STATEMENT = "Small left pleural effusion, measuring 12 mm."
SIGNED = "There is a small left pleural effusion measuring 12 mm."
TRUE = (STATEMENT, SIGNED, "Left pleural effusion, small, 12 mm.", "A small left pleural effusion of 12 mm.")
UNTRUE_TEXTS = (
    "Small right pleural effusion, measuring 12 mm.",
    "Small left pleural effusion, measuring 21 mm.",
    "No small left pleural effusion, measuring 12 mm.",
    "Small pleural effusion, measuring 12 mm.",
    "Small left pleural effusion, measuring 12 mm. Left rib fracture.",
    "Small left pleural effusion, measuring 12 mm. Small left pleural effusion, measuring 12 mm.",
    "",
)
END = 1


def truth_of(signed: str = SIGNED, statement: str = STATEMENT) -> Truth:
    example = PreferenceExample(id="a/0", prompt="Findings:\n", chosen=f" {signed}", statement=statement)
    return Truth.of(example, None)


@given(st.sampled_from(TRUE), st.sampled_from(UNTRUE_TEXTS), st.sampled_from(TRUE))
def test_no_untrue_text_beats_a_true_one(true: str, untrue: str, signed: str) -> None:
    """Whatever the signer's style is, a text with a fault has less than any text without one."""
    truth = truth_of(signed)
    assert truth.judge(untrue).reward == UNTRUE
    assert truth.judge(true).reward >= 0.1


@given(st.integers(0, 20), st.floats(0, 1), st.floats(0, 1))
def test_warnings_and_style_never_cross_the_gate(warnings: int, style: float, over: float) -> None:
    """However many warnings it has, a true text stays above an untrue one, and a further warning is never a gain."""
    reward = Verdict(warnings=warnings, style=style, over=over).reward
    assert 0.1 - 1e-9 <= reward <= 1.1 + 1e-9
    assert Verdict(warnings=warnings + 1, style=style, over=over).reward <= reward
    assert Verdict(fault="laterality was changed").reward == UNTRUE


@given(st.text(alphabet=" .,12abcdefgilmnoprstuNL", max_size=60))
def test_any_text_has_one_of_two_rewards(text: str) -> None:
    """Whatever a model writes, it is untrue and has -1, or it is true and has at least 0.1."""
    reward = truth_of().judge(text).reward
    assert reward == UNTRUE or reward >= 0.1


def test_the_signers_own_words_have_the_most() -> None:
    """Among true texts the signed one is worth most, one that is much too long least."""
    truth = truth_of()
    best, other = truth.judge(SIGNED), truth.judge(STATEMENT)
    assert best.reward > other.reward > 0.1
    assert best.style == 1
    long = truth.judge(
        f"As for this study here, and for what was asked of it, there is, as it seems, and is so, a {SIGNED[11:]}"
    )
    assert long.over > 0 or long.fault


@pytest.mark.parametrize(
    "text",
    [
        "Acute fracture of the left femoral neck. Normal study.",
        "Unremarkable. Acute fracture of the left femoral neck.",
        "Acute fracture of the left femoral neck, otherwise unremarkable.",
        "Acute fracture of the left femoral neck. No acute abnormality.",
    ],
)
def test_a_rewrite_that_calls_normal_is_untrue(text: str) -> None:
    """Whatever stands beside the finding, nothing is paid for the word that takes it back; unless it was signed."""
    statement = "Acute fracture of the left femoral neck."
    assert truth_of(statement, statement).judge(text).reward == UNTRUE
    assert truth_of(statement, statement).judge(statement).reward > 1


def test_a_doubt_of_ones_own_costs() -> None:
    """A doubt that neither the statement nor the signer has is worth a warning, so doubting everything doesn't pay."""
    sure, doubtful = "Mild pulmonary edema.", "Possible mild pulmonary edema."
    assert truth_of(sure, sure).judge(doubtful).reward <= truth_of(sure, sure).judge(sure).reward - WARNING
    assert not truth_of(doubtful, doubtful).judge(doubtful).warnings


def test_what_does_not_end_is_untrue() -> None:
    """A text that the limit cut off has nothing, however good its beginning is."""
    assert truth_of().judge(SIGNED, finished=False).reward == UNTRUE


def test_a_whole_text_is_held_to_its_report() -> None:
    """Beside an acute finding a text that calls the study normal is untrue, and so is one that has a critical flag."""
    report = TrainingReport(
        id="a",
        order=1,
        radiologist="1001",
        patient="p",
        findings="There is a large right pneumothorax. The heart is normal in size.",
        signed="Large right pneumothorax.",
    )
    example = PreferenceExample(id="a/0", prompt="", chosen=f" {report.signed}")
    truth = Truth.of(example, report)
    assert truth.judge("Large right pneumothorax.").reward > 1
    assert truth.judge("No acute cardiopulmonary abnormality.").reward == UNTRUE
    assert truth.judge("Large left pneumothorax.").reward == UNTRUE
    assert truth.judge("No pneumothorax.").reward == UNTRUE
    with pytest.raises(ValueError, match="isn't there"):
        Truth.of(example, None)


def test_a_signers_own_way_to_close_is_no_fault() -> None:
    """Who signs `No acute abnormality` beside what isn't normal is not told to write otherwise."""
    closing = "Large right pneumothorax. No acute abnormality."
    report = TrainingReport(
        id="a", order=1, radiologist="1001", patient="p", findings="Large right pneumothorax.", signed=closing
    )
    truth = Truth.of(PreferenceExample(id="a/0", prompt="", chosen=f" {closing}"), report)
    assert truth.judge(closing).reward > 1


def test_held_out_words_count_for_nothing() -> None:
    """A held-out word that is lost or made up costs no reward, though the guard sees it; a side always counts."""
    words = "effusion atelectasis consolidation nodule fracture edema cyst hernia mass thickening opacity".split()
    hidden = [word for word in words if is_held_out(content_words(word)[0])]
    seen = [word for word in words if word not in hidden]
    assert hidden
    assert seen
    statement = f"Small left {hidden[0]}."
    truth = truth_of(statement, statement)
    assert find_fault("Small left lesion.", statement)
    assert not truth.judge("Small left.").fault
    assert truth.judge(f"Small right {hidden[0]}.").fault
    assert truth.judge(f"Small left {hidden[0]}, {seen[0]}.").fault


@given(st.lists(st.sampled_from("left no without 12 effusion nodule mass fracture edema cyst hernia opacity".split())))
def test_blanking_takes_away_held_out_content_alone(words: list[str]) -> None:
    """What is left of a text is its other words, in their order."""
    text = f"There is {' '.join(words)}."
    kept = [word for word in content_words(text) if not is_hidden(word)]
    assert content_words(blank(text)) == kept
    assert [w for w in words if w in {"left", "no", "without", "12"}] == [
        w for w in blank(text).rstrip(".").split() if w in {"left", "no", "without", "12"}
    ]


def test_trl_sees_the_terms_apart() -> None:
    """The three functions that TRL asks add up, with their weights, to the reward; an untrue text has no style."""
    truth = truth_of()
    rewards = Rewards({"a/0": truth}, frozenset({END}))
    texts = [SIGNED, STATEMENT, UNTRUE_TEXTS[0], SIGNED]
    ends = [[5, END], [5, END], [5, END], [5]]
    told = [f(completions=texts, completion_ids=ends, id=["a/0"] * 4, prompts=[]) for f in rewards.functions]
    sums = [f + STYLE * s + LENGTH * over for f, s, over in zip(*told, strict=True)]
    assert sums == pytest.approx([truth.judge(SIGNED).reward, truth.judge(STATEMENT).reward, UNTRUE, UNTRUE])
    assert [f.__name__ for f in rewards.functions] == ["factual", "style", "length"]
