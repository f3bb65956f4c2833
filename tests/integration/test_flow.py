"""Journal, processor, drafter and courier on a real SQLite file; the model and the peer are the shipped fakes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from secrets import token_hex

import pytest
from sqlalchemy import Connection, update

from radbridge.case import Case
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import DraftImpression, DraftState
from radbridge.edit import Outcome
from radbridge.errors import DeliveryFailed, DeliveryRefused, ModelError, ModelUnavailable, Superseded
from radbridge.flow.asking import hide
from radbridge.flow.intake import JournalIntake
from radbridge.journal import Journal, deliveries, drafts, edits
from radbridge.journal.schema import DeliveryState, EditState, MessageState, draft_requests
from radbridge.metrics import Metrics
from radbridge.testing import FakeModel, MemorySink
from radbridge.wire import Received
from tests.support.flow import KEY, Flow, running
from tests.support.held_model import HeldModel


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once: how long they wait is `test_delivery_rules`' matter."""
    monkeypatch.setattr("radbridge.flow.results.backoff", lambda _: 0.01)


async def test_findings_to_delivery(tmp_path: Path) -> None:
    """A dictated report comes out as a draft at the sink."""
    async with running(tmp_path) as flow:
        assert await flow.say(dictate="Small left effusion. Clear otherwise.") == b"AA1"
        await flow.until(flow.delivered)
        assert flow.delivered() == ["draft A1 Small left effusion."]


async def test_an_answer_means_committed(tmp_path: Path) -> None:
    """When the answer is there, every other connection to the file sees the message (rule 1)."""
    async with running(tmp_path) as flow:
        for n in range(1, 21):
            await flow.say(dictate=f"Text {n}.")
            with closing(sqlite3.connect(tmp_path / "radbridge.db")) as other:
                assert other.execute("SELECT count(*) FROM message").fetchone() == (n,)


async def test_burst_makes_one_draft(tmp_path: Path) -> None:
    """A burst of dictation saves makes one draft, for the last text."""
    async with running(tmp_path, settle_s=25) as flow:
        for n in range(20):
            await flow.say(dictate=f"Text {n}. More.")
        await flow.until(flow.applied)
        await flow.journal.write(_settle, None)
        await flow.say(accession="A2", order=True)  # wakes the drafter
        await flow.until(flow.delivered)
        assert flow.delivered() == ["draft A1 Text 19."]
        assert [r.findings for r in flow.model.requests] == ["Text 19. More."]


def _settle(conn: Connection, items: Sequence[None]) -> list[None]:
    """The texts that wait to be drafted have stood for long enough."""
    conn.execute(update(draft_requests).values(ready_at=datetime.now(UTC)))
    return [None] * len(items)


async def test_text_that_changes_under_the_model(tmp_path: Path) -> None:
    """A draft whose text changed while the model wrote is never delivered."""
    model = HeldModel()
    async with running(tmp_path, model) as flow:
        await flow.say(dictate="Old text. More.")
        await flow.until(lambda: model.asked)
        await flow.say(dictate="New text. More.")
        await flow.until(lambda: len(model.asked) == 2)
        model.free.set()
        await flow.until(flow.delivered)
        assert flow.delivered() == ["draft A1 New text."]


async def test_answer_that_comes_all_the_same(tmp_path: Path) -> None:
    """An answer to a question that was taken back is stored as stale and goes nowhere."""
    model = HeldModel(stubborn=True)
    async with running(tmp_path, model) as flow:
        await flow.say(dictate="Old text. More.")
        await flow.until(lambda: model.asked)
        await flow.say(dictate="New text. More.")
        await flow.until(lambda: len(model.asked) == 2)
        await flow.until(lambda: flow.states() == [DraftState.STALE])  # it answers as soon as its caller hangs up
        model.free.set()
        await flow.until(flow.delivered)
        assert flow.model.answered == ["Old text. More.", "New text. More."]
        assert flow.delivered() == ["draft A1 New text."]
        assert flow.states() == [DraftState.STALE, DraftState.CURRENT]


async def test_changed_findings_withdraw(tmp_path: Path) -> None:
    """A delivered draft is withdrawn before the draft of the new text arrives."""
    async with running(tmp_path) as flow:
        await flow.say(dictate="Old text. More.")
        await flow.until(flow.delivered)
        await flow.say(dictate="New text. More.")
        await flow.until(lambda: len(flow.delivered()) == 3)
        assert flow.delivered() == ["draft A1 Old text.", "withdrawal A1 Old text.", "draft A1 New text."]


