"""The journal on a real SQLite file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, event

from radbridge import journal as journal_package
from radbridge.case import Case, CaseKey, Patient, ReportText, Sex
from radbridge.draft import DraftState
from radbridge.errors import JournalError
from radbridge.journal import Journal, cases, deliveries, dicom, drafts, edits, lora_events, messages
from radbridge.journal.buckets import ALL
from radbridge.journal.dicom import Begun, Changed, Filed, Kept
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.schema import DeliveryState, LoraAction, MessageState, Purpose, metadata
from radbridge.journal.stores import migrate
from radbridge.wire import Received, Rejected

KEY = CaseKey(accession="A1", issuer="HOSP")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LORA_EVENT = LoraEvent(
    at=NOON,
    owner="rad/900001",
    version="rad/900001@v1-0123456789ab",
    action=LoraAction.PUBLISHED,
    actor="trainer",
)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    yield opened
    await opened.close()


def received(control_id: str, raw: bytes = b"raw", *, sender: str = "RIS") -> Received:
    return Received(
        wire="hl7v2",
        peer="127.0.0.1",
        sender=sender,
        control_id=control_id,
        kind="ORU^R01",
        accession="A1",
        raw=raw,
        ack=b"AA " + control_id.encode(),
    )


def save(conn: Connection, items: Sequence[Case]) -> list[None]:
    for case in items:
        cases.save(conn, case)
    return [None] * len(items)


def count_messages(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT count(*) FROM message").scalar_one())


def hold_writer(journal: Journal) -> Callable[[], None]:
    """Keep the writer in its first transaction, so that all a test queues waits together; call the result to let go."""
    queued = threading.Event()

    def hold(conn: Connection, items: Sequence[None]) -> list[None]:
        queued.wait()
        return [None] * len(items)

    asyncio.ensure_future(journal.write(hold, None)).add_done_callback(lambda held: held.result())
    return queued.set


async def test_one_commit_for_many(journal: Journal) -> None:
    """Writes that wait together share transactions: a hundred messages cost a handful of commits."""
    commits: list[Connection] = []
    note = commits.append
    event.listen(Engine, "commit", note)
    try:
        release = hold_writer(journal)
        writes = [asyncio.ensure_future(journal.write(messages.accept, received(str(n)))) for n in range(100)]
        await asyncio.sleep(0)
        release()
        await asyncio.gather(*writes)
    finally:
        event.remove(Engine, "commit", note)
    assert journal.read_now(count_messages) == 100
    assert 1 <= len(commits) <= 10


async def test_a_commit_is_on_the_disk(journal: Journal) -> None:
    """The connection that writes runs with synchronous=FULL (2) on a write-ahead log."""

    def ask(conn: Connection, items: Sequence[None]) -> list[tuple[object, object]]:
        asked = [conn.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("synchronous", "journal_mode")]
        return [(asked[0], asked[1])] * len(items)

    assert await journal.write(ask, None) == (2, "wal")


async def test_answers_come_first(journal: Journal) -> None:
    """A message that waits for its ACK overtakes a queue of other work, which still gets on with every commit."""
    order: list[str] = []

    def note(conn: Connection, items: Sequence[str]) -> list[None]:
        order.extend(items)
        return [None] * len(items)

    release = hold_writer(journal)
    behind = [asyncio.ensure_future(journal.write(note, f"behind {n}")) for n in range(200)]
    first = [asyncio.ensure_future(journal.write_first(note, "first")) for _ in range(200)]
    await asyncio.sleep(0)
    release()
    await asyncio.gather(*behind, *first)
    last_first = max(n for n, what in enumerate(order) if what == "first")
    assert last_first < len(order) - 100
    assert order.index("behind 0") < last_first


async def test_bad_write_harms_no_other(journal: Journal) -> None:
    """A write that fails is told so; those in the same transaction are stored."""

    def fail(conn: Connection, items: Sequence[None]) -> list[None]:
        raise ZeroDivisionError

    results = await asyncio.gather(
        journal.write(messages.accept, received("1")),
        journal.write(fail, None),
        journal.write(messages.accept, received("2")),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [messages.Accepted, ZeroDivisionError, messages.Accepted]
    assert journal.read_now(count_messages) == 2


async def test_full_disk_acknowledges_nothing(journal: Journal) -> None:
    """When the database is full the write says so and stores nothing; when there is room again it goes on by itself."""

    def limit(conn: Connection, pages: Sequence[int]) -> list[None]:
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages[-1]}")
        return [None] * len(pages)

    await journal.write(limit, 1)
    with pytest.raises(JournalError, match="full"):
        await journal.write(messages.accept, received("1", b"x" * 200_000))
    assert journal.read_now(count_messages) == 0
    await journal.write(limit, 100_000)
    assert (await journal.write(messages.accept, received("1"))).new


async def test_a_closed_journal_refuses(tmp_path: Path) -> None:
    """What was queued before the close is committed; what comes after it is refused."""
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    queued = asyncio.ensure_future(journal.write(messages.accept, received("1")))
    await asyncio.sleep(0)
    await journal.close()
    assert (await queued).new
    with pytest.raises(JournalError):
        await journal.write(messages.accept, received("2"))


async def test_unusable_place(tmp_path: Path) -> None:
    """A journal that can't be opened says what to look at."""
    (tmp_path / "file").write_text("no database" * 100)
    with pytest.raises(JournalError, match="store"):
        await Journal.open(f"sqlite:///{tmp_path}/file")
    with pytest.raises(JournalError, match="store"):
        await Journal.open(f"sqlite:///{tmp_path}/file/below/radbridge.db")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([b"x", b"y"])), max_size=12), st.integers(1, 12))
