"""The supervised loss, token by token: as TRL counts it, or with more weight on what the signer changed.

The second is SALT (arXiv 2310.05857): the tokens that an edit put in count more than those it left, and those that it
took out are made less likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import torch
from torch import Tensor
from trl import SFTTrainer

from radbridge_training.optimize.rows import Encoded

KEPT = 1.0
PUT_IN = 3.0
TAKEN_OUT = -0.3
"""Negative: the token is to be less likely."""
_SURE = 1 - 1e-6  # of a token that is to be less likely: a probability of 1 would have no logarithm


def as_row(row: Encoded) -> dict[str, list[Any]]:
    """Ids, and for each the weight of the loss in predicting it: 1 in the answer, 0 in the prompt."""
    return _row(row.prompt, row.answer, [KEPT] * len(row.answer))


def as_edited_rows(row: Encoded, worse: Sequence[int]) -> list[dict[str, list[Any]]]:
    """The answer with weights by what the edit put in, then `worse` with weights for what it took out.

    Without a `worse` answer every token counts alike.
    """
    if not worse:
        return [as_row(row)]
    put_in, taken_out = [KEPT] * len(row.answer), [0.0] * len(worse)
    for change, i, j, k, m in SequenceMatcher(None, worse, row.answer, autojunk=False).get_opcodes():
        if change != "equal":
            taken_out[i:j] = [TAKEN_OUT] * (j - i)
            put_in[k:m] = [PUT_IN] * (m - k)
    rows = [_row(row.prompt, row.answer, put_in)]
    return [*rows, _row(row.prompt, worse, taken_out)] if any(taken_out) else rows


def collate(rows: Sequence[dict[str, list[Any]]]) -> dict[str, Tensor]:
    """One batch, padded on the right: causality hides it, and it has no weight."""
    width = max(len(row["input_ids"]) for row in rows)
    return {
        "input_ids": torch.tensor([r["input_ids"] + [0] * (width - len(r["input_ids"])) for r in rows]),
        "attention_mask": torch.tensor([[1] * len(r["input_ids"]) + [0] * (width - len(r["input_ids"])) for r in rows]),
        "token_weights": torch.tensor([r["token_weights"] + [0.0] * (width - len(r["input_ids"])) for r in rows]),
    }


def weigh_loss(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean over tokens: of -log p where a weight is positive, of -log(1 - p) where it is negative."""
    likely = torch.log_softmax(logits.float(), dim=-1).gather(-1, ids[:, None])[:, 0]
    unlikely = torch.log1p(-likely.exp().clamp(max=_SURE))
    return -torch.where(weights > 0, likely, unlikely).mul(weights.abs()).sum() / weights.abs().sum()


class AnswerTrainer(SFTTrainer):
    """TRL's trainer with a loss that has a weight for each token.

    Only tokens with a weight are scored: on a CPU, TRL's own loss scores every token of the prompt too, for which a
    step of a small model takes half as long again.
    """

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """The loss of one batch of `collate`."""
        causal = model.get_base_model()
        seen = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
        hidden = causal.base_model(**seen, use_cache=False).last_hidden_state[:, :-1]
        weights = inputs["token_weights"][:, 1:]
        counted = weights != 0
        logits = causal.get_output_embeddings()(hidden[counted])
        return weigh_loss(logits, inputs["input_ids"][:, 1:][counted], weights[counted])


def _row(prompt: Sequence[int], answer: Sequence[int], weights: Sequence[float]) -> dict[str, list[Any]]:
    return {"input_ids": [*prompt, *answer], "token_weights": [0.0] * len(prompt) + list(weights)}