async def test_withdrawn_before_it_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no peer has seen is cancelled without a word."""
    monkeypatch.setattr("radbridge.flow.courier.KNOCK_S", 600.0)  # one knock, and no second one in the way
    monkeypatch.setattr("radbridge.flow.results.backoff", lambda _: 600.0)
    down = MemorySink(answer=lambda _: DeliveryFailed("dictation", "nobody there", sent=False))
    async with running(tmp_path, sink=down) as flow:
        await flow.say(dictate="Old text. More.")
        await flow.until(lambda: _answers(flow) == ["nobody there"])
        await flow.say(cancel=True)
        await flow.until(lambda: flow.states() == [DraftState.WITHDRAWN])
        kinds = [(d.purpose, d.state) for d in flow.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))]
        assert kinds == [("draft", DeliveryState.CANCELLED)]
        assert flow.delivered() == []


async def test_a_peer_that_says_when(tmp_path: Path) -> None:
    """A peer that asks to be left alone for a while is not asked before."""
    busy = MemorySink(answer=lambda _: DeliveryFailed("dictation", "busy", retry_after_s=600.0))
    async with running(tmp_path, sink=busy) as flow:
        await flow.say(dictate="Old text. More.")
        await flow.until(lambda: _answers(flow) == ["busy"])
        [delivery] = flow.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))
        assert (delivery.next_at - datetime.now(UTC)).total_seconds() > 500


async def test_a_peer_that_is_away_costs_no_attempt(tmp_path: Path) -> None:
    """However long nobody can be reached, the delivery goes out when the peer is back."""

    def away(attempt: int) -> str | DeliveryFailed:
        return DeliveryFailed("dictation", "nobody there", sent=False) if attempt <= 4 else "AA"

    async with running(tmp_path, sink=MemorySink(answer=away)) as flow:
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(lambda: _confirmed(flow))
        [delivery] = flow.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))
        assert delivery.attempts == 1


async def test_signed_report_becomes_an_edit(tmp_path: Path) -> None:
    """The signed text is paired with the draft it followed, and the draft is withdrawn at the sink."""
    async with running(tmp_path) as flow:
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(flow.delivered)
        await flow.until(lambda: _confirmed(flow))
        await flow.say(sign="Small left effusion.")
        await flow.until(lambda: len(flow.delivered()) == 2)
        [(edit, state)] = flow.journal.read_now(lambda conn: edits.of_case(conn, KEY))
        assert (edit.outcome, edit.distance, state) == (Outcome.ACCEPTED, 0.0, EditState.KEPT)
        assert flow.states() == [DraftState.SIGNED]
        await flow.say(sign="Moderate right effusion.")
        await flow.until(lambda: _edit_text(flow) == "Moderate right effusion.")


async def test_wrong_patient_drops_the_example(tmp_path: Path) -> None:
    """A report of the wrong patient teaches nothing."""
    async with running(tmp_path) as flow:
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(flow.delivered)
        await flow.say(sign="Small left effusion.")
        await flow.say(wrong=True)
        await flow.until(flow.applied)
        [(_, state)] = flow.journal.read_now(lambda conn: edits.of_case(conn, KEY))
        assert state is EditState.DROPPED
        assert list(flow.journal.read_now(lambda conn: list(edits.kept(conn)))) == []


async def test_model_down_is_recorded(tmp_path: Path) -> None:
    """With the model down the report is taken in all the same, and the journal says why there is no draft."""
    async with running(tmp_path, FakeModel(error=ModelUnavailable()), deadline_s=0.4) as flow:
        assert await flow.say(dictate="Small left effusion. More.") == b"AA1"
        await flow.until(lambda: flow.states() == [DraftState.NONE])
        [stored] = flow.journal.read_now(lambda conn: drafts.of_case(conn, KEY))
        assert "no draft within" in stored.reason


async def test_slow_model_passes_its_deadline(tmp_path: Path) -> None:
    """A draft that would come after the deadline is given up, and the journal says so."""
    async with running(tmp_path, FakeModel(delay_s=30), deadline_s=0.2) as flow:
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(lambda: flow.states() == [DraftState.NONE])
        assert flow.delivered() == []


class Busy(FakeModel):
    """Turns the first `times` requests away with `refusal`, each after `delay_s`."""

    def __init__(self, refusal: ModelError, times: int, delay_s: float = 0.0) -> None:
        super().__init__(delay_s=delay_s)
        self.refusal = refusal
        self.times = times

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The refusal, then drafts."""
        self.error = self.refusal if len(self.requests) < self.times else None
        return await super().draft(request)


async def test_each_try_states_the_time_that_is_left(tmp_path: Path) -> None:
    """A request that is sent again tells the server what remains of the deadline, never the whole of it anew."""
    model = Busy(ModelUnavailable(), times=3, delay_s=0.01)
    async with running(tmp_path, model, deadline_s=600.0) as flow:
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(flow.delivered)
        told = [r.deadline_ms or 0 for r in model.requests]
        assert len(told) == 4
        assert 500_000 < told[0] <= 600_000
        assert all(earlier - later >= 250 for earlier, later in pairwise(told))
        assert len({r.id for r in model.requests}) == 1


