"""What a run came to: figures of each round and way of drafting, and whether the aims are reached."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

from radbridge.registry import owner_of
from tests.bench.loop.arms import LEARNED, Arm, Row
from tests.bench.loop.people import Signer
from tests.bench.loop.site import Running
from tests.bench.quality_radiologists import draw_interval

NO_LEARNING, MEMORY_ONLY, MORE_FLAGS = 0.60, 0.85, 0.05
"""The aims for the best way that learns: at most so much of the others' edit distance, so many more flags a draft."""
SLACK = timedelta(seconds=1)
"""An event is noted just after its flip, a draft just after its answer."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One way of drafting in one round: means over radiologists, each of whom counts the same."""

    round: int
    arm: str
    distance: float
    low: float
    high: float
    """95 %, radiologists drawn anew."""
    accepted: float
    flags: float
    refused: float
    drafts: int


def tabulate(rows: Sequence[Row], without: frozenset[str] = frozenset()) -> list[Figure]:
    """The figures of every round and way; `without` the radiologists who signed errors."""
    figures = []
    for number in sorted({row.round for row in rows}):
        for arm in Arm:
            chosen = [r for r in rows if r.round == number and r.arm == arm and r.radiologist not in without]
            if not chosen:
                continue
            by_signer = _by_signer(chosen)
            means = [fmean(r.distance for r in own) for own in by_signer.values()]
            low, high = draw_interval(means)
            figures.append(
                Figure(
                    round=number,
                    arm=arm,
                    distance=fmean(means),
                    low=low,
                    high=high,
                    accepted=fmean(fmean(r.distance == 0 for r in own) for own in by_signer.values()),
                    flags=fmean(fmean(r.flags for r in own) for own in by_signer.values()),
                    refused=fmean(fmean(r.refused for r in own) for own in by_signer.values()),
                    drafts=len(chosen),
                )
            )
    return figures


def judge_arms(rows: Sequence[Row], figures: Sequence[Figure], without: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """The aims for the last round, each with its figures and whether it is reached."""
    last = {f.arm: f for f in figures if f.round == max(f.round for f in figures)}
    best = min((last[arm] for arm in (*LEARNED, Arm.SERVED) if arm in last), key=lambda f: f.distance)
    for arm, most in ((Arm.NONE, NO_LEARNING), (Arm.MEMORY, MEMORY_ONLY)):
        ratio = best.distance / last[arm].distance if last[arm].distance else 0.0
        yield f"{best.arm} / {arm}: edit distance {ratio:.3f}, at most {most:.2f}", ratio <= most
    more = _more_flags(rows, best, without)
    yield (
        f"{best.arm} - {Arm.MEMORY}: flags a draft at most {more:+.3f} (95 %), at most {MORE_FLAGS:+.2f}",
        (more <= MORE_FLAGS),
    )


def find_wrong_versions(run: Running, signers: Sequence[Signer]) -> list[str]:
    """Accessions whose draft was asked of a version that was its radiologist's at no moment of the request."""
    return [
        accession
        for signer in signers
        for accession, asked, begun, made in _list_drafts(run, signer)
        if asked not in _serving_between(run, owner_of("rad", signer.id), begun - SLACK, made + SLACK)
    ]


def find_unanswered(run: Running, accessions: Iterable[str]) -> list[str]:
    """Dictated reports that got neither a draft nor a reason why there is none."""
    sql = "SELECT count(*) FROM draft WHERE accession = ? AND (state IN ('current', 'signed') OR reason <> '')"
    return [accession for accession in accessions if not run.ask(sql, accession)[0][0]]


def _by_signer(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.radiologist].append(row)
    return found


def _more_flags(rows: Sequence[Row], best: Figure, without: frozenset[str]) -> float:
    """The upper bound of the flags that the best way has more of than memory alone."""
    last = [r for r in rows if r.round == best.round and r.radiologist not in without]
    ours, memory = (_by_signer([r for r in last if r.arm == arm]) for arm in (best.arm, Arm.MEMORY))
    return draw_interval([fmean(r.flags for r in ours[s]) - fmean(r.flags for r in memory[s]) for s in memory])[1]


def _list_drafts(run: Running, signer: Signer) -> Iterator[tuple[str, str, datetime, datetime]]:
    """Accession, who was asked, when the report came in, when the draft was made."""
    sql = (
        "SELECT d.accession, d.document, d.made_at, (SELECT min(m.received_at) FROM message m WHERE "
        "m.accession = d.accession AND m.kind LIKE 'ORU%') FROM draft d WHERE d.signer = ? AND d.state <> 'none'"
    )
    for accession, document, made, received in run.ask(sql, signer.id):
        said = json.loads(document)
        asked = said["asked"] or said["lora"]
        yield accession, asked, datetime.fromisoformat(received), datetime.fromisoformat(made)


def _serving_between(run: Running, owner: str, begin: datetime, end: datetime) -> set[str]:
    """Who was champion at some moment between two; the base or a persona where nobody was."""
    sql = "SELECT at, version, action FROM lora_event WHERE owner = ? AND action IN ('promoted', 'rolled_back')"
    flips = [(datetime.fromisoformat(at), version) for at, version, _ in run.ask(f"{sql} ORDER BY seq", owner)]
    ever = (begin - SLACK, end + SLACK)  # before the first flip, after the last
    spans = zip([(ever[0], owner), *flips], [*(at for at, _ in flips), ever[1]], strict=True)
    serving = {version for (since, version), until in spans if since <= end and until >= begin}
    return serving | ({"base", "none"} | _personas(run) if owner in serving else set())


def _personas(run: Running) -> set[str]:
    """The personas' LoRAs that draft for whoever has none of their own."""
    sql = "SELECT DISTINCT json_extract(CAST(document AS TEXT), '$.asked') FROM draft"
    return {asked for (asked,) in run.ask(sql) if asked and asked.startswith("persona/")}
