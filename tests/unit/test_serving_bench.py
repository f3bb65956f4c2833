"""The serving benches' own sums: a figure that is counted wrong is worse than none."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.bench.serving_load import draw_zipf, drive, make_prompts
from tests.bench.serving_report import Verdict
from tests.bench.serving_swaps import Drafted, judge

EXPECTED = {("p", 0): "old text", ("p", 1): "new text", ("q", 0): "another"}


async def test_every_token_of_every_lane_counts() -> None:
    """A closed loop adds up the tokens of all answers, and keeps no more of them under way than it may."""
    under_way = most = 0

    async def ask() -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return 3

    load = await drive([ask] * 20, concurrency=4)
    assert load.tokens == 60
    assert len(load.latencies_s) == 20
    assert most == 4


@pytest.mark.parametrize(
    ("text", "allowed", "kind"),
    [("new text", {1}, "right"), ("old text", {1}, "stale"), ("old text", {0, 1}, "right"), ("new old", {1}, "mixed")],
)
def test_a_draft_is_laid_at_its_writers_door(text: str, allowed: set[int], kind: str) -> None:
    """A draft is right by a version that was served, stale by one that had gone, and mixed by nobody's text."""
    assert judge(Drafted(prompt="p", text=text, allowed=frozenset(allowed)), EXPECTED) == kind


def test_another_prompts_text_is_no_stale_one() -> None:
    """What a version writes for another prompt counts for nothing."""
    assert judge(Drafted(prompt="p", text="another", allowed=frozenset({0})), EXPECTED) == "mixed"


def test_a_few_radiologists_draw_most_drafts() -> None:
    """By Zipf's law the first of 64 is drawn about twice as often as the second, and all of them at some time."""
    drawn = Counter(draw_zipf(20_000, 64))
    assert 1.7 < drawn[0] / drawn[1] < 2.3
    assert len(drawn) == 64


def test_no_two_rounds_share_their_prompts() -> None:
    """Prompts of different seeds are different, so that no prefix cache helps the second of two that are compared."""
    assert not set(make_prompts(200, seed=1)) & set(make_prompts(200, seed=2))


def test_an_aim_is_met_on_its_own_side() -> None:
    """At least and at most are kept apart."""
    assert Verdict(what="speed", value=2.0, aim=2.0).met
    assert not Verdict(what="memory", value=1.06, aim=1.05, at_most=True).met
