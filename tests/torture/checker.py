"""The promises, held against the evidence of a run. It reads ledgers and SQL, and imports nothing of RadBridge.

Each function is one promise and gives a line for every time that it was broken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from tests.torture.chain import check_chain
from tests.torture.ends import check_end
from tests.torture.evidence import Evidence, Note, digest_findings
from tests.torture.tables import Row
from tests.torture.words import accession_of, findings_of

GRACE_S = 2.0
"""Between a gateway's decision to send and the arrival: its thread, the proxies' delays, a busy machine."""
CLOSING_S = 1.0
"""Between the end of a connection at one end and its end being seen at the other."""
QUIET_S = 60.0
"""After the last event everything is done within this."""
LAID_ASIDE = "quarantined", "gateways ended while they applied it"
"""The one end, with its reason, that a sound message may come to without being applied."""
TRIES = 3
"""Gateways that ended over it before."""


def check_acknowledged(e: Evidence) -> Iterator[str]:
    """I1: what was acknowledged is stored once, is applied or laid aside with a reason, and has but one answer."""
    for message, attempt in e.acknowledged.items():
        rows = e.stored.get(message, [])
        name = f"{attempt.sent['kind']} {message[:12]}"
        if len(rows) != 1:
            yield f"{name}: acknowledged, and stored {len(rows)} times"
        for row in rows:
            if row["state"] != "done" and not _is_laid_aside(e, row):
                yield f"{name}: acknowledged, and in the end {row['state']!r} for {row['reason']!r}"
    answers: dict[str, set[str]] = defaultdict(set)
    for attempt in e.attempts:
        if attempt.told and attempt.is_acknowledged:
            answers[attempt.message].add(attempt.told["answer"])
        elif attempt.told and attempt.told["code"] in ("AR", "CR"):
            yield f"{attempt.sent['kind']} {attempt.message[:12]}: refused, and nothing is wrong with it"
    for message, given in answers.items():
        if len(given) > 1:
            yield f"{message[:12]}: {len(given)} different positive answers to the same bytes"


def _is_laid_aside(e: Evidence, row: Row) -> bool:
    """Whether a message was laid aside, and gateways ended, or seemed to, often enough for that."""
    ended = [n for n in e.of("event") if n["kind"] in ("kill", "stop", "database_gone")]
    return (row["state"], row["reason"]) == LAID_ASIDE and len(ended) >= TRIES


def check_durable(e: Evidence) -> Iterator[str]:
    """I2: nothing is acknowledged while nothing can be committed."""
    first_sent: dict[str, float] = {}
    for attempt in e.attempts:
        first_sent.setdefault(attempt.message, attempt.sent["t"])
    for begin, end in (*e.windows("database_gone", "database_back"), *e.windows("locked", "unlocked")):
        for attempt in e.attempts:
            if attempt.is_acknowledged and begin < first_sent[attempt.message] and attempt.told_at < end:
                late_s = attempt.told_at - begin
                yield f"{attempt.message[:12]}: acknowledged {late_s:.2f} s after nothing could be committed"


def check_fresh(e: Evidence) -> Iterator[str]:
    """I3: no draft goes out once newer findings were applied, and at the end the newest, or nothing, stands."""
    known: dict[str, dict[int, float]] = defaultdict(dict)
    for note in e.of("asked"):
        if note["case"] >= 0:
            known[accession_of(note["case"])].setdefault(note["save"], note["t"])
    for (destination, accession), copies in e.copies.items():
        number = int(accession[1:])
        for copy in copies:
            if copy["withdrawal"]:
                continue
            later = [t for save, t in known[accession].items() if save > copy["save"]]
            late_s = copy["t"] - min(later, default=copy["t"])
            if late_s > GRACE_S and not e.was_stopped(copy["via"], copy["t"], within_s=GRACE_S):
                yield f"{accession} at {destination}: save {copy['save']} came {late_s:.1f} s after a newer was applied"
            row = e.deliveries.get(copy["control"])
            draft = row and next((d for d in e.tables["draft"] if d["id"] == row["draft_id"]), None)
            if not draft:
                yield f"{accession} at {destination}: a draft that the journal doesn't know, {copy['control']}"
            elif draft["findings_digest"] != digest_findings(findings_of(number, copy["save"])):
                yield f"{accession} at {destination}: the text is of save {copy['save']}, its digest is not"


def check_order(e: Evidence) -> Iterator[str]:
    """I4: a case's messages are applied in the order in which they were acknowledged."""
    newest: dict[str, tuple[int, bool]] = {}
    unfinished: set[str] = set()
    for message, attempt in e.acknowledged.items():  # in the order of their answers
        spoken_of = {accession_of(int(case)): save for case, save in attempt.sent["saves"].items()}
        if any(_is_laid_aside(e, row) for row in e.stored.get(message, [])):
            unfinished |= spoken_of.keys()
        for accession, save in spoken_of.items():
            if save or accession not in newest:
                newest[accession] = save, attempt.sent["kind"].endswith("F")
    cases = {row["accession"]: row for row in e.tables["case"]}
    for accession, (save, is_signed) in newest.items():
        case = cases.get(accession)
        if accession in unfinished:
            continue
        if case is None:
            yield f"{accession}: was told of, and there is no such case"
        elif save and case["findings"] != findings_of(int(accession[1:]), save):
            yield f"{accession}: save {save} was acknowledged last, and the case holds another text"
        elif is_signed != (case["state"] == "signed"):
            yield f"{accession}: its last message signed it: {is_signed}; it is {case['state']}"
    yield from _check_draft_order(e)


