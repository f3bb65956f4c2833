"""The checker of a torture run, on the evidence of a real one: as it was, and with one promise broken each time.

`tests/torture/recorded/quiet.json.gz` is a run of half a minute on SQLite in which nothing was broken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from radbridge.audit import Note, What, write
from radbridge.journal.audit import link
from tests.torture.checker import PROMISES, check
from tests.torture.evidence import Evidence, load
from tests.torture.words import accession_of

RECORDED = Path(__file__).parents[1] / "torture" / "recorded" / "quiet.json.gz"
AT = datetime(2026, 3, 1, 9, tzinfo=UTC)


def recorded() -> Evidence:
    return load(RECORDED)


def chained(evidence: Evidence) -> Evidence:
    """With a trail as the journal chains it."""
    rows: list[dict[str, Any]] = []
    prev = bytes(32)
    drafts = [d for d in evidence.tables["draft"] if d["state"] != "none"]
    for seq, draft in enumerate(drafts, 1):
        what = What.DRAFT_BLOCKED if draft["state"] == "blocked" else What.DRAFT_MADE
        document = write(Note(at=AT, what=what, detail={"draft_id": draft["id"]}))
        row = {"seq": seq, "at": AT.replace(tzinfo=None).isoformat(" "), "document": document, "prev": prev}
        prev = link(prev, seq, AT, document)
        rows.append(row | {"hash": prev})
    tables = {**evidence.tables, "audit_event": rows, "audit_pending": []}
    return Evidence(notes=evidence.notes, tables=tables)


def test_a_good_run_breaks_nothing() -> None:
    """The run as it was keeps every promise, and there was something to check in it."""
    evidence = recorded()
    assert check(chained(evidence)) == {name: [] for name in PROMISES}
    assert len(evidence.acknowledged) > 20
    assert any(len({c["save"] for c in copies}) > 1 for copies in evidence.copies.values())
    assert any(c["withdrawal"] for c in evidence.of("came"))


def lose(e: Evidence) -> None:
    """A message that was acknowledged isn't there."""
    message = next(iter(e.acknowledged))
    e.tables["message"][:] = [row for row in e.tables["message"] if row["digest"] != message]


def store_twice(e: Evidence) -> None:
    """Without the dedupe."""
    e.tables["message"].append(dict(e.tables["message"][0]))


def forget_the_reason(e: Evidence) -> None:
    e.tables["message"][0] |= {"state": "failed", "reason": ""}


def answer_otherwise(e: Evidence) -> None:
    """The same bytes got another answer the second time."""
    first = next(a for a in e.attempts if a.is_acknowledged)
    assert first.told is not None
    e.notes.append(first.sent | {"attempt": 9999})  # type: ignore[attr-defined] # a list, once it is loaded
    e.notes.append(first.told | {"attempt": 9999, "answer": "0" * 64})  # type: ignore[attr-defined]


def acknowledge_without_a_disk(e: Evidence) -> None:
    told = next(iter(e.acknowledged.values()))
    assert told.told is not None
    before, after = told.sent["t"] - 0.01, told.told["t"] + 0.01
    e.notes.insert(0, {"t": before, "what": "event", "kind": "locked", "actor": "controller"})  # type: ignore[attr-defined]
    e.notes.append({"t": after, "what": "event", "kind": "unlocked", "actor": "controller"})  # type: ignore[attr-defined]


def draft_copy(e: Evidence) -> dict[str, Any]:
    """A draft of a first save, of a case that had a second one."""
    return next(c for c in e.of("came") if not c["withdrawal"] and c["save"] == 1)


def send_a_stale_draft(e: Evidence) -> None:
    """A newer text had been applied ten seconds before."""
    found = draft_copy(e)
    asked = {"what": "asked", "actor": "model", "id": "x", "case": int(found["accession"][1:]), "save": 9}
    e.notes.append(asked | {"t": found["t"] - 10})  # type: ignore[attr-defined]


def change_the_text(e: Evidence) -> None:
    """The draft says another size than the findings it names."""
    draft_copy(e)["save"] = 7


def apply_backwards(e: Evidence) -> None:
    """A case ends with an earlier text than was acknowledged last."""
    row = next(r for r in e.tables["case"] if "mm" in r["findings"])
    row["findings"] = row["findings"].replace(" mm", "1 mm")


def draft_backwards(e: Evidence) -> None:
    """A text is drafted again long after a newer one was."""
    asked = next(n for n in e.of("asked") if n["save"] == 2)
    e.notes.append(asked | {"save": 1, "t": e.notes[-1]["t"] + 60})  # type: ignore[attr-defined]


