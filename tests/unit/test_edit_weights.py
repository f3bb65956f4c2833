"""The edit-weighted loss: what the signer put in counts more, and what was taken out gets less likely."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radbridge.learning import PreferenceExample
from radbridge_training.optimize.choosing import CANARY, Tried, choose_rows, take_newest
from radbridge_training.optimize.generating import Answer
from radbridge_training.optimize.rows import Encoded
from radbridge_training.optimize.weighted import KEPT, PUT_IN, TAKEN_OUT, as_edited_rows, as_row, collate, weigh_loss
from radbridge_training.turn_recipe import Learn

IDS = st.lists(st.integers(2, 9), min_size=1, max_size=8)


def encoded(answer: list[int], *, name: str = "a/0") -> Encoded:
    example = PreferenceExample(id=name, prompt="", chosen=" signed")
    return Encoded(example=example, prompt=(1, 1), answer=tuple(answer))


def test_the_edit_decides_the_weights() -> None:
    """Kept tokens weigh one, those that were put in more, those that were taken out are to be less likely."""
    signed, drafted = as_edited_rows(encoded([2, 3, 7, 5]), [2, 3, 4, 5])
    assert signed == {"input_ids": [1, 1, 2, 3, 7, 5], "token_weights": [0, 0, KEPT, KEPT, PUT_IN, KEPT]}
    assert drafted == {"input_ids": [1, 1, 2, 3, 4, 5], "token_weights": [0, 0, 0, 0, TAKEN_OUT, 0]}


@given(IDS, IDS)
def test_only_changes_are_weighed(answer: list[int], worse: list[int]) -> None:
    """The signed answer is learned whole; a draft of which nothing was taken out gives no row of its own."""
    rows = as_edited_rows(encoded(answer), worse)
    assert all(weight >= KEPT for weight in rows[0]["token_weights"][2:])
    assert (len(rows) == 1) == (not any(w < 0 for row in rows for w in row["token_weights"]))
    assert answer != worse or rows == [as_row(encoded(answer))]


@given(IDS, st.integers(0, 99))
def test_equal_weights_are_cross_entropy(ids: list[int], seed: int) -> None:
    """With a weight of one for every token the loss is torch's own."""
    logits = torch.randn(len(ids), 10, generator=torch.Generator().manual_seed(seed))
    labels = torch.tensor(ids)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert weigh_loss(logits, labels, torch.ones(len(ids))).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("weight", [PUT_IN, TAKEN_OUT])
@pytest.mark.parametrize("sure", [0.0, 3.0, 1000.0])
def test_a_step_moves_a_token_as_its_weight_says(weight: float, sure: float) -> None:
    """Down the gradient a token gets likelier or less likely, and even of a sure token the loss is a number."""
    logits = torch.zeros(1, 4)
    logits[0, 2] = sure
    logits.requires_grad_()
    loss = weigh_loss(logits, torch.tensor([2]), torch.tensor([weight]))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(loss)
    if sure < 1000:
        assert (logits.grad[0, 2].item() < 0) == (weight > 0)


def test_padding_weighs_nothing() -> None:
    """Rows of other lengths are padded on the right, unseen and without weight."""
    batch = collate([as_row(encoded([2, 3])), as_row(encoded([4]))])
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["token_weights"].tolist() == [[0, 0, 1, 1], [0, 0, 1, 0]]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(8, 60), st.sampled_from([0.0, 0.5, 2.0]))
def test_hard_rows_are_learned_beside_some_easy_ones(hard: int, easy: int, most: int, share: float) -> None:
    """No more rows than wanted, easy ones by their share of the hard, and every canary whatever else is left out."""
    tried = [
        Tried(row=encoded([2], name=f"{kind}/{n}"), answer=Answer(text=text, finished=True))
        for kind, text, count in (("h", "else", hard), ("e", "signed", easy), (CANARY[:-1], "else", 2))
        for n in range(count)
    ]
    kept = [t.row.example.id[0] for t in choose_rows(tried, Learn(easy_share=share, most_rows=most), 3)]
    assert kept.count("c") == 2
    assert kept.count("h") + kept.count("e") <= most
    assert kept.count("e") <= round(share * kept.count("h"))
    assert kept.count("h") == hard or kept.count("h") == max(1, round(most / (1 + share)))


def test_of_a_long_history_the_newest_rows_are_tried() -> None:
    """Three rows for each that may be learned are the last ones signed; canaries are among them wherever they stand."""
    rows = [encoded([2], name=f"{CANARY}0"), *(encoded([2], name=f"h/{n}") for n in range(100))]
    taken = [row.example.id for row in take_newest(rows, Learn(most_rows=8))]
    assert taken == [*(f"h/{n}" for n in range(76, 100)), f"{CANARY}0"]
