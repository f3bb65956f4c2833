"""From a request to the best text that holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from radbridge.contract import DraftRequest
from radbridge.draft import Severity, Stage
from radbridge.errors import DeadlinePassed, ModelOverloaded
from radbridge.prompt import PROMPT_VERSION, Template
from radbridge.registry import LoraVersion
from radbridge_model_server.drafts.drafting import Drafter
from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Settings
from radbridge_model_server.testing import EchoEngine
from tests.support.skipping import skipping_time

FINDINGS = "There is a 12 mm nodule in the right upper lobe. No pleural effusion. The heart is normal in size."
SITE = "persona/succinct"


def lora(owner: str, base_digest: str = "0" * 64) -> LoraVersion:
    return LoraVersion(
        owner=owner,
        seq=1,
        digest12="a" * 12,
        path=Path("nowhere"),
        base_digest=base_digest,
        prompt_version=PROMPT_VERSION,
        rank=8,
        targets=("q_proj",),
    )


def drafter(
    engine: Engine | None,
    *loras: LoraVersion,
    whole: bool = False,
    deadline_s: float = 30.0,
    template: Template = Template.PLAIN,
) -> Drafter:
    chain = LoraChain(
        registry=None, packaged={v.owner: v for v in loras}, personas={"900002": "persona/numbered"}, site_lora=SITE
    )
    settings = Settings(
        engine="echo",
        strategy="single" if whole else "coarse_to_fine",
        max_new_tokens=64,
        deadline_s=deadline_s,
        prompt_template=template,
    )
    return Service(settings=settings, engine=engine, chain=chain).drafter


def request(findings: str = FINDINGS, *, radiologist: str = "900001", deadline_ms: int | None = None) -> DraftRequest:
    return DraftRequest(id="d1", findings=findings, modality="CT", radiologist=radiologist, deadline_ms=deadline_ms)


async def coarse_text(findings: str = FINDINGS) -> str:
    return (await drafter(None).draft(request(findings))).draft


async def test_a_good_rewrite_is_the_draft() -> None:
    """A fine text that says what the coarse one says is the draft, with its LoRA, base and prompt version."""
    engine = EchoEngine(say=lambda _: "12 mm right upper lobe nodule.")
    drafted = await drafter(engine, lora("rad/900001")).draft(request())
    assert drafted.draft == "12 mm right upper lobe nodule."
    assert drafted.stage is Stage.FINE
    assert drafted.lora == f"rad/900001@v1-{'a' * 12}"
    assert (drafted.base_digest, drafted.prompt_version, drafted.model) == ("0" * 64, PROMPT_VERSION, "echo")
    assert drafted.fallback == ()
    assert set(drafted.timings_ms) == {"coarse", "queue", "engine", "guard"}
    assert drafted.ms >= drafted.timings_ms["coarse"] > 0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "it is empty"),
        ("12 mm nodule in the right upper lobe with pneumothorax.", "unsupported content"),
        ("Nodule in the right upper lobe.", "a number was lost or changed"),
        ("14 mm nodule in the right upper lobe.", "unsupported content"),
        ("12 mm nodule in the left upper lobe.", "unsupported content"),
        ("12 mm nodule in the upper lobe.", "laterality was changed"),
        ("No 12 mm nodule in the right upper lobe.", "a negation was lost or added"),
        ("12 mm in the right upper lobe.", "content was lost"),
        ("12 mm nodule right upper lobe. " * 40, "it doesn't end"),
    ],
)
async def test_a_rewrite_that_does_not_hold_falls_back(said: str, reason: str) -> None:
    """A fine text that adds, loses or turns anything round is never shown; the coarse text is, with the reason."""
    drafted = await drafter(EchoEngine(say=lambda _: said), lora("rad/900001")).draft(request())
    assert drafted.draft == await coarse_text()
    assert drafted.stage is Stage.COARSE
    assert drafted.lora == "none"
    assert drafted.fallback[-1].startswith(f"fine text refused: {reason}")


@pytest.mark.parametrize(
    ("radiologist", "loras", "used", "told"),
    [
        ("900001", ["rad/900001", SITE], "rad/900001", ()),
        ("900002", ["persona/numbered", SITE], "persona/numbered", ("no LoRA for the signer",)),
        ("900002", [SITE], SITE, ("no LoRA for the signer", "no persona for the signer")),
        ("900003", [SITE], SITE, ("no LoRA for the signer",)),
        ("", [SITE], SITE, ("no signer named",)),
        ("900003", [], "base", ("no LoRA for the signer", "no site LoRA")),
    ],
)
async def test_the_chain_of_loras(radiologist: str, loras: list[str], used: str, told: tuple[str, ...]) -> None:
    """Own LoRA, chosen persona, the site's, the base: the first that is there writes, and those missing are told."""
    drafted = await drafter(EchoEngine(), *map(lora, loras)).draft(request(radiologist=radiologist))
    assert drafted.lora.partition("@")[0] == used
    assert drafted.fallback == told


