"""Deliveries over real sockets: floods, order, breaker, pause, windows, dead letters."""

from __future__ import annotations

import asyncio
import socket
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop

from radbridge.errors import ConfigError
from radbridge.journal.destinations import DestinationState
from radbridge_adapters.hl7v2.client import Ack, MllpClient
from radbridge_adapters.hl7v2.er7 import Message
from tests.support.delivering import NAME, Line, Receiver, count_looks, delivering, receiving
from tests.support.limits import Limits, limits_of


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once: how long they wait is `test_delivery_rules`' matter."""
    monkeypatch.setattr("radbridge.flow.results.backoff", lambda _: 0.01)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """How long an answer is waited for: until a script ends it."""
    return limits_of("radbridge_adapters.hl7v2.client", monkeypatch)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each time that a courier looked for what is due."""
    return count_looks(monkeypatch)


async def yes(line: Line, control_id: str) -> None:
    await line.say(control_id)


def silent_about(receiver: Receiver, accession: str) -> bool:
    """Whether the message that just came is of this accession."""
    return receiver.accessions()[-1] == accession


async def test_order_of_a_case_over_two_sessions(tmp_path: Path) -> None:
    """Cases are spread over the sessions, each case stays on its own, and its messages keep their order."""
    names = [f"A{n}" for n in range(24)]
    async with receiving(yes) as receiver, delivering(tmp_path, receiver, sessions=2) as flow:
        await flow.queue(*names)
        await flow.until(lambda: flow.states(*names) == ["confirmed"] * 24)
        for name in names:
            await flow.withdraw(name)
        await flow.until(lambda: len(receiver.came) == 48)
        assert receiver.lines == 2
        for name in names:
            place = [i for i, one in enumerate(receiver.accessions()) if one == name]
            assert len({receiver.came[i][0] for i in place}) == 1
            assert [b"||R|||" in receiver.came[i][2] for i in place] == [True, False]


async def test_a_message_that_is_never_answered(
    tmp_path: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that a peer never answers, though it answers others, is dead after three copies and blocks nobody.

    All copies are the same bytes under the same id, and no two were ever open at once.
    """
    monkeypatch.setattr("radbridge.flow.results.backoff", lambda _: 600.0)  # the next copy leaves when we say so

    async def script(line: Line, control_id: str) -> None:
        if silent_about(line.receiver, "BAD"):
            limits.end()
        else:
            await line.say(control_id)

    async with receiving(script) as receiver, delivering(tmp_path, receiver) as flow:
        await flow.queue("BAD")
        for n in range(1, 4):
            await flow.until(lambda: flow.of("BAD")[0].attempts == n)  # noqa: B023 - called at once
            await flow.queue(f"A{n}")
            await flow.until(lambda: flow.states(f"A{n}") == ["confirmed"])  # noqa: B023 - called at once
            assert flow.states("BAD") == ["pending"]
            await flow.make_due("BAD")
        await flow.until(lambda: flow.states("BAD") == ["dead"])
        assert receiver.accessions() == ["BAD", "A1", "BAD", "A2", "BAD", "A3"]
        assert len(receiver.copies("BAD")) == 1
        assert receiver.doubled == []
        assert "unanswered" in flow.of("BAD")[0].answer
        assert f'radbridge_unanswered_total{{destination="{NAME}"}} 3.0' in flow.metrics.page().decode()


