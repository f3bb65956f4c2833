"""Every statement of the hot path finds its rows by an index, however many there are, on either database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

from sqlalchemy import Connection, event

from radbridge.case import Case, CaseKey, Patient
from radbridge.draft import DraftState
from radbridge.journal import cases, deliveries, dicom, drafts, edits, heads, lora_events, messages
from radbridge.journal.buckets import ALL
from radbridge.journal.dicom import Begun, Changed, Filed, Kept
from radbridge.journal.heads import Lines, Share
from radbridge.journal.schema import DeliveryState, MessageState, Purpose
from radbridge.journal.stores import Stores
from tests.support.journals import KEY, received

OURS = ("new", "CONSTANT", "SCAN place", "SCAN line")
"""Tables that a statement makes, of a few rows."""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


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


def use_everything(conn: Connection) -> None:
    """Each statement that runs for every message, draft, delivery or object."""
    messages.accept(conn, [received("1")])
    messages.accept(conn, [received("1")])
    messages.is_there(conn, received("1"))
    messages.waiting(conn, buckets=ALL, at_most=1)
    messages.waiting(conn, buckets=[1, 2], at_most=1)
    messages.of_accession(conn, "A1")
    messages.take(conn, received("2"))
    messages.settle(conn, 1, MessageState.DONE)
    messages.keep_reply(conn, [(1, b"AA")])
    cases.save(conn, Case(key=KEY, patient=Patient(id="900001")))
    cases.find(conn, CaseKey(accession="A9"), "1")
    cases.of_patient(conn, "900001", "")
    cases.changed_since(conn, (NOON, "", ""), 9)
    drafts.ask(conn, KEY, requested_at=NOON, ready_at=NOON)
    drafts.is_asked(conn, KEY, "")
    drafts.outstanding(conn, urgent=True, at_most=9)
    drafts.outstanding(conn, urgent=True, at_most=9, buckets=[1, 2])
    drafts.blocked(conn, 9)
    drafts.current(conn, KEY)
    drafts.of_case(conn, KEY)
    drafts.by_id(conn, "D1")
    drafts.close(conn, "D1", DraftState.WITHDRAWN, "")
    drafts.forget(conn, KEY)
    edits.of_case(conn, KEY)
    edits.drop(conn, KEY)
    lora_events.of_owner(conn, "rad/900001")


def use_deliveries(conn: Connection) -> None:
    """Those of the outbox."""
    deliveries.withdraw(conn, KEY, "D1", at=NOON)
    deliveries.put(conn, ["d"], Purpose.DRAFT, KEY, "D1", at=NOON)
    deliveries.put(conn, ["e"], Purpose.DRAFT, KEY, "D1", at=NOON, urgent=True)
    deliveries.of_case(conn, KEY)
    delivery = deliveries.of_case(conn, KEY)[0]
    for share, closed in product((Share(), Share(1, 2)), (False, True)):
        lines = Lines(destination="d", share=share, withdrawals_only=closed)
        heads.look(conn, lines)
        heads.look(conn, replace(lines, fresh_only=True))
        heads.coming(conn, lines, at_most=8)
    deliveries.begin(conn, delivery, b"x", at=NOON)
    deliveries.retry(conn, delivery, at=NOON, answer="")
    deliveries.end(conn, delivery, DeliveryState.CONFIRMED, "AA")


def use_images(conn: Connection) -> None:
    """Those of the imaging side."""
    dicom.keep(conn, [stored("1"), stored("2")])
    dicom.file(conn, [Filed(received=received("9"), studies=(("1.9", None),))])
    messages.settle(conn, 3, MessageState.DONE)
    dicom.relate(conn, "1.9", KEY)
    dicom.study_key(conn, "1.9")
    step = Filed(received=received("8"), studies=())
    dicom.begin_step(conn, [Begun(sop_uid="8", filed=step)])
    dicom.change_step(conn, [Changed(sop_uid="8", state=None, merge=lambda _: step)])


def test_no_lookup_reads_a_whole_table(stores: Stores) -> None:
    """No plan reads a table from end to end. PostgreSQL is told to do so only where it can't do otherwise."""
    found: list[str] = []

    def explain(conn: Connection, _cursor: object, sql: str, parameters: Any, *_: object) -> None:
        if not sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")) or "pg_advisory" in sql:
            return
        is_sqlite = conn.dialect.name == "sqlite"
        cursor = conn.connection.cursor()
        if isinstance(parameters, list):
            parameters = parameters[0]
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if is_sqlite else ''}{sql}", parameters)
        plan = [row[3] if is_sqlite else row[0] for row in cursor.fetchall()]
        scans = [line for line in plan if line.startswith("SCAN") or "Seq Scan" in line]
        found.extend(f"{line} <- {sql}" for line in scans if not any(one in line for one in OURS))

    with stores.begin() as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        event.listen(conn, "before_cursor_execute", explain)
        use_everything(conn)
        use_deliveries(conn)
        use_images(conn)
        event.remove(conn, "before_cursor_execute", explain)
    assert found == []