def test_duplicates_are_told_by_sender_id_and_bytes(sent: list[tuple[str, bytes]], split: int) -> None:
    """However sends are grouped into commits: each (id, bytes) is stored once, and always gets its first answer."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as conn:
        answers = []
        for start in range(0, len(sent), split):
            batch = [
                Received(wire="w", peer="", sender="S", control_id=i, kind="", raw=raw, ack=f"{n}".encode())
                for n, (i, raw) in enumerate(sent[start : start + split], start)
            ]
            answers += [a.ack for a in messages.accept(conn, batch)]
        assert answers == [str(sent.index(s)).encode() for s in sent]
        assert count_messages(conn) == len(set(sent))
        reused = conn.exec_driver_sql("SELECT count(*) FROM message WHERE reused_id").scalar_one()
        ids = {i for i, _ in sent}
        assert reused == len(set(sent)) - len(ids)
    engine.dispose()


async def test_a_rejected_message_is_no_duplicate(journal: Journal) -> None:
    """A message that was rejected may be sent again, corrected or not, and is looked at anew."""
    rejected = Rejected(
        wire="hl7v2", peer="", reason="no_accession", detail="", control_id="1", raw=b"raw", size=3, ack=b"AE"
    )
    await journal.write(messages.reject, rejected)
    assert (await journal.write(messages.accept, received("1"))).new


async def test_case_survives_the_journal(journal: Journal) -> None:
    """A case comes back from the journal as it went in."""
    case = Case(
        key=KEY,
        patient=Patient(id="900001", name="DOE^JANE", birth_date=NOON.date(), sex=Sex.FEMALE, other_ids=("1", "2")),
        report=ReportText(findings="Clear lungs — no effusion."),
        dictated_at=NOON,
    )

    await journal.write(save, case)
    assert journal.read_now(lambda conn: cases.load(conn, KEY)) == case
    assert journal.read_now(lambda conn: cases.of_patient(conn, "900001", "")) == [case]
    assert journal.read_now(lambda conn: cases.load(conn, CaseKey(accession="A1", issuer="OTHER"))) is None


async def test_an_issuer_named_by_one_side(journal: Journal) -> None:
    """A message that names no issuer finds the one case of its accession and patient, and never somebody else's."""

    def find(issuer: str, patient_id: str) -> Case | None:
        return journal.read_now(lambda conn: cases.find(conn, CaseKey(accession="A1", issuer=issuer), patient_id))

    case = Case(key=KEY, patient=Patient(id="900001"))
    await journal.write(save, case)
    assert find("", "900001") == find("", "") == find("HOSP", "900002") == case
    assert find("", "900002") is None
    assert find("OTHER", "900001") is None
    await journal.write(save, Case(key=CaseKey(accession="A1", issuer="OTHER"), patient=Patient(id="900001")))
    assert find("", "900001") is None


