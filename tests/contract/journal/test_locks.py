"""Two gateways change the same at the same moment: what one reads before it writes is still so when it writes."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from radbridge.access import Role
from radbridge.audit import Note, What
from radbridge.case import Case, CaseKey, Patient
from radbridge.journal import Journal, accounts, audit, cases, dicom, memory, messages, secrets, sequences, withdrawals
from radbridge.journal.accounts import Stranger
from radbridge.journal.buckets import ALL
from radbridge.journal.dicom import Begun, Changed, Filed, StepOutcome, StepState
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import MessageState
from radbridge.journal.sequences import Numbered
from radbridge.journal.stores import Stores
from radbridge.wire import Rejected
from tests.support.journals import received

pytestmark = pytest.mark.parametrize("url", ["postgresql"], indirect=True)
Work = Callable[[Connection], Any]
KEY = CaseKey(accession="A1")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAIT_S = 120.0
"""For what is sure to come."""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def run(stores: Stores, pool: ThreadPoolExecutor, *works: Work) -> list[Any]:
    """Run each on a transaction of its own, all of them having begun before the first commits."""
    begun = threading.Barrier(len(works))

    def work_on(work: Work) -> Any:
        with stores.begin() as conn:
            conn.exec_driver_sql("SELECT 1")
            begun.wait(WAIT_S)
            return work(conn)

    return [future.result() for future in [pool.submit(work_on, work) for work in works]]


def meet(stores: Stores, pool: ThreadPoolExecutor, first: Work, second: Work) -> list[Any]:
    """Let `second` run as far as it can while the transaction of `first`, which has done its work, is still open."""
    done: Future[Any]
    with stores.writer.connect() as conn:
        before = first(conn)
        done = pool.submit(_whole, stores, second)
        _until_it_waits(conn, done)
        conn.commit()
    return [before, done.result(WAIT_S)]


def _whole(stores: Stores, work: Work) -> Any:
    with stores.begin() as conn:
        return work(conn)


def _until_it_waits(conn: Connection, done: Future[Any]) -> None:
    """Until the other transaction is over, or waits for a lock of ours."""
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while not done.done() and not conn.exec_driver_sql(waits).scalar_one():
        pass


def test_held_until_the_end(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """A case that one transaction holds is another's when the first has ended; nobody waits for other cases."""
    order: list[str] = []

    def first(conn: Connection) -> None:
        hold(conn, Lock.CASE, ["A2", "A1"])
        order.append("first")

    def second(conn: Connection) -> None:
        hold(conn, Lock.CASE, ["A9"])
        order.append("free")
        hold(conn, Lock.CASE, ["A1", "A2"])
        order.append("second")

    with stores.writer.connect() as conn:
        first(conn)
        done = pool.submit(_whole, stores, second)
        _until_it_waits(conn, done)
        assert order == ["first", "free"]
        conn.commit()
    done.result(WAIT_S)
    assert order == ["first", "free", "second"]


