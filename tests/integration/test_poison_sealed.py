"""Messages, drafts and deliveries whose stored bytes can't be opened any more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text, update

from radbridge.case import CaseKey
from radbridge.config.encryption import Encryption
from radbridge.errors import JournalLost, SealBroken, SealError
from radbridge.flow.applying import Step
from radbridge.flow.courier import Courier
from radbridge.flow.process import Processor
from radbridge.journal import Journal, cases, dead, deliveries, messages, queue
from radbridge.journal.buckets import ALL
from radbridge.journal.schema import cases as case_rows
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from radbridge.wire import Received
from tests.support.delivering import NAME
from tests.support.delivering import queue as queue_drafts
from tests.support.flow import translate
from tests.support.journals import make_key, received
from tests.support.sharing import at_work, until

BREAK = """
UPDATE {0}
SET {1} = CAST(substr({1}, 1, length({1}) - 1) || CASE substr({1}, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB)
WHERE {2}
"""
"""The last byte, which is part of the seal, becomes another."""


def break_one(conn: Connection, items: Sequence[tuple[str, str, str]]) -> list[None]:
    """Somebody changes a document: of a table, in a column, where."""
    for table, column, where in items:
        conn.execute(text(BREAK.format(table, column, where)))
    return [None] * len(items)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """Encrypted."""
    kek = tmp_path / "kek"
    kek.write_text(make_key())
    kek.chmod(0o600)
    opened = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db", encryption=Encryption(key_file=kek))
    yield opened
    await opened.close()


def dictated(control_id: str, accession: str) -> Received:
    raw = json.dumps({"accession": accession, "dictate": f"Text {control_id}. More."}).encode()
    return received(control_id, raw, wire="test", accession=accession)


async def test_one_message_is_set_aside(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that were changed cost their message alone: what is behind it waits until it is set aside, no other does.

    Its reason says so, and nothing counts as an outage.
    """
    monkeypatch.setattr("radbridge.flow.process.FIRST_AGAIN_S", 0.05)
    for control_id, accession in (("1", "A1"), ("2", "A1"), ("3", "A1"), ("4", "A2")):
        await journal.write(messages.accept, dictated(control_id, accession))

    def findings(accession: str) -> str:
        case = journal.read_now(lambda conn: cases.load(conn, CaseKey(accession=accession)))
        return case.report.findings if case else ""

    await journal.write(break_one, ("message", "raw", "id = 2"))
    seen: list[tuple[str, str]] = []
    ours = Processor(
        journal,
        {"test": translate},
        settle_s=0.0,
        metrics=Metrics(),
        on_change=lambda: seen.append((findings("A1"), findings("A2"))),
        poll_s=0.02,
    )
    async with at_work(ours.run):
        await until(lambda: findings("A1") == "Text 3. More.")
    assert ("Text 1. More.", "Text 4. More.") in seen
    rows = journal.read_now(lambda conn: conn.execute(text("SELECT state FROM message ORDER BY id")).all())
    assert [row.state for row in rows] == ["done", "quarantined", "done", "done"]
    [letter] = journal.read_now(lambda conn: dead.everything(conn, 9))
    assert (letter.id, letter.raw) == ("m2", b"")
    assert letter.reason == "a sealed value of message.raw was changed, or stood elsewhere before"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(("delivery", "payload", "seq = 1"), id="what was sent once"),
        pytest.param(("draft", "document", "seq = 1"), id="its draft"),
        pytest.param(('"case"', "document", "accession = 'A1'"), id="its case"),
    ],
)
async def test_one_delivery_is_dead(journal: Journal, broken: tuple[str, str, str]) -> None:
    """A document that was changed costs its delivery alone: it waits for a person, and those behind it go out."""
    now = datetime.now(UTC)
    for accession in ("A1", "A2"):
        await journal.write(queue_drafts, (accession, now))

    def send_once(conn: Connection, items: Sequence[None]) -> list[None]:
        [first] = deliveries.of_case(conn, CaseKey(accession="A1"))
        deliveries.begin(conn, first, b"payload", at=now)
        deliveries.retry(conn, first, at=now, answer="AE")
        return [None] * len(items)

    if broken[0] == "delivery":
        await journal.write(send_once, None)
    await journal.write(break_one, broken)
    sink = MemorySink(NAME)
    async with at_work(Courier(journal, sink, max_attempts=3, metrics=Metrics(), poll_s=0.02).run):
        await until(lambda: sink.sent)
        await until(lambda: journal.read_now(lambda conn: dead.everything(conn, 9)))
    [letter] = journal.read_now(lambda conn: dead.everything(conn, 9))
    assert (letter.accession, letter.state) == ("A1", "dead")
    assert "was changed" in letter.reason
    assert b"A2" in sink.sent[0][1]