async def test_deliveries_of_a_case_stay_in_order(journal: Journal) -> None:
    """A case's second delivery isn't due before its first is through; another case's may overtake."""

    def queue(conn: Connection, items: Sequence[tuple[CaseKey, str]]) -> list[None]:
        for key, draft_id in items:
            deliveries.put(conn, ["d"], Purpose.DRAFT, key, draft_id, at=NOON)
        return [None] * len(items)

    other = CaseKey(accession="A2")
    for key, draft_id in ((KEY, "D1"), (KEY, "D2"), (other, "D3")):
        await journal.write(queue, (key, draft_id))

    def due() -> deliveries.Delivery:
        found = journal.read_now(lambda conn: deliveries.due(conn, "d", urgent=False))
        assert found is not None
        return found

    def later(conn: Connection, items: Sequence[int]) -> list[None]:
        for seq in items:
            deliveries.retry(conn, seq, at=NOON.replace(hour=13), answer="AE", sent=True)
        return [None] * len(items)

    def through(conn: Connection, items: Sequence[int]) -> list[None]:
        for seq in items:
            deliveries.end(conn, seq, DeliveryState.CONFIRMED, "AA")
        return [None] * len(items)

    first = due()
    assert first.draft_id == "D1"
    await journal.write(later, first.seq)
    assert due().draft_id == "D3"
    await journal.write(through, due().seq)
    assert due().draft_id == "D1"
    await journal.write(through, first.seq)
    assert due().draft_id == "D2"


def test_migrations_end_at_the_schema(tmp_path: Path) -> None:
    """A file brought up by the migrations has the very tables that the code reads."""
    engine = create_engine(f"sqlite:///{tmp_path}/m.db")
    migrate(engine)
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    engine.dispose()


def upgrade(engine: Engine, revision: str) -> None:
    """Bring a file to one revision and no further."""
    config = Config()
    config.set_main_option("script_location", str(Path(journal_package.__file__).parent / "migrations"))
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, revision)


def test_an_older_journal_keeps_what_is_in_it(tmp_path: Path) -> None:
    """A file of the first shape, with messages and cases in it, comes up to the present one and loses nothing."""
    engine = create_engine(f"sqlite:///{tmp_path}/m.db")
    upgrade(engine, "0001")
    case = Case(key=KEY, patient=Patient(id="900001"))
    with engine.begin() as conn:
        cases.save(conn, case)
        conn.exec_driver_sql(
            "INSERT INTO message VALUES (1, '2026-03-01 12:00', 'hl7v2', '', 'RIS\x1f1', 'd', 'ORU^R01', 'A1', x'', 0,"
            " x'', 'accepted', '', 0)"
        )
        conn.exec_driver_sql(
            "INSERT INTO draft_request VALUES ('A1', 'HOSP', 'r', '2026-03-01 12:00', '2026-03-01 12:00')"
        )
        conn.exec_driver_sql(
            "INSERT INTO delivery (control_id, destination, purpose, issuer, accession, draft_id, payload, state,"
            " attempts, next_at, answer, created_at) VALUES ('C1', 'd', 'draft', 'HOSP', 'A1', 'D1', x'', 'pending', 0,"
            " '2026-03-01 12:00', '', '2026-03-01 12:00')"
        )
    migrate(engine)
    with engine.begin() as conn:
        [request] = drafts.outstanding(conn, urgent=False, at_most=9)
        [delivery] = deliveries.of_case(conn, KEY)
        assert (request.urgent, delivery.urgent, delivery.control_id) == (False, False, "C1")
        assert drafts.outstanding(conn, urgent=True, at_most=9) == []
        assert count_messages(conn) == 1
        assert cases.load(conn, KEY) == case
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
        lora_events.record(conn, [LORA_EVENT])
        assert lora_events.of_owner(conn, "rad/900001") == [LORA_EVENT]
    engine.dispose()