async def test_a_refused_lora_gives_way_to_the_next() -> None:
    """A LoRA that the engine refuses is passed over, with its reason."""
    drafted = await drafter(EchoEngine(), lora("rad/900001", "f" * 64), lora(SITE)).draft(request())
    assert drafted.lora.startswith(SITE)
    assert drafted.fallback == (
        "LoRA for the signer refused: it was trained on another base model (base digest differs)",
    )


@skipping_time
async def test_a_late_engine_leaves_the_coarse_text_in_time() -> None:
    """When the fine text is late the coarse one is answered before the deadline."""
    began = time.monotonic()
    drafted = await drafter(EchoEngine(delay_s=60), lora("rad/900001")).draft(request(deadline_ms=2000))
    assert time.monotonic() - began < 2
    assert drafted.draft == await coarse_text()
    assert drafted.fallback[-1] == "no fine text before the deadline"


async def test_no_text_at_all_in_time_is_an_error() -> None:
    """When not even the coarse text is in time, DeadlinePassed is raised."""
    with pytest.raises(DeadlinePassed):
        await drafter(EchoEngine()).draft(request(FINDINGS * 50, deadline_ms=1))


@skipping_time
async def test_the_servers_own_deadline_caps_the_requests() -> None:
    """A request can't make the server wait longer than it is set to."""
    began = time.monotonic()
    drafted = await drafter(EchoEngine(delay_s=60), lora("rad/900001"), deadline_s=1.0).draft(
        request(deadline_ms=600_000)
    )
    assert time.monotonic() - began < 1
    assert drafted.stage is Stage.COARSE


async def test_an_engine_that_failed_leaves_the_coarse_text() -> None:
    """With the engine down the coarse text is the draft, and the draft says why."""
    engine = EchoEngine()
    await engine.close()
    drafted = await drafter(engine, lora("rad/900001")).draft(request())
    assert drafted.draft == await coarse_text()
    assert drafted.fallback == ("no fine text: the engine failed",)


@skipping_time
async def test_a_full_queue_is_told_to_the_caller() -> None:
    """Overload is not hidden behind coarse drafts: the caller is to come back."""
    working = drafter(EchoEngine(max_queue=1, delay_s=0.05), lora("rad/900001"))
    answers = await asyncio.gather(*(working.draft(request()) for _ in range(4)), return_exceptions=True)
    assert any(isinstance(a, ModelOverloaded) for a in answers)


@pytest.mark.parametrize("findings", ["", "  \n\t "])
@pytest.mark.parametrize("make", [lambda: None, EchoEngine], ids=["coarse", "fine"])
async def test_without_findings_there_is_no_draft(findings: str, make: Callable[[], Engine | None]) -> None:
    """Empty findings get an empty draft with the reason, on every strategy."""
    drafted = await drafter(make()).draft(request(findings))
    assert drafted.draft == ""
    assert drafted.fallback == ("no findings to draft from",)


async def test_long_findings_are_cut_and_flagged() -> None:
    """When the findings don't fit the model's context, the draft carries the flag `context_cut`."""
    drafted = await drafter(
        EchoEngine(context_tokens=200, say=lambda _: "12 mm nodule."), lora("rad/900001"), whole=True
    ).draft(request(FINDINGS + " Clear lungs." * 200))
    assert drafted.stage is Stage.WHOLE
    assert "context_cut" in {flag.kind for flag in drafted.flags}