def _check_draft_order(e: Evidence) -> Iterator[str]:
    """Drafts are asked for as texts are applied: an older text never after a newer one."""
    newest: dict[int, tuple[int, float]] = {}
    for note in e.of("asked"):
        save, t = newest.get(note["case"], (0, 0.0))
        late_s = note["t"] - t
        if note["save"] >= save:
            newest[note["case"]] = note["save"], note["t"]
        elif late_s > GRACE_S and not any(s <= note["t"] <= end + GRACE_S for s, end in e.windows("stop", "cont")):
            yield f"{accession_of(note['case'])}: save {note['save']} was drafted {late_s:.1f} s after save {save}"


def check_delivery_order(e: Evidence) -> Iterator[str]:
    """I5: at each destination the payloads of a case come in the order in which the journal holds them."""
    for (destination, accession), copies in e.copies.items():
        numbered = [(e.deliveries[c["control"]]["seq"], c) for c in copies if c["control"] in e.deliveries]
        for (before, _), (after, copy) in pairwise(numbered):
            if after < before and not e.was_stopped(copy["via"], copy["t"], within_s=GRACE_S):
                yield f"{accession} at {destination}: number {after} came after number {before}"


def check_copies(e: Evidence) -> Iterator[str]:
    """I6: a payload that comes again has its control id and its bytes, and one copy at a time is open."""
    yield from _check_ids(e)
    answered = {(n["actor"], n["copy"]): n["t"] for n in e.of("answered") if n["right"]}
    gone = {(n["actor"], n["connection"]): n["t"] for n in e.of("gone")}
    open_until: dict[tuple[str, str], tuple[float, Note]] = {}
    for note in e.of("came"):
        key = note["actor"], note["control"]
        until, earlier = open_until.get(key, (0.0, note))
        both = {earlier["via"], note["via"]}
        stood = any(
            s <= note["t"] and earlier["t"] <= end + GRACE_S
            for gateway in both
            for s, end in e.windows("stop", "cont", gateway=gateway)
        )
        if until - note["t"] > CLOSING_S and not stood:
            yield f"{note['accession']} at {note['actor']}: {note['control']} came again while a copy was open"
        ended = [answered.get((note["actor"], note["copy"])), gone.get((note["actor"], note["connection"]))]
        open_until[key] = min((t for t in ended if t is not None), default=float("inf")), note


