"""Messages of one case are applied in order of arrival, whatever the journal does meanwhile."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError

from radbridge.case import Case
from radbridge.errors import JournalError, LeaseLost
from radbridge.flow.applying import Applier, Step
from radbridge.flow.holding import SoleHolder
from radbridge.flow.process import Processor
from radbridge.journal import Journal, cases, messages
from radbridge.journal.buckets import ALL
from radbridge.metrics import Metrics
from radbridge.wire import Item, Operation, Result
from tests.support.flow import running, translate
from tests.support.journals import received
from tests.support.sharing import at_work, until


def dictated(number: int) -> bytes:
    """A save of the case's report."""
    return json.dumps({"dictate": f"Save {number}. More."}).encode()


async def test_a_commit_that_fails_lets_nothing_overtake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a group can't be committed, and its first message alone can't, those behind it in the case wait."""
    monkeypatch.setattr("radbridge.flow.process.OUTAGE_S", 0.01)
    committed: list[str] = []
    failures = 0
    save = cases.save

    def note(conn: Connection, case: Case) -> None:
        save(conn, case)
        conn.info.setdefault("saved", []).append(case.report.findings)

    def commit(conn: Connection) -> None:
        nonlocal failures
        saved = conn.info.pop("saved", [])
        if not saved:
            return
        if "Save 1. More." in saved and failures < 3:  # alone when the gateway starts, in its group, alone
            failures += 1
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("database or disk is full"))
        committed.extend(saved)

    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    for n in (1, 2):
        await journal.write(messages.accept, received(str(n), dictated(n), wire="test"))
    await journal.close()
    monkeypatch.setattr(cases, "save", note)
    event.listen(Engine, "commit", commit)
    try:
        async with running(tmp_path) as flow:
            await flow.until(flow.applied)
    finally:
        event.remove(Engine, "commit", commit)
    assert failures == 3
    assert committed == ["Save 1. More.", "Save 2. More."]


class Losing(SoleHolder):
    """Finds at its first commit that another gateway has taken what it works on."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0

    def fence(self, conn: Connection, held: Mapping[str, int]) -> None:
        """Raise once."""
        self.commits += 1
        if self.commits == 1:
            raise LeaseLost


async def test_a_lost_lease_lets_nothing_overtake(tmp_path: Path) -> None:
    """When the first message of a lane is another gateway's now, the next, still one's own, waits for it."""
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    for n in (1, 2):
        await journal.write(messages.accept, received(str(n), dictated(n), wire="test"))
    first, second = journal.read_now(lambda conn: messages.waiting(conn, buckets=ALL, at_most=2))
    steps = [Step(message=first, facts=translate(first.raw)), Step(message=second, facts=translate(second.raw))]
    steps[1] = replace(steps[1], after=(first.id,))
    apply = Applier(holder=Losing(), settle_s=0.0, metrics=Metrics()).apply
    with pytest.raises(LeaseLost):
        await journal.write(apply, steps[0])
    assert await journal.write(apply, steps[1]) is None
    assert [await journal.write(apply, step) for step in steps] == [["1001"], []]
    await journal.close()


async def test_a_number_that_is_given_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a database lost its last rows, a message is never taken for the one that had its number before."""
    monkeypatch.setattr("radbridge.flow.process.FIRST_AGAIN_S", 5.0)  # all of its rests are within `poison_hold_s`
    lost, told = json.dumps({"dictate": "Lost. More."}).encode(), list[str]()
    save = cases.save

    def fail(conn: Connection, case: Case) -> None:
        told.append(case.report.findings)
        if case.report.findings == "Lost. More.":
            raise ZeroDivisionError
        save(conn, case)

    def swap(conn: Connection, items: Sequence[bytes]) -> list[None]:
        for raw in items:
            conn.execute(text("UPDATE message SET raw = :raw, not_before = NULL WHERE id = 1"), {"raw": raw})
        return [None] * len(items)

    def rests(conn: Connection) -> bool:
        return conn.execute(text("SELECT not_before FROM message WHERE id = 1")).scalar() is not None

    monkeypatch.setattr(cases, "save", fail)
    async with running(tmp_path) as flow:
        await flow.journal.write(messages.accept, received("1", lost, wire="test"))
        await flow.say(accession="A2", dictate="Other. More.")  # wakes the processor
        await flow.until(lambda: flow.journal.read_now(rests))
        assert "Lost. More." in told
        await flow.journal.write(swap, dictated(2))
        await flow.say(accession="A3", order=True)  # and again
        await flow.until(flow.applied)
    assert [said for said in told if said][-1] == "Save 2. More."


async def test_a_probe_that_found_no_journal_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first messages of a gateway that died are tried with care, though the journal fails at that moment."""
    monkeypatch.setattr("radbridge.flow.process.OUTAGE_S", 0.01)
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    await journal.write(messages.accept, received("1", dictated(1), wire="test"))
    orphans = [frozenset(f"cases:{bucket}" for bucket in ALL)]
    processor = Processor(
        journal,
        {"test": translate},
        settle_s=0.0,
        metrics=Metrics(),
        on_change=lambda: None,
        pop_orphans=lambda: orphans.pop() if orphans else frozenset(),
    )
    read, asked = journal.read, list[object]()

    async def fail_once(query: object) -> object:
        asked.append(query)
        if len(asked) == 1:
            raise JournalError
        return await read(query)  # type: ignore[arg-type]  # whatever the processor asks

    monkeypatch.setattr(journal, "read", fail_once)
    row = text("SELECT state, tries FROM message")
    async with at_work(processor.run):
        await until(lambda: journal.read_now(lambda conn: conn.execute(row).one()[0]) == "done")
    assert journal.read_now(lambda conn: conn.execute(row).one()[1]) == 1
    await journal.close()


async def test_told_though_its_commit_got_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits to hear of a message does so where it was committed and the journal failed before it could say so.

    So does who waits for another one of the same round; and the LoRA of who is to sign is asked for.
    """
    monkeypatch.setattr("radbridge.flow.process.OUTAGE_S", 0.01)
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    write, told, failed = journal.write, list[int](), list[object]()
    signers: list[str] = []

    async def fail_once(operation: Operation[Item, Result], item: Item) -> Result:
        result = await write(operation, item)
        if isinstance(item, Step) and not failed:
            failed.append(item)
            raise JournalError
        return result

    for n in (1, 2):
        said = json.dumps({"dictate": f"Save {n}.", "accession": f"A{n}", "signer": f"100{n}"}).encode()
        waiting = received(str(n), said, wire="test", accession=f"A{n}", reply_to="AL")
        await journal.write(messages.accept, waiting)
    monkeypatch.setattr(journal, "write", fail_once)
    ours = Processor(
        journal,
        {"test": translate},
        settle_s=0.0,
        metrics=Metrics(),
        on_change=lambda: None,
        on_end=told.append,
        on_signer=signers.append,
        pop_orphans=frozenset,
    )
    async with at_work(ours.run):
        await until(lambda: len(told) == 2)
    assert (sorted(told), sorted(signers), len(failed)) == ([1, 2], ["1001", "1002"], 1)
    await journal.close()
