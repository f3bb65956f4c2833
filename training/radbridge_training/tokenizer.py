"""The base model's tokenizer: byte-level BPE in which a capital letter is a mark before the small letter.

A rewrite moves words to and from the start of a sentence ("Mild oedema." <-> "There is mild oedema."). Were "Mild" and
" mild" different tokens, a small model would have to know every word in both forms. With the mark both are the one
token " mild", so that a word never seen before can still be copied. Digits are single tokens for the same reason.
The mark is ASCII SO ("shift out"), which no report holds, and stands before the space: it is always a token of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_uppercase

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, EOS, BOS = "<pad>", "<eos>", "<bos>"
_MARK = "\x0e"
_WORDS = Regex(
    rf"{_MARK}(?= )"  # a capital at the start of a word
    rf"| ?(?:\p{{L}}|{_MARK}(?! ))+"  # a word, capitals inside it included ("MRI")
    r"| ?\p{N}"  # digits singly
    r"| ?[^\s\p{L}\p{N}]"  # signs singly
    r"|\s"
)


def build_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer with at most `vocab_size` entries, learnt from `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), *(step for upper in ascii_uppercase for step in _lower(upper))]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteLevel(),
            *(step for upper in ascii_uppercase for step in _raise(upper)),
            decoders.Replace(_MARK, ""),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, EOS, BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        bos_token=BOS,
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )


def _lower(upper: str) -> tuple[normalizers.Normalizer, ...]:
    lower = upper.lower()
    return (
        normalizers.Replace(f" {upper}", f"{_MARK} {lower}"),
        normalizers.Replace(upper, f"{_MARK}{lower}"),
    )


def _raise(upper: str) -> tuple[decoders.Decoder, ...]:
    lower = upper.lower()
    return (
        decoders.Replace(f"{_MARK} {lower}", f" {upper}"),
        decoders.Replace(f"{_MARK}{lower}", upper),
    )
