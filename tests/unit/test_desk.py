"""Requests under way: shared, superseded, abandoned."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from radbridge.contract import DraftRequest, DraftResponse
from radbridge.errors import DeadlinePassed, ModelUnavailable, Superseded
from radbridge.example import StyleExample
from radbridge_model_server.drafts.desk import Desk
from radbridge_model_server.testing import EchoEngine
from tests.support.serving import FINDINGS, ask, echo, eventually, make_service
from tests.support.skipping import skipping_time

LONG_S = 60.0


def desk_of(engine: EchoEngine, **options: Any) -> Desk:
    return make_service(engine, **options).desk


async def draft(desk: Desk, request: DraftRequest) -> DraftResponse:
    with desk.take(request, time.monotonic()) as ticket:
        return await ticket.draft()


def start(desk: Desk, request: DraftRequest) -> asyncio.Task[DraftResponse]:
    return asyncio.create_task(draft(desk, request))


async def test_a_burst_of_saves_is_one_generation() -> None:
    """The same request sent again while it is under way gets the one draft, under its own id."""
    engine = echo()
    desk = desk_of(engine)
    drafts = await asyncio.gather(*(draft(desk, ask(f"d{n}", case="c1")) for n in range(8)))
    assert engine.stats().generated == 1
    assert [d.id for d in drafts] == [f"d{n}" for n in range(8)]
    assert len({d.draft for d in drafts}) == 1
    assert desk.under_way == 0


async def test_other_signed_reports_are_no_other_draft() -> None:
    """The same case asked anew, when the style memory has moved on, shares the generation that is under way."""
    engine = echo()
    desk = desk_of(engine)
    later = ask("d2", case="c1", examples=(StyleExample(id="m1", impression="1. Nodule."),), memory="m1/1")
    drafts = await asyncio.gather(draft(desk, ask(case="c1")), draft(desk, later))
    assert engine.stats().generated == 1
    assert [d.id for d in drafts] == ["d1", "d2"]


async def test_another_task_is_another_draft() -> None:
    """Findings made of key phrases and an impression of the same words are two, and neither ends the other."""
    engine = echo()
    desk = desk_of(engine, expand_lora="base")
    concluded, expanded = await asyncio.gather(
        draft(desk, ask(case="c1")), draft(desk, ask("d2", case="c1", task="expand"))
    )
    assert engine.stats().generated == 2
    assert (concluded.stage, expanded.stage) == ("fine", "whole")


@pytest.mark.parametrize("cases", [("", ""), ("c1", "c2")], ids=["no case", "another case"])
async def test_what_is_not_the_same_case_is_not_shared(cases: tuple[str, str]) -> None:
    """Requests of other cases, and those that name none, are drafted each by itself, however alike."""
    engine = echo()
    desk = desk_of(engine)
    drafts = await asyncio.gather(*(draft(desk, ask(case=case)) for case in cases))
    assert engine.stats().generated == 2
    assert all(d.draft for d in drafts)


@pytest.mark.parametrize(
    "change", [{"findings": FINDINGS + " Small effusion."}, {"radiologist": "900002"}, {"indication": "Cough."}]
)
async def test_a_newer_request_ends_the_older_one(change: dict[str, str]) -> None:
    """When another text, signer or question comes for the case, the older request ends at once and its work stops."""
    engine = echo(delay_s=LONG_S)
    desk = desk_of(engine)
    older = start(desk, ask("d1", case="c1"))
    await eventually(lambda: engine.stats().running == 1)
    newer = start(desk, ask("d2", case="c1", **change))
    with pytest.raises(Superseded):
        await older
    await eventually(lambda: engine.stats().running >= 1 and desk.under_way == 1)
    newer.cancel()
    await eventually(lambda: engine.stats().running == 0 and desk.under_way == 0)
    assert engine.stats().generated == 0


@skipping_time
async def test_who_can_not_wait_as_long_is_drafted_for_alone() -> None:
    """The same request with less time is answered in that time, and the first one goes on."""
    engine = echo(delay_s=1.0)
    desk = desk_of(engine)
    patient = start(desk, ask("d1", case="c1"))
    await eventually(lambda: engine.stats().running == 1)
    hurried = await draft(desk, ask("d2", case="c1", deadline_ms=400))
    assert hurried.fallback[-1] == "no fine text before the deadline"
    assert (await patient).stage == "fine"


async def test_work_ends_when_the_last_one_has_left() -> None:
    """Generation goes on while anybody waits for it, and stops when nobody does; who comes then gets a new one."""
    engine = echo(delay_s=LONG_S)
    desk = desk_of(engine)
    waiting = [start(desk, ask(f"d{n}", case="c1")) for n in range(2)]
    await eventually(lambda: engine.stats().running == 1)
    waiting[0].cancel()
    await asyncio.wait({waiting[0]})
    assert engine.stats().running == 1
    waiting[1].cancel()
    third = start(desk, ask("d3", case="c1"))
    await asyncio.wait({waiting[1]})
    await eventually(lambda: engine.stats().running == 1 and desk.under_way == 1)
    assert not third.done()
    third.cancel()
    await eventually(lambda: engine.stats().running == 0)


async def test_time_counts_from_receipt() -> None:
    """What a slow request took to come in is part of its deadline."""
    with pytest.raises(DeadlinePassed), desk_of(echo()).take(ask(deadline_ms=500), time.monotonic() - 1) as ticket:
        await ticket.draft()


@skipping_time
async def test_a_watcher_sees_everything_from_the_first_piece() -> None:
    """Who watches a whole text grow sees the coarse text and every piece, even when joining late."""
    engine = echo(say=lambda _: "one two three four five six", word_s=0.05)
    desk = desk_of(engine, strategy="single")
    seen: list[list[tuple[str, str]]] = [[], []]

    async def watch(n: int) -> str:
        with desk.take(ask(f"d{n}", case="c1"), time.monotonic()) as ticket:
            async for told in ticket.texts():
                seen[n].append(told)
            return (await ticket.draft()).draft

    first = asyncio.create_task(watch(0))
    await eventually(lambda: len(seen[0]) > 2)
    texts = await asyncio.gather(first, watch(1))
    assert seen[0] == seen[1]
    assert [kind for kind, _ in seen[0]] == ["coarse"] + ["text"] * 6
    assert "".join(text for _, text in seen[0][1:]).strip() == texts[0] == texts[1]
    assert engine.stats().generated == 1


async def test_stopping_ends_what_is_under_way() -> None:
    """When the server stops, those who wait are told so."""
    desk = desk_of(echo(delay_s=LONG_S))
    waiting = start(desk, ask())
    await eventually(lambda: desk.under_way == 1)
    await desk.close()
    with pytest.raises(ModelUnavailable, match="stopping"):
        await waiting
