"""Messages that trip a fault of ours: tried again, with their case behind them, and set aside in the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from radbridge.case import Case, CaseKey
from radbridge.errors import JournalError, SealBroken
from radbridge.journal import Journal, cases
from tests.support.flow import Flow, running

BAD = "Bad. More."


class Fault:
    """Trips over a text, the first `times`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.tries = 0
        self._times = times
        self._save = cases.save
        monkeypatch.setattr(cases, "save", self.save)
        monkeypatch.setattr("radbridge.flow.process.FIRST_AGAIN_S", 10.0)
        monkeypatch.setattr("radbridge.flow.process.LONGER", 1.5)  # both rests are within `poison_hold_s`

    def save(self, conn: Connection, case: Case) -> None:
        """In place of the real one."""
        if case.report.findings == BAD and self.tries < self._times:
            self.tries += 1
            raise ZeroDivisionError
        self._save(conn, case)


def states(flow: Flow) -> list[tuple[str, int]]:
    """Each message's state and tries, in order of arrival."""
    query = text("SELECT state, tries FROM message ORDER BY id")
    return flow.journal.read_now(lambda conn: [(row[0], row[1]) for row in conn.execute(query)])


def rests(flow: Flow) -> bool:
    """Whether the first message has failed and is to be tried again later."""
    query = text("SELECT not_before FROM message WHERE id = 1")
    return flow.journal.read_now(lambda conn: conn.execute(query).scalar_one() is not None)


async def come_due(flow: Flow) -> None:
    """Whatever rests has rested."""

    def wake(conn: Connection, items: Sequence[None]) -> list[None]:
        conn.execute(text("UPDATE message SET not_before = NULL"))
        return [None] * len(items)

    await flow.journal.write(wake, None)
    await flow.say(accession="A9", order=True)


def findings(flow: Flow, accession: str) -> str:
    """The text of a case."""
    case = flow.journal.read_now(lambda conn: cases.load(conn, CaseKey(accession=accession)))
    return case.report.findings if case else ""


async def test_a_lane_waits_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a message that fails its case waits, and no other; set aside after its tries, it lets the case go on."""
    fault = Fault(monkeypatch, 99)
    async with running(tmp_path) as flow:
        await flow.say(accession="A1", dictate=BAD)
        await flow.say(accession="A1", dictate="Good. More.")
        await flow.say(accession="A2", dictate="Other. More.")
        await flow.until(lambda: findings(flow, "A2"))
        await flow.until(lambda: rests(flow))
        assert findings(flow, "A1") == ""
        while not findings(flow, "A1"):
            await come_due(flow)
            await flow.until(lambda: rests(flow) or findings(flow, "A1"))
        assert findings(flow, "A1") == "Good. More."
        assert states(flow)[0] == ("quarantined", 2)
        assert [state for state, _ in states(flow)[1:3]] == ["done", "done"]
        assert fault.tries >= 3
        assert b"radbridge_quarantined_total 1.0" in flow.metrics.page()


async def test_a_fault_that_passes_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that fails once is applied at its second try, before what came after it."""
    Fault(monkeypatch, 2)  # once in its group, once alone
    async with running(tmp_path) as flow:
        await flow.say(accession="A1", dictate=BAD)
        await flow.say(accession="A1", dictate="Good. More.")
        await flow.until(lambda: rests(flow))
        await come_due(flow)
        await flow.until(lambda: findings(flow, "A1") == "Good. More.")
        assert [state for state, _ in states(flow)[:2]] == ["done", "done"]


async def test_a_message_that_kills_is_found(tmp_path: Path) -> None:
    """One over which the process ended time and again is set aside at the next start, and the others are applied."""
    async with running(tmp_path) as flow:
        await flow.say(accession="A1", dictate="Killer. More.")
        await flow.until(flow.applied)
        await flow.say(accession="A1", dictate="Good. More.")
        await flow.until(flow.applied)

    def put_back(conn: Connection, items: Sequence[None]) -> list[None]:
        conn.execute(text("UPDATE message SET state = 'accepted', tries = 3 WHERE id = 1"))
        conn.execute(text('DELETE FROM "case"'))
        return [None] * len(items)

    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")  # nobody is at work on it
    await journal.write(put_back, None)
    await journal.close()
    async with running(tmp_path) as flow:
        await flow.until(lambda: states(flow)[0][0] == "quarantined")
        assert findings(flow, "A1") == ""


async def test_a_statement_that_is_refused_is_told_without_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the database refuses for good is a message's fault, not an outage; values are in no log and no reason."""
    monkeypatch.setattr("radbridge.flow.process.FIRST_AGAIN_S", 0.01)
    save = cases.save

    def refuse(conn: Connection, case: Case) -> None:
        if case.key.accession == "A1":
            conn.execute(text("INSERT INTO message (id, peer) VALUES (1, 'DOE^JANE')"))
        save(conn, case)

    monkeypatch.setattr(cases, "save", refuse)
    async with running(tmp_path) as flow:
        await flow.say(accession="A1", dictate="Bad. More.")
        await flow.say(accession="A2", dictate="Good. More.")
        await flow.until(lambda: findings(flow, "A2"))
        await flow.until(lambda: states(flow)[0][0] == "quarantined")
        [reason] = flow.journal.read_now(
            lambda conn: conn.execute(text("SELECT reason FROM message WHERE id = 1")).scalars().all()
        )
    assert reason == "internal error (StatementRefused)"
    assert "DOE" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OperationalError("SELECT", None, psycopg.errors.ProgramLimitExceeded()), id="too long to index"),
        pytest.param(OperationalError("SELECT", None, psycopg.errors.QueryCanceled()), id="too slow"),
        pytest.param(SealBroken(), id="can't be opened"),
    ],
)
async def test_what_one_message_trips_is_no_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What the database refuses of one message only, sets that one aside; the others go on."""
    monkeypatch.setattr("radbridge.flow.process.FIRST_AGAIN_S", 0.01)
    save = cases.save

    def refuse(conn: Connection, case: Case) -> None:
        if case.key.accession == "A1":
            raise error
        save(conn, case)

    monkeypatch.setattr(cases, "save", refuse)
    async with running(tmp_path) as flow:
        await flow.say(accession="A1", dictate="Bad. More.")
        await flow.say(accession="A2", dictate="Good. More.")
        await flow.until(lambda: [state for state, _ in states(flow)] == ["quarantined", "done"])


async def test_an_outage_is_nobodys_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that can't commit costs no message its tries."""
    monkeypatch.setattr("radbridge.flow.process.OUTAGE_S", 0.01)
    left = 5
    save = cases.save

    def fail(conn: Connection, case: Case) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            raise JournalError
        save(conn, case)

    monkeypatch.setattr(cases, "save", fail)
    async with running(tmp_path) as flow:
        await flow.say(accession="A1", dictate="Good. More.")
        await flow.until(lambda: findings(flow, "A1"))
        [(state, tries)] = states(flow)
        assert (state, tries <= 1) == ("done", True)  # one is noted of what waits when a gateway starts
