"""Coarse to fine with two LoRAs: the site's drafts, the signer's refines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from radbridge.contract import DraftRequest
from radbridge.draft import Stage
from radbridge.errors import DeadlinePassed, ModelOverloaded
from radbridge.example import StyleExample
from radbridge.registry import LoraVersion
from radbridge_model_server.drafts.drafting import Drafter
from radbridge_model_server.engines.engine import Generated, OnText, Prompt
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Settings
from radbridge_model_server.testing import EchoEngine
from tests.support.skipping import skipping_time

FINDINGS = "There is a 12 mm nodule in the right upper lobe. No pleural effusion."
SITE, OWN = "site/all", "rad/900001"
SITE_SAID = "12 mm right upper lobe nodule is seen."
OWN_SAID = "Right upper lobe nodule, 12 mm."
EXAMPLES = (
    StyleExample(id="m2", findings="A nodule.", impression="1. Nodule."),
    StyleExample(id="m1", impression="1. Mass."),
)
HANGS = asyncio.Event()
"""Never set."""


def lora(owner: str, prompt_version: str = "p2") -> LoraVersion:
    return LoraVersion(
        owner=owner,
        seq=1,
        digest12="a" * 12,
        path=Path("nowhere"),
        base_digest="0" * 64,
        prompt_version=prompt_version,
        rank=8,
        targets=("q_proj",),
    )


class Choir(EchoEngine):
    """Each LoRA, and the base, says its own, or fails with it; what they were asked is kept."""

    def __init__(self, **said: str | Exception | asyncio.Event) -> None:
        self.said: dict[str, str | Exception | asyncio.Event] = {SITE: SITE_SAID, OWN: OWN_SAID, "base": "Base."}
        self.said |= {owner.replace("_", "/"): text for owner, text in said.items()}
        self.asked: list[tuple[str, str]] = []
        super().__init__(context_tokens=4096, say=lambda _: self._now)
        self._now = ""

    async def generate(self, prompt: Prompt, on_text: OnText | None = None) -> Generated:
        owner = prompt.lora.owner if prompt.lora else "base"
        self.asked.append((owner, prompt.text))
        said = self.said[owner]
        if isinstance(said, Exception):
            raise said
        if isinstance(said, asyncio.Event):
            await said.wait()
        self._now = str(said)
        return await super().generate(prompt, on_text)


def drafter(engine: EchoEngine, *loras: LoraVersion, site_lora: str = SITE, deadline_s: float = 30.0) -> Drafter:
    chain = LoraChain(registry=None, packaged={v.owner: v for v in loras}, personas={}, site_lora=site_lora)
    settings = Settings(
        engine="echo", coarse_by="site_lora", site_lora=site_lora, max_new_tokens=64, deadline_s=deadline_s
    )
    return Service(settings=settings, engine=engine, chain=chain).drafter


def request(findings: str = FINDINGS, examples: tuple[StyleExample, ...] = ()) -> DraftRequest:
    return DraftRequest(id="d1", findings=findings, modality="CT", radiologist="900001", examples=examples)


async def test_the_signers_lora_refines_what_the_sites_wrote() -> None:
    """It sees findings, coarse text and examples; the draft names both LoRAs, the examples, and what each took."""
    engine = Choir()
    drafted = await drafter(engine, lora(SITE), lora(OWN)).draft(request(examples=EXAMPLES))
    (first, coarse), (second, fine) = engine.asked
    assert (first, second) == (SITE, OWN)
    assert "Findings: There is a 12 mm nodule" in coarse
    assert "Preliminary" not in coarse
    assert "Signed" not in coarse
    assert "Findings: There is a 12 mm nodule" in fine
    assert f"Preliminary: {SITE_SAID}" in fine
    assert "Signed: 1. Mass.\nExample: A nodule.\nSigned: 1. Nodule.\nPreliminary:" in fine
    assert (drafted.draft, drafted.stage, drafted.lora) == (OWN_SAID, Stage.FINE, lora(OWN).name)
    assert (drafted.strategy, drafted.coarse_lora) == ("coarse_to_fine", lora(SITE).name)
    assert drafted.examples == ("m2", "m1")
    assert drafted.fallback == ()
    assert set(drafted.timings_ms) == {"coarse", "site", "queue", "engine", "guard"}


async def test_without_a_hand_to_imitate_the_sites_text_is_the_draft() -> None:
    """Who has neither a LoRA nor signed reports gets the site LoRA's text, and it isn't asked twice."""
    engine = Choir()
    drafted = await drafter(engine, lora(SITE)).draft(request())
    assert [owner for owner, _ in engine.asked] == [SITE]
    assert (drafted.draft, drafted.stage, drafted.lora) == (SITE_SAID, Stage.COARSE, lora(SITE).name)
    assert (drafted.coarse_lora, drafted.prompt_version, drafted.model) == (lora(SITE).name, "p2", "echo")
    assert drafted.fallback == ("no LoRA for the signer",)


@pytest.mark.parametrize(("version", "asked"), [("p2", [SITE, SITE]), ("p1", [SITE])])
async def test_the_sites_lora_refines_by_examples(version: str, asked: list[str]) -> None:
    """Without a LoRA of the signer's own the site's refines beside their signed reports, where it can see them."""
    engine = Choir()
    drafted = await drafter(engine, lora(SITE, version)).draft(request(examples=EXAMPLES))
    assert [owner for owner, _ in engine.asked] == asked
    assert drafted.examples == (("m2", "m1") if version == "p2" else ())
    assert drafted.stage is (Stage.FINE if version == "p2" else Stage.COARSE)


async def test_without_a_site_lora_the_base_drafts() -> None:
    """An empty `site_lora` has the base write the coarse text."""
    engine = Choir(base=SITE_SAID)
    drafted = await drafter(engine, lora(OWN), site_lora="").draft(request())
    assert [owner for owner, _ in engine.asked] == ["base", OWN]
    assert (drafted.coarse_lora, drafted.draft) == ("base", OWN_SAID)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "it is empty"),
        ("word " * 100, "it doesn't end"),
        (DeadlinePassed(1.0), "no fine text before the deadline"),
        (RuntimeError("boom"), "no fine text: the engine failed"),
        ("12 mm left upper lobe nodule.", "the guard objects (laterality)"),
    ],
)
async def test_a_site_draft_that_does_not_hold_is_no_coarse_text(said: str | Exception, reason: str) -> None:
    """Late, unfinished, or with flags that block: the findings' own words are refined instead, and the reason told."""
    engine = Choir(site_all=said)
    drafted = await drafter(engine, lora(SITE), lora(OWN)).draft(request())
    assert "Preliminary: 12 mm nodule" in engine.asked[-1][1]
    assert (drafted.draft, drafted.coarse_lora) == (OWN_SAID, "none")
    assert drafted.fallback == (f"site draft refused: {reason}",)


