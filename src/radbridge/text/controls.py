"""Characters that no reader sees: they hide text from a reviewer, turn it around, or end a frame of a wire."""

from __future__ import annotations

import re

_BREAK = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""What `str.splitlines` takes for the end of a line too; a word processor's soft break is U+000B."""
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, embeddings, overrides, isolates
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\ufe00-\ufe0f\U000e0000-\U000e0fff]"  # variation selectors and tags, in which whole sentences can be hidden
)
_HYPHEN_OF_NUMBER = re.compile("(?<=\\w)\u00ad+(?=\\d)|(?<=\\d)\u00ad+(?=\\w)")
_SOFT_HYPHEN = "\u00ad"


def strip_controls(text: str) -> str:
    """`text` without control, bidirectional and zero-width characters; line feeds and tabs stay.

    Other line separators become line feeds, so that words they kept apart stay apart. A soft hyphen beside a digit was
    typed as a hyphen (`10-12 mm`); inside a word it goes.
    """
    text = _UNSEEN.sub("", _BREAK.sub("\n", text).replace("\x1f", " "))
    return _HYPHEN_OF_NUMBER.sub("-", text).replace(_SOFT_HYPHEN, "")


def holds_controls(text: str) -> bool:
    """Whether `text` holds a character that only hides or turns text around."""
    return bool(_UNSEEN.search(text))
