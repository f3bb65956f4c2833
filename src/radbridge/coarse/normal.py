"""The impression of a study with nothing abnormal, in the words of its body region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from radbridge.coarse.cues import load_regions

_ENOUGH = 2
_SIDES = ("left", "right")


def phrase_normal(words: list[str], modality: str) -> str:
    """`No acute ... abnormality.` with the region that `words` speak of most, or with none when that isn't clear."""
    regions = load_regions()
    if modality in regions.modality:
        return regions.modality[modality]
    if region := _clear_winner(value for _, _, value in regions.region.find(words)):
        return f"No acute {region} abnormality."
    if part := _clear_winner(value for _, _, value in regions.part.find(words)):
        return f"No acute abnormality of the {_with_side(part, words)}."
    return "No acute abnormality."


def _clear_winner(names: Iterable[str]) -> str:
    """The name that occurs often enough and twice as often as the next; empty when none does."""
    counts = Counter(names).most_common(2)
    if not counts or counts[0][1] < _ENOUGH or (len(counts) > 1 and counts[0][1] < 2 * counts[1][1]):
        return ""
    return counts[0][0]


def _with_side(part: str, words: list[str]) -> str:
    before = {words[i - 1] for i, word in enumerate(words) if word == part and i}
    told = [side for side in _SIDES if side in before]
    return f"{told[0]} {part}" if len(told) == 1 else part
