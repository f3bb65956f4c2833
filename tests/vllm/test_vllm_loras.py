"""LoRAs on the real vLLM: swapped under load, the same as on transformers and PEFT, and refused when they are bad."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from radbridge.errors import LoraRefused
from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import PEFT_CONFIG, WEIGHTS, LoraRegistry, LoraVersion, digest_weights
from radbridge_model_server.engines.engine import Engine, Prompt
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.settings import PACKAGED, Settings
from tests.contract.engine_suite import MAX_QUEUE
from tests.support.findings import make_prompt
from tests.support.walking_model import LIVELY, make_lora

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning"),
]

PROMPTS = [make_prompt(number) for number in range(6)]
SWAPS = 6


async def write(engine: Engine, text: str, lora: LoraVersion | None) -> str:
    return (await engine.generate(Prompt(text=text, lora=lora, max_new_tokens=32))).text


def publish_lively(registry: LoraRegistry, folder: Path, engine: Engine, owner: str, *, seed: int) -> LoraVersion:
    """A random LoRA, whose every token depends on all before it: a stale part of the cache would show."""
    make_lora(folder, LlamaConfig.from_pretrained(PACKAGED / "base"), LIVELY, seed=seed)
    return registry.publish(folder, owner, base_digest=engine.base_digest, prompt_version=PROMPT_VERSION)


async def test_drafts_under_a_flipping_alias_are_their_versions(engine: Engine, tmp_path: Path) -> None:
    """While the champion flips to and fro under load, with prefix caching on, every draft is its stated version's."""
    registry = LoraRegistry(tmp_path / "registry")
    versions = [publish_lively(registry, tmp_path / str(seed), engine, "rad/900001", seed=seed) for seed in (1, 2)]
    twins = [publish_lively(registry, tmp_path / f"{seed}b", engine, f"rad/90001{seed}", seed=seed) for seed in (1, 2)]
    written = {twin.digest12: [await write(engine, text, twin) for text in PROMPTS] for twin in twins}
    assert not set(written[twins[0].digest12]) & set(written[twins[1].digest12])
    registry.promote(versions[0])
    drafted: list[tuple[LoraVersion, int, str]] = []

    async def dictate(first: int) -> None:
        for number in range(first, first + SWAPS):
            champion = registry.champion("rad/900001")
            assert champion
            place = number % len(PROMPTS)
            drafted.append((champion, place, await write(engine, PROMPTS[place], champion)))
            registry.promote(versions[number % 2])

    await asyncio.gather(*(dictate(first) for first in range(MAX_QUEUE)))
    assert {version.name for version, _, _ in drafted} == {version.name for version in versions}
    assert [text for _, _, text in drafted] == [written[version.digest12][place] for version, place, _ in drafted]


async def test_base_drafts_beside_loras_are_the_bases(engine: Engine, loras: list[LoraVersion]) -> None:
    """A prompt without a LoRA gets the base's text, whatever LoRAs are in its batch (vllm#48421)."""
    alone = [await write(engine, text, None) for text in PROMPTS]
    for lora in loras:
        asked = [write(engine, text, None if n % 2 else lora) for n, text in enumerate(PROMPTS)]
        assert (await asyncio.gather(*asked))[1::2] == alone[1::2]


async def test_vllm_writes_what_peft_writes(engine: Engine, loras: list[LoraVersion]) -> None:
    """With and without LoRAs, vLLM's greedy text is the one of transformers and PEFT."""
    reference = await start_engine(Settings(engine="transformers"))
    try:
        for lora in (None, *loras):
            expected = [await write(reference, text, lora) for text in PROMPTS[:3]]
            assert [await write(engine, text, lora) for text in PROMPTS[:3]] == expected
    finally:
        await reference.close()


def _configure(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / PEFT_CONFIG).read_bytes())
        (folder / PEFT_CONFIG).write_text(json.dumps(config | changes))

    return change


def _truncate(folder: Path) -> None:
    weights = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(weights[: len(weights) // 2])


def _pickle(folder: Path) -> None:
    torch.save({}, folder / "adapter_model.bin")


def _swap(folder: Path) -> None:
    shutil.copyfile(PACKAGED / "loras" / "numbered" / WEIGHTS, folder / WEIGHTS)


def _keep(folder: Path) -> None:
    """As it was published."""


BAD: dict[str, tuple[Callable[[Path], None], bool, dict[str, object]]] = {
    "another base": (_keep, False, {"base_digest": "f" * 64}),
    "another prompt": (_keep, False, {"prompt_version": "p0"}),
    "swapped weights": (_swap, False, {}),
    "truncated": (_truncate, False, {}),
    "published truncated": (_truncate, True, {}),
    "pickle": (_pickle, True, {}),
    "DoRA": (_configure(use_dora=True), True, {}),
    "bias": (_configure(bias="all"), True, {}),
    "rank above the limit": (_configure(r=128), True, {"rank": 128}),
    "no number": (_keep, False, {"number": 0}),
}


@pytest.fixture(params=list(BAD.values()), ids=list(BAD))
def bad(request: pytest.FixtureRequest, loras: list[LoraVersion], tmp_path: Path) -> LoraVersion:
    change, is_published, told = request.param
    folder = shutil.copytree(loras[2].path, tmp_path / "lora")
    change(folder)
    seal = digest_weights(folder)[:12] if is_published else loras[2].digest12
    facts = {"owner": "rad/900009", "number": 900009, "path": folder, "digest12": seal}
    return replace(loras[2], **facts | told)


async def test_a_bad_lora_is_refused(engine: Engine, loras: list[LoraVersion], bad: LoraVersion) -> None:
    """A LoRA that must not be loaded raises LoraRefused, leaves nothing behind, and good ones draft as before."""
    before = await write(engine, PROMPTS[0], loras[0])
    with pytest.raises(LoraRefused):
        await engine.ensure_lora(bad)
    asked = (write(engine, PROMPTS[0], lora) for lora in (bad, loras[0]))
    refused, written = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(refused, LoraRefused)
    assert written == before
    assert bad.name not in engine.stats().loras


async def test_a_number_belongs_to_one_version(engine: Engine, loras: list[LoraVersion]) -> None:
    """A version with the number of one in memory is refused: vLLM would write with the other's weights."""
    await engine.ensure_lora(loras[0])
    with pytest.raises(LoraRefused, match="number"):
        await engine.ensure_lora(replace(loras[1], number=loras[0].number))
    with pytest.raises(LoraRefused, match="number"):
        await engine.ensure_lora(replace(loras[0], number=900010))
