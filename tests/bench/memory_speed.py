"""How long it takes to find a case's most similar signed reports among those of one signer, beside SQLite's FTS5.

    python -m tests.bench.memory_speed [--reports 100000] [--cases 200] [--seed 0]

Status 1 when 99 of 100 cases don't stay under 5 ms. The reports are generated and invented: sentences of a few thousand
reports, shuffled into new ones. They have no long tail of rare words, which makes them the worst case. Times are CPU
times of this process, so that what else the machine does counts for nothing. FTS5 is asked for any of the 8 rarest
words of the findings, ranked. `found` is the BM25 of the first three over that of the best three there are.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from random import Random
from time import process_time
from typing import Any
from unittest.mock import patch

from radbridge.retrieval import bm25
from radbridge.retrieval.bm25 import Bm25Index
from radbridge.text import content_words, split_sentences
from radbridge_training.synth import generate_reports

WORDS = 130
"""Of a report's findings, as they are on the average."""
SOURCES = 3_000
ALIKE = 16
BEST = 3
FTS_WORDS = 8
EXACT_CASES = 20
"""Cases whose exact answer is worked out: it takes a second each."""
TARGET_MS = 5.0


def write_reports(count: int, seed: int) -> Iterator[str]:
    """Findings of about `WORDS` words, shuffled from the sentences of generated reports."""
    rng = Random(seed)
    pool = [s for report in generate_reports(seed, SOURCES) for s in split_sentences(report.findings)]
    for _ in range(count):
        said: list[str] = []
        length = 0
        while length < WORDS:
            sentence = rng.choice(pool)
            said.append(sentence)
            length += len(sentence.split())
        yield " ".join(said)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """CPU milliseconds a case, sorted."""

    name: str
    ms: tuple[float, ...]

    def at(self, share: float) -> float:
        """The value below which `share` of the cases are."""
        return self.ms[min(len(self.ms) - 1, int(share * len(self.ms)))]

    def row(self, than: Timing) -> str:
        """One line of the table, with the ratio of the medians."""
        values = "  ".join(f"{self.at(share):9.2f}" for share in (0.5, 0.99, 1.0))
        return f"{self.name:<16} {values}  {self.at(0.5) / than.at(0.5):7.1f} x"


def measure(name: str, ask: Callable[[str], object], cases: Sequence[str]) -> Timing:
    """Ask for each case once."""
    times = []
    for case in cases:
        began = process_time()
        ask(case)
        times.append(1000 * (process_time() - began))
    return Timing(name=name, ms=tuple(sorted(times)))


class Fts:
    """SQLite's full-text search over the same words."""

    def __init__(self) -> None:
        self._file = sqlite3.connect(":memory:")
        self._file.execute("CREATE VIRTUAL TABLE report USING fts5(words, tokenize='ascii')")
        self._holders: Counter[str] = Counter()

    def add(self, number: int, text: str) -> None:
        """Index a report's stems: both sides see the same words."""
        words = content_words(text)
        self._holders.update(set(words))
        self._file.execute("INSERT INTO report (rowid, words) VALUES (?, ?)", (number, " ".join(words)))

    def nearest(self, text: str) -> list[int]:
        """The best by FTS5's own BM25, among those that hold one of the rarest words."""
        rarest = sorted(set(content_words(text)), key=self._holders.__getitem__)[:FTS_WORDS]
        question = " OR ".join(f'"{word}"' for word in rarest)
        query = "SELECT rowid FROM report WHERE report MATCH ? ORDER BY rank LIMIT ?"
        rows = self._file.execute(query, (question, ALIKE))
        return [number for (number,) in rows]


def ask_bm25s(reports: Sequence[str]) -> Callable[[str], object] | None:
    """The package bm25s with the same words, where it is installed. Its index can't grow: it is for comparison only."""
    if find_spec("bm25s") is None:
        return None
    bm25s: Any = import_module("bm25s")
    index = bm25s.BM25(k1=bm25.K1, b=bm25.B)
    index.index([content_words(text) for text in reports], show_progress=False)
    return lambda case: index.retrieve([content_words(case)], k=ALIKE, show_progress=False, n_threads=0)


def share_found(index: Bm25Index, cases: Sequence[str]) -> float:
    """How much of the best score there is the memory finds within its budget."""
    found = sum(score for case in cases for _, score in index.nearest(case, BEST))
    with patch.multiple(bm25, _WALKED=sys.maxsize, _RESCORED=len(index)):
        best = sum(score for case in cases for _, score in index.nearest(case, BEST))
    return found / best


def main() -> int:
    """Print the table; 1 when the promise isn't kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=100_000)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cases = list(write_reports(args.cases, args.seed + 1))
    reports = list(write_reports(args.reports, args.seed))
    index, fts, keeping = Bm25Index(), Fts(), 0.0
    for number, findings in enumerate(reports, 1):
        began = process_time()
        index.add(number, findings)
        keeping += process_time() - began
        fts.add(number, findings)
    ours = measure("style memory", lambda case: index.nearest(case, ALIKE), cases)
    peers = [measure("SQLite FTS5", fts.nearest, cases)]
    if ask := ask_bm25s(reports):
        peers.append(measure("bm25s (numpy)", ask, cases))
    print(f"{args.reports} reports of one signer, {args.cases} cases, CPU ms a case")
    print(f"{'':<16} {'median':>9}  {'p99':>9}  {'most':>9}  {'of ours':>9}")
    for timing in (ours, *peers):
        print(timing.row(ours))
    print(f"kept in {1000 * keeping / args.reports:.2f} ms a report; this process takes {peak_mib()} MiB")
    print(f"found {100 * share_found(index, cases[:EXACT_CASES]):.1f} % of the score of the best {BEST}")
    return int(ours.at(0.99) >= TARGET_MS)


def peak_mib() -> int:
    """The most memory that this process ever took, both indexes and all texts included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    raise SystemExit(main())
