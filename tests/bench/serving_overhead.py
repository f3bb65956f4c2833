"""What Ray Serve and RadBridge cost: `POST /v1/drafts` against vLLM's `AsyncLLM` bare, 16 at a time.

The server drafts with `strategy: single`, so that one request is one generation, and of a fixed length. The bare engine
gets the very prompts that the server builds, already built, and the same LoRAs; what it doesn't do is HTTP, Serve's
routing, looking up the alias, admission, the coarse stage, the guard and JSON. Chat completions stand beside: the same
work without coarse stage and guard. All run on the same two cores, the client too, in rounds that alternate.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx

from radbridge.prompt import PromptInput, build_prompt
from radbridge.registry import LoraVersion
from tests.bench.serving_load import NEW_TOKENS, Load, drive, make_findings
from tests.bench.serving_loras import Radiologists, radiologists
from tests.bench.serving_report import Report, Verdict, run
from tests.bench.serving_vllm import as_lora, make_settings, start_pair
from tests.support.bare_vllm import BareVllm

CONCURRENCY = 16
LORAS = 4
START_S = 240
_CUT_OFF = "text refused: it doesn't end"
"""What every draft of the bench's endless model says, its work done: guarded, it goes out as the coarse text."""

Ask = Callable[[str, LoraVersion], Awaitable[int]]


async def measure(quick: bool) -> Report:
    """Both ends up at once, asked in turn."""
    drafts, rounds = (16, 1) if quick else (96, 5)
    loads: dict[str, list[Load]] = {}
    with radiologists(LORAS) as readers:
        async with (
            start_pair(readers.base, max_batch=CONCURRENCY, max_loras=LORAS) as pair,
            start_server(readers) as url,
            httpx.AsyncClient(base_url=url, timeout=120, limits=httpx.Limits(max_connections=CONCURRENCY)) as client,
        ):
            ways: Mapping[str, Ask] = {
                "AsyncLLM bare": partial(ask_bare, pair.bare),
                "POST /v1/drafts": partial(ask_drafts, client),
                "POST /v1/chat/completions": partial(ask_chat, client),
            }
            for turn in range(rounds + 1):
                for place, (name, ask) in enumerate(ways.items()):
                    findings = make_findings(drafts, seed=10 * turn + place)
                    asks = [partial(ask, text, readers.versions[n % LORAS]) for n, text in enumerate(findings)]
                    load = await drive(asks, CONCURRENCY, f"{name}, round {turn}")
                    if turn:  # the first loads the LoRAs
                        loads.setdefault(name, []).append(load)
    rates = {name: median(load.tokens_per_s for load in found) for name, found in loads.items()}
    bare = rates["AsyncLLM bare"]
    rows: list[dict[str, object]] = [
        {
            "way": name,
            "tokens/s": rate,
            "of bare": rate / bare,
            "p50 ms": round(median(load.percentile_ms(50) for load in loads[name])),
            "p99 ms": round(median(load.percentile_ms(99) for load in loads[name])),
        }
        for name, rate in rates.items()
    ]
    return Report(
        title=f"{NEW_TOKENS} tokens by {LORAS} LoRAs, {CONCURRENCY} at a time",
        rows=rows,
        verdicts=tuple(
            Verdict(what=f"{name} over bare", value=rates[name] / bare, aim=0.9) for name in rates if name in ENDPOINTS
        ),
    )


ENDPOINTS = ("POST /v1/drafts", "POST /v1/chat/completions")


async def ask_bare(bare: BareVllm, findings: str, lora: LoraVersion) -> int:
    return len((await bare.write(_prompt(findings), as_lora(lora), NEW_TOKENS)).tokens)


async def ask_drafts(client: httpx.AsyncClient, findings: str, lora: LoraVersion) -> int:
    radiologist = lora.owner.removeprefix("rad/")
    asked = {"id": "1", "findings": findings, "modality": "CT", "radiologist": radiologist}
    answer = (await client.post("/v1/drafts", json=asked)).raise_for_status().json()
    if answer["fallback"] != [_CUT_OFF]:
        raise RuntimeError(f"not drafted by {lora.name}: {answer['fallback']}")
    return NEW_TOKENS


async def ask_chat(client: httpx.AsyncClient, findings: str, lora: LoraVersion) -> int:
    asked = {"model": lora.owner, "messages": [{"role": "user", "content": _prompt(findings)}]}
    answer = (await client.post("/v1/chat/completions", json=asked)).raise_for_status().json()
    return int(answer["usage"]["completion_tokens"])


def _prompt(findings: str) -> str:
    return build_prompt(PromptInput(findings=findings, modality="CT"))


@asynccontextmanager
async def start_server(readers: Radiologists) -> AsyncIterator[str]:
    """The model server's own command with the vLLM engine; its address."""
    settings = make_settings(
        readers.base,
        loras=readers.registry.root,
        strategy="single",
        max_batch=CONCURRENCY,
        max_loras=LORAS,
        max_new_tokens=NEW_TOKENS,
        deadline_s=120,
        site_lora="",
        persona_loras=readers.base.parent / "none",
    )
    with TemporaryDirectory() as folder:
        config = Path(folder) / "model.json"
        config.write_text(settings.model_dump_json(), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "radbridge_model_server", "--listen", "127.0.0.1:0", "--config", str(config)),
            *("--start-timeout", str(START_S)),
            stdin=asyncio.subprocess.PIPE,  # closed when this process dies: then the server stops too
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            if process.stdout is None:
                raise RuntimeError("the server has no standard output")
            line = await asyncio.wait_for(process.stdout.readline(), START_S + 30)
            if not line:
                raise RuntimeError("the server ended before it was ready")
            yield str(json.loads(line)["url"])
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


if __name__ == "__main__":
    run("overhead", measure, __doc__ or "")
