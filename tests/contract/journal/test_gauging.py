"""The gauges on `/metrics`, read from a real journal, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Table, delete, insert, update

from radbridge.audit import Note, What
from radbridge.case import CaseKey
from radbridge.flow import gauging
from radbridge.flow.gauging import Gauging
from radbridge.journal import Journal, audit, deliveries, drafts, messages
from radbridge.journal.cursors import PURGE, begin, done
from radbridge.journal.schema import DeliveryState, MessageState, Purpose, audit_events, cursors, destinations
from radbridge.journal.schema import deliveries as delivery_rows
from radbridge.journal.schema import messages as message_rows
from radbridge.metrics import Metrics
from radbridge.wire import Received

KEY = CaseKey(accession="ZQACC1")
SLACK_S = 600
"""So long a machine may stand still between what is written and the look at it."""


@asynccontextmanager
async def gauged(
    journal: Journal,
    folder: Path,
    *writes: Callable[[Connection, Sequence[None]], list[None]],
    tells_syslog: bool = True,
    purges: bool = False,
) -> AsyncIterator[Metrics]:
    """The metrics after a look at a journal to which `writes` were made."""
    metrics = Metrics()
    for write in writes:
        await journal.write(write, None)
    work = asyncio.create_task(Gauging(journal, metrics, disk=folder, tells_syslog=tells_syslog, purges=purges).run())
    async with asyncio.timeout(60):
        while not value(metrics, "radbridge_disk_size_bytes"):
            await asyncio.sleep(0.005)
    yield metrics
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """One sample; 0 where there is none."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


def received(number: int) -> Received:
    return Received(
        wire="hl7v2", peer="p", sender="RIS", control_id=str(number), kind="ORU^R01", raw=b"%d" % number, ack=b""
    )


def age(conn: Connection, table: Table, column: str, seconds: float) -> None:
    """Have every row come so long ago."""
    conn.execute(update(table).values({column: datetime.now(UTC) - timedelta(seconds=seconds)}))


def fill(conn: Connection, items: Sequence[None]) -> list[None]:
    """Two messages that wait for a minute, a request that is due, three deliveries to two destinations."""
    messages.accept(conn, [received(1), received(2)])
    age(conn, message_rows, "received_at", 60)
    now = datetime.now(UTC)
    drafts.ask(conn, KEY, requested_at=now, ready_at=now + timedelta(seconds=600))
    deliveries.put(conn, ["ris", "pacs"], Purpose.DRAFT, KEY, "D1", at=now - timedelta(seconds=30))
    deliveries.put(conn, ["ris"], Purpose.DRAFT, KEY, "D2", at=now)
    return [None] * len(items)


async def test_queues(journal: Journal, tmp_path: Path) -> None:
    """How many messages, drafts and deliveries wait, and for how long the oldest has; what isn't due has age 0."""
    async with gauged(journal, tmp_path, fill) as metrics:
        assert value(metrics, "radbridge_queue_depth", queue="apply", destination="") == 2
        assert 60 <= value(metrics, "radbridge_queue_age_seconds", queue="apply", destination="") < 60 + SLACK_S
        assert value(metrics, "radbridge_queue_depth", queue="draft", destination="") == 1
        assert value(metrics, "radbridge_queue_age_seconds", queue="draft", destination="") == 0
        assert value(metrics, "radbridge_queue_depth", queue="deliver", destination="ris") == 2
        assert value(metrics, "radbridge_queue_depth", queue="deliver", destination="pacs") == 1
        assert 30 <= value(metrics, "radbridge_queue_age_seconds", queue="deliver", destination="ris") < 30 + SLACK_S
        assert 0 < value(metrics, "radbridge_disk_free_bytes") < value(metrics, "radbridge_disk_size_bytes")
        assert "ZQ" not in metrics.page().decode()


def settle(conn: Connection, items: Sequence[None]) -> list[None]:
    """One message set aside, one failed; one delivery dead, one refused."""
    fill(conn, items)
    first, second = messages.waiting(conn, buckets=range(64), at_most=2)
    messages.settle(conn, first.id, MessageState.QUARANTINED, "poison")
    messages.settle(conn, second.id, MessageState.FAILED, "unknown")
    dead, refused, _ = deliveries.of_case(conn, KEY)
    deliveries.end(conn, dead, DeliveryState.DEAD, "")
    deliveries.end(conn, refused, DeliveryState.REFUSED, "")
    return [None] * len(items)


async def test_what_waits_for_a_person(journal: Journal, tmp_path: Path) -> None:
    """What failed, was set aside, died or was refused is counted by its state, and waits in no queue."""
    async with gauged(journal, tmp_path, settle) as metrics:
        for kind in ("failed", "quarantined", "dead", "refused"):
            assert value(metrics, "radbridge_dead", kind=kind) == 1, kind
        assert value(metrics, "radbridge_dead", kind="rejected") == 0
        assert value(metrics, "radbridge_queue_depth", queue="apply", destination="") == 0