def deliver_backwards(e: Evidence) -> None:
    copies = next(c for c in e.copies.values() if len({n["control"] for n in c}) > 1)
    copies[0]["control"], copies[-1]["control"] = copies[-1]["control"], copies[0]["control"]


def renumber(e: Evidence) -> None:
    """A payload goes out under a control id that the journal doesn't have."""
    draft_copy(e)["control"] = "RBUNKNOWN"


def rewrite(e: Evidence) -> None:
    """The second copy has other bytes."""
    found = draft_copy(e)
    e.notes.append(found | {"copy": 9999, "payload": "0" * 64, "t": e.notes[-1]["t"] + 100})  # type: ignore[attr-defined]


def send_beside(e: Evidence) -> None:
    """A second copy while nobody has answered the first, whose connection stands."""
    found = draft_copy(e)
    e.notes.insert(0, found | {"copy": 9999, "connection": 9999, "t": found["t"] - 5})  # type: ignore[attr-defined]


def queue_twice(e: Evidence) -> None:
    e.tables["delivery"].append(e.tables["delivery"][0] | {"control_id": "RBOTHER"})


def break_the_chain(e: Evidence) -> None:
    e.tables["audit_event"][1]["document"] = e.tables["audit_event"][0]["document"]


def cut_the_chain(e: Evidence) -> None:
    del e.tables["audit_event"][1]


def note_nothing(e: Evidence) -> None:
    e.tables["audit_event"].pop()


def leave_pending(e: Evidence) -> None:
    e.tables["audit_pending"].append({"seq": 1})


def never_end(e: Evidence) -> None:
    e.notes[:] = [n for n in e.notes if n["what"] != "quiet"]  # type: ignore[index]


def end_late(e: Evidence) -> None:
    next(n for n in e.notes if n["what"] == "quiet")["t"] += 100


def leave_a_draft_standing(e: Evidence) -> None:
    """A case was signed, and a destination shows its draft yet."""
    current = next(d for d in e.tables["draft"] if d["state"] == "current" and ("steady", d["accession"]) in e.copies)
    current["state"] = "signed"


def draft_from_another_text(e: Evidence) -> None:
    """The draft that stands was made from a text that is the case's no more."""
    next(d for d in e.tables["draft"] if d["state"] == "current")["findings_digest"] = "0" * 16


def orphan_a_bucket(e: Evidence) -> None:
    note = {"what": "leases", "actor": "controller", "unowned": ["cases:7"], "alive": 1, "lease_s": 3.0}
    e.notes.extend(note | {"t": 1.0 + n} for n in range(8))  # type: ignore[attr-defined]


def die(e: Evidence) -> None:
    """A gateway ended though nobody ended it."""
    e.notes.append({"t": 0.0, "what": "event", "kind": "died", "actor": "controller", "gateway": "g0"})  # type: ignore[attr-defined]


BROKEN: list[tuple[str, Callable[[Evidence], None]]] = [
    ("I1", lose),
    ("I1", store_twice),
    ("I1", forget_the_reason),
    ("I1", answer_otherwise),
    ("I2", acknowledge_without_a_disk),
    ("I3", send_a_stale_draft),
    ("I3", change_the_text),
    ("I4", apply_backwards),
    ("I4", draft_backwards),
    ("I5", deliver_backwards),
    ("I6", renumber),
    ("I6", rewrite),
    ("I6", send_beside),
    ("I6", queue_twice),
    ("I7", break_the_chain),
    ("I7", cut_the_chain),
    ("I7", note_nothing),
    ("I7", leave_pending),
    ("I8", die),
    ("I8", never_end),
    ("I8", end_late),
    ("I8", leave_a_draft_standing),
    ("I8", draft_from_another_text),
    ("I8", orphan_a_bucket),
]


@pytest.mark.parametrize(("promise", "harm"), BROKEN, ids=[harm.__name__ for _, harm in BROKEN])
def test_a_broken_promise_is_seen(promise: str, harm: Callable[[Evidence], None]) -> None:
    """Each way in which a promise can be broken is reported under its number."""
    evidence = chained(recorded())
    spoiled = Evidence(notes=copy.deepcopy(list(evidence.notes)), tables=copy.deepcopy(evidence.tables))
    harm(spoiled)
    again = Evidence(notes=sorted(spoiled.notes, key=lambda n: n["t"]), tables=spoiled.tables)
    assert list(PROMISES[promise](again))


def test_accessions_are_of_their_cases() -> None:
    """What the checker reads from an accession is the case that the RIS wrote into it."""
    assert int(accession_of(100_017)[1:]) == 100_017
