"""Tokens to text, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from radbridge_model_server.engines.text_stream import TextStream
from tests.support.tiny_model import make_tokenizer

BYTES = make_tokenizer()
WORDS = Tokenizer(models.WordLevel({"▁": 0, "▁5": 1, "▁mm": 2, "nodule": 3, ".": 4, "▁ä": 5, "ö": 6, "?": 7}, "?"))
WORDS.decoder = decoders.Metaspace()


def decode_bytes(tokens: Sequence[int]) -> str:
    return str(BYTES.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def decode_words(tokens: Sequence[int]) -> str:
    return WORDS.decode(list(tokens))


@given(st.text().filter(lambda text: not any(token in text for token in BYTES.all_special_tokens)))
def test_bytes_come_out_as_whole_characters(text: str) -> None:
    """With a token for each byte no piece holds half a character, and the pieces are the text."""
    tokens: list[int] = BYTES(text)["input_ids"]
    stream = TextStream(decode_bytes)
    pieces = [*map(stream.add, tokens), stream.end()]
    assert "".join(pieces) == text
    assert sum(piece.count("\ufffd") for piece in pieces) == text.count("\ufffd")


@given(st.lists(st.integers(0, 7)))
def test_words_keep_their_spaces(tokens: list[int]) -> None:
    """A tokenizer that drops the space before a text's first word loses none inside it."""
    stream = TextStream(decode_words)
    assert "".join([*map(stream.add, tokens), stream.end()]) == decode_words(tokens)


@given(st.lists(st.integers(0, 257), max_size=64))
def test_any_tokens_at_all_are_told_once(tokens: list[int]) -> None:
    """Bytes that are no text come out as decoding them at once gives them."""
    stream = TextStream(decode_bytes)
    assert "".join([*map(stream.add, tokens), stream.end()]) == decode_bytes(tokens)


def test_text_is_told_at_once() -> None:
    """Each token that ends a character is told when it comes."""
    stream = TextStream(decode_words)
    assert [stream.add(token) for token in (1, 2, 3)] == ["5", " mm", "nodule"]
