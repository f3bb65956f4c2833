"""The outbox: a row per message that has to go out, made in the transaction that made its reason."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, literal_column, or_, update

from radbridge.case import CaseKey
from radbridge.journal.buckets import bucket_of
from radbridge.journal.schema import DeliveryState, Purpose, deliveries
from radbridge.journal.tables.where import DELIVERY_WAITS
from radbridge.journal.types import as_stored, clean, open_stored
from radbridge.traces import carried

_ROWS = as_stored(deliveries, deliveries.c.payload)
_SENT_BY_OTHERS = _ROWS.where(
    deliveries.c.senders != literal_column("''"),  # as the index says it
    deliveries.c.senders != bindparam("mark"),
    deliveries.c.destination == bindparam("to_destination"),
).order_by(deliveries.c.seq)
_OF_CASE = _ROWS.where(
    deliveries.c.accession == bindparam("in_accession"), deliveries.c.issuer == bindparam("in_issuer")
).order_by(deliveries.c.seq)
_HURRY = (
    update(deliveries)
    .where(
        deliveries.c.accession == bindparam("in_accession"),
        deliveries.c.issuer == bindparam("in_issuer"),
        deliveries.c.state == DeliveryState.PENDING,
    )
    .values(urgent=True)
)
_OF_DRAFT = _ROWS.where(deliveries.c.draft_id == bindparam("of_draft")).order_by(deliveries.c.seq)
_THIS = (deliveries.c.seq == bindparam("row")) & (deliveries.c.control_id == bindparam("of_id"))
"""A database that lost its last commits in a failover gives their row numbers again, and never a control id."""
_UPDATE = update(deliveries).where(_THIS)
_OTHER_SENDERS = func.replace(deliveries.c.senders, bindparam("mark"), "")
_BEGIN = _UPDATE.where(DELIVERY_WAITS).values(
    payload=bindparam("bytes_out"),
    attempts=deliveries.c.attempts + 1,
    first_sent_at=func.coalesce(deliveries.c.first_sent_at, bindparam("now")),
    sent_at=bindparam("now"),
    senders=_OTHER_SENDERS.concat(bindparam("mark")),
)
_RETRY = _UPDATE.values(
    next_at=bindparam("at"),
    answer=bindparam("said"),
    attempts=deliveries.c.attempts - bindparam("unsent"),
    nacks=deliveries.c.nacks + bindparam("refused"),
    unanswered=deliveries.c.unanswered + bindparam("ignored"),
    sent_at=bindparam("open_since"),
    senders=_OTHER_SENDERS,
)
_END = _UPDATE.where(or_(deliveries.c.confirmed_at.is_(None), deliveries.c.confirmed_at != bindparam("at"))).values(
    state=bindparam("to_state"),
    answer=bindparam("said"),
    confirmed_at=bindparam("at"),
    next_at=deliveries.c.next_at,
    sent_at=None,
    senders=_OTHER_SENDERS,
)
_UNDO = _UPDATE.where(
    deliveries.c.attempts == bindparam("seen") + 1, deliveries.c.senders.contains(bindparam("mark"))
).values(
    payload=bindparam("bytes_before"),
    attempts=deliveries.c.attempts - 1,
    sent_at=bindparam("sent_before"),
    first_sent_at=bindparam("first_sent_before"),
)
_FORGET = _UPDATE.where(deliveries.c.senders.contains(bindparam("mark"))).values(senders=_OTHER_SENDERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A message on its way to one destination."""

    seq: int
    control_id: str
    destination: str
    purpose: Purpose
    key: CaseKey
    draft_id: str
    payload: bytes = field(repr=False)
    """Empty until the first send; every later send repeats the very same bytes under the same control id."""
    state: DeliveryState
    attempts: int
    next_at: datetime
    answer: str
    created_at: datetime
    confirmed_at: datetime | None
    urgent: bool
    """It goes before those that aren't."""
    trace: str = ""
    """The W3C `traceparent` that it goes on under."""
    nacks: int = 0
    """Answers that asked for another try."""
    unanswered: int = 0
    """Copies that stayed without an answer though the peer had just answered another one."""
    sent_at: datetime | None = None
    """The send whose answer is still open; None: there is none."""
    first_sent_at: datetime | None = None
    senders: tuple[str, ...] = ()
    """Gateways of a cluster that have begun to send it, and haven't noted what came of it."""
    broken: str = ""
    """Why its payload can't be opened; empty: it can."""

    @property
    def is_fresh(self) -> bool:
        """Whether it was never sent."""
        return self.attempts == 0


def new_control_id() -> str:
    """18 characters, of at most 20 (MSH-10 in 2.5.1). Random, so that a journal started afresh never repeats one."""
    return "RB" + base64.b32encode(secrets.token_bytes(10)).decode()


