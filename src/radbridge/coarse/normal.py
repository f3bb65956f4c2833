"""The impression of a study with nothing abnormal, in the words of its body region."""

from __future__ import annotations

from collections import Counter

from radbridge.coarse.cues import load_regions
from radbridge.text.phrases import PhraseTable

_SIDES = ("left", "right")


def phrase_normal(words: list[str], modality: str) -> str:
    """`No acute ... abnormality.` with the region that `words` speak of most, or with none when that isn't clear."""
    regions = load_regions()
    if modality in regions.modality:
        return regions.modality[modality]
    if region := _find_winner(regions.region, words, 2):
        return f"No acute {region} abnormality."
    if part := _find_winner(regions.part, words, 1):
        return f"No acute abnormality of the {_with_side(part, words)}."
    return "No acute abnormality."


def _find_winner(table: PhraseTable[str], words: list[str], at_least: int) -> str:
    """The name that `words` mean `at_least` so often, and twice as often as the next; empty when none is."""
    counts = Counter(name for _, _, name in table.find(words)).most_common(2)
    if not counts or counts[0][1] < at_least or (len(counts) > 1 and counts[0][1] < 2 * counts[1][1]):
        return ""
    return counts[0][0]


def _with_side(part: str, words: list[str]) -> str:
    before = {words[i - 1] for i, word in enumerate(words) if word == part and i}
    told = [side for side in _SIDES if side in before]
    return f"{told[0]} {part}" if len(told) == 1 else part
