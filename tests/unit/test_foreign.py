"""What a model copies from other patients' reports beside findings: names, and who was told."""

from __future__ import annotations

import pytest

from radbridge.draft import FlagKind, Stage
from radbridge.guard.acts import Act, read_acts
from tests.support.serving import ask, echo, make_service

SAID = "12 mm right upper lobe nodule."
FOREIGN = (
    "Findings were discussed with Dr. [NAME] by telephone at 10:15 on 5/26/2023.",
    "Results were called to Dr. Smith at 4:30 pm.",
    "[NAME] was notified.",
    "Compared to [DATE].",
)


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_what_was_told_of_others_is_left_out(foreign: str) -> None:
    """A sentence with a placeholder, or of a talk that the findings don't tell of, goes, and the draft says so."""
    drafted = await make_service(echo(say=lambda _: f"{SAID} {foreign}"), strategy="single").drafter.draft(ask())
    assert (drafted.draft, drafted.stage) == (SAID, Stage.WHOLE)
    assert FlagKind.LEFT_OUT in {flag.kind for flag in drafted.flags}


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_a_text_of_nothing_else_is_refused(foreign: str) -> None:
    """Where nothing would be left the findings' own words are the draft."""
    drafted = await make_service(echo(say=lambda _: foreign), strategy="single").drafter.draft(ask())
    assert drafted.stage is Stage.COARSE
    assert drafted.fallback[-1] == "text refused: it tells of people that the findings don't name"


async def test_a_talk_that_the_findings_tell_of_stays() -> None:
    """What the radiologist dictated as told may be said."""
    said = f"{SAID} Findings were discussed with the team."
    findings = f"{ask().findings} Findings were discussed with the team at 9:00."
    drafted = await make_service(echo(say=lambda _: said), strategy="single").drafter.draft(ask(findings=findings))
    assert drafted.draft == said


def test_what_sentences_do() -> None:
    """Advice and talks are told from findings, however they are worded."""
    for text in ("Recommend CT.", "Follow-up suggested.", "MRI could be considered.", "Clinical correlation."):
        assert read_acts(text) == {Act.ADVICE}, text
    for text in ("Dr. Doe was informed.", "Result discussed with patient.", "Called to the ward."):
        assert read_acts(text) == {Act.TALK}, text
    for text in ("Findings suggest pneumonia.", "DR chest: clear.", "Considered benign.", "No acute disease."):
        assert not read_acts(text), text