def _check_ids(e: Evidence) -> Iterator[str]:
    payloads: dict[tuple[str, str], set[str]] = defaultdict(set)
    for note in e.of("came"):
        payloads[note["actor"], note["control"]].add(note["payload"])
        row = e.deliveries.get(note["control"])
        if row is None or row["destination"] != note["actor"]:
            yield f"{note['accession']} at {note['actor']}: {note['control']} is none of its deliveries"
    for (destination, control), different in payloads.items():
        if len(different) > 1:
            yield f"{destination}: {control} came with {len(different)} different payloads"
    late = list(_late_sends(e))
    once: set[tuple[str, str, str]] = set()
    for row in e.tables["delivery"]:
        key = row["destination"], row["draft_id"], row["purpose"]
        if key in once and not any(s <= e.made_at(row) <= end for s, end in late):
            yield f"{row['destination']}: the {row['purpose']} of {row['draft_id']} is there again, {row['control_id']}"
        once.add(key)


def _late_sends(e: Evidence) -> Iterator[tuple[float, float]]:
    """When somebody may have sent too late, so that what another took back meanwhile is taken back once more.

    From the begin of a standstill, of a gateway or of its database, for longer than a lease is trusted, until that is
    noted: a lease behind the end, and while there is a database to note it in.
    """
    lease_s = min((float(n["lease_s"]) for n in e.of("leases")), default=float("inf"))
    away = [*e.windows("database_gone", "database_answers"), *e.windows("full", "freed")]
    stood: list[tuple[float, float]] = []
    for begin, end in sorted([*e.windows("stop", "cont"), *away]):
        if stood and begin - stood[-1][1] <= GRACE_S:  # one behind the other: no lease is renewed between them
            earlier, ended = stood.pop()
            stood.append((earlier, max(end, ended)))
        else:
            stood.append((begin, end))
    for begin, end in stood:
        if end - begin > lease_s / 3:
            until = end + lease_s + GRACE_S
            for gone, back in sorted(away):
                until = max(until, back + lease_s + GRACE_S) if end <= gone <= until else until
            yield begin - GRACE_S, until


def check_trail(e: Evidence) -> Iterator[str]:
    """I7: the audit chain is whole, nothing waits outside it, and each draft has one note that it was made."""
    if "audit_event" not in e.tables:
        return
    if e.tables["audit_pending"]:
        yield f"{len(e.tables['audit_pending'])} notes wait outside the chain"
    yield from check_chain(e.tables)


def check_quiet(e: Evidence) -> Iterator[str]:
    """I8: no gateway ends by itself; soon after the last event all is done, and no lease is orphaned."""
    for note in e.of("event"):
        if note["kind"] == "died":
            yield f"{note['gateway']} ended by itself"
        if note["kind"] == "ended" and note["status"]:
            yield f"{note['gateway']} was told to end, and did so with {note['status']}"
    calm, quiet = e.of("calm"), e.of("quiet")
    if not calm or not quiet:
        yield "the run never became quiet"
        return
    took_s = quiet[-1]["t"] - calm[-1]["t"]
    if took_s > QUIET_S:
        yield f"all was done {took_s:.0f} s after the last event"
    yield from check_end(e)
    yield from _check_leases(e)


def _check_leases(e: Evidence) -> Iterator[str]:
    """A lease without an owner finds one within its own length and 2 s."""
    if not any(note["alive"] for note in e.of("leases")):
        yield "nobody has looked at the leases"
    since: dict[str, float] = {}
    told: set[str] = set()
    for note in e.of("leases"):
        unowned = set(note["unowned"])
        since = {name: since.get(name, float(note["t"])) for name in unowned}
        if not note["alive"]:
            since = {}
        for name, began in since.items():
            if note["t"] - began > note["lease_s"] + 2 and name not in told:
                told.add(name)
                yield f"{name}: nobody's for {note['t'] - began:.1f} s"


PROMISES: Mapping[str, Callable[[Evidence], Iterator[str]]] = {
    "I1": check_acknowledged,
    "I2": check_durable,
    "I3": check_fresh,
    "I4": check_order,
    "I5": check_delivery_order,
    "I6": check_copies,
    "I7": check_trail,
    "I8": check_quiet,
}


def check(e: Evidence) -> dict[str, list[str]]:
    """Every promise, and how it was broken."""
    return {name: list(promise(e)) for name, promise in PROMISES.items()}
