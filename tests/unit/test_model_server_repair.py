"""A draft that the guard would keep back, as the model server answers it with each setting of `repair`."""

from __future__ import annotations

import pytest

from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Flag, FlagKind, Section, Stage
from radbridge.guard.policy import GuardPolicy
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Repairing, Settings
from radbridge_model_server.testing import EchoEngine

FINDINGS = "There is a small left pleural effusion. There is a 12 mm nodule in the right upper lobe. No pneumothorax."
WRONG_SIDE = "Small right pleural effusion. 12 mm right upper lobe nodule."
ALL_WRONG = "Small right pleural effusion."
OF_A_MAN = "There is a fibroid in the uterus."


async def draft(said: str, *, repair: Repairing, findings: str = FINDINGS) -> DraftResponse:
    """The answer when a model that writes whole impressions says `said`, of a man."""
    settings = Settings(engine="echo", strategy="single", repair=repair)
    chain = LoraChain(registry=None, packaged={}, personas={}, site_lora="")
    service = Service(settings=settings, engine=EchoEngine(say=lambda _: said), chain=chain)
    return await service.drafter.draft(DraftRequest(id="d1", findings=findings, sex="M"))


def is_blocked(answer: DraftResponse) -> bool:
    return bool(GuardPolicy().judge(answer.flags).blocking)


def left_out(answer: DraftResponse) -> list[Flag]:
    return [flag for flag in answer.flags if flag.kind == FlagKind.LEFT_OUT]


async def test_off_changes_nothing() -> None:
    """Without a repair the text stands as it was written, with the flags that block it."""
    answer = await draft(WRONG_SIDE, repair="off")
    assert (answer.draft, answer.stage) == (WRONG_SIDE, Stage.WHOLE)
    assert is_blocked(answer)
    assert not left_out(answer)


async def test_a_dropped_statement_is_told() -> None:
    """What is left passes, and the answer says which statement went, why, and where the findings speak of it."""
    answer = await draft(WRONG_SIDE, repair="drop")
    assert (answer.draft, answer.stage) == ("12 mm right upper lobe nodule.", Stage.WHOLE)
    assert not is_blocked(answer)
    assert answer.fallback[-1] == "statements left out: 1, the guard objects (laterality)"
    [note] = left_out(answer)
    assert note.message == "Statement 1 of 2 was left out: the guard objects to it (laterality)."
    assert {span.section for span in note.spans} == {Section.FINDINGS}
    assert "effusion" in "".join(FINDINGS[span.start : span.end] for span in note.spans)


@pytest.mark.parametrize(
    ("said", "findings"),
    [(ALL_WRONG, FINDINGS), ("Small left pleural effusion. Right pneumothorax.", FINDINGS.replace("No p", "Left p"))],
)
async def test_nothing_is_dropped_where_the_rest_would_fail(said: str, findings: str) -> None:
    """Where nothing would be left, or a critical finding would go unsaid, the text stays whole and blocked."""
    answer = await draft(said, repair="drop", findings=findings)
    assert answer.draft == said
    assert is_blocked(answer)
    assert not left_out(answer)


async def test_the_coarse_text_takes_its_place() -> None:
    """With `coarse` the findings' own words stand in for a text that would be kept back, and the reason is told."""
    answer = await draft(WRONG_SIDE, repair="coarse")
    assert (answer.stage, answer.lora) == (Stage.COARSE, "none")
    assert "left pleural effusion" in answer.draft
    assert not is_blocked(answer)
    assert answer.fallback[-1] == "text refused: the guard objects (laterality)"


async def test_a_coarse_text_that_would_be_kept_back_takes_no_place() -> None:
    """Where the coarse text is blocked too, what was written stays, with its flags."""
    answer = await draft(OF_A_MAN, repair="coarse", findings=OF_A_MAN)
    assert (answer.draft, answer.stage) == (OF_A_MAN, Stage.WHOLE)
    assert is_blocked(answer)


@pytest.mark.parametrize("repair", ["drop", "coarse"])
async def test_a_draft_that_passes_is_left_alone(repair: Repairing) -> None:
    """No repair touches a draft without blocking flags."""
    said = "Small left pleural effusion. 12 mm right upper lobe nodule."
    answer = await draft(said, repair=repair)
    assert (answer.draft, answer.stage, answer.fallback[1:]) == (said, Stage.WHOLE, ())
    assert not left_out(answer)
