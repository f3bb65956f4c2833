"""A base whose folder holds the site's own coarse stage, served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from radbridge.candidates import CHOOSING, FEATURES, POOL, Chooser, FeatureWeights, Report, write_pool
from radbridge.candidates.chooser import write_chooser
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Stage
from radbridge.errors import ConfigError
from radbridge.registry import LoraVersion
from radbridge_model_server.drafts.site_coarse import find_coarse
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Settings
from radbridge_model_server.testing import EchoEngine

CLEAR = "The lungs are clear. The heart is normal in size. No pleural effusion."
NODULE = "There is a 12 mm nodule in the right upper lobe. The heart is normal in size."
HERE = "No active chest disease."
OWN = "No active disease of the chest."


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with reports of a site and a chooser that likes what it often says, but leaves nothing out."""
    reports = [Report(findings=f"{CLEAR} Film {n}.", impression=HERE) for n in range(6)]
    pool = write_pool(tmp_path / POOL, reports)
    liked = {"signed": 1.0, "missed": -9.0}
    features = {name: FeatureWeights(mean=0.0, deviation=1.0, weights=(liked.get(name, 0.0),)) for name in FEATURES}
    write_chooser(tmp_path / CHOOSING, Chooser(taken_up={}, features=features, bias=(10.0,), output=(1.0,)))
    manifest = {"name": "our-site", "serving": {"pool_sha256": pool}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def lora(owner: str) -> LoraVersion:
    return LoraVersion(
        owner=owner,
        seq=1,
        digest12="a" * 12,
        path=Path("nowhere"),
        base_digest="0" * 64,
        prompt_version="p2",
        rank=8,
        targets=("q_proj",),
    )


async def draft(base: Path, findings: str, *loras: LoraVersion, said: str = OWN) -> tuple[DraftResponse, EchoEngine]:
    settings = Settings(engine="echo", base=base, site_lora="site/all")
    chain = LoraChain(registry=None, packaged={v.owner: v for v in loras}, personas={}, site_lora="site/all")
    engine = EchoEngine(say=lambda _: said)
    service = Service(settings=settings, engine=engine, chain=chain, coarse=find_coarse(settings))
    request = DraftRequest(id="d1", findings=findings, modality="CR", radiologist="900001")
    return await service.drafter.draft(request), engine


async def test_what_the_site_says_is_the_draft(base: Path) -> None:
    """Who has no LoRA of their own gets the site's text as it is, told as copied; nobody else is asked."""
    drafted, engine = await draft(base, CLEAR, lora("site/all"))
    assert (drafted.draft, drafted.stage, drafted.model) == (HERE, Stage.RETRIEVED, "our-site")
    assert (drafted.lora, drafted.coarse_lora, drafted.strategy) == ("none", "retrieved", "coarse_to_fine")
    assert drafted.fallback == ("no LoRA for the signer",)
    assert engine.stats().generated == 0


async def test_what_the_findings_state_is_told_as_such(base: Path) -> None:
    """Where the chooser takes the findings' own words, the draft is no copy."""
    drafted, _ = await draft(base, NODULE)
    assert "nodule" in drafted.draft
    assert (drafted.stage, drafted.model) == (Stage.COARSE, "our-site")


async def test_the_signers_lora_rewrites_it(base: Path) -> None:
    """A LoRA of the signer's own words the site's text anew; where that doesn't hold, the text stays as it is."""
    drafted, _ = await draft(base, CLEAR, lora("rad/900001"))
    assert (drafted.draft, drafted.stage, drafted.lora) == (OWN, Stage.FINE, lora("rad/900001").name)
    assert drafted.coarse_lora == "retrieved"
    refused, _ = await draft(base, CLEAR, lora("rad/900001"), said="Active chest disease.")
    assert (refused.draft, refused.stage) == (HERE, Stage.RETRIEVED)
    assert refused.fallback == ("fine text refused: a negation was lost or added",)


def test_without_a_pool_the_findings_speak(tmp_path: Path) -> None:
    """A base that holds no site model has the extractive stage."""
    assert not find_coarse(Settings(engine="echo", base=tmp_path)).is_sites


def test_a_changed_pool_stops_the_start(base: Path) -> None:
    """A pool that isn't the one that the manifest names is refused, and the error quotes nothing of it."""
    with (base / POOL).open("a") as pool:
        pool.write('{"findings": "Zebra.", "impression": "Zebra."}\n')
    with pytest.raises(ConfigError, match=r"pool\.jsonl") as caught:
        find_coarse(Settings(engine="echo", base=base))
    assert "Zebra" not in str(caught.value)