async def test_a_send_in_doubt_of_a_broken_draft(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a gateway was killed over a draft that can't be opened any more, other drafts go out all the same."""
    now = datetime.now(UTC)
    for accession in ("A1", "A2"):
        await journal.write(queue_drafts, (accession, now))

    def begin(conn: Connection, items: Sequence[str]) -> list[bool]:
        [first] = deliveries.of_case(conn, CaseKey(accession="A1"))
        return [deliveries.begin(conn, first, b"payload", at=now, sender=killed) for killed in items]

    assert await journal.write(begin, "one")
    await journal.write(break_one, ("draft", "document", "seq = 1"))
    monkeypatch.setattr("radbridge.flow.doubts.is_gone", lambda _conn, id: id == "one")
    sink = MemorySink(NAME)
    async with at_work(Courier(journal, sink, max_attempts=3, metrics=Metrics(), me="two", poll_s=0.02).run):
        await until(lambda: len(sink.sent) == 2)
    first, second = (payload for _, payload in sink.sent)
    assert first == b"payload"  # what was sent once goes again as it was, and isn't composed again
    assert b"A2" in second


async def test_a_key_that_is_away_is_an_outage(tmp_path: Path) -> None:
    """Where nothing can be opened, because the site's key isn't named, no message is blamed for it."""
    kek = tmp_path / "kek"
    kek.write_text(make_key())
    kek.chmod(0o600)
    url = f"sqlite:///{tmp_path}/radbridge.db"
    sealed = await Journal.open(url, encryption=Encryption(key_file=kek))
    await sealed.write(messages.accept, dictated("1", "A1"))
    await sealed.close()
    plain = await Journal.open(url)
    with pytest.raises(SealError, match="key_file") as refused:
        await plain.read(lambda conn: queue.read_batch(conn, buckets=ALL, at_most=9))
    assert not isinstance(refused.value, SealBroken)
    await plain.close()


def spoil_case(conn: Connection, items: Sequence[str]) -> list[None]:
    """The document of a case is none any more, though it can be opened."""
    for accession in items:
        conn.execute(update(case_rows).where(case_rows.c.accession == accession).values(document=b"{}"))
    return [None] * len(items)


@pytest.mark.parametrize("spoilt", ["sealed", "read"])
async def test_a_hint_from_a_broken_case(journal: Journal, monkeypatch: pytest.MonkeyPatch, spoilt: str) -> None:
    """A message that was applied in an outage, and whose case can't be read since, holds up no other message."""
    monkeypatch.setattr("radbridge.flow.process.OUTAGE_S", 0.02)
    write, failed = journal.write, list[object]()

    async def lose(operation: Callable[[Connection, Sequence[object]], Sequence[object]], item: object) -> object:
        answer = await write(operation, item)
        if not failed and isinstance(item, Step):
            failed.append(item)
            if spoilt == "read":
                await write(spoil_case, "A1")
            else:
                await write(break_one, ('"case"', "document", "accession = 'A1'"))
            raise JournalLost
        return answer

    def has(accession: str) -> bool:
        return journal.read_now(lambda conn: cases.load(conn, CaseKey(accession=accession))) is not None

    await journal.write(messages.accept, dictated("1", "A1"))
    monkeypatch.setattr(journal, "write", lose)
    ours = Processor(journal, {"test": translate}, settle_s=0.0, metrics=Metrics(), on_change=lambda: None, poll_s=0.02)
    async with at_work(ours.run):
        await until(lambda: failed)
        for accession in ("A2", "A3"):  # the first is found while the buckets are probed again
            await write(messages.accept, dictated(accession, accession))
            await until(partial(has, accession))