async def test_what_happened_to_loras_is_told_in_order(journal: Journal) -> None:
    """An owner's events come back as they went in, oldest first, and nobody else's with them."""
    promoted = replace(LORA_EVENT, action=LoraAction.PROMOTED, reason="gate passed")
    for event_ in (LORA_EVENT, replace(LORA_EVENT, owner="rad/900002"), promoted):
        await journal.write(lora_events.record, event_)
    assert journal.read_now(lambda conn: lora_events.of_owner(conn, "rad/900001")) == [LORA_EVENT, promoted]


def stored(sop_uid: str) -> Kept:
    return Kept(
        sop_uid=sop_uid,
        class_uid="1.1",
        study_uid="1.9",
        series_uid="1.8",
        key=None,
        context="c",
        peer="",
        message=lambda: received(sop_uid),
    )


def test_no_lookup_reads_a_whole_table(tmp_path: Path) -> None:
    """Every statement of the hot path finds its rows by an index, however many there are."""
    engine = create_engine(f"sqlite:///{tmp_path}/m.db")
    migrate(engine)
    statements: list[str] = []

    def explain(conn: Connection, _cursor: object, sql: str, parameters: Any, *_: object) -> None:
        if sql.startswith(("SELECT", "UPDATE", "DELETE")):
            plan = conn.connection.cursor().execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
            statements.extend(f"{row[3]} <- {sql}" for row in plan if "SCAN" in row[3])

    event.listen(engine, "before_cursor_execute", explain)
    case = Case(key=KEY, patient=Patient(id="900001"))
    with engine.begin() as conn:
        messages.accept(conn, [received("1")])
        messages.waiting(conn, buckets=ALL, at_most=1)
        messages.settle(conn, 1, MessageState.DONE)
        cases.save(conn, case)
        cases.find(conn, CaseKey(accession="A9"), "1")
        cases.of_patient(conn, "900001", "")
        drafts.ask(conn, KEY, requested_at=NOON, ready_at=NOON)
        drafts.is_asked(conn, KEY, "")
        drafts.outstanding(conn, urgent=True, at_most=9)
        drafts.blocked(conn, 9)
        drafts.current(conn, KEY)
        drafts.of_case(conn, KEY)
        drafts.by_id(conn, "D1")
        drafts.close(conn, "D1", DraftState.WITHDRAWN, "")
        drafts.forget(conn, KEY)
        deliveries.withdraw(conn, KEY, "D1", at=NOON)
        deliveries.put(conn, ["d"], Purpose.DRAFT, KEY, "D1", at=NOON)
        deliveries.put(conn, ["e"], Purpose.DRAFT, KEY, "D1", at=NOON, urgent=True)
        deliveries.of_case(conn, KEY)
        delivery = deliveries.due(conn, "d", urgent=True)
        assert delivery is not None
        deliveries.begin(conn, delivery, b"x", at=NOON)
        deliveries.retry(conn, 1, at=NOON, answer="", sent=True)
        deliveries.end(conn, 1, DeliveryState.CONFIRMED, "AA")
        edits.of_case(conn, KEY)
        edits.drop(conn, KEY)
        lora_events.of_owner(conn, "rad/900001")
        dicom.keep(conn, [stored("1"), stored("2")])
        dicom.file(conn, [Filed(received=received("9"), studies=(("1.9", None),))])
        messages.settle(conn, 3, MessageState.DONE)
        dicom.relate(conn, "1.9", KEY)
        dicom.study_key(conn, "1.9")
        step = Filed(received=received("8"), studies=())
        dicom.begin_step(conn, [Begun(sop_uid="8", filed=step)])
        dicom.change_step(conn, [Changed(sop_uid="8", state=None, merge=lambda _: step)])
    engine.dispose()
    assert statements == []
