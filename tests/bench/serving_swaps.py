"""A thousand swaps of one radiologist's LoRA under load, prefix caching on: how many drafts are by a wrong version.

What every version writes is found out beforehand, alone and past the cache (each request salted by itself). Then drafts
of the same few prompts run without a pause while the served version changes with every second that is done:

    RadBridge              the registry's alias flips; right is the text of the version that it named at the beginning
    one name, in place     vLLM's own reload (`load_inplace`); right is the text of any version served meanwhile
    one name, new number   the other way to reload under one name; right as above

`stale`: the very text of a version that had gone before. `mixed`: no version's text, new weights on an old cache.
`at rest`: the same once more with nothing under way, one swap, one draft; nothing but the cache can spoil these.
A name with two numbers in one batch ends vLLM's worker with a KeyError, so that way comes last.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import Progress

from radbridge.registry import LoraRegistry, LoraVersion
from radbridge_model_server.engines.engine import Prompt
from radbridge_model_server.loras.chain import LoraChain
from tests.bench.serving_load import make_prompts
from tests.bench.serving_loras import make_base, publish
from tests.bench.serving_report import Report, Verdict, run
from tests.bench.serving_vllm import BLOCK_TOKENS, Pair, as_lora, start_pair
from tests.support.bare_vllm import Lora

RADIOLOGIST = "900001"
VERSIONS = 8
PROMPTS = 6
LANES = 8
DRAFTS_A_SWAP = 2
NEW_TOKENS = 12

Expected = dict[tuple[str, int], str]
"""(prompt, version) -> text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafted:
    """One draft, and the versions that it may be by."""

    prompt: str
    text: str
    allowed: frozenset[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way to serve and to swap."""

    name: str
    swap: Callable[[int], Awaitable[None]]
    draft: Callable[[str], Awaitable[Drafted]]


async def measure(quick: bool) -> Report:
    """Every way in turn, on one engine."""
    swaps = 60 if quick else 1000
    with TemporaryDirectory() as folder:
        base = make_base(Path(folder) / "base")
        registry = LoraRegistry(Path(folder) / "loras")
        versions = [publish(registry, base, f"rad/{RADIOLOGIST}", seed=seed) for seed in range(VERSIONS)]
        async with start_pair(base, max_loras=4) as pair:
            expected = await write_alone(pair, make_prompts(PROMPTS), versions)
            ways = (
                serve_by_alias(pair, registry, versions),
                OneName(pair, versions, in_place=True).way("one name, in place"),
                OneName(pair, versions, in_place=False).way("one name, new number"),
            )
            rows = [await Traffic(way, expected, swaps).run() for way in ways]
            cached = await count_cached(pair, expected, versions)
    wrong = sum(int(str(rows[0][kind])) for kind in ("stale", "mixed"))
    return Report(
        title=f"Swaps among {VERSIONS} versions under load, {LANES} drafts at once, prefix caching on",
        rows=rows,
        verdicts=(
            Verdict(what="our drafts by a wrong version", value=wrong, aim=0, at_most=True),
            Verdict(what="prompt tokens that our drafts found in the cache", value=cached, aim=BLOCK_TOKENS),
        ),
    )


async def write_alone(pair: Pair, prompts: list[str], versions: list[LoraVersion]) -> Expected:
    """What each version writes; no two of them the same."""
    salts = map(str, itertools.count())
    expected = {
        (prompt, index): (await pair.bare.write(prompt, as_lora(version), NEW_TOKENS, salt=f"alone-{next(salts)}")).text
        for prompt in prompts
        for index, version in enumerate(versions)
    }
    if len(set(expected.values())) < len(expected):
        raise RuntimeError("two versions write the same text: a mix-up of them wouldn't show")
    return expected


def serve_by_alias(pair: Pair, registry: LoraRegistry, versions: list[LoraVersion]) -> Way:
    """As the model server does it: the registry's alias is read at each draft, and the engine gets that version."""
    chain = LoraChain(registry=registry, packaged={}, personas={}, site_lora="")

    async def swap(index: int) -> None:
        await asyncio.to_thread(registry.promote, versions[index])

    async def draft(prompt: str) -> Drafted:
        lora = next(chain.links(RADIOLOGIST)).lora
        if lora is None:
            raise RuntimeError("the alias names no version")
        generated = await pair.ours.generate(Prompt(text=prompt, lora=lora, max_new_tokens=NEW_TOKENS))
        return Drafted(prompt=prompt, text=generated.text, allowed=frozenset({versions.index(lora)}))

    return Way(name="RadBridge", swap=swap, draft=draft)


class OneName:
    """A LoRA that keeps its name while its weights change, on vLLM bare."""

    def __init__(self, pair: Pair, versions: list[LoraVersion], *, in_place: bool) -> None:
        self._bare = pair.bare
        self._versions = versions
        self._in_place = in_place
        self._numbers = itertools.count(100_000 if in_place else 200_000)
        self._lora = Lora(name=f"one-{in_place}", number=next(self._numbers), path=versions[0].path)
        self._served = [0]
        """Every version so far."""
        self._known = 1
        """So many of them are surely loaded."""

    def way(self, name: str) -> Way:
        """As one of the ways."""
        return Way(name=name, swap=self._swap, draft=self._draft)

    async def _swap(self, index: int) -> None:
        self._served.append(index)
        number = self._lora.number if self._in_place else next(self._numbers)
        lora = replace(self._lora, number=number, path=self._versions[index].path)
        await self._bare.load(lora, in_place=self._in_place)
        self._lora = lora
        self._known = len(self._served)

    async def _draft(self, prompt: str) -> Drafted:
        since = self._known - 1
        written = await self._bare.write(prompt, self._lora, NEW_TOKENS)
        return Drafted(prompt=prompt, text=written.text, allowed=frozenset(self._served[since:]))


class Traffic:
    """Drafts without a pause, and a swap whenever a few are done."""

    def __init__(self, way: Way, expected: Expected, swaps: int) -> None:
        self._way = way
        self._expected = expected
        self._swaps = swaps
        self._ended = 0
        self._drafts = asyncio.Semaphore(0)
        self._counts: Counter[str] = Counter()

    async def run(self) -> dict[str, object]:
        """One row."""
        prompts = sorted({prompt for prompt, _ in self._expected})
        try:
            async with asyncio.TaskGroup() as group:
                for first in range(LANES):
                    group.create_task(self._draft_on(prompts[first % PROMPTS :] + prompts[: first % PROMPTS]))
                group.create_task(self._swap_on())
        except* Exception as failures:
            if any(type(failure).__name__ != "EngineDeadError" for failure in failures.exceptions):
                raise
        is_alive = self._ended == self._swaps
        at_rest = await self._draft_at_rest(prompts) if is_alive else "-"
        return {
            "way": self._way.name,
            "swaps": self._ended,
            "drafts": self._counts.total(),
            **{kind: self._counts[kind] for kind in ("right", "stale", "mixed")},
            "wrong at rest": at_rest,
            "vLLM": "lives" if is_alive else "died",
        }

    async def _draft_at_rest(self, prompts: list[str]) -> str:
        """Wrong ones of all."""
        kinds: list[str] = []
        for index in range(VERSIONS):
            await self._way.swap(index)
            kinds += [judge(await self._way.draft(prompt), self._expected) for prompt in prompts]
        return f"{len(kinds) - kinds.count('right')} of {len(kinds)}"

    async def _draft_on(self, prompts: list[str]) -> None:
        for prompt in itertools.cycle(prompts):
            if self._ended == self._swaps:
                return
            self._counts[judge(await self._way.draft(prompt), self._expected)] += 1
            self._drafts.release()

    async def _swap_on(self) -> None:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for number in progress.track(range(1, self._swaps + 1), description=self._way.name):
                for _ in range(DRAFTS_A_SWAP):
                    await self._drafts.acquire()
                await self._way.swap(number % VERSIONS)
                self._ended += 1


async def count_cached(pair: Pair, expected: Expected, versions: list[LoraVersion]) -> float:
    """Prompt tokens that vLLM has in its cache for a draft of ours, on average: without any, nothing could be stale."""
    probes = [
        await pair.bare.write(prompt, as_lora(versions[index]), 1, salt=versions[index].name)
        for prompt, index in expected
    ]
    return mean(probe.cached for probe in probes)


def judge(drafted: Drafted, expected: Expected) -> str:
    """Whose text it is."""
    text = drafted.text.strip()
    writers = {
        index for (prompt, index), known in expected.items() if prompt == drafted.prompt and known.strip() == text
    }
    if writers & drafted.allowed:
        return "right"
    return "stale" if writers else "mixed"


if __name__ == "__main__":
    run("swaps", measure, __doc__ or "")