def put(
    conn: Connection,
    destinations: Iterable[str],
    purpose: Purpose,
    key: CaseKey,
    draft_id: str,
    *,
    at: datetime,
    urgent: bool = False,
) -> None:
    """Queue one delivery for each destination. What waits of the same case before an urgent one gets urgent with it."""
    if urgent:
        conn.execute(_HURRY, {"in_accession": key.accession, "in_issuer": key.issuer})
    rows = [
        {
            "control_id": new_control_id(),
            "destination": destination,
            "purpose": purpose,
            "issuer": key.issuer,
            "accession": key.accession,
            "draft_id": draft_id,
            "payload": b"",
            "state": DeliveryState.PENDING,
            "attempts": 0,
            "next_at": at,
            "answer": "",
            "created_at": at,
            "urgent": urgent,
            "bucket": bucket_of(clean(key.accession)),
            "trace": carried(),
        }
        for destination in destinations
    ]
    if rows:
        conn.execute(insert(deliveries), rows)


def withdraw(conn: Connection, key: CaseKey, draft_id: str, *, at: datetime) -> None:
    """Take a draft back: what was never sent is cancelled, what a peer may have seen is followed by a withdrawal."""
    seen: list[str] = []
    rows = conn.execute(_OF_DRAFT, {"of_draft": draft_id}).all()
    for row in rows:
        if row.purpose != Purpose.DRAFT:
            return  # taken back already
        if row.state == DeliveryState.PENDING:
            end(conn, of_row(conn, row), DeliveryState.CANCELLED, "withdrawn")
        if row.attempts:
            seen.append(row.destination)
    put(conn, dict.fromkeys(seen), Purpose.WITHDRAWAL, key, draft_id, at=at, urgent=any(row.urgent for row in rows))


def find_sent_by_others(conn: Connection, destination: str, *, me: str) -> list[Delivery]:
    """What other gateways have begun to send there without a noted end."""
    asked = {"to_destination": destination, "mark": _mark(me)}
    return [of_row(conn, row) for row in conn.execute(_SENT_BY_OTHERS, asked)]


def begin(conn: Connection, delivery: Delivery, payload: bytes, *, at: datetime, sender: str = "") -> bool:
    """Note that a send begins: from here on the peer may have seen it. False when the delivery was cancelled."""
    told = _row(delivery, sender) | {"bytes_out": payload, "now": at}
    return conn.execute(_BEGIN, told).rowcount == 1


def undo_begin(conn: Connection, delivery: Delivery, sender: str) -> None:
    """A gateway's send of it never left: it is as it was before that began, `delivery`, if nobody sent it since."""
    before = {
        "bytes_before": delivery.payload,
        "sent_before": delivery.sent_at,
        "first_sent_before": delivery.first_sent_at,
    }
    conn.execute(_UNDO, _row(delivery, sender) | before | {"seen": delivery.attempts})


def forget_send(conn: Connection, delivery: Delivery, sender: str) -> bool:
    """Note that a gateway's send of it is over, whatever came of it. False where that was known."""
    return bool(sender) and conn.execute(_FORGET, _row(delivery, sender)).rowcount == 1


def retry(
    conn: Connection,
    delivery: Delivery,
    *,
    at: datetime,
    answer: str,
    sent: bool = True,
    sent_at: datetime | None = None,
    ignored: bool = False,
    sender: str = "",
) -> None:
    """Try again, not before `at`. What was not `sent` counts as no attempt: the peer can't have seen it.

    `sent_at` is when it was sent where no answer came; None: it was answered, and asked for another try. `ignored`
    says that the peer had just answered another one.
    """
    told = _row(delivery, sender) | {"at": at, "said": answer, "open_since": sent_at, "ignored": int(ignored)}
    conn.execute(_RETRY, told | {"unsent": int(not sent), "refused": int(sent and sent_at is None)})


def end(
    conn: Connection,
    delivery: Delivery,
    state: DeliveryState,
    answer: str,
    *,
    confirmed_at: datetime | None = None,
    sender: str = "",
) -> bool:
    """Note what became of a delivery in the end; False where this very yes was noted before.

    Without its `sender`, a send that is under way stays so.
    """
    told = _row(delivery, sender) | {"to_state": state, "said": answer, "at": confirmed_at}
    return conn.execute(_END, told).rowcount == 1


def of_case(conn: Connection, key: CaseKey) -> list[Delivery]:
    """Every delivery of a case, oldest first."""
    return [
        of_row(conn, r) for r in conn.execute(_OF_CASE, {"in_accession": key.accession, "in_issuer": key.issuer}).all()
    ]


def _row(delivery: Delivery, sender: str = "") -> dict[str, Any]:
    return {"row": delivery.seq, "of_id": delivery.control_id, "mark": _mark(sender)}


def _mark(sender: str) -> str:
    """As it stands among others."""
    return f"{sender} " if sender else ""


def of_row(conn: Connection, row: Row[Any]) -> Delivery:
    """A row with its payload as it is `stored`."""
    payload, broken = open_stored(conn, row.stored, "delivery.payload")
    return Delivery(
        seq=row.seq,
        control_id=row.control_id,
        destination=row.destination,
        purpose=Purpose(row.purpose),
        key=CaseKey(accession=row.accession, issuer=row.issuer),
        draft_id=row.draft_id,
        payload=payload,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_at=row.next_at,
        answer=row.answer,
        created_at=row.created_at,
        confirmed_at=row.confirmed_at,
        urgent=row.urgent,
        trace=row.trace,
        nacks=row.nacks,
        unanswered=row.unanswered,
        sent_at=row.sent_at,
        first_sent_at=row.first_sent_at,
        senders=tuple(row.senders.split()),
        broken=broken,
    )