async def test_a_night_without_answers(tmp_path: Path, limits: Limits) -> None:
    """A peer that takes messages and answers none is left alone by the breaker; no message dies of it, and all arrive.

    While it is silent at most one message is tried in a breaker's time.
    """
    awake = False

    async def script(line: Line, control_id: str) -> None:
        if awake:
            await line.say(control_id)
        else:
            limits.end()

    rules = {"breaker_after": 11, "breaker_s": 0.1, "max_unanswered": 2}
    names = [f"A{n}" for n in range(5)]
    async with receiving(script) as receiver, delivering(tmp_path, receiver, **rules) as flow:
        await flow.queue(*names)
        await flow.until(lambda: flow.place().health.failures >= 13)
        health = flow.place().health
        assert health.open_until is not None
        assert health.breaker_s >= 0.3
        assert set(flow.states(*names)) == {"pending"}
        assert receiver.doubled == []
        awake = True
        await flow.until(lambda: flow.states(*names) == ["confirmed"] * 5)
        assert flow.place().health.failures == 0
        assert all(len(receiver.copies(name)) == 1 for name in names)


async def test_the_breaker_outlives_a_restart(tmp_path: Path, looks: list[None]) -> None:
    """A gateway that starts while a destination is left alone leaves it alone."""

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id, "AE")

    rules = {"breaker_after": 2, "breaker_s": 600}
    async with receiving(script) as receiver:
        async with delivering(tmp_path, receiver, **rules) as flow:
            await flow.queue("A1", "A2")
            await flow.until(lambda: flow.place().health.open_until)
            sent = len(receiver.came)
        async with delivering(tmp_path, receiver, **rules) as flow:
            await flow.queue("A3")
            looks.clear()
            await flow.until(lambda: len(looks) > 2)
            assert flow.states("A1", "A2", "A3") == ["pending", "pending", "pending"]
            assert len(receiver.came) == sent


async def test_one_message_that_it_chokes_on(tmp_path: Path) -> None:
    """A peer that answers AE to one message again and again isn't left alone for it: others go out meanwhile."""

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id, "AE" if silent_about(line.receiver, "BAD") else "AA")

    rules = {"breaker_after": 2, "breaker_s": 600, "max_attempts": 1000}
    async with receiving(script) as receiver, delivering(tmp_path, receiver, **rules) as flow:
        await flow.queue("BAD")
        await flow.until(lambda: receiver.accessions().count("BAD") > 5)
        assert flow.place().health.open_until is None
        await flow.queue("A1")
        await flow.until(lambda: flow.states("A1", "BAD") == ["confirmed", "pending"])


async def test_a_fresh_message_wakes_it(tmp_path: Path, limits: Limits) -> None:
    """A message that was never tried goes before those that got nothing, as soon as the first stop would be over."""

    async def script(line: Line, control_id: str) -> None:
        if not silent_about(line.receiver, "BAD"):
            await line.say(control_id)
        elif line.receiver.accessions().count("BAD") < 3:  # the third copy, behind the yes, keeps waiting
            limits.end()

    rules = {"breaker_after": 1, "breaker_s": 200}
    async with receiving(script) as receiver, delivering(tmp_path, receiver, **rules) as flow:
        await flow.queue("BAD")
        await flow.until(lambda: flow.place().health.breaker_s == 200)
        await flow.age(200)
        await flow.until(lambda: flow.place().health.breaker_s == 400)
        await flow.queue("A1")
        await flow.age(201)
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert receiver.accessions()[:3] == ["BAD", "BAD", "A1"]
        assert flow.place().health.failures == 0


async def test_no_second_copy_by_itself(tmp_path: Path, limits: Limits) -> None:
    """With `resend_unanswered = false` an unanswered message waits for an operator, who sends the same bytes again."""
    answers = False

    async def script(line: Line, control_id: str) -> None:
        if answers or not silent_about(line.receiver, "A1"):
            await line.say(control_id)
        else:
            limits.end()

    rules = {"resend_unanswered": False}
    async with receiving(script) as receiver, delivering(tmp_path, receiver, **rules) as flow:
        await flow.queue("A1")
        await flow.until(lambda: flow.states("A1") == ["dead"])
        await flow.queue("A2")
        await flow.until(lambda: flow.states("A2") == ["confirmed"])
        assert receiver.accessions() == ["A1", "A2"]
        answers = True
        await flow.retry(f"d{flow.of('A1')[0].seq}")
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert len(receiver.copies("A1")) == 1


