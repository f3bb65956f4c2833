"""Tokens to text, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer writes for bytes that aren't a whole character yet."""


class TextStream:
    """Pieces that, joined, are what decoding all tokens at once gives.

    A piece is what a token adds to the text of those before it: alone, many tokenizers write it without its space.
    Bytes of a character that isn't whole yet wait for the rest.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._told: list[int] = []
        """Tokens whose text is out, back to the last one that began a piece: decoding needs what stands before."""
        self._waiting: list[int] = []

    def add(self, token: int) -> str:
        """The text that is certain by now and wasn't before; often empty."""
        self._waiting.append(token)
        piece = self._read()
        if not piece or piece.endswith(_HALF):
            return ""
        self._told, self._waiting = self._waiting, []
        return piece

    def end(self) -> str:
        """What was still waited for."""
        piece = self._read()
        self._told, self._waiting = self._waiting, []
        return piece

    def _read(self) -> str:
        return self._decode([*self._told, *self._waiting])[len(self._decode(self._told)) :]
