"""What is kept of a data set: all that stands before the pixels and is of use, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The kept top-level elements of one data set, encoded as they came."""

    elements: bytes = field(repr=False)
    """No private group, no pixels, nothing over 64 KiB that wasn't asked for. Sequences have undefined length."""
    syntax: str
    """How `elements` is encoded: Implicit LE, Explicit LE or Explicit BE, whatever the pixels' transfer syntax was."""
    size: int
    """Bytes of the data set as sent, pixels included."""
    note: str = ""
    """What was odd, in fixed words: `odd_length`, `meta_in_dataset`, `encapsulated: ignored`; comma-separated."""
    index: Mapping[int, tuple[int, int, int]] = field(default_factory=dict, repr=False)
    """Tag -> where its element starts, its value starts and ends in `elements`."""

    def value(self, tag: int) -> bytes:
        """The raw value of a top-level element; empty when it isn't there."""
        _, start, end = self.index.get(tag, (0, 0, 0))
        return self.elements[start:end]

    def uid(self, tag: int) -> str:
        """The value as a UID: without padding; bytes that aren't ASCII become `?`."""
        return self.value(tag).decode("ascii", "replace").replace("\ufffd", "?").strip("\0 ")

    def raw(self, tags: Iterable[int]) -> bytes:
        """The whole elements `tags` (which are there), one after the other: equal bytes, equal meaning."""
        elements, index = self.elements, self.index
        spans = [index[tag] for tag in tags if tag in index]
        return b"".join([elements[start:end] for start, _, end in spans])