async def test_a_site_lora_that_is_not_there_is_told() -> None:
    """A site LoRA that the registry hasn't got leaves the coarse text to the findings."""
    drafted = await drafter(Choir(), lora(OWN)).draft(request())
    assert (drafted.draft, drafted.coarse_lora) == (OWN_SAID, "none")
    assert drafted.fallback == ("site draft refused: no site LoRA",)


@skipping_time
async def test_a_site_lora_that_hangs_leaves_time_to_refine() -> None:
    """It gets less than half of the time: the signer's LoRA still writes before the deadline."""
    drafted = await drafter(Choir(site_all=HANGS), lora(SITE), lora(OWN), deadline_s=4.0).draft(request())
    assert (drafted.draft, drafted.lora) == (OWN_SAID, lora(OWN).name)
    assert drafted.fallback == ("site draft refused: no fine text before the deadline",)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (DeadlinePassed(1.0), "no fine text before the deadline"),
        ("", "refined text refused: it is empty"),
        ("Left upper lobe nodule, 12 mm.", "refined text refused: the guard objects (laterality)"),
        ("Right upper lobe nodule, 12 mm. Pneumothorax.", "refined text refused: the guard objects (unsupported)"),
    ],
)
async def test_what_is_refined_for_the_worse_is_not_shown(said: str | Exception, reason: str) -> None:
    """The site LoRA's text is the draft, under its name, where the refined one fails or the guard objects to it."""
    engine = Choir(rad_900001=said)
    drafted = await drafter(engine, lora(SITE), lora(OWN)).draft(request(examples=EXAMPLES[:1]))
    assert (drafted.draft, drafted.stage, drafted.lora) == (SITE_SAID, Stage.COARSE, lora(SITE).name)
    assert drafted.fallback[-1] == reason
    assert drafted.examples == ()


async def test_an_example_is_no_source() -> None:
    """A finding that only a signed example holds doesn't reach the draft unflagged: the guard never reads examples."""
    poisoned = StyleExample(id="m9", findings="Large pneumothorax.", impression="Large right pneumothorax.")
    engine = Choir(rad_900001="Right upper lobe nodule, 12 mm. Large right pneumothorax.")
    drafted = await drafter(engine, lora(SITE), lora(OWN)).draft(request(examples=(poisoned,)))
    assert "Large right pneumothorax." in engine.asked[-1][1]
    assert "pneumothorax" not in drafted.draft


async def test_one_unsupported_finding_hides_no_other() -> None:
    """Where the coarse text is flagged already, what the refined one adds is still what is objected to."""
    engine = Choir(
        site_all=f"{SITE_SAID} Atelectasis.", rad_900001=f"{OWN_SAID} Atelectasis. Rib fracture. Pulmonary embolism."
    )
    drafted = await drafter(engine, lora(SITE), lora(OWN)).draft(request(examples=EXAMPLES))
    assert drafted.draft == f"{SITE_SAID} Atelectasis."
    assert drafted.fallback == ("refined text refused: the guard objects (unsupported)",)
    engine.said[OWN] = f"{OWN_SAID} Atelectasis."
    assert (await drafter(engine, lora(SITE), lora(OWN)).draft(request())).stage is Stage.FINE


async def test_a_full_engine_turns_away() -> None:
    """A queue that is full for the site LoRA already is told to the caller."""
    with pytest.raises(ModelOverloaded):
        await drafter(Choir(site_all=ModelOverloaded(retry_after_s=1.0)), lora(SITE), lora(OWN)).draft(request())


async def test_only_the_refined_text_streams() -> None:
    """The site LoRA's text comes at once as the coarse one; pieces are the refining LoRA's alone."""
    drafting = drafter(Choir(), lora(SITE), lora(OWN))
    prepared, pieces = await drafting.prepare(request()), list[str]()
    assert prepared.coarse.text == SITE_SAID
    await drafting.complete(prepared, pieces.append)
    assert "".join(pieces).strip() == OWN_SAID


@pytest.mark.parametrize("findings", ["", " \n"])
async def test_without_findings_nobody_is_asked(findings: str) -> None:
    """Empty findings get an empty draft."""
    engine = Choir()
    drafted = await drafter(engine, lora(SITE), lora(OWN)).draft(request(findings))
    assert (drafted.draft, drafted.fallback, engine.asked) == ("", ("no findings to draft from",), [])
