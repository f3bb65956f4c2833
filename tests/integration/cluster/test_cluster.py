"""What several gateways on one PostgreSQL promise each other, gateway by gateway in one process."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Connection, text

from radbridge.case import Patient
from radbridge.errors import LeaseLost
from radbridge.events import Event, PatientUpdated
from radbridge.flow import cluster
from radbridge.flow.cluster import ClusterHolder
from radbridge.flow.holding import cases_lease
from radbridge.flow.process import LARGE
from radbridge.journal import queue
from radbridge.journal.bells import PostgresBells
from radbridge.journal.buckets import bucket_of
from radbridge.wire import Kind
from tests.support.flow import translate
from tests.support.postgres import the_cluster
from tests.support.sharing import NAMES, at_work, members, until


@pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "a mutant without the fence"])
async def test_who_slept_too_long_commits_nothing(monkeypatch: pytest.MonkeyPatch, fenced: bool) -> None:
    """A gateway that read a message, slept, and lost its lease doesn't put the old text over the new one.

    Without the fence, and without a look at what is applied already, it does.
    """
    entered, woken = threading.Event(), threading.Event()

    def sleepy(raw: bytes) -> Sequence[Event]:
        entered.set()
        assert woken.wait(600)
        return translate(raw)

    refused: list[str] = []
    check = ClusterHolder.fence

    def fence(holder: ClusterHolder, conn: Connection, held: Mapping[str, int]) -> None:
        try:
            check(holder, conn, held)
        except LeaseLost:
            refused.append("A")
            if fenced:
                raise

    monkeypatch.setattr(ClusterHolder, "fence", fence)
    if not fenced:
        monkeypatch.setattr(queue, "find_waiting", lambda _, ids: set(ids))
    async with members("A", "B") as (sleeper, other):
        await sleeper.holder.start(NAMES)
        old = await sleeper.say(dictate="Old.", padding=2 * LARGE)
        async with at_work(sleeper.processor(sleepy).run):
            await until(entered.is_set)
            await other.forget("A")
            await other.holder.start(NAMES)
            async with at_work(other.processor().run):
                new = await other.say(dictate="New.")
                await until(lambda: other.state(new) == "done")
                assert other.state(old) == "done"
                woken.set()
                await until(lambda: refused and (fenced or other.findings() == "Old."))
        assert other.findings() == ("New." if fenced else "Old.")


async def test_two_gateways_share_and_hand_over() -> None:
    """A second gateway gets half of the work; what the first gives back at its end the second has at once."""
    async with members("A", "B") as (first, second):
        await first.holder.start(NAMES)
        assert len(first.holder.held(Kind.CASES)) == 64
        await second.holder.start(NAMES)
        async with at_work(second.holder.run):
            async with at_work(first.holder.run):
                first.holder.alarm.ring()
                await until(lambda: [len(m.holder.held(Kind.CASES)) for m in (first, second)] == [32, 32])
                assert first.holder.held(Kind.CASES).keys() & second.holder.held(Kind.CASES).keys() == set()
            await first.holder.stop()
            await until(lambda: len(second.holder.held(Kind.CASES)) == 64)
        assert second.holder.pop_orphans() == frozenset()


async def test_a_dead_gateways_work_is_taken_and_known() -> None:
    """What is left behind by a death is somebody's again within a lease, and it is told that its owner died over it."""
    async with members("A", "B") as (first, second):
        await first.holder.start(NAMES)
        await second.holder.start(NAMES)
        async with at_work(second.holder.run):
            rounds: list[None] = []
            second.holder.on_change(lambda: rounds.append(None))
            second.holder.alarm.ring()
            await until(lambda: rounds)
            assert second.holder.held(Kind.CASES) == {}
            await second.forget("A")
            second.holder.alarm.ring()
            await until(lambda: len(second.holder.held(Kind.CASES)) == 64)
        assert second.holder.pop_orphans() == NAMES
        assert second.holder.pop_orphans() == frozenset()


