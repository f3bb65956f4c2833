"""ROUGE of the coarse stage, and how often the guard speaks of true impressions, over reports given by path.

    python tests/bench/coarse_eval.py --data reports.jsonl [--show 10]

Each row needs `findings` and `impression`; `indication` and `comparison` are used where they are there. Rows with a
`mesh` that isn't `["normal"]` are scored again by themselves: normal templates win ROUGE without saying anything.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

from radbridge.coarse import draft_coarse
from radbridge.draft import Severity
from radbridge.guard import check_draft
from radbridge.text import content_words

Row = dict[str, Any]
MEASURES = ("rouge1", "rouge2", "rougeL")


def draft_row(row: Row) -> str:
    """The coarse draft for one row."""
    return draft_coarse(row["findings"], indication=row.get("indication") or "").text


def print_scores(name: str, rows: list[Row]) -> None:
    """Mean F1 (stemmed), lengths in words, the share of content words copied from the findings, milliseconds."""
    scorer = RougeScorer(MEASURES, use_stemmer=True)
    scores: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    lengths, copied, seconds = [], [], []
    for row in rows:
        began = time.perf_counter()
        draft = draft_row(row)
        seconds.append(time.perf_counter() - began)
        for measure, score in scorer.score(row["impression"], draft).items():
            scores[measure].append(100 * score.fmeasure)
        words, known = content_words(draft), set(content_words(row["findings"]))
        lengths.append(len(draft.split()))
        copied.append(sum(w in known for w in words) / max(1, len(words)))
    reference = statistics.mean(len(row["impression"].split()) for row in rows)
    print(
        f"{name:<9} n={len(rows):<5}",
        "  ".join(f"{measure} {statistics.mean(values):4.1f}" for measure, values in scores.items()),
        f" words {statistics.mean(lengths):.1f} (reference {reference:.1f})",
        f" copied {statistics.mean(copied):.0%}  median {1e3 * statistics.median(seconds):.2f} ms",
    )


def print_alarms(rows: list[Row]) -> None:
    """The share of true impressions that the guard flags, by kind, and how long a check takes."""
    kinds: Counter[str] = Counter()
    seconds = []
    for row in rows:
        began = time.perf_counter()
        told = {name: row.get(name) or "" for name in ("indication", "comparison")}
        flags = check_draft(
            row["impression"], row["findings"], indication=told["indication"], comparison=told["comparison"]
        )
        seconds.append(time.perf_counter() - began)
        kinds.update({flag.kind for flag in flags})
        kinds["any critical"] += any(flag.severity is Severity.CRITICAL for flag in flags)
        kinds["any"] += bool(flags)
    shares = "  ".join(f"{kind} {count / len(rows):.1%}" for kind, count in kinds.most_common())
    print(f"guard     {shares}  median {1e3 * statistics.median(seconds):.2f} ms")


def print_drafts(rows: list[Row], count: int) -> None:
    """About `count` drafts beside their references."""
    for row in rows[:: max(1, len(rows) // count)]:
        shown = {
            "findings": row["findings"],
            "indication": row.get("indication"),
            "reference": row["impression"],
            "draft": draft_row(row),
        }
        print("", *(f"{name:<10} {text}" for name, text in shown.items()), sep="\n")


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSON lines")
    parser.add_argument("--show", type=int, default=0, help="print so many drafts beside their references")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.data.read_text(encoding="utf-8").splitlines() if line.strip()]
    draft_coarse("Warm.")  # the vocabulary is read once, and isn't part of a draft's time
    check_draft("Warm.", "Warm.")
    print_scores("all", rows)
    if abnormal := [row for row in rows if row.get("mesh", ["normal"]) != ["normal"]]:
        print_scores("abnormal", abnormal)
    print_alarms(rows)
    if options.show:
        print_drafts(rows, options.show)


if __name__ == "__main__":
    main()
