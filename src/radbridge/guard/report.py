"""A text read for checking: its statements with what each mentions and denies."""

from __future__ import annotations

from dataclasses import dataclass, field

from radbridge.text import MAX_CHARS, label_sentences, stem
from radbridge.text.scopes import Reading, read_statement
from radbridge.text.vocabulary import Concept


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedText:
    """The statements of one text."""

    text: str = field(repr=False)
    readings: tuple[Reading, ...] = field(repr=False)
    stems: frozenset[str] = field(repr=False)

    def polarities(self) -> dict[Concept, set[bool]]:
        """For each finding mentioned: whether it is denied (True), affirmed (False), or both."""
        found: dict[Concept, set[bool]] = {}
        for reading in self.readings:
            for mention in reading.mentions:
                found.setdefault(mention.concept, set()).add(mention.denied)
        return found


def read_text(text: str, at_most: int = MAX_CHARS) -> CheckedText:
    """Read the whole statements within the first `at_most` characters of `text`."""
    read = label_sentences(text[:at_most])
    whole = read[:-1] if len(text) > at_most else read
    readings = tuple(read_statement(f"{s.label}: {s.text}" if s.label else s.text) for s in whole)
    stems = frozenset(stem(w) for r in readings for w in r.words)
    return CheckedText(text=text[:at_most], readings=readings, stems=stems)
