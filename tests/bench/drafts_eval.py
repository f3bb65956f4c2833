"""What a stranger's reports come out as: drafts by the embedded model server, measured against what was signed.

    .venv/bin/python -m tests.bench.drafts_eval --data reports.jsonl

The data are JSON lines with `findings` and `impression`, perhaps `indication` and `comparison`; they stay where they
are. Every report is drafted in each of the three shipped styles.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rouge_score.rouge_scorer import RougeScorer

from radbridge.config import Model
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Severity, Stage
from radbridge.embedded import EmbeddedModelServer
from radbridge.gateway import make_model_client
from radbridge.guard import unsupported_words
from radbridge.text import content_words

STYLES = ("succinct", "elaborate", "numbered")
COLUMNS = ("R-1", "R-2", "R-L", "words", "rewritten", "in part", "unsupported", "critical flag", "p50 ms")


async def draft_all(rows: list[dict[str, Any]], style: str) -> list[DraftResponse]:
    """The draft of every row in one style."""
    async with EmbeddedModelServer(Model(personas={"reader": f"persona/{style}"})) as server:
        client = make_model_client(server.url, 120.0)
        room = asyncio.Semaphore(4)
        with Progress(console=Console(stderr=True)) as progress:
            bar = progress.add_task(style, total=len(rows))

            async def one(number: int, row: dict[str, Any]) -> DraftResponse:
                async with room:
                    request = DraftRequest(
                        id=str(number),
                        findings=row["findings"],
                        indication=row.get("indication", ""),
                        comparison=row.get("comparison", ""),
                        radiologist="reader",
                    )
                    answer = await client.draft(request)
                progress.advance(bar)
                return answer

            drafts = await asyncio.gather(*(one(n, row) for n, row in enumerate(rows)))
        await client.close()
    return drafts


def score(rows: list[dict[str, Any]], drafts: list[DraftResponse]) -> list[str]:
    """One line of the table."""
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    rouge = [scorer.score(row["impression"], d.draft) for row, d in zip(rows, drafts, strict=True)]
    foreign = sum(
        len(unsupported_words(d.draft, row["findings"], row.get("indication", "")))
        for row, d in zip(rows, drafts, strict=True)
    )
    words = sum(len(content_words(d.draft)) for d in drafts)
    partly = [any("left as they were" in why for why in d.fallback) for d in drafts]
    fine = [d.stage is Stage.FINE for d in drafts]
    critical = [any(f.severity is Severity.CRITICAL for f in d.flags) for d in drafts]
    return [
        *(f"{100 * mean(r[name].fmeasure for r in rouge):.1f}" for name in ("rouge1", "rouge2", "rougeL")),
        f"{mean(len(d.draft.split()) for d in drafts):.1f}",
        f"{100 * mean(f and not p for f, p in zip(fine, partly, strict=True)):.0f} %",
        f"{100 * mean(f and p for f, p in zip(fine, partly, strict=True)):.0f} %",
        f"{100 * foreign / max(1, words):.1f} %",
        f"{100 * mean(critical):.1f} %",
        f"{sorted(d.ms for d in drafts)[len(drafts) // 2]:.0f}",
    ]


def main() -> None:
    """Draft, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=300, help="at most so many reports")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.data.read_text(encoding="utf-8").splitlines()]
    rows = [r for r in rows if r["findings"].strip() and r["impression"].strip()][: args.limit]
    table = Table("style", *COLUMNS, title=f"{len(rows)} reports")
    for style in STYLES:
        table.add_row(style, *score(rows, asyncio.run(draft_all(rows, style))))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