async def test_a_nack_is_never_skipped_past(tmp_path: Path) -> None:
    """While a case's message gets AE the next one of that case waits; those of other cases go on."""
    refusing = True

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id, "AE" if refusing and silent_about(line.receiver, "A1") else "AA")

    rules = {"max_attempts": 1000, "breaker_after": 1000}
    async with receiving(script) as receiver, delivering(tmp_path, receiver, **rules) as flow:
        await flow.queue("A1")
        await flow.until(lambda: receiver.accessions().count("A1") >= 2)
        await flow.withdraw("A1")
        await flow.queue("A2")
        await flow.until(lambda: flow.states("A2") == ["confirmed"])
        refusing = False
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert [d.purpose for d in flow.of("A1") if d.state == "confirmed"] == ["withdrawal"]


async def test_answers_count_and_silence_does_not(tmp_path: Path, limits: Limits) -> None:
    """`max_attempts` counts AE answers alone; then the delivery is dead and says so."""
    count = 0

    async def script(line: Line, control_id: str) -> None:
        nonlocal count
        count += 1
        if count % 2:
            await line.say(control_id, "AE")
        else:
            limits.end()

    rules = {"max_attempts": 3, "max_unanswered": 9, "breaker_after": 99}
    async with receiving(script) as receiver, delivering(tmp_path, receiver, **rules) as flow:
        await flow.queue("A1")
        await flow.until(lambda: flow.states("A1") == ["dead"])
        assert len(receiver.came) == 5
        assert flow.of("A1")[0].answer.startswith("gave up after 3 attempts")


async def test_pause_and_resume(tmp_path: Path, looks: list[None]) -> None:
    """A paused destination gets nothing, not even a withdrawal; resumed it gets all that is still wanted."""
    async with receiving(yes) as receiver, delivering(tmp_path, receiver) as flow:
        await flow.queue("A1")
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        await flow.order(DestinationState.PAUSED)
        await flow.queue("A2", "A3")
        await flow.withdraw("A1")
        await flow.withdraw("A3")
        looks.clear()
        await flow.until(lambda: len(looks) > 2)
        assert receiver.accessions() == ["A1"]
        assert flow.place().reason == "upgrade"
        await flow.order(DestinationState.ACTIVE)
        await flow.until(lambda: flow.states("A1", "A2", "A3") == ["confirmed", "confirmed", "cancelled"])
        assert sorted(receiver.accessions()) == ["A1", "A1", "A2"]


async def test_closed_hours(tmp_path: Path) -> None:
    """In closed hours a draft waits and what takes a draft back goes out."""
    async with receiving(yes) as receiver:
        async with delivering(tmp_path, receiver) as flow:
            await flow.queue("A1")
            await flow.until(lambda: flow.states("A1") == ["confirmed"])
        closed = {"window": _never_today()}
        async with delivering(tmp_path, receiver, **closed) as flow:
            await flow.queue("A2")
            await flow.withdraw("A1")
            await flow.until(lambda: flow.states("A1", "A2") == ["confirmed", "pending"])
            assert receiver.accessions() == ["A1", "A1"]


def _never_today() -> list[str]:
    """A window on a day that is neither today nor a neighbour of it."""
    return [f"{datetime.now(UTC) + timedelta(days=3):%a} 00:00-24:00"]


async def test_confirmed_by_the_application(tmp_path: Path, limits: Limits) -> None:
    """With `confirm = "application"` enhanced mode is asked for, and CA alone delivers nothing."""

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id, "CA")
        if len(line.receiver.came) > 1:
            await line.say(control_id, "AA")
        else:
            asyncio.get_running_loop().call_later(0.2, limits.end)  # long enough for the CA to be taken for a yes

    rules = {"confirm": "application"}
    async with receiving(script) as receiver, delivering(tmp_path, receiver, **rules) as flow:
        await flow.queue("A1")
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert flow.of("A1")[0].answer == "AA"
        assert len(receiver.came) == 2
        msh = Message(receiver.came[0][2].decode()).msh
        assert (msh.raw(15), msh.raw(16)) == ("AL", "AL")


