"""Whose LoRA writes, with a challenger beside the champion."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import LoraRefused
from radbridge.registry import ALIASES, LoraRegistry, LoraVersion
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.loras.shares import is_drawn
from tests.support.registry import OWNER, publish_rivals
from tests.support.serving import ask, echo, make_service

shares = st.floats(0, 1)


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "registry")


@pytest.fixture
def pair(registry: LoraRegistry, tmp_path: Path) -> tuple[LoraVersion, LoraVersion]:
    """Champion and challenger of radiologist 900001."""
    return publish_rivals(registry, tmp_path)


def chain_of(registry: LoraRegistry, canary_share: float) -> LoraChain:
    return LoraChain(registry=registry, packaged={}, personas={}, site_lora="", canary_share=canary_share)


@given(st.text(), shares)
def test_a_request_is_always_drawn_alike(id: str, share: float) -> None:
    """Whether a request falls into a share is decided by its id, each time the same; more share keeps who was in."""
    drawn = is_drawn(id, share=share, purpose="canary")
    assert is_drawn(id, share=share, purpose="canary") == drawn
    assert not (drawn and share == 0)
    assert is_drawn(id, share=1, purpose="canary")
    assert not drawn or is_drawn(id, share=min(1.0, share * 1.5), purpose="canary")


@given(shares, st.integers(0, 2**32))
def test_the_share_is_about_what_was_asked(share: float, seed: int) -> None:
    """Of many requests about the share is drawn, and the two purposes are drawn independently."""
    ids = [f"D{seed + n:016x}" for n in range(2000)]
    canary = {id for id in ids if is_drawn(id, share=share, purpose="canary")}
    shadow = {id for id in ids if is_drawn(id, share=share, purpose="shadow")}
    assert abs(len(canary) / len(ids) - share) < 0.08
    assert abs(len(canary & shadow) / len(ids) - share**2) < 0.08


def test_a_challenger_writes_its_share(registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion]) -> None:
    """The challenger comes first for the share of requests, the champion right behind it; without a share never."""
    champion, challenger = pair
    chain = chain_of(registry, 0.25)
    firsts = [[link.lora for link in chain.links("900001", f"D{n}")] for n in range(400)]
    assert {tuple(loras) for loras in firsts} == {(challenger, champion, None), (champion, None)}
    assert 60 < sum(loras[0] == challenger for loras in firsts) < 140
    never = chain_of(registry, 0.0)
    assert all(next(iter(never.links("900001", f"D{n}"))).lora == champion for n in range(50))
    assert next(iter(chain_of(registry, 1.0).links("900001"))).lora == champion


async def test_a_refused_challenger_leaves_the_draft_to_the_champion(
    registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion]
) -> None:
    """When the challenger can't be loaded the champion drafts, and the draft says why."""
    champion, challenger = pair

    async def load(version: LoraVersion) -> None:
        if version == challenger:
            raise LoraRefused(version.name, "its files can't be read")

    drafted = await make_service(echo(load=load), registry, canary_share=1.0).drafter.draft(ask())
    assert drafted.lora == champion.name
    assert drafted.fallback == ("LoRA for the signer (challenger) refused: its files can't be read",)


def test_damaged_aliases_are_a_reason_and_no_crash(
    registry: LoraRegistry, pair: tuple[LoraVersion, LoraVersion]
) -> None:
    """When an owner's aliases can't be read, the links say so and the base is left; names and roles do without."""
    (registry.root / OWNER / ALIASES).write_text("{")
    chain = chain_of(registry, 1.0)
    links = list(chain.links("900001", "D1"))
    assert [link.lora for link in links] == [None, None, None]
    assert all("refused: its aliases.json can't be read" in link.missing for link in links[:2])
    assert chain.find_challenger("900001") is None
    assert chain.names() == []
    assert chain.role(pair[0]) == "none"
