"""Couriers on each database."""

from __future__ import annotations

from tests.support.delivering import Line, delivering, receiving


async def test_out_and_back(url: str) -> None:
    """Drafts go out over two sessions, an error is tried again, what was sent is taken back, each case in its order."""
    refused = 0

    async def script(line: Line, control_id: str) -> None:
        nonlocal refused
        refuse = line.receiver.accessions()[-1] == "A1" and refused < 2
        refused += refuse
        await line.say(control_id, "AE" if refuse else "AA")

    names = [f"A{n}" for n in range(6)]
    async with receiving(script) as receiver, delivering(url, receiver, sessions=2) as flow:
        await flow.queue(*names)
        await flow.until(lambda: flow.states(*names) == ["confirmed"] * 6)
        await flow.withdraw("A1")
        await flow.until(lambda: len(receiver.came) == 9)
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert len(receiver.copies("A1")) == 2
        assert [d.nacks for d in flow.of("A1")] == [2, 0]
        assert flow.place().health.failures == 0


async def test_two_gateways_and_one_breaker(url: str) -> None:
    """A destination that one gateway's sends have found silent is left alone by another one's."""

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id, "AE")

    rules = {"breaker_after": 2, "breaker_s": 600}
    async with (
        receiving(script) as receiver,
        delivering(url, receiver, **rules) as one,
        delivering(url, receiver, **rules) as other,
    ):
        await one.queue("A1")
        await one.until(lambda: other.place().health.open_until)
        await other.queue("A2", "A3")
        await other.until(lambda: len(other.of("A3")) == 1)
        assert len(receiver.came) <= 3
