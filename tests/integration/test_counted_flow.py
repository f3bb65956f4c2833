"""What the flow counts of drafts: stages, swaps of LoRAs, and what signers made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from radbridge.contract import DraftRequest, DraftResponse
from radbridge.testing import FakeModel
from tests.support.flow import Flow, running

FIRST, SECOND = "rad/1001@v1-aaaaaaaaaaaa", "rad/1001@v2-bbbbbbbbbbbb"


class TimedModel(FakeModel):
    """A model server that says what its time went to, and writes with another LoRA version after two drafts."""

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The usual answer, with times: of stages that are known, and of one that isn't."""
        answer = await super().draft(request)
        asked = FIRST if len(self.requests) < 3 else SECOND
        return replace(answer, timings_ms={"coarse": 20.0, "engine": 300.0, "ZQNAME": 1.0}, asked=asked)


def value(flow: Flow, name: str, **labels: str) -> float:
    return flow.metrics.registry.get_sample_value(name, labels) or 0.0


async def dictate(flow: Flow, number: int) -> None:
    await flow.say(dictate=f"Finding {number} in the lung. Another one.", accession=f"A{number}")
    await flow.until(lambda: len(flow.delivered()) == number)


async def test_a_drafts_time_is_told_by_stage(tmp_path: Path) -> None:
    """Each stage that is ours is measured; a word that the model server made up is no label."""
    async with running(tmp_path, TimedModel()) as flow:
        await dictate(flow, 1)
        assert value(flow, "radbridge_draft_stage_seconds_sum", stage="engine") == 0.3
        assert value(flow, "radbridge_draft_stage_seconds_count", stage="coarse") == 1
        assert value(flow, "radbridge_draft_stage_seconds_count", stage="server") == 1
        assert "ZQNAME" not in flow.metrics.page().decode()


async def test_a_swap_is_counted_once(tmp_path: Path) -> None:
    """A radiologist whose drafts another version begins to write is one swap, however many it goes on to write."""
    async with running(tmp_path, TimedModel()) as flow:
        for number, swaps in ((1, 0), (2, 0), (3, 1), (4, 1)):
            await dictate(flow, number)
            assert value(flow, "radbridge_lora_swaps_total") == swaps


async def test_what_signers_made_of_drafts(tmp_path: Path) -> None:
    """A report that is signed over its draft counts by what became of the words."""
    async with running(tmp_path) as flow:
        await dictate(flow, 1)
        await flow.say(sign="Finding 1 in the lung.")
        await flow.until(lambda: value(flow, "radbridge_drafts_accepted_total", outcome="accepted"))
        assert value(flow, "radbridge_drafts_accepted_total", outcome="edited") == 0
