"""The purge takes what is old enough, and nothing that is still worked on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, make_url, select, update

from radbridge.audit import What
from radbridge.config import Site
from radbridge.config.retention import Retention
from radbridge.flow.trail import Purger, make_cut
from radbridge.journal import Journal, audit, purge
from radbridge.journal.cursors import PURGE, last
from radbridge.journal.locks import Lock, hold
from radbridge.journal.purge import Cut, Kind
from radbridge.journal.schema import (
    audit_events,
    cases,
    cursors,
    deliveries,
    drafts,
    memory,
    messages,
    resource_index,
    resources,
    subscription_events,
)
from radbridge.journal.stores import Stores
from radbridge.metrics import Metrics
from tests.support.journals import waiting_for_locks
from tests.support.live import live, make_site
from tests.support.planted import NAME, dump, plant

NOW = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
OLD = NOW - timedelta(days=100)
EVERYTHING = Retention(messages_d=30, cases_d=30, drafts_d=30, examples_d=30, fhir_d=30, audit_d=30)
WITH_THE_CASE = {"drafts", "edits", "fhircast_contexts"}
"""Kinds whose only row goes with its case, before it is their turn."""
_KINDS = {kind.name: kind for kind in purge.KINDS}


def site_of(url: str, retention: Retention = EVERYTHING) -> Site:
    return Site(store={"url": url}, retention=retention)


def plant_all(conn: Connection, items: Sequence[datetime]) -> list[None]:
    for at in items:
        plant(conn, at)
    return [None] * len(items)


def purge_some(conn: Connection, kind: Kind, cut: Cut) -> int:
    return purge.take(conn, kind, cut, purge.look(conn, kind, cut))


async def test_a_purged_journal_holds_no_byte_of_a_name(journal: Journal, url: str) -> None:
    """After a purge a planted name is in no row, and on SQLite in no byte of the journal's files."""
    await journal.write(plant_all, OLD)
    assert NAME in await journal.read(dump)
    metrics = Metrics()
    gone = await Purger(journal, site_of(url), metrics=metrics).purge(NOW)
    assert set(gone) == set(_KINDS) - WITH_THE_CASE - {"fhir_versions"}
    found = await journal.read(dump)
    assert NAME not in found
    assert NAME.lower() not in found
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        whole = Path(parsed.database or "")
        for file in whole.parent.glob(f"{whole.name}*"):
            assert NAME.encode() not in file.read_bytes()
            assert NAME.lower().encode() not in file.read_bytes()


async def test_a_run_ends_with_a_note_of_its_counts(journal: Journal, url: str) -> None:
    """Each purge notes what it took, step by step and in all; the chain stays whole over it."""
    await journal.write(plant_all, OLD)
    kept = await journal.read(audit.head)
    await Purger(journal, site_of(url), metrics=Metrics()).purge(NOW)
    await journal.write(lambda conn, items: [audit.chain_pending(conn) for _ in items], None)
    found = await journal.read(lambda conn: audit.verify(conn, kept=kept))
    assert found.anchor == 3
    notes = [event.note for event in await journal.read(audit.chained)]
    assert {n.what for n in notes} == {What.CHAIN_ANCHORED, What.PURGED}
    assert notes[-1].detail["cases"] == "1"
    steps = {n.detail["kind"]: n.detail["rows"] for n in notes[:-1] if n.what is What.PURGED}
    assert steps == notes[-1].detail
    assert await journal.read(lambda conn: last(conn, PURGE)) is not None


def test_a_run_that_is_broken_off_leaves_its_trace(stores: Stores, url: str) -> None:
    """What went is noted in the transaction that took it, with who did: nothing goes without a trace."""
    with stores.begin() as conn:
        plant(conn, OLD)
    cut = replace(make_cut(site_of(url), NOW), actor="alice", via="cli")
    with stores.begin() as conn:
        assert purge_some(conn, _KINDS["messages"], cut) == 1
        assert purge_some(conn, _KINDS["messages"], cut) == 0
    with stores.begin() as conn:
        audit.chain_pending(conn)
        note = audit.chained(conn)[-1].note
    assert (note.what, note.actor, note.via) == (What.PURGED, "alice", "cli")
    assert note.detail == {"kind": "messages", "rows": "1"}