async def test_a_superseded_call_is_dropped_quietly(tmp_path: Path) -> None:
    """When the server says that a newer request runs, no draft and no reason is stored; what stands is asked again."""
    model = Busy(Superseded(), times=1)
    async with running(tmp_path, model) as flow:
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(flow.delivered)
        assert len(model.requests) == 2
        assert flow.states() == [DraftState.CURRENT]


async def test_the_model_server_never_learns_an_accession(tmp_path: Path) -> None:
    """A case has the same name in each of its requests, another than every other case, and it isn't the accession."""
    async with running(tmp_path) as flow:
        for accession, text in (("A900001", "One."), ("A900001", "Two."), ("A900002", "Three.")):
            await flow.say(accession=accession, dictate=text)
            await flow.until(lambda: text in {r.findings for r in flow.model.requests})  # noqa: B023 - called at once
        first, again, other = (r.case for r in flow.model.requests)
        assert first == again != other
        assert re.fullmatch("[0-9a-f]{32}", first)
    assert hide(KEY, b"one") != hide(KEY, b"other")


async def test_retry_repeats_id_and_bytes(tmp_path: Path) -> None:
    """A delivery that failed goes out again under the same control id with the same bytes."""

    class Clock(MemorySink):
        """Composes another text each time, as one with the time of day in it does."""

        def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
            return super().compose(case, draft, control_id) + token_hex(4).encode()

    def once(attempt: int) -> str | DeliveryFailed:
        return DeliveryFailed("dictation", "AE") if attempt == 1 else "AA"

    async with running(tmp_path, sink=Clock(answer=once)) as flow:
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(flow.delivered)
        await flow.until(lambda: _confirmed(flow))
        [delivery] = flow.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))
        assert delivery.attempts == 2
        assert flow.sink.tried == [(delivery.control_id, delivery.payload)] * 2


async def test_refusal_ends_a_delivery(tmp_path: Path) -> None:
    """An AR ends in a state that an operator can see, and what is behind it goes on."""
    async with running(
        tmp_path, sink=MemorySink(answer=lambda n: DeliveryRefused("dictation", "AR") if n == 1 else "AA")
    ) as flow:
        await flow.say(dictate="Old text. More.")
        await flow.until(lambda: flow.sink.attempts == 1)
        await flow.say(dictate="New text. More.")
        await flow.until(lambda: "draft A1 New text." in flow.delivered())
        states = [d.state for d in flow.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))]
        assert states[0] is DeliveryState.REFUSED


async def test_gives_up_after_max_attempts(tmp_path: Path) -> None:
    """A peer that says AE for ever doesn't keep a delivery alive for ever."""
    async with running(tmp_path, sink=MemorySink(answer=lambda _: DeliveryFailed("dictation", "AE"))) as flow:
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(
            lambda: (
                [d.state for d in flow.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))]
                == [DeliveryState.DEAD]
            )
        )
        assert flow.sink.attempts == 3


async def test_poison_message_harms_no_other(tmp_path: Path) -> None:
    """A message that trips a fault of ours is set aside, one that can't be read has failed; those behind them go on."""
    async with running(tmp_path) as flow:
        await flow.say(crash=True)
        await flow.say(poison=True)
        await flow.say(nonsense=True)
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(flow.delivered)
        rows = flow.journal.read_now(
            lambda conn: [
                (r.state, r.reason) for r in conn.exec_driver_sql("SELECT state, reason FROM message ORDER BY id")
            ]
        )
        assert rows == [
            (MessageState.QUARANTINED, "internal error (ZeroDivisionError)"),
            (MessageState.QUARANTINED, "internal error (AttributeError)"),
            (MessageState.FAILED, "unknown: nothing known in it"),
            (MessageState.DONE, ""),
        ]


async def test_restart_resumes(tmp_path: Path) -> None:
    """What was accepted before a stop is drafted and delivered after the next start."""
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db")
    await JournalIntake(journal, Metrics(), lambda: None).accept(
        Received(
            wire="test",
            peer="peer",
            sender="RIS",
            control_id="1",
            kind="T",
            accession="A1",
            raw=b'{"dictate": "Small left effusion. More."}',
            ack=b"AA",
        )
    )
    await journal.close()
    async with running(tmp_path) as flow:
        await flow.until(flow.delivered)
        assert flow.delivered() == ["draft A1 Small left effusion."]


def _answers(flow: Flow) -> list[str]:
    return [d.answer for d in flow.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))]


def _confirmed(flow: Flow) -> bool:
    found = flow.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))
    return any(d.state is DeliveryState.CONFIRMED for d in found)


def _edit_text(flow: Flow) -> str:
    return flow.journal.read_now(lambda conn: edits.of_case(conn, KEY))[-1][0].signed