def stop(conn: Connection, items: Sequence[None]) -> list[None]:
    """A destination that was paused and one whose breaker is open; a trail with two notes told and one pending."""
    now = datetime.now(UTC)
    rows = [
        {"name": "ris", "state": "paused", "changed_at": now, "open_until": None},
        {"name": "pacs", "state": "open", "changed_at": now, "open_until": now + timedelta(seconds=SLACK_S)},
        {"name": "ehr", "state": "open", "changed_at": now, "open_until": now - timedelta(seconds=60)},
    ]
    conn.execute(insert(destinations), rows)
    told = {
        "at": now - timedelta(seconds=300),
        "what": "x",
        "actor": "",
        "entity": "",
        "document": b"{}",
        "prev": b"",
        "hash": b"",
    }
    conn.execute(insert(audit_events), [{"seq": seq, **told} for seq in (1, 2, 3)])
    conn.execute(insert(cursors), {"name": "syslog", "seq": 2, "at": now})
    audit.note(conn, [Note(at=now - timedelta(seconds=120), what=What.STARTED)])
    return [None] * len(items)


async def test_destinations_and_the_trail(journal: Journal, tmp_path: Path) -> None:
    """Pauses, open breakers, notes that aren't in the chain yet and those that syslog wasn't told are gauges."""
    async with gauged(journal, tmp_path, stop) as metrics:
        assert value(metrics, "radbridge_paused", destination="ris") == 1
        assert value(metrics, "radbridge_paused", destination="pacs") == 0
        assert value(metrics, "radbridge_breaker_open", destination="pacs") == 1
        assert value(metrics, "radbridge_breaker_open", destination="ehr") == 0
        assert value(metrics, "radbridge_audit_seq") == 3
        assert value(metrics, "radbridge_syslog_lag") == 1
        assert value(metrics, "radbridge_syslog_age_seconds") >= 300
        assert value(metrics, "radbridge_audit_pending") == 1
        assert value(metrics, "radbridge_audit_pending_age_seconds") >= 120


def forget_cursor(conn: Connection, items: Sequence[None]) -> list[None]:
    """No repository has ever taken anything."""
    conn.execute(delete(cursors))
    return [None] * len(items)


async def test_a_repository_that_never_took_anything_is_behind(journal: Journal, tmp_path: Path) -> None:
    """Where syslog was never reached, from the first day on, all of the trail is what it doesn't know."""
    async with gauged(journal, tmp_path, stop, forget_cursor) as metrics:
        assert value(metrics, "radbridge_syslog_lag") == 3
        assert value(metrics, "radbridge_syslog_age_seconds") >= 300


def anchor(conn: Connection, items: Sequence[None]) -> list[None]:
    """A purge took the first two events."""
    audit.anchor(conn, audit.Head(seq=2), at=datetime.now(UTC), reason="retention")
    return [None] * len(items)


async def test_a_new_repository_is_behind_by_what_there_is(journal: Journal, tmp_path: Path) -> None:
    """What was purged before syslog was set up is never sent, and doesn't count."""
    async with gauged(journal, tmp_path, stop, forget_cursor, anchor) as metrics:
        assert value(metrics, "radbridge_syslog_lag") == 1


async def test_a_repository_that_was_taken_out_is_not_behind(journal: Journal, tmp_path: Path) -> None:
    """A site that sends its trail nowhere any more has no lag, whatever was sent before."""
    async with gauged(journal, tmp_path, stop, tells_syslog=False) as metrics:
        assert value(metrics, "radbridge_audit_seq") == 3
        assert value(metrics, "radbridge_syslog_lag") == 0
        assert value(metrics, "radbridge_syslog_age_seconds") == 0


def purge_yesterday(conn: Connection, items: Sequence[None]) -> list[None]:
    """The last purge came to its end a day ago; a gateway that begins since then changes nothing about that."""
    done(conn, PURGE)
    age(conn, cursors, "at", 86400)
    begin(conn, PURGE)
    return [None] * len(items)


async def test_how_long_ago_the_purge_was(journal: Journal, tmp_path: Path) -> None:
    """The time since a purge came to its end is a gauge, where anything is ever purged."""
    async with gauged(journal, tmp_path, purge_yesterday, purges=True) as metrics:
        assert 86400 <= value(metrics, "radbridge_purge_age_seconds") < 86400 + SLACK_S
    async with gauged(journal, tmp_path) as metrics:
        assert value(metrics, "radbridge_purge_age_seconds") == 0


async def test_a_queue_that_ran_empty_is_zero(journal: Journal) -> None:
    """A destination with nothing left to deliver has depth and age 0, not what they last were."""
    metrics = Metrics()
    gauges = Gauging(journal, metrics, disk=None, tells_syslog=False)
    await journal.write(fill, None)
    gauges._tell(await journal.read(gauging._look))  # noqa: SLF001 - one look, without its pause
    assert value(metrics, "radbridge_queue_depth", queue="deliver", destination="ris") == 2
    await journal.write(confirm, None)
    gauges._tell(await journal.read(gauging._look))  # noqa: SLF001 - as above
    assert value(metrics, "radbridge_queue_depth", queue="deliver", destination="ris") == 0
    assert value(metrics, "radbridge_queue_age_seconds", queue="deliver", destination="ris") == 0


def confirm(conn: Connection, items: Sequence[None]) -> list[None]:
    """All that waited was delivered."""
    conn.execute(update(delivery_rows).values(state=DeliveryState.CONFIRMED))
    return [None] * len(items)
