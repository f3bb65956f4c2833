"""Identifiers that were planted in generated reports are gone from what is kept of them."""

from __future__ import annotations

from tests.bench.scrub_recall import KINDS, QUICK, measure, print_recall


def test_recall() -> None:
    """Of 300 identifiers of eight kinds 99 in 100 are found, record and accession numbers all, and the text stays."""
    recall = measure(QUICK)
    assert recall.planted.total() == QUICK
    assert recall.share(kept=True) >= 0.99, recall.leaks
    assert recall.share("MRN", kept=True) == recall.share("accession", kept=True) == 1.0
    assert all(recall.planted[kind] >= 20 for kind in KINDS)
    assert recall.scrubbed_words / recall.words > 0.97
    assert recall.kept_words / recall.words > 0.75
    assert list(print_recall(recall))[-2].startswith("all")
