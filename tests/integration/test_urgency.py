"""Cases with a critical finding go first, at the model and at every destination."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from radbridge.case import CaseKey
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Flag, FlagKind, Severity
from radbridge.errors import DeliveryFailed
from radbridge.journal import Journal, deliveries, drafts, heads
from radbridge.journal.heads import Lines
from radbridge.journal.schema import Purpose
from radbridge.testing import FakeModel, MemorySink
from tests.support.flow import FlaggingModel, Flow, running

CRITICAL = "Large right pneumothorax. More."
CONCURRENCY = 4
"""Of the flow's drafter."""


class Turnstile(FakeModel):
    """Lets one request through for each `release`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Semaphore(0)

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """Note the request, answer when let through."""
        answer = await super().draft(request)
        await self.gate.acquire()
        return answer


def resting(flow: Flow) -> int:
    """Requests whose text has rested."""

    def count(conn: Connection) -> int:
        found = [r for urgent in (True, False) for r in drafts.outstanding(conn, urgent=urgent, at_most=99)]
        return sum(r.ready_at <= datetime.now(UTC) for r in found)

    return flow.journal.read_now(count)


async def test_a_critical_case_is_drafted_first(tmp_path: Path) -> None:
    """With every place at the model taken, the next free ones go to critical cases, and the others follow in order.

    Calls that are under way stay under way.
    """
    model = Turnstile()
    async with running(tmp_path, model, deadline_s=600.0) as flow:
        for n in range(7):
            await flow.say(accession=f"A{n}", dictate=f"Nodule {n}. More.")
            await flow.until(lambda: resting(flow) > n)  # noqa: B023 - called at once
        await flow.until(lambda: len(model.requests) == CONCURRENCY)
        for n in range(6):
            await flow.say(accession=f"C{n}", dictate=CRITICAL)
            await flow.until(lambda: resting(flow) > 7 + n)  # noqa: B023 - called at once
        asked = CONCURRENCY
        while asked < 13:
            model.gate.release()
            asked += 1
            await flow.until(lambda: len(model.requests) == asked)  # noqa: B023 - called at once
        assert [r.findings[:6] for r in model.requests[:CONCURRENCY]] == ["Nodule"] * CONCURRENCY
        later = [r.findings.split(".")[0] for r in model.requests[CONCURRENCY:]]
        sick = CRITICAL.split(".", maxsplit=1)[0]
        assert later == [sick] * 6 + ["Nodule 4", "Nodule 5", "Nodule 6"]


@pytest.mark.parametrize("by", ["findings", "flag"])
async def test_a_critical_draft_is_delivered_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """What waits for an absent peer goes out critical drafts first: critical by their findings or by a flag."""
    monkeypatch.setattr("radbridge.flow.results.backoff", lambda _: 0.02)
    flag = Flag(kind=FlagKind.CRITICAL, message="made up", severity=Severity.WARNING)
    model = FlaggingModel(lambda findings: (flag,) if "Urgent" in findings else ())
    away = True

    def answer(_: int) -> str | DeliveryFailed:
        return DeliveryFailed("dictation", "nobody there", sent=False) if away else "AA"

    async with running(tmp_path, model, MemorySink(answer=answer)) as flow:
        for n in range(5):
            await flow.say(accession=f"A{n}", dictate=f"Nodule {n}. More.")
        await flow.until(lambda: len(flow.model.answered) == 5)
        text = CRITICAL if by == "findings" else "Urgent nodule. More."
        await flow.say(accession="C1", dictate=text)
        urgent = f"draft C1 {text.split('.')[0]}.".encode()
        await flow.until(lambda: [payload for _, payload in flow.sink.tried[-1:]] == [urgent])
        away = False
        await flow.until(lambda: len(flow.delivered()) == 6)
        assert flow.delivered()[0].encode() == urgent
        assert sorted(flow.delivered()[1:]) == [f"draft A{n} Nodule {n}." for n in range(5)]


async def test_an_urgent_delivery_takes_along_what_is_before_it(tmp_path: Path) -> None:
    """A case's withdrawal that waits among the others is sent before the urgent draft that waits for it."""
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    now = datetime.now(UTC)
    case, other = CaseKey(accession="A1"), CaseKey(accession="A0")

    def put(conn: Connection, items: Sequence[tuple[CaseKey, Purpose, str, bool]]) -> list[None]:
        for n, (key, purpose, draft_id, urgent) in enumerate(items):
            deliveries.put(conn, ["d"], purpose, key, draft_id, at=now + timedelta(seconds=n), urgent=urgent)
        return [None] * len(items)

    for item in (
        (other, Purpose.DRAFT, "D0", False),
        (case, Purpose.WITHDRAWAL, "D1", False),
        (case, Purpose.DRAFT, "D2", True),
    ):
        await journal.write(put, item)

    look = journal.read_now(lambda conn: heads.look(conn, Lines(destination="d")))
    found = [(head.delivery.draft_id, head.delivery.purpose) for head in look.heads]
    assert found == [("D1", "withdrawal"), ("D0", "draft")]
    await journal.close()
