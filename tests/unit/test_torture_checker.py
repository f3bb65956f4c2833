"""The checker of a torture run, on the evidence of a real one: as it was, and with one promise broken each time.

`tests/torture/recorded/quiet.json.gz` is a run of half a minute on SQLite in which nothing was broken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from radbridge.audit import Note, What, write
from radbridge.journal.audit import link
from tests.torture.checker import PROMISES, check
from tests.torture.evidence import Evidence, load
from tests.torture.stage import MANNERS
from tests.torture.words import DESTINATIONS, accession_of

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


def quarantine_all(e: Evidence) -> None:
    """Nothing is applied, and for each message there is a reason."""
    for row in e.tables["message"]:
        row |= {"state": "quarantined", "reason": "internal error (KeyError)"}


def blame_the_gateways(e: Evidence) -> None:
    """The one reason that counts, in a run in which hardly a gateway ended."""
    e.tables["message"][0] |= {"state": "quarantined", "reason": "gateways ended while they applied it"}


def apply_nothing(e: Evidence) -> None:
    """What was taken in never became a case."""
    e.tables["case"].clear()


def leave_unsigned(e: Evidence) -> None:
    """A signed report was acknowledged, and its case is open."""
    next(row for row in e.tables["case"] if row["state"] == "signed")["state"] = "open"


def deliver_nothing(e: Evidence) -> None:
    """Drafts are made, and no destination ever hears of one."""
    e.notes[:] = [n for n in e.notes if n["what"] not in ("came", "answered", "gone")]  # type: ignore[index]
    e.tables["delivery"].clear()


def deliver_nothing_to_one(e: Evidence) -> None:
    """One destination is left out, with all that the others got in order."""
    e.notes[:] = [n for n in e.notes if n["what"] != "came" or n["actor"] != "liar"]  # type: ignore[index]
    e.tables["delivery"][:] = [row for row in e.tables["delivery"] if row["destination"] != "liar"]


def give_up_at_once(e: Evidence) -> None:
    """All is dead after one try that nobody answered."""
    e.notes[:] = [n for n in e.notes if n["what"] != "answered"]  # type: ignore[index]
    for row in e.tables["delivery"]:
        row |= {"state": "dead", "answer": "unanswered"}


def believe_a_lie(e: Evidence) -> None:
    """A delivery is noted as taken after an answer to some other message, and then withdrawn."""
    control = next(c["control"] for c in e.of("came"))
    copies = {(n["actor"], n["copy"]) for n in e.of("came") if n["control"] == control}
    for note in e.of("answered"):
        note["right"] = note["right"] and (note["actor"], note["copy"]) not in copies


def draft_nothing(e: Evidence) -> None:
    """No draft is made, and nobody says why."""
    e.tables["draft"].clear()


def say_no_to_all(e: Evidence) -> None:
    """No draft is made, and for each text there is a note that none could be made."""
    for draft in e.tables["draft"]:
        draft["state"] = "none"


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


def queue_twice_behind_a_standstill(e: Evidence) -> None:
    """A gateway stood still for long, and minutes later something goes out under a second control id."""
    stand_still(e, made_after_s=120)


def stand_still(e: Evidence, *, made_after_s: float) -> None:
    """For five seconds; and so long after it a delivery is made a second time, by a gateway with a wrong clock."""
    began, wall = e.notes[0]["t"], AT.timestamp()
    event = {"what": "event", "actor": "controller", "gateway": "g0"}
    e.notes.append({"t": began, "what": "began", "actor": "controller", "wall": wall})  # type: ignore[attr-defined]
    e.notes.append(event | {"t": began, "kind": "stop"})  # type: ignore[attr-defined]
    e.notes.append(event | {"t": began + 5, "kind": "cont"})  # type: ignore[attr-defined]
    made_at = AT.replace(tzinfo=None) + timedelta(hours=1, seconds=5 + made_after_s)
    e.tables["delivery"].append(e.tables["delivery"][0] | {"control_id": "RBOTHER", "created_at": made_at})


def break_the_chain(e: Evidence) -> None:
    e.tables["audit_event"][1]["document"] = e.tables["audit_event"][0]["document"]


def cut_the_chain(e: Evidence) -> None:
    del e.tables["audit_event"][1]


def note_nothing(e: Evidence) -> None:
    e.tables["audit_event"].pop()


def leave_pending(e: Evidence) -> None:
    e.tables["audit_pending"].append({"seq": 1})


def look_at_no_lease(e: Evidence) -> None:
    """Who was to look at the leases died, and the run went on."""
    e.notes[:] = [n for n in e.notes if n["what"] != "leases"]  # type: ignore[index]


def end_hard(e: Evidence) -> None:
    """A gateway had to be killed when all was over."""
    ended = {"what": "event", "kind": "ended", "actor": "controller", "gateway": "g0", "status": -1}
    e.notes.append(ended | {"t": e.notes[-1]["t"]})  # type: ignore[attr-defined]


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
    ("I1", quarantine_all),
    ("I1", blame_the_gateways),
    ("I1", lose),
    ("I1", store_twice),
    ("I1", forget_the_reason),
    ("I1", answer_otherwise),
    ("I2", acknowledge_without_a_disk),
    ("I3", send_a_stale_draft),
    ("I3", change_the_text),
    ("I4", apply_nothing),
    ("I4", leave_unsigned),
    ("I4", apply_backwards),
    ("I4", draft_backwards),
    ("I5", deliver_backwards),
    ("I6", renumber),
    ("I6", rewrite),
    ("I6", send_beside),
    ("I6", queue_twice),
    ("I6", queue_twice_behind_a_standstill),
    ("I7", break_the_chain),
    ("I7", cut_the_chain),
    ("I7", note_nothing),
    ("I7", leave_pending),
    ("I8", deliver_nothing),
    ("I8", deliver_nothing_to_one),
    ("I8", give_up_at_once),
    ("I8", believe_a_lie),
    ("I8", draft_nothing),
    ("I8", say_no_to_all),
    ("I8", look_at_no_lease),
    ("I8", end_hard),
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
    assert list(PROMISES[promise](spoil(harm)))


def spoil(harm: Callable[[Evidence], None]) -> Evidence:
    """The evidence of the good run, with some harm done to it."""
    evidence = chained(recorded())
    spoiled = Evidence(notes=copy.deepcopy(list(evidence.notes)), tables=copy.deepcopy(evidence.tables))
    harm(spoiled)
    return Evidence(notes=sorted(spoiled.notes, key=lambda n: n["t"]), tables=spoiled.tables)


def lay_one_aside(e: Evidence) -> None:
    """Gateways ended three times over the same message, which signed a case."""
    for number in range(3):
        e.notes.append({"t": number, "what": "event", "kind": "kill", "actor": "controller", "gateway": "g0"})  # type: ignore[attr-defined]
    message = next(name for name, a in e.acknowledged.items() if a.sent["kind"].endswith("F"))
    e.stored[message][0].update(state="quarantined", reason="gateways ended while they applied it")
    leave_unsigned(e)


def give_up_a_draft(e: Evidence) -> None:
    """A destination took none of eight copies of a draft, which is dead there."""
    current = next(d for d in e.tables["draft"] if d["state"] == "current")
    row = next(r for r in e.tables["delivery"] if (r["draft_id"], r["destination"]) == (current["id"], "liar"))
    row |= {"state": "dead", "answer": "unanswered"}
    [copy, *_] = [n for n in e.of("came") if n["control"] == row["control_id"]]
    e.notes[:] = [n for n in e.notes if (n["actor"], n.get("copy"), n["what"]) != ("liar", copy["copy"], "answered")]  # type: ignore[index]
    for number in range(7):
        later = {"copy": 9000 + number, "connection": 9000 + number, "t": copy["t"] + 2 * number}
        e.notes.append({"t": later["t"] + 1, "what": "gone", "actor": "liar", "connection": later["connection"]})  # type: ignore[attr-defined]
        e.notes.append(copy | later)  # type: ignore[attr-defined]


def serve_one_badly(e: Evidence) -> None:
    """The model never answered for one text, and it is noted that none could be made; no destination has one."""
    current = next(d for d in e.tables["draft"] if d["state"] == "current")
    controls = {r["control_id"] for r in e.tables["delivery"] if r["accession"] == current["accession"]}
    current["state"] = "none"
    e.notes[:] = [n for n in e.notes if n.get("control") not in controls]  # type: ignore[index]
    e.tables["delivery"][:] = [r for r in e.tables["delivery"] if r["accession"] != current["accession"]]


def take_back_a_late_send(e: Evidence) -> None:
    """Who stood still may have sent too late: so it is taken back once more, soon."""
    stand_still(e, made_after_s=1)


EXCUSED: list[tuple[str, Callable[[Evidence], None]]] = [
    ("I1", lay_one_aside),
    ("I4", lay_one_aside),
    ("I6", take_back_a_late_send),
    ("I8", give_up_a_draft),
    ("I8", serve_one_badly),
]


@pytest.mark.parametrize(("promise", "doing"), EXCUSED, ids=[doing.__name__ for _, doing in EXCUSED])
def test_what_a_bad_night_explains_breaks_nothing(promise: str, doing: Callable[[Evidence], None]) -> None:
    """A message, draft or delivery that came to nothing through others' faults is no broken promise."""
    assert not list(PROMISES[promise](spoil(doing)))


def test_every_destination_is_asked_for() -> None:
    """The checker looks at each of the destinations that a run has."""
    assert set(MANNERS) == set(DESTINATIONS)


def test_accessions_are_of_their_cases() -> None:
    """What the checker reads from an accession is the case that the RIS wrote into it."""
    assert int(accession_of(100_017)[1:]) == 100_017
