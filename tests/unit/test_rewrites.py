"""What is asked of a model statement by statement, and how its answers become one text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.coarse import draft_coarse
from radbridge.example import StyleExample
from radbridge.guard import unsupported_words
from radbridge.prompt import PromptInput
from radbridge.rewrites import Attempt, assemble, plan_rewrites, show

FINDINGS = "There is a 12 mm nodule in the right upper lobe. There is a small left pleural effusion."
COARSE = draft_coarse(FINDINGS).statements
SAID = ("12 mm nodule in the right upper lobe.", "Small left pleural effusion.")
STUDY = PromptInput(findings=FINDINGS, indication="Cough.", prior="Nodule.", modality="CT", sex="F", age=71)


def signed(impression: str) -> list[StyleExample]:
    findings = "There is a mass in the liver. There is a cyst in the left kidney."
    return [StyleExample(id=f"m{n}", findings=findings, impression=impression) for n in range(4)]


def test_a_plan_without_examples_says_what_the_findings_say() -> None:
    """Nobody's hand changes order, number or marks of the statements; weights of p1 are never shown a hand."""
    assert plan_rewrites(COARSE, (), "p2").statements == SAID
    told = plan_rewrites(COARSE, signed("1) Mass in the liver."), "p1")
    assert (told.statements, told.hand) == (SAID, None)


def test_a_statements_prompt_shows_the_study_and_no_more_of_the_case() -> None:
    """Beside a statement stand signed sentences and what kind of study it is; p1 sees the statement as findings too."""
    plan = plan_rewrites(COARSE, signed("1) Mass in the liver.\n2) Cyst in the left kidney."), "p2")
    shown = show(SAID[0], plan, case=STUDY, version="p2")
    assert (shown.coarse, shown.findings, shown.indication, shown.prior) == (SAID[0], "", "", "")
    assert (shown.modality, shown.sex, shown.age) == ("CT", "F", 71)
    assert set(shown.style) == {"Mass in the liver.", "Cyst in the left kidney."}
    first = show(SAID[0], plan_rewrites(COARSE, (), "p1"), case=STUDY, version="p1")
    assert (first.coarse, first.findings, first.style) == (SAID[0], SAID[0], ())


@pytest.mark.parametrize(
    ("attempt", "refused"),
    [
        (None, "it is too long for the model's context"),
        (Attempt(text="A small left effusion", refusal="it doesn't end"), "it doesn't end"),
        (Attempt(text="Small right pleural effusion."), "unsupported content"),
        (Attempt(text="Small pleural effusion."), "laterality was changed"),
        (Attempt(text="Small left pleural effusion and a mass."), "unsupported content"),
    ],
)
def test_a_rewrite_that_doesnt_hold_costs_its_style(attempt: Attempt | None, refused: str) -> None:
    """The statement stands as it was, with the reason; the others are rewritten all the same."""
    made = assemble(SAID, [Attempt(text="There is a 12 mm nodule in the right upper lobe."), attempt])
    assert made.text == f"There is a 12 mm nodule in the right upper lobe. {SAID[1]}"
    assert made.refused == (refused,)


def test_a_list_is_numbered_through() -> None:
    """A LoRA that numbers even a single statement makes a list; with a hand the marks are the signer's own."""
    numbered = [Attempt(text=f"1. {said}") for said in SAID]
    assert assemble(SAID, numbered).text == f"1. {SAID[0]}\n2. {SAID[1]}"
    hand = plan_rewrites(COARSE, signed("- Mass in the liver.\n- Cyst in the left kidney."), "p2").hand
    assert assemble(SAID, numbered, hand).text == f"- {SAID[0]}\n- {SAID[1]}"


@given(st.lists(st.one_of(st.none(), st.text(max_size=60), st.sampled_from(SAID)), min_size=2, max_size=2))
def test_no_content_is_lost_or_added_whatever_a_model_writes(texts: list[str | None]) -> None:
    """Every statement is there as it was, or as a rewrite that the guard accepts: one reason for each that isn't."""
    attempts = [None if text is None else Attempt(text=text) for text in texts]
    made = assemble(SAID, attempts)
    kept = [said for said in SAID if said in made.text]
    assert len(kept) >= len(made.refused)
    assert not unsupported_words(" ".join(SAID), made.text)
    assert not unsupported_words(made.text, " ".join(SAID))
