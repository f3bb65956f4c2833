"""What is there when all is done: a draft for each open text, and each draft at each destination. For I8.

It goes by what ought to be there. A gateway that does nothing breaks nothing that was done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product

from tests.torture.evidence import Evidence, digest_findings
from tests.torture.words import DESTINATIONS

FEW = 5
"""Cases; of fewer, a slow model may by chance have served none."""
LEAST_COPIES = 4
"""Came to a destination without a good answer before a gateway may give a delivery up. It is to try for longer (8 times
without an answer, 20 with one), but not every try arrives."""


def check_end(e: Evidence) -> Iterator[str]:
    """A line for each case and each destination at which something else stands than should."""
    yield from _check_drafted(e)
    yield from _check_standing(e)
    taken = {(n["actor"], n["control"]) for n in e.taken}
    for row in e.tables["delivery"]:
        place = row["destination"]
        if place in DESTINATIONS and row["state"] == "confirmed" and (place, row["control_id"]) not in taken:
            yield f"{row['accession']} at {place}: {row['control_id']} is noted as taken, and nobody there took it"


def _check_drafted(e: Evidence) -> Iterator[str]:
    """An open case with a text has a draft of it, or a note that none could be made: the model fails at times."""
    digests = {r["accession"]: digest_findings(r["findings"]) for r in e.tables["case"]}
    told = {(d["accession"], d["findings_digest"]) for d in e.tables["draft"] if d["state"] == "none"}
    current = [d for d in e.tables["draft"] if d["state"] == "current"]
    dictated = {r["accession"] for r in e.tables["case"] if r["findings"] and r["state"] == "open"}
    failed = dictated - {d["accession"] for d in current}
    for accession in sorted(failed):
        if (accession, digests[accession]) not in told:
            yield f"{accession}: no draft stands, and nobody noted why"
    if len(dictated) >= FEW and len(failed) * 2 > len(dictated):
        yield f"{len(failed)} of {len(dictated)} dictated cases have no draft: no model was so bad"
    for draft in current:
        if draft["findings_digest"] != digests.get(draft["accession"]):
            yield f"{draft['accession']}: the draft that stands is not of the case's text"


def _check_standing(e: Evidence) -> Iterator[str]:
    """What stands at a destination is the case's draft; where there is none, nothing."""
    current = {d["accession"]: d for d in e.tables["draft"] if d["state"] == "current"}
    lasts = {(n["actor"], n["accession"]): n for n in e.taken}
    for destination, accession in sorted({*lasts, *product(DESTINATIONS, current)} - _find_given_up(e)):
        last, stands = lasts.get((destination, accession)), current.get(accession)
        row = last and e.deliveries.get(last["control"])
        if last is None:
            if stands is not None:
                yield f"{accession} at {destination}: the case's draft was never taken there"
        elif stands is None and not last["withdrawal"]:
            yield f"{accession} at {destination}: a draft stands that was taken back"
        elif stands is not None and (last["withdrawal"] or row is None or row["draft_id"] != stands["id"]):
            yield f"{accession} at {destination}: what stands is not the case's draft"


def _find_given_up(e: Evidence) -> set[tuple[str, str]]:
    """Destination and accession of deliveries that are dead, and of which the destination was the death."""
    came = Counter((n["actor"], n["control"]) for n in e.of("came"))
    taken = {(n["actor"], n["control"]) for n in e.taken}
    return {
        (row["destination"], row["accession"])
        for row in e.tables["delivery"]
        if row["state"] == "dead"
        and (sent := (row["destination"], row["control_id"])) not in taken
        and came[sent] >= LEAST_COPIES
    }
