"""The index of the style memory: which of a signer's reports are most like a case. It holds numbers, never a text."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection
from itertools import islice

from radbridge.retrieval.bm25 import Bm25Index

MEMORY_VERSION = "m1"


class StyleMemory:
    """Reports by number, a later one the higher. One index a signer: a word is rare in what they write, or it isn't."""

    def __init__(self) -> None:
        self._indexes: dict[str, Bm25Index] = {}
        self._numbers: dict[str, list[int]] = {}
        """Ascending, by signer."""
        self._signers: dict[int, str] = {}
        self._highest = 0

    def __len__(self) -> int:
        return len(self._signers)

    def __contains__(self, number: int) -> bool:
        return number in self._signers

    @property
    def version(self) -> str:
        """`m1/<the highest number that was ever kept>`."""
        return f"{MEMORY_VERSION}/{self._highest}"

    def keep(self, number: int, signer: str, findings: str) -> None:
        """Index a report; one that is there already stays as it is."""
        if number in self._signers:
            return
        self._signers[number] = signer
        self._indexes.setdefault(signer, Bm25Index()).add(number, findings)
        insort(self._numbers.setdefault(signer, []), number)
        self._highest = max(self._highest, number)

    def forget(self, number: int) -> None:
        """Take a report out, if it is there."""
        signer = self._signers.pop(number, None)
        if signer is None:
            return
        self._indexes[signer].remove(number)
        numbers = self._numbers[signer]
        del numbers[bisect_left(numbers, number)]
        if not numbers:
            del self._numbers[signer], self._indexes[signer]

    def alike(self, signer: str, findings: str, k: int, without: Collection[int] = frozenset()) -> list[int]:
        """The `k` reports of `signer` whose findings are most like these, the most alike first, none of `without`."""
        index = self._indexes.get(signer)
        if index is None or k <= 0:
            return []
        found = (number for number, _ in index.nearest(findings, k + len(without)))
        return list(islice((n for n in found if n not in without), k))

    def newest(self, signer: str, k: int, without: Collection[int] = frozenset()) -> list[int]:
        """The last `k` reports of `signer`, the newest first, none of `without`."""
        return list(islice((n for n in reversed(self._numbers.get(signer, ())) if n not in without), max(k, 0)))
