"""Statement by statement in the signer's hand: what is worded after signed sentences, and laid out like them."""

from __future__ import annotations

import pytest

from radbridge.draft import Stage
from radbridge.example import StyleExample
from tests.support.serving import Voice, ask, echo, make_service

FINDINGS = "There is a 12 mm nodule in the right upper lobe. There is a small left pleural effusion."
SAID = ("12 mm nodule in the right upper lobe.", "Small left pleural effusion.")
SIGNED = tuple(
    StyleExample(
        id=f"m{n}",
        findings="There is a mass in the liver. There is a cyst in the left kidney.",
        impression="1) Mass in the liver.\n2) Cyst in the left kidney.",
    )
    for n in range(4)
)


def repeat(prompt: str) -> str:
    """What stands in the prompt as preliminary."""
    return prompt.partition("Preliminary: ")[2].partition("\n")[0]


async def test_signed_sentences_stand_before_each_statement() -> None:
    """A statement's prompt shows signed sentences and no findings; the draft names the reports that it was made of."""
    voice = Voice(SAID[0])
    drafted = await make_service(echo(say=voice)).drafter.draft(ask(findings=FINDINGS, examples=SIGNED))
    first = voice.asked[0]
    assert "Findings:" not in first
    assert "Style: Mass in the liver.\n" in first
    assert "Style: Cyst in the left kidney.\nPreliminary: 12 mm nodule" in first
    assert drafted.examples == ("m0", "m1", "m2", "m3")


async def test_the_draft_is_laid_out_as_its_signer_does() -> None:
    """Marks are the signer's own, whatever the LoRA makes of one statement."""
    drafted = await make_service(echo(say=repeat)).drafter.draft(ask(findings=FINDINGS, examples=SIGNED))
    assert drafted.draft == "\n".join(f"{n}) {said}" for n, said in enumerate(SAID, 1))
    numbered = echo(say=lambda prompt: f"1. {repeat(prompt)}")
    again = await make_service(numbered).drafter.draft(ask(findings=FINDINGS, examples=SIGNED))
    assert again.draft == drafted.draft
    assert drafted.stage is Stage.FINE


@pytest.mark.parametrize("version", ["p1", "p2"])
async def test_without_signed_reports_nothing_changes(version: str) -> None:
    """No example, or weights that can't be shown one: the statements follow each other as they did."""
    engine = echo(say=repeat, prompt_version=version)
    drafted = await make_service(engine).drafter.draft(
        ask(findings=FINDINGS, examples=SIGNED if version == "p1" else ())
    )
    assert drafted.draft == " ".join(SAID)
    assert drafted.examples == ()


async def test_a_signed_sentence_is_no_source() -> None:
    """What a model copies from another patient's report is refused, and the statement stays in its own words."""
    poisoned = StyleExample(id="m1", findings="Large pneumothorax.", impression="Large right pneumothorax.")
    engine = echo(say=lambda prompt: "Large right pneumothorax." if "effusion" in prompt else repeat(prompt))
    drafted = await make_service(engine).drafter.draft(ask(findings=FINDINGS, examples=(poisoned,)))
    assert "pneumothorax" not in drafted.draft
    assert SAID[1] in drafted.draft
    assert drafted.fallback[-1].startswith("1 of 2 statements left as they were: ")


async def test_a_layout_needs_no_model() -> None:
    """Where every rewrite is refused, the findings' own words are laid out as the signer does, and told as coarse."""
    drafted = await make_service(echo(say=lambda _: "Mass.")).drafter.draft(ask(findings=FINDINGS, examples=SIGNED))
    assert drafted.draft == "\n".join(f"{n}) {said}" for n, said in enumerate(SAID, 1))
    assert (drafted.stage, drafted.lora, drafted.examples[0]) == (Stage.COARSE, "none", "m0")
    assert drafted.asked == "base"
    assert drafted.fallback[-1].startswith("fine text refused: ")


@pytest.mark.parametrize(
    "signed",
    [
        "Recommend CT. Suspicious mass in the left lung.",
        "Suspicious mass. Follow-up suggested.",
        "Effusion. Further evaluation suggested.",
        "Effusion. Result discussed with patient.",
        "Effusion. Findings discussed.",
        "Recommend further evaluation with CT. Mass in the left lung.",
    ],
)
@pytest.mark.parametrize("count", [1, 5])
async def test_no_advice_crosses_from_another_report(signed: str, count: int) -> None:
    """What a radiologist advised or told of others opens or closes no draft, however often they signed it."""
    examples = tuple(
        StyleExample(id=f"m{n}", findings="There is a mass in the left lung.", impression=signed) for n in range(count)
    )
    drafted = await make_service(echo(say=repeat)).drafter.draft(ask(findings=FINDINGS, examples=examples))
    assert drafted.draft in {" ".join(SAID), " ".join(reversed(SAID))}


@pytest.mark.parametrize(
    "closing", ["Pneumothorax is excluded.", "No acute disease.", "Thank you for referring Mrs Doe.", "Left side."]
)
async def test_only_what_claims_nothing_opens_or_closes(closing: str) -> None:
    """A sentence that ends every signed report isn't put under a draft when it says something of a patient."""
    signed = tuple(StyleExample(id=e.id, findings=e.findings, impression=f"{e.impression}\n{closing}") for e in SIGNED)
    drafted = await make_service(echo(say=repeat)).drafter.draft(ask(findings=FINDINGS, examples=signed))
    assert closing not in drafted.draft
    assert all(said in drafted.draft for said in SAID)
