"""One batch that mixes 8 LoRAs, against the same 8 drafts one after the other with PEFT's `set_adapter`.

Both write the same text with the same transformers; what differs is that the engine's batch goes through the base's
weights once a token, and `set_adapter`, the usual way to serve several LoRAs with PEFT, eight times.
"""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from radbridge_model_server.engines.engine import Prompt
from radbridge_model_server.engines.transformers_engine import TransformersEngine
from radbridge_model_server.settings import Settings
from tests.bench.serving_load import NEW_TOKENS, make_prompts
from tests.bench.serving_loras import Radiologists, radiologists
from tests.bench.serving_report import Report, Verdict, run

LORAS = 8


class SwitchingPeft:
    """PEFT as its documentation serves several LoRAs: one is set, the others wait."""

    def __init__(self, readers: Radiologists) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(readers.base, local_files_only=True)
        base: Any = AutoModelForCausalLM.from_pretrained(readers.base, dtype=torch.float32, local_files_only=True)
        self._model: Any = PeftModel.from_pretrained(base, str(readers.versions[0].path), adapter_name="0")
        for slot, version in enumerate(readers.versions[1:], 1):
            self._model.load_adapter(str(version.path), adapter_name=str(slot))
        self._model.eval()

    def write(self, slot: int, prompt: str) -> str:
        """One draft by one LoRA."""
        self._model.set_adapter(str(slot))
        ids = self._tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            made = self._model.generate(**ids, max_new_tokens=NEW_TOKENS, do_sample=False)
        return str(self._tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


async def measure(quick: bool) -> Report:
    """Both ways in turn, several times."""
    torch.set_num_threads(1)
    prompts = make_prompts(LORAS)
    with radiologists(LORAS) as readers:
        peft = SwitchingPeft(readers)
        engine = TransformersEngine(Settings(base=readers.base, max_batch=LORAS, max_loras=LORAS))
        await engine.start()

        async def mix() -> list[str]:
            asked = [
                Prompt(text=text, lora=lora, max_new_tokens=NEW_TOKENS)
                for text, lora in zip(prompts, readers.versions, strict=True)
            ]
            return [g.text for g in await asyncio.gather(*map(engine.generate, asked))]

        async def switch() -> list[str]:
            return await asyncio.to_thread(lambda: [peft.write(slot, text) for slot, text in enumerate(prompts)])

        ways = {"one mixed batch": mix, "one after the other, set_adapter": switch}
        texts = {name: await way() for name, way in ways.items()}  # also warms both
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(3 if quick else 10):
            for name, way in ways.items():
                began = perf_counter()
                await way()
                seconds[name].append(perf_counter() - began)
        await engine.close()
    mixed, switched = texts.values()
    same = sum(a == b for a, b in zip(mixed, switched, strict=True))
    rows: list[dict[str, object]] = [
        {"way": name, "ms for 8 drafts": round(1000 * median(took)), "drafts/s": LORAS / median(took)}
        for name, took in seconds.items()
    ]
    fast, slow = (median(took) for took in seconds.values())
    return Report(
        title=f"8 drafts by 8 LoRAs, {NEW_TOKENS} tokens each, transformers engine, one thread",
        rows=rows,
        verdicts=(
            Verdict(what="mixed against one after the other", value=slow / fast, aim=2.0),
            Verdict(what="drafts with the same text both ways", value=same, aim=LORAS),
        ),
    )


if __name__ == "__main__":
    run("mixed", measure, __doc__ or "")
