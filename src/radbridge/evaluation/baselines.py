"""What needs no model: the impressions that retrieval alone writes. A model that doesn't beat them earns nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from radbridge.evaluation.rows import Draft, Pair, Reference
from radbridge.retrieval.overlap import Words, medoid
from radbridge.retrieval.tfidf import TfidfIndex

NEIGHBOURS = 10
"""Of how many nearest reports the medoid is taken."""
_KEPT = 1 << 16
"""Reports whose neighbours are remembered: two baselines ask for them."""


class Baselines:
    """Writes impressions from signed reports that the system under test may have learnt from too.

    The texts of `train` are held in memory, and a report costs a walk over its words' postings: 2 ms beside 2,400
    reports. Raises ValueError for no report.
    """

    def __init__(self, train: Iterable[Reference]) -> None:
        rows = [(row.id, row.findings, row.impression) for row in train]
        if not rows:
            raise ValueError("no report to retrieve from")
        self._ids = [id_ for id_, _, _ in rows]
        self._impressions = [impression for _, _, impression in rows]
        self._words = [Words.read(impression) for impression in self._impressions]
        self._majority = Counter(self._impressions).most_common(1)[0][0]
        self._index = TfidfIndex(findings for _, findings, _ in rows)
        self._near: dict[str, tuple[int, ...]] = {}

    def write_majority(self, reference: Reference) -> str:
        """The commonest impression, whatever the findings say."""
        return self._majority

    def copy_nearest(self, reference: Reference) -> str:
        """The impression of the report whose findings are most alike."""
        return next((self._impressions[n] for n in self._find(reference)), self._majority)

    def copy_medoid(self, reference: Reference) -> str:
        """Of the impressions of the ten nearest reports the one that is most like the others."""
        near = self._find(reference)
        return self._impressions[near[medoid([self._words[n] for n in near])]] if near else self._majority

    def copy_findings(self, reference: Reference) -> str:
        """The findings as they are: nothing left out, nothing concluded."""
        return reference.findings

    def _find(self, reference: Reference) -> tuple[int, ...]:
        """The numbers of the nearest reports, never of the report itself: its signed text would be the answer."""
        if (near := self._near.get(reference.id)) is not None:
            return near
        found = self._index.nearest(reference.findings, NEIGHBOURS + 1)
        near = tuple(number for number, _ in found if self._ids[number] != reference.id)[:NEIGHBOURS]
        if len(self._near) < _KEPT:
            self._near[reference.id] = near
        return near


BASELINES: Mapping[str, Callable[[Baselines, Reference], str]] = {
    "majority": Baselines.write_majority,
    "nearest": Baselines.copy_nearest,
    "medoid10": Baselines.copy_medoid,
    "whole_findings": Baselines.copy_findings,
}


def pair_baseline(name: str, baselines: Baselines, references: Iterable[Reference]) -> Iterator[Pair]:
    """`references` beside what the baseline `name` writes for each."""
    write = BASELINES[name]
    for number, reference in enumerate(references, 1):
        draft = Draft(id=reference.id, draft=write(baselines, reference), stage=name)
        yield Pair(number=number, reference=reference, draft=draft)
