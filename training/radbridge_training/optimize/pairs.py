"""Answers in pairs: what was signed, and what was drafted or would be drafted now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from radbridge.learning import PreferenceExample
from radbridge_training.optimize.choosing import is_canary, try_rows
from radbridge_training.optimize.figures import Tell
from radbridge_training.optimize.rows import Encoded, splits_alike

LEAST_PAIRS = 8
_TRIED = 4  # rows that are tried for each pair that is wanted: most are written as they were signed


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """What a preference step learns from."""

    pairs: tuple[PreferenceExample, ...]
    """Each with a rejected answer."""
    single: tuple[PreferenceExample, ...]
    """The other rows: signed, with nothing to prefer that to."""


def make_pairs(
    rows: Sequence[Encoded],
    kind: Literal["both", "recorded", "own"],
    *,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    wanted: int,
    seed: int,
    tell: Tell,
) -> Pairs:
    """At most `wanted` pairs of `rows`, in any order.

    Rejected is the recorded draft's answer or, where there is none (or `kind` says so), what the model writes now if
    that is a whole text and another one. Rows that TRL would cut into other tokens than serving are left out.
    """
    rng = Random(f"pairs {seed}")
    rows = [row for row in rng.sample(rows, len(rows)) if not is_canary(row) and _splits(row.example, tokenizer)]
    recorded = [row.example for row in rows if row.worse and kind != "own"][:wanted]
    open_rows = [row for row in rows if not row.worse or kind == "own"]
    own: list[PreferenceExample] = []
    if kind != "recorded" and (missing := wanted - len(recorded)) and open_rows:
        tried = try_rows(open_rows[: _TRIED * missing], model, tokenizer, tell, phase="drafting")
        wrong = [t for t in tried if t.is_hard and t.answer.finished and t.answer.text]
        own = [replace(t.row.example, rejected=f" {t.answer.text}") for t in wrong[:missing]]
    pairs = [e for e in (*recorded, *own) if splits_alike(e.prompt, e.rejected, tokenizer)]
    paired = {e.id for e in pairs}
    return Pairs(pairs=tuple(pairs), single=tuple(r.example for r in rows if r.example.id not in paired))


def _splits(example: PreferenceExample, tokenizer: PreTrainedTokenizerBase) -> bool:
    return splits_alike(example.prompt, example.chosen, tokenizer)
