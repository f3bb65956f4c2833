"""A text read for checking: its statements with what each mentions, denies and places on a side."""

from __future__ import annotations

from dataclasses import dataclass

from radbridge.coarse.scopes import Reading, read_statement
from radbridge.text import label_sentences, stem

MAX_CHARS = 60_000
"""What is read of one text: longer than any report, and a check must come in time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedText:
    """The statements of one text."""

    text: str
    readings: tuple[Reading, ...]
    stems: frozenset[str]

    def polarities(self) -> dict[str, set[bool]]:
        """For each finding mentioned: whether it is denied (True), affirmed (False), or both."""
        found: dict[str, set[bool]] = {}
        for reading in self.readings:
            for mention in reading.mentions:
                found.setdefault(mention.concept.name, set()).add(mention.denied)
        return found


def read_text(text: str) -> CheckedText:
    """Read `text`, up to `MAX_CHARS`."""
    text = text[:MAX_CHARS]
    labelled = (f"{s.label}: {s.text}" if s.label else s.text for s in label_sentences(text))
    readings = tuple(read_statement(t) for t in labelled)
    return CheckedText(text=text, readings=readings, stems=frozenset(stem(w) for r in readings for w in r.words))