async def test_late_and_foreign_answers_are_counted(tmp_path: Path) -> None:
    """An answer to another message, or one that comes when nobody waits any more, delivers nothing and is counted."""

    async def script(line: Line, control_id: str) -> None:
        await line.say("OTHER", "AA")
        await line.say(control_id, "AA")
        await line.say(control_id, "AR")

    async with receiving(script) as receiver, delivering(tmp_path, receiver) as flow:
        await flow.queue("A1")
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        late = f'radbridge_late_acks_total{{destination="{NAME}"}} 2.0'
        await flow.until(lambda: late in flow.metrics.page().decode())


async def test_a_peer_that_hangs_or_half_closes(tmp_path: Path, limits: Limits) -> None:
    """A peer that reads nothing, and one that closes its half unanswered, cost a timeout and no message."""
    seen = 0

    async def script(line: Line, control_id: str) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            line.writer.write_eof()
        elif seen == 2:
            line.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed: a reader's transport reads
            limits.end()
        else:
            await line.say(control_id)

    async with receiving(script) as receiver, delivering(tmp_path, receiver) as flow:
        await flow.queue("A1")
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert len(receiver.copies("A1")) == 1


async def test_what_an_operator_may_send_again(tmp_path: Path) -> None:
    """A refused draft that still stands goes again under the same id; one that was taken back never does."""
    code = "AR"

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id, code)

    async with receiving(script) as receiver, delivering(tmp_path, receiver) as flow:
        await flow.queue("A1", "A2")
        await flow.until(lambda: flow.states("A1", "A2") == ["refused", "refused"])
        code = "AA"
        first, second = (f"d{flow.of(name)[0].seq}" for name in ("A1", "A2"))
        await flow.withdraw("A2")
        with pytest.raises(ConfigError, match="doesn't stand any more"):
            await flow.retry(second)
        await flow.retry(first)
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert len(receiver.copies("A1")) == 1
        with pytest.raises(ConfigError, match="nothing of that id"):
            await flow.retry(first)


async def test_a_clock_that_ran_ahead(tmp_path: Path) -> None:
    """What another gateway queued by a clock that is an hour ahead goes out at once: it was never tried."""
    async with receiving(yes) as receiver, delivering(tmp_path, receiver) as flow:
        await flow.queue("A1", at=datetime.now(UTC) + timedelta(hours=1))
        await flow.until(lambda: flow.states("A1") == ["confirmed"])


async def test_a_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the midst of a send costs that send: the courier lives, and the same bytes go again."""
    ask, count = MllpClient.send, 0

    async def trip(client: MllpClient, payload: bytes, control_id: str) -> Ack:
        nonlocal count
        count += 1
        if count == 1:
            raise ValueError("the transport is closed")
        return await ask(client, payload, control_id)

    monkeypatch.setattr(MllpClient, "send", trip)
    async with receiving(yes) as receiver, delivering(tmp_path, receiver) as flow:
        await flow.queue("A1")
        await flow.until(lambda: flow.states("A1") == ["confirmed"])


def test_a_reset_in_the_midst_of_a_send_on_uvloop(tmp_path: Path) -> None:
    """A peer that resets the connection while it is waited for costs a try and no more, on uvloop as on asyncio."""

    async def script(line: Line, control_id: str) -> None:
        if len(line.receiver.came) <= 3:
            sock: socket.socket = line.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.writer.transport.abort()
        else:
            await line.say(control_id)

    async def run() -> None:
        async with receiving(script) as receiver, delivering(tmp_path, receiver) as flow:
            await flow.queue("A1")
            await flow.until(lambda: flow.states("A1") == ["confirmed"])
            assert len(receiver.came) == 4

    uvloop.run(run())