def test_names_that_postgresql_refuses(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Whatever a sender calls its cases can be held."""
    with stores.begin() as conn:
        hold(conn, Lock.CASE, ["\0", "\ud800", "", "ä" * 5000])


def test_shared(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Any number may share what nobody holds alone; who wants it alone waits for them all."""
    with stores.writer.connect() as conn:
        hold(conn, Lock.WITHDRAWAL, [""], shared=True)
        pool.submit(_whole, stores, lambda other: hold(other, Lock.WITHDRAWAL, [""], shared=True)).result(WAIT_S)
        alone = pool.submit(_whole, stores, lambda other: hold(other, Lock.WITHDRAWAL, [""]))
        _until_it_waits(conn, alone)
        assert not alone.done()
        conn.commit()
    alone.result(WAIT_S)


def test_a_study_told_while_its_message_is_applied(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """A message whose accession becomes known while it is applied without is brought up again, and not lost."""
    with stores.begin() as conn:
        dicom.file(conn, [Filed(received=received("1", accession=""), studies=(("1.2", None),))])

    def apply(conn: Connection) -> None:
        [message] = messages.waiting(conn, buckets=ALL, at_most=9)
        hold(conn, Lock.STUDY, ["1.2"])
        assert dicom.study_key(conn, "1.2") is None
        messages.settle(conn, message.id, MessageState.DONE, "not placed")

    meet(stores, pool, apply, lambda conn: dicom.relate(conn, "1.2", KEY))
    with stores.connect() as conn:
        assert len(messages.waiting(conn, buckets=ALL, at_most=9)) == 1


def test_a_study_told_twice(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Two gateways that learn a study's accession at once bring its messages up once."""
    with stores.begin() as conn:
        dicom.file(conn, [Filed(received=received("1", accession=""), studies=(("1.2", None),))])
        [message] = messages.waiting(conn, buckets=ALL, at_most=9)
        messages.settle(conn, message.id, MessageState.DONE)
    other = CaseKey(accession="A2")
    meet(stores, pool, lambda conn: dicom.relate(conn, "1.2", KEY), lambda conn: dicom.relate(conn, "1.2", other))
    with stores.connect() as conn:
        assert len(messages.waiting(conn, buckets=ALL, at_most=9)) == 1


def test_a_step_is_over_once(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Of two modalities' words on one procedure step, the second is told that it is over (PS3.4 F.7.2.2.2)."""
    step = Filed(received=received("8"), studies=())
    begin = Begun(sop_uid="8", filed=step)
    begun = meet(stores, pool, *[lambda conn: dicom.begin_step(conn, [begin])] * 2)
    assert begun == [[StepOutcome.KEPT], [StepOutcome.KNOWN]]

    def change(conn: Connection) -> list[StepOutcome]:
        done = Changed(sop_uid="8", state=StepState.COMPLETED, merge=lambda _: step)
        return dicom.change_step(conn, [done])

    assert meet(stores, pool, change, change) == [[StepOutcome.KEPT], [StepOutcome.FINAL]]


def test_withdrawn_while_a_report_comes_in(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Who withdraws while a report of theirs is applied finds it: nothing of it stays."""
    with stores.begin() as conn:
        secrets.make(conn, [secrets.PSEUDONYMS])
        secret = secrets.read(conn, secrets.PSEUDONYMS)
    act = withdrawals.Act(at=NOON, actor="t", secret=secret)
    case = Case(key=KEY, patient=Patient(id="900001"))

    def apply(conn: Connection) -> None:
        cases.save(conn, case)
        if not withdrawals.is_withdrawn(conn, case):
            memory.expect(conn, KEY, signer="1", signed_at=NOON)

    def withdraw() -> int:
        with stores.begin() as conn:
            withdrawals.note_patient(conn, "900001", "", act)
        with stores.begin() as conn:
            return withdrawals.withdraw_patient(conn, "900001", "", act).reports

    with stores.writer.connect() as conn:
        apply(conn)
        found = pool.submit(withdraw)
        _until_it_waits(conn, found)
        conn.commit()
    assert found.result(WAIT_S) == 1


def test_a_number_is_taken_once(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Of two messages of one sender under one sequence number, on two connections, one is taken."""

    def take(control_id: str) -> Work:
        message = received(control_id)
        refused = Rejected(wire="hl7v2", peer="p", reason="out_of_sequence", detail="", raw=b"x", size=1, ack=b"no")
        numbered = Numbered(received=message, number=5, enforce=True, answer=lambda _: b"yes", refuse=lambda _: refused)
        return lambda conn: sequences.accept(conn, [numbered])[0].accepted is not None

    assert meet(stores, pool, take("1"), take("2")) == [True, False]


def test_a_chain_has_one_end(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Two gateways that chain at once make one chain."""
    with stores.begin() as conn:
        audit.note(conn, [Note(at=NOON, what=What.STARTED)] * 2)
    assert meet(stores, pool, *[lambda conn: audit.chain_pending(conn, 1)] * 2) == [1, 1]
    with stores.connect() as conn:
        assert audit.verify(conn).events == 2


def test_somebody_comes_for_the_first_time_once(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Two logins of one person make one account; somebody of the same name gets another name."""

    def come(subject: str) -> Work:
        person = Stranger(issuer="https://id.example", subject=subject, name="doe", roles=frozenset({Role.VIEWER}))
        return lambda conn: accounts.welcome(conn, [person])[0].name

    assert meet(stores, pool, come("1"), come("1")) == ["doe", "doe"]
    first, other = meet(stores, pool, come("1"), come("2"))
    assert first == "doe"
    assert other.startswith("doe-")


def test_crossing_transactions_end(stores: Stores, pool: ThreadPoolExecutor) -> None:
    """Two that hold what the other wants are told apart within a second, by an error that is tried again."""

    def cross(first: str, second: str) -> Callable[[Connection], None]:
        def work(conn: Connection) -> None:
            hold(conn, Lock.CASE, [first])
            held.wait(WAIT_S)
            hold(conn, Lock.CASE, [second])

        return work

    held = threading.Barrier(2)
    with pytest.raises(Exception, match="deadlock") as caught:
        run(stores, pool, cross("A1", "A2"), cross("A2", "A1"))
    assert isinstance(caught.value.__cause__, psycopg.errors.DeadlockDetected)


async def test_two_gateways_that_cross(url: str) -> None:
    """Whatever cases their transactions hold, in whatever order: each write is done in the end, and none is lost."""
    dice = random.Random(9)
    opened = [await Journal.open(url) for _ in range(2)]

    def touch(conn: Connection, items: Sequence[list[str]]) -> list[None]:
        for names in items:
            for name in names:  # one after the other: an order of our own, as of several operations in a group
                hold(conn, Lock.CASE, [name])
                before = cases.load(conn, CaseKey(accession=name))
                number = int(before.patient.id) if before else 0
                cases.save(conn, Case(key=CaseKey(accession=name), patient=Patient(id=str(number + 1))))
        return [None] * len(items)

    pairs = [[f"A{n}" for n in dice.sample(range(6), 2)] for _ in range(60)]
    await asyncio.gather(*(opened[n % 2].write(touch, pair) for n, pair in enumerate(pairs)))
    found = opened[0].read_now(lambda conn: [cases.load(conn, CaseKey(accession=f"A{n}")) for n in range(6)])
    assert sum(int(case.patient.id) for case in found if case) == 2 * len(pairs)
    for journal in opened:
        await journal.close()