def test_a_dry_run_counts_what_a_run_takes(stores: Stores, url: str) -> None:
    """`--dry-run` says the same numbers, and takes nothing."""
    with stores.begin() as conn:
        plant(conn, OLD)
    cut = make_cut(site_of(url), NOW)
    with stores.connect() as conn:
        told = purge.count(conn, cut)
    with stores.begin() as conn:
        gone = {name: purge_some(conn, kind, cut) for name, kind in _KINDS.items() if name in told}
    assert {**told, **dict.fromkeys(WITH_THE_CASE, 0)} == gone


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("messages", update(messages).values(state=state)) for state in ("accepted", "failed", "quarantined")),
        ("messages", update(memory).values(state="waiting", accession="X1")),
        ("cases", update(cases).values(state="open")),
        *(("cases", update(deliveries).values(state=state)) for state in ("pending", "dead", "refused")),
        *(("drafts", update(deliveries).values(state=state)) for state in ("pending", "dead", "refused")),
        ("drafts", update(drafts).values(state="current")),
        ("memory", update(memory).values(state="barred")),
    ],
)
def test_what_is_worked_on_stays(stores: Stores, url: str, name: str, change: object) -> None:
    """However old: a message that waits, an open case, a draft that stands, a delivery on its way, a dead letter."""
    with stores.begin() as conn:
        plant(conn, OLD)
        conn.execute(change)  # type: ignore[call-overload]  # an update
        assert purge_some(conn, _KINDS[name], make_cut(site_of(url), NOW)) == 0


def test_a_resource_that_something_refers_to_stays(stores: Stores, url: str) -> None:
    """An old Patient stays for as long as a newer report is about them; then it goes."""
    with stores.begin() as conn:
        plant(conn, OLD)
        conn.execute(update(resource_index).values(value="X1/X1", id="X2"))
        cut = make_cut(site_of(url), NOW)
        assert purge_some(conn, _KINDS["fhir_resources"], cut) == 0
        conn.execute(update(resource_index).values(type="AuditEvent"))  # that somebody saw it keeps nothing
        assert purge_some(conn, _KINDS["fhir_resources"], cut) == 1


def test_what_changed_since_the_look_stays(stores: Stores, url: str) -> None:
    """What was found may be at work again before it goes: a case that was opened, a resource that was written."""
    with stores.begin() as conn:
        plant(conn, OLD)
        cut = make_cut(site_of(url), NOW)
        seen = {name: purge.look(conn, _KINDS[name], cut) for name in ("cases", "fhir_resources")}
        conn.execute(update(cases).values(state="open"))
        conn.execute(update(resources).values(at=NOW))
        assert [purge.take(conn, _KINDS[name], cut, rows) for name, rows in seen.items()] == [0, 0]


def test_a_case_that_is_opened_during_the_purge_stays(stores: Stores, url: str) -> None:
    """Whoever works on a case holds it: the purge waits for them, and looks again then."""
    if not stores.is_shared:
        return  # SQLite lets nobody write in between
    kind, cut = _KINDS["cases"], make_cut(site_of(url), NOW)
    with stores.begin() as conn:
        plant(conn, OLD)
    with stores.connect() as conn:
        rows = purge.look(conn, kind, cut)
    taken: list[int] = []

    def take() -> None:
        with stores.begin() as conn:
            taken.append(purge.take(conn, kind, cut, rows))

    thread = threading.Thread(target=take)
    with stores.begin() as conn:
        hold(conn, Lock.CASE, [row.accession for row in rows])
        conn.execute(update(cases).values(state="open"))
        thread.start()
        while not waiting_for_locks(stores):
            pass
    thread.join(120)
    assert (len(rows), taken) == (1, [0])


async def test_a_purge_that_was_switched_off_is_not_late(tmp_path: Path) -> None:
    """Retention that is switched on again after a year begins anew: nothing was missed meanwhile."""
    off, on = make_site(tmp_path), make_site(tmp_path, retention={"messages_d": 30})
    async with live(on) as gateway:
        await gateway.until(lambda: gateway.journal.read_now(begun) is not None)
        await gateway.journal.write(make_old, None)
    async with live(on) as gateway:
        assert gateway.journal.read_now(begun) == OLD
    async with live(off) as gateway:
        assert gateway.journal.read_now(begun) is None
    async with live(on) as gateway:
        await gateway.until(lambda: gateway.journal.read_now(begun) is not None)