async def test_the_whole_strategy_asks_without_a_coarse_text() -> None:
    """`whole` sends findings alone, and its text stands with its flags."""
    asked: list[str] = []

    def say(prompt: str) -> str:
        asked.append(prompt)
        return "Left 14 mm nodule."

    drafted = await drafter(EchoEngine(say=say), lora("rad/900001"), whole=True).draft(request())
    assert "Preliminary" not in asked[0]
    assert drafted.stage is Stage.WHOLE
    assert drafted.draft == "Left 14 mm nodule."
    assert drafted.flags


TWO = "There is a 12 mm nodule in the right upper lobe. There is a small left pleural effusion."


async def test_each_statement_is_rewritten_by_itself() -> None:
    """One statement whose rewrite doesn't hold stays as it was; the others are in style, and the draft says so."""
    engine = EchoEngine(say=lambda text: "Effusion." if "effusion" in text else "12 mm right upper lobe nodule.")
    drafted = await drafter(engine, lora("rad/900001")).draft(request(TWO))
    assert drafted.stage is Stage.FINE
    assert drafted.draft == "12 mm right upper lobe nodule. Small left pleural effusion."
    assert drafted.fallback == ("1 of 2 statements left as they were: laterality was changed",)


async def test_a_list_is_numbered_through() -> None:
    """A LoRA that numbers each statement makes one list."""
    engine = EchoEngine(
        say=lambda text: (
            "1. Small left pleural effusion." if "effusion" in text else "1. 12 mm right upper lobe nodule."
        )
    )
    drafted = await drafter(engine, lora("rad/900001")).draft(request(TWO))
    assert drafted.draft == "1. 12 mm right upper lobe nodule.\n2. Small left pleural effusion."
    assert drafted.fallback == ()


async def test_a_statement_longer_than_the_context_stays_as_it_was() -> None:
    """A statement that the model can't take alone stands in its own words, with a flag; the others are rewritten."""
    long = "There is a left tension pneumothorax with " + "rightward shift of the mediastinum and " * 7 + "collapse."
    engine = EchoEngine(context_tokens=100, say=lambda _: "12 mm right upper lobe nodule.")
    said = f"{long} {TWO.partition('. ')[0]}." + " The bones are normal." * 30
    drafted = await drafter(engine, lora("rad/900001")).draft(request(said))
    assert drafted.stage is Stage.FINE
    assert "12 mm right upper lobe nodule." in drafted.draft
    assert "mediastinum and collapse." in drafted.draft
    assert drafted.fallback == ("1 of 2 statements left as they were: it is too long for the model's context",)
    assert [flag.severity for flag in drafted.flags if flag.kind == "context_cut"] == [Severity.INFO]


async def test_when_no_statement_fits_the_coarse_text_is_the_draft() -> None:
    """A context too small for anything is no failure."""
    drafted = await drafter(EchoEngine(context_tokens=66), lora("rad/900001")).draft(request())
    assert drafted.draft == await coarse_text()
    assert drafted.fallback == ("no fine text: too long for the model's context",)


@pytest.mark.parametrize("engine", [None, EchoEngine()], ids=["coarse", "fine"])
async def test_findings_beyond_all_reading_are_flagged(engine: Engine | None) -> None:
    """What stands behind the last character that is read isn't left out silently."""
    drafted = await drafter(engine).draft(request(FINDINGS + " The lungs are clear." * 3500))
    assert "context_cut" in {flag.kind for flag in drafted.flags}
    assert "context_cut" not in {flag.kind for flag in (await drafter(engine).draft(request())).flags}


async def test_the_template_is_the_configured_one() -> None:
    """The prompt is built with the base's template, and the draft carries that template's prompt version."""
    asked: list[str] = []

    def say(prompt: str) -> str:
        asked.append(prompt)
        return "12 mm right upper lobe nodule."

    engine = EchoEngine(say=say, prompt_version=Template.ALPACA.prompt_version)
    drafted = await drafter(engine, template=Template.ALPACA).draft(request())
    assert "### Instruction:" in asked[0]
    assert drafted.prompt_version == "p2-alpaca"
    assert drafted.lora == "base"
