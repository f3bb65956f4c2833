"""Which rows are learned: those that the present weights get wrong, and some that they get right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from transformers import PreTrainedTokenizerBase

from radbridge_training.optimize.figures import Tell
from radbridge_training.optimize.generating import Answer, generate
from radbridge_training.optimize.rows import Encoded, encode_answer
from radbridge_training.turn_recipe import Learn

CANARY = "canary/"
"""How the ids of rows begin that are learned only to see whether what is learned comes out again (`gate.canaries`)."""
_TRIED = 3  # rows that are tried for each that may be learned


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A row beside what the weights write for its prompt now."""

    row: Encoded
    answer: Answer

    @property
    def is_hard(self) -> bool:
        """Whether that is something else than what was signed."""
        return not self.answer.finished or self.answer.text != self.row.example.chosen.strip()


def take_newest(rows: Sequence[Encoded], learn: Learn) -> list[Encoded]:
    """The last rows, by the order of signing, from which those to learn are chosen; and every canary.

    About a third of them are hard. Older ones than those tell how the signer wrote once.
    """
    reports = [row for row in rows if not is_canary(row)]
    return [*reports[-_TRIED * learn.most_rows :], *(row for row in rows if is_canary(row))]


def try_rows(
    rows: Sequence[Encoded], model: Any, tokenizer: PreTrainedTokenizerBase, tell: Tell, *, phase: str
) -> list[Tried]:
    """Each row with the weights' own answer, which may be half as long again as the longest that was signed."""
    most = max(len(row.answer) for row in rows) * 3 // 2
    answers: dict[int, Answer] = {}
    for place, answer in generate(model, tokenizer, [row.prompt for row in rows], most=most):
        answers[place] = answer
        tell(phase, len(answers), len(rows))
    return [Tried(row=row, answer=answers[place]) for place, row in enumerate(rows)]


def choose_rows(tried: Sequence[Tried], learn: Learn, seed: int) -> list[Tried]:
    """The hard rows and, for each, `easy_share` of an easy one; in any order, `most_rows` of them and every canary."""
    rng = Random(f"rows {seed}")
    reports = [t for t in tried if not is_canary(t.row)]
    hard = [t for t in reports if t.is_hard]
    easy = [t for t in reports if not t.is_hard]
    share = 1 / (1 + learn.easy_share)
    kept = rng.sample(hard, min(len(hard), max(1, round(learn.most_rows * share))))
    kept += rng.sample(easy, min(len(easy), round(len(kept) * learn.easy_share), learn.most_rows - len(kept)))
    kept += [t for t in tried if is_canary(t.row)]
    rng.shuffle(kept)
    return kept


def is_canary(row: Encoded) -> bool:
    """Whether no report has anything to do with the row."""
    return row.example.id.startswith(CANARY)


def encode_wrong(tried: Tried, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The weights' own answer, where it is a whole text and not what was signed; else nothing."""
    is_wrong = tried.is_hard and tried.answer.finished and tried.answer.text
    return encode_answer(f" {tried.answer.text}", tokenizer) if is_wrong else ()
