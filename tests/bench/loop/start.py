"""Whether a further LoRA should begin at the champion or at the base: both from the same rows of a run that has ended.

`python -m tests.bench.loop.start [--form whole] [--folder var/bench/loop]`

Of every turn after the first, for whoever had a champion then: the turn's own supervised step, which went on from the
champion, beside one from the base. Both draft the cases of the round after it, and the same hand edits them.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from radbridge.config import load_site
from radbridge.contract import DraftRequest
from radbridge.edit import measure_distance
from radbridge.gateway import make_model_client
from radbridge.learning import EXAMPLE
from radbridge.registry import WEIGHTS, LoraRegistry, owner_of
from radbridge_training.optimize.supervised import train_sft
from radbridge_training.rows import load_rows
from radbridge_training.serving import read_serving
from radbridge_training.turn.examples import EXAMPLES, LEARN
from radbridge_training.turn.folder import list_turns
from radbridge_training.turn.training import SFT
from radbridge_training.turn_recipe import TurnRecipe
from tests.bench.loop.arms import list_requests
from tests.bench.loop.forms import FORMS
from tests.bench.loop.hands import edit_by
from tests.bench.loop.run import Loop
from tests.bench.loop.site import Running, running
from tests.bench.quality_radiologists import draw_interval

MARKS = ("champion", "base")
_ASK_S = 120.0
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One radiologist in one turn: mean edit distances by where training began."""

    turn: int
    radiologist: str
    champion: float
    base: float


async def compare(loop: Loop) -> list[Pair]:
    """Train from the base what isn't there yet, then measure."""
    pairs: list[Pair] = []
    async with running(loop.folder, loop.form) as run:
        turns = list(list_turns(loop.folder / "turns"))[::-1]
        for number, (turn, said) in enumerate(zip(turns, loop.form.turns, strict=True), 1):
            recipe = TurnRecipe.model_validate(said)
            homes = {o.radiologist: turn.home(o.owner) for o in turn.told.owners if o.parent}
            homes = {whose: home for whose, home in homes.items() if (home / SFT / WEIGHTS).is_file()}
            _train(run, [home for home in homes.values() if not (home / "base" / WEIGHTS).is_file()], recipe)
            for whose, home in homes.items():
                pairs.append(await _measure(run, loop, number, whose, (home / SFT, home / "base")))
                print(pairs[-1], flush=True)
    return pairs


def _train(run: Running, homes: Sequence[Path], recipe: TurnRecipe) -> None:
    """The supervised step without a parent, side by side."""
    base = read_serving(load_site(run.gateway.config)).base
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn, max_tasks_per_child=1) as workers:
        for done in [workers.submit(train_from_base, home, base, recipe) for home in homes]:
            done.result()


def train_from_base(home: Path, base: Path, recipe: TurnRecipe) -> None:
    """`<home>/base`: what the turn learned, without what was known before it."""
    train_sft(
        load_rows(home / EXAMPLES / LEARN, EXAMPLE),
        base=base,
        parent=None,
        recipe=recipe.sft,
        lora=recipe.lora,
        common=recipe.common,
        into=home / "base",
    )


async def _measure(run: Running, loop: Loop, number: int, whose: str, weights: Sequence[Path]) -> Pair:
    serving = read_serving(load_site(run.gateway.config))
    registry = LoraRegistry(run.folder / "registry")
    signer = next(signer for signer in loop.signers if signer.id == whose)
    client, room = make_model_client(run.url, _ASK_S), asyncio.Semaphore(_AT_ONCE)
    told = {}
    for mark, folder in zip(MARKS, weights, strict=True):
        owner = owner_of("rad", f"{whose}~{mark}")
        version = registry.publish(folder, owner, base_digest=serving.digest, prompt_version=serving.ways.version)
        registry.promote(version)

        async def take(place: int, request: DraftRequest, expected: str = version.name) -> float:
            async with room:
                answer = await client.draft(request)
            if answer.asked not in ("", expected):
                raise SystemExit(f"{answer.asked} drafted in place of {expected}")
            return measure_distance(answer.draft, await edit_by(run.hands, answer.draft, signer, place))

        asks = list_requests(run, signer, loop.numbers(number), mark=mark)
        told[mark] = fmean(await asyncio.gather(*(take(asked.place, asked.request) for asked in asks)))
    await client.close()
    return Pair(turn=number, radiologist=whose, **told)


def tell(pairs: Sequence[Pair]) -> Iterator[str]:
    """A line for each turn."""
    for turn in sorted({pair.turn for pair in pairs}):
        own = [pair for pair in pairs if pair.turn == turn]
        low, high = draw_interval([pair.champion - pair.base for pair in own])
        yield (
            f"turn {turn}, {len(own)} radiologists: from the champion {fmean(p.champion for p in own):.4f}, "
            f"from the base {fmean(p.base for p in own):.4f}; difference [{low:+.4f}, {high:+.4f}]"
        )


def main() -> None:
    """Compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=FORMS, default="whole")
    parser.add_argument("--folder", type=Path, default=Path("var/bench/loop"))
    said = parser.parse_args()
    loop = Loop(FORMS[said.form], said.folder.resolve() / said.form)
    print("\n".join(tell(asyncio.run(compare(loop)))))


if __name__ == "__main__":
    main()
