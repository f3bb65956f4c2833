"""Examples as token ids. Prompt and answer are encoded apart, so that no token spans the two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from radbridge.learning import PreferenceExample


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """An example's ids."""

    example: PreferenceExample
    prompt: tuple[int, ...]
    """As an engine encodes it, with whatever the tokenizer puts before a text."""
    answer: tuple[int, ...]
    """With the end token."""
    worse: tuple[int, ...] = ()
    """The rejected answer, with the end token; empty where there is none."""

    @property
    def tokens(self) -> int:
        """Of prompt and answer, whichever answer is longer."""
        return len(self.prompt) + max(len(self.answer), len(self.worse))


def encode_rows(
    examples: Iterable[PreferenceExample], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int
) -> list[Encoded]:
    """The examples that are no longer than `max_tokens`."""
    rows = (_encode_row(example, tokenizer) for example in examples)
    return [row for row in rows if row.tokens <= max_tokens]


def encode_answer(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """What is to be generated: nothing before it, the end token after it."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return *ids, int(tokenizer.eos_token_id)


def splits_alike(prompt: str, answer: str, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether prompt and answer encoded together are the two encoded apart.

    TRL's preference trainers encode them together: where a token would span the two, the model would learn to go on
    from a prompt that serving never puts.
    """
    apart = [*tokenizer(prompt, verbose=False)["input_ids"], *encode_answer(answer, tokenizer)[:-1]]
    together: list[int] = tokenizer(prompt + answer, verbose=False)["input_ids"]
    return together == apart


def _encode_row(example: PreferenceExample, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    return Encoded(
        example=example,
        prompt=tuple(tokenizer(example.prompt, verbose=False)["input_ids"]),
        answer=encode_answer(example.chosen, tokenizer),
        worse=encode_answer(example.rejected, tokenizer) if example.rejected else (),
    )
