"""ROUGE of the coarse stage, and how often the guard speaks, over reports given by path.

    python tests/bench/coarse_eval.py --data reports.jsonl [--guard] [--show 10]

Each row needs `findings` and `impression`; `indication` and `comparison` are used where they are there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

from radbridge.coarse import draft_coarse
from radbridge.text import content_words

Row = dict[str, Any]
MEASURES = ("rouge1", "rouge2", "rougeL")


def draft_row(row: Row) -> str:
    """The coarse draft for one row."""
    return draft_coarse(
        row["findings"], indication=row.get("indication") or "", comparison=row.get("comparison") or ""
    ).text


def print_scores(rows: list[Row]) -> None:
    """Mean F1, lengths and the share of content words copied from the findings."""
    scorer = RougeScorer(MEASURES, use_stemmer=True)
    scores: dict[str, list[float]] = {m: [] for m in MEASURES}
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
    mean = "  ".join(f"{m} {statistics.mean(v):5.1f}" for m, v in scores.items())
    reference = statistics.mean(len(r["impression"].split()) for r in rows)
    print(
        f"n={len(rows):<5} {mean}  words {statistics.mean(lengths):.1f} (reference {reference:.1f})"
        f"  copied {statistics.mean(copied):.0%}  median {1e3 * statistics.median(seconds):.2f} ms"
    )


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--show", type=int, default=0, help="print so many drafts beside their references")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.data.read_text(encoding="utf-8").splitlines() if line.strip()]
    print_scores(rows)
    for row in rows[:: max(1, len(rows) // options.show)] if options.show else ():
        shown = {
            "findings": row["findings"],
            "indication": row.get("indication"),
            "reference": row["impression"],
            "draft": draft_row(row),
        }
        print("", *(f"{name:<10} {text}" for name, text in shown.items()), sep="\n")


if __name__ == "__main__":
    main()