async def test_what_is_under_way_is_not_given_away() -> None:
    """A connection on which an answer is awaited stays with its gateway until the answer is there."""
    names = {"deliver:d:0", "deliver:e:0"}
    async with members("A", "B") as (first, second):
        await first.holder.start(names)
        await second.holder.start(names)
        async with at_work(first.holder.run, second.holder.run):
            with first.holder.using(sorted(names)):
                first.holder.alarm.ring()
                await until(lambda: len(first.holder.held(Kind.DELIVER)) == 1)
                rounds: list[None] = []
                second.holder.on_change(lambda: rounds.append(None))
                second.holder.alarm.ring()
                await until(lambda: rounds)
                assert second.holder.held(Kind.DELIVER) == {}
                assert first.holder.keeps(dict.fromkeys(names, 1))
                assert not first.holder.keeps({"deliver:d:0": 2})
            await until(lambda: len(second.holder.held(Kind.DELIVER)) == 1)


async def test_nothing_is_held_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that can't renew lets go by itself, before its leases are over."""
    async with members("A") as (alone,):
        await alone.holder.start(NAMES)
        held = alone.holder.held(Kind.CASES)
        assert alone.holder.keeps(held)
        later = time.monotonic() + alone.lease_s * 0.9
        monkeypatch.setattr(cluster, "monotonic", lambda: later)
        assert alone.holder.held(Kind.CASES) == {}
        assert not alone.holder.keeps(held)


async def test_bells_are_heard_elsewhere() -> None:
    """A ring is heard here once and at the other gateway once; after a lost connection everybody looks once."""
    server = the_cluster()
    name = server.database()

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        return server.connect(name)

    heard: dict[str, list[str]] = {"A": [], "B": []}
    bells = {id: PostgresBells(connect, asyncio.get_running_loop(), id) for id in heard}
    for id, bell in bells.items():
        bell.on("apply", heard[id].append)
        bell.start()
    await until(lambda: all(heard.values()))  # each listens
    for told in heard.values():
        told.clear()
    bells["A"].ring("apply:7")
    await until(lambda: heard["B"])
    bells["A"].ring("apply:8")
    await until(lambda: len(heard["B"]) == 2)
    assert heard == {"A": ["apply:7", "apply:8"], "B": ["apply:7", "apply:8"]}
    with server.connect(name) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )
    await until(lambda: len(heard["B"]) == 3)
    for bell in bells.values():
        await bell.close()


def renaming(raw: bytes) -> Sequence[Event]:
    """The flow's wire, and `{"rename": name}` of its patient."""
    said = json.loads(raw)
    if "rename" in said:
        return [PatientUpdated(patient=Patient(id="900001", name=said["rename"]), at=datetime.now(UTC))]
    return translate(raw)


async def test_an_update_of_a_patient_keeps_its_place() -> None:
    """An ADT waits for an earlier message of its patient's case that another gateway has, and for nothing else.

    A later one of the case waits for the ADT in turn.
    """
    own = cases_lease(bucket_of("A1"))
    async with members("A", "B") as (cases_of_a1, rest):
        await rest.holder.start(NAMES - {own})
        await cases_of_a1.holder.start({own})
        async with at_work(cases_of_a1.processor(renaming).run):
            known = await rest.say(accession="A1", dictate="Begun.")
            await until(lambda: rest.state(known) == "done")
        before = await rest.say(accession="A1", dictate="More.")
        update = await rest.say(accession="", touches=("P:900001",), rename="ROE^JANE")
        behind = await rest.say(accession="A1", dictate="Most.")
        async with at_work(rest.processor(renaming).run):
            other = await rest.say(accession="A2", nonsense=True)
            await until(lambda: rest.state(other) == "failed")
            assert [rest.state(m) for m in (before, update, behind)] == ["accepted"] * 3
            async with at_work(cases_of_a1.processor(renaming).run):
                await until(lambda: rest.state(behind) == "done")
        ordered = text("SELECT id FROM message WHERE id >= :first ORDER BY settled_at")
        settled = rest.journal.read_now(lambda conn: conn.execute(ordered, {"first": before}).scalars().all())
        assert [m for m in settled if m != other] == [before, update, behind]