def begun(conn: Connection) -> datetime | None:
    return last(conn, PURGE)


def make_old(conn: Connection, items: Sequence[None]) -> list[None]:
    conn.execute(update(cursors).values(at=OLD))
    return [None] * len(items)


@pytest.mark.parametrize(
    ("key", "kinds"),
    [
        ("messages_d", {"messages"}),
        ("cases_d", {"cases", "dicom_steps"}),
        ("drafts_d", {"drafts"}),
        ("examples_d", {"memory", "edits"}),
        ("fhir_d", {"fhir_resources"}),
        ("audit_d", {"audit"}),
    ],
)
def test_each_key_takes_its_own_kinds(stores: Stores, url: str, key: str, kinds: set[str]) -> None:
    """A kind goes when its days are over, not an hour before, and no key takes what another one keeps."""
    with stores.begin() as conn:
        plant(conn, NOW - timedelta(days=30) + timedelta(hours=1))
        cut = make_cut(site_of(url, Retention.model_validate({key: 30})), NOW)
        later = replace(cut, now=NOW + timedelta(hours=2))
        assert {kind.name for kind in purge.KINDS if purge_some(conn, kind, cut)} == set()
        assert {kind.name for kind in purge.KINDS if purge_some(conn, kind, later)} == kinds


@pytest.mark.parametrize(("status", "goes"), [("active", 0), ("requested", 0), ("off", 1), ("error", 1)])
def test_a_subscription_goes_when_it_is_over(stores: Stores, url: str, status: str, goes: int) -> None:
    """One that works stays, and what it hasn't got; one that ended or can't be served goes, and frees that."""
    kind = _KINDS["fhir_resources"]
    with stores.begin() as conn:
        plant(conn, OLD)
        row = {"type": "Subscription", "id": "S1", "version": 1, "seq": 2, "at": OLD, "origin": "peer"}
        conn.execute(insert(resources).values(row))
        conn.execute(update(subscription_events).values(subscription_id="S1", state="pending", version_seq=1))
        conn.execute(update(resource_index).values(type="Subscription", id="S1", param="status", value=status))
        cut = make_cut(site_of(url), NOW)
        assert purge_some(conn, kind, cut) == goes
        left = conn.execute(select(resources.c.id).order_by(resources.c.id)).scalars().all()
        assert ("S1" in left, len(left)) == (not goes, 2 - goes)
        assert purge_some(conn, kind, cut) == goes


def test_nothing_is_purged_by_default(stores: Stores, url: str) -> None:
    """A site that says nothing keeps everything."""
    with stores.begin() as conn:
        plant(conn, OLD)
        cut = make_cut(site_of(url, Retention()), NOW)
        assert not any(purge_some(conn, kind, cut) for kind in purge.KINDS)


def test_a_purged_message_is_still_known_as_a_duplicate(stores: Stores, url: str) -> None:
    """Its bytes go after `messages_d`, its row stays for `dedupe_d` with the answer that its sender got."""
    with stores.begin() as conn:
        plant(conn, NOW - timedelta(days=5))
        before = conn.execute(select(messages.c.digest, messages.c.ack)).one()
        cut = make_cut(site_of(url, Retention(messages_d=1)), NOW)
        assert purge_some(conn, _KINDS["messages"], cut) == 1
        assert purge_some(conn, _KINDS["messages"], cut) == 0
        row = conn.execute(select(messages)).one()
    assert (row.raw, row.accession, row.reply) == (b"", "", None)
    assert (row.digest, row.ack) == tuple(before)


def test_events_that_no_auditor_has_got_stay(stores: Stores, url: str) -> None:
    """Where a repository gets the trail, only what it has got may go."""
    site = Site(
        store={"url": url},
        retention=EVERYTHING,
        audit={"syslog": {"address": "127.0.0.1:6514"}},
    )
    with stores.begin() as conn:
        plant(conn, OLD)
        conn.execute(update(cursors).values(name=audit.SYSLOG, seq=2))
        assert purge_some(conn, _KINDS["audit"], make_cut(site, NOW)) == 2
        assert conn.execute(select(audit_events.c.seq)).scalars().all() == [3]
