"""What may stand before and behind an impression without claiming anything."""

from __future__ import annotations

from radbridge.text import read_words

_WORDS = frozenset(
    "a above all and are as at below body conclusion described description detail details discussion end findings"
    " follows for full further given impression in is listed of opinion overall please report section see"
    " stated summary text the".split()
)
"""All that a frame is made of. A closed list, on purpose: the guard's own framing words are meant for words inside a
statement, and of those alone "Recommend CT" or "Result discussed with patient" can be said."""
_LONGEST = 12


def is_frame(text: str) -> bool:
    """Whether a text only points at other text, as `IMPRESSION:` and `See findings above` do."""
    words = read_words(text)
    return 0 < len(words) <= _LONGEST and _WORDS.issuperset(words)
