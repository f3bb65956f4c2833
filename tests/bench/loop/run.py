"""One run, from an empty folder to its figures, in parts that are each done once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

import yaml

from radbridge.learning import EXAMPLE
from radbridge.registry import WEIGHTS, LoraRegistry, owner_of
from radbridge_training.rows import load_rows
from radbridge_training.turn.examples import EXAMPLES, LEARN
from radbridge_training.turn.training import SFT
from tests.bench.loop.arms import Arm, Row, measure, publish_steps, read_rows, write_rows
from tests.bench.loop.editor import is_poisoned, poison
from tests.bench.loop.figures import Figure, find_unanswered, find_wrong_versions, judge_arms, tabulate
from tests.bench.loop.forms import Form
from tests.bench.loop.hands import edit_by
from tests.bench.loop.harm import Harm, Saboteur
from tests.bench.loop.messages import Ris
from tests.bench.loop.people import Signer, make_signers
from tests.bench.loop.picture import PICTURE, draw
from tests.bench.loop.report import put_table, tell_table
from tests.bench.loop.site import Change, Running, running

POISONED = 4
"""The place of the radiologist who signs errors."""
STATE, ROWS = "state.json", "rows-{}.jsonl"


@dataclass(kw_only=True)
class Result:
    """What a run came to."""

    form: Form
    figures: Sequence[Figure]
    aims: Sequence[tuple[str, bool]]
    seconds: dict[str, float]
    turns: Sequence[dict[str, str]]
    """Of each turn, what became of whom."""

    @property
    def reached(self) -> bool:
        """Whether every aim is; a form that isn't judged has only those that are no matter of size."""
        return all(is_reached for _, is_reached in self.aims)

    def publish(self, docs: Path) -> None:
        """The curves, and the table of `learning.md`."""
        draw(self.figures, docs / "pictures")
        form = self.form
        said = (
            f"{form.people} radiologists, {form.history} reports of each from before, {form.cases} cases of each in a "
            f"round, a turn before each. Measured on {datetime.now(UTC):%Y-%m-%d}."
        )
        aims = "\n".join(f"- {'reached' if ok else '**missed**'}: {what}" for what, ok in self.aims)
        curves = f"![Edit distance, drafts signed as they are and guard flags, by round](pictures/{PICTURE})"
        put_table(docs / "learning.md", "\n\n".join((said, curves, tell_table(self.figures), aims)))

    def tell(self) -> str:
        """For whoever ran it."""
        spent = ", ".join(f"{part} {s:.0f} s" for part, s in self.seconds.items())
        turns = [f"turn {n}: {owner}: {what}" for n, turn in enumerate(self.turns, 1) for owner, what in turn.items()]
        aims = [f"{'reached' if ok else 'MISSED '}  {what}" for what, ok in self.aims]
        return "\n".join((tell_table(self.figures), "", *turns, "", spent, "", *aims))

    def as_json(self) -> dict[str, Any]:
        """All numbers."""
        return {
            "form": self.form.name,
            "figures": [asdict(figure) for figure in self.figures],
            "aims": [{"aim": what, "reached": ok} for what, ok in self.aims],
            "seconds": self.seconds,
            "turns": list(self.turns),
        }


@dataclass
class Loop:
    """A run in a folder."""

    form: Form
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)
    """By part, what it told; a part that is here is done."""

    def __post_init__(self) -> None:
        """What was done before."""
        if (self.folder / STATE).exists():
            self.state = json.loads((self.folder / STATE).read_bytes())
        self.signers = make_signers(self.form.people, self.form.total)
        self.poisoner = self.signers[POISONED % len(self.signers)] if self.form.poisoned else None

    async def run(self) -> Result:
        """Everything that isn't done yet."""
        form = self.form
        async with running(self.folder, form) as run:
            await self._once("import", partial(self._import, run, "history", self.signers, range(form.history)))
            for number, recipe in enumerate(form.turns, 1):
                if number == 2 and (poisoner := self.poisoner):
                    after = range(form.total - form.poisoned, form.total)
                    await self._once("poison", partial(self._import, run, "poison", [poisoner], after, change=poison))
                await self._once(f"turn {number}", partial(self._turn, run, number, recipe))
                await self._once(f"round {number}", partial(self._round, run, number))
                await self._once(f"measuring {number}", partial(self._measure, run, number))
            await self._once("harm", partial(self._harm, run))
            return self._result(run)

    async def _once(self, part: str, do: Callable[[], Awaitable[Any]]) -> None:
        """Do a part unless it is done; note what it told and how long it took."""
        if part in self.state:
            return
        began = monotonic()
        told = await do()
        self.state[part] = {"told": told, "seconds": round(monotonic() - began, 1)}
        text = json.dumps(self.state, indent=1)
        await asyncio.to_thread((self.folder / STATE).write_text, text, encoding="utf-8")
        print(f"{part}: {self.state[part]['seconds']:.0f} s", flush=True)

    async def _import(
        self, run: Running, name: str, signers: Sequence[Signer], numbers: Sequence[int], *, change: Change = str
    ) -> int:
        """Signed reports as a folder of ORU files, and `radbridge import` of it."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        await asyncio.gather(*(_write_history(run, home, s, n, change) for s in signers for n in numbers))
        await run.command("import", home, "--config", run.gateway.config)
        await run.settle()
        return len(signers) * len(numbers)

    async def _turn(self, run: Running, number: int, recipe: dict[str, Any]) -> dict[str, str]:
        """`radbridge train run`; what became of whom. The weights of its steps are put beside them."""
        path = self.folder / f"turn-{number}.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        await run.settle()
        await run.command("train", "run", "--config", run.gateway.config, "--recipe", path)
        turn = self._turns()[0]
        await asyncio.to_thread(publish_steps, run, turn, self.signers)
        return _read_outcomes(turn)

    async def _round(self, run: Running, number: int) -> list[str]:
        """Everybody's cases of a round, signed over the live drafts; those that got neither draft nor reason."""
        changes: dict[str, Change] = {self.poisoner.id: poison} if number == 1 and self.poisoner else {}
        await run.sign_all(self.signers, self.numbers(number), changes)
        await run.settle()
        return find_unanswered(run, (s.accession(n) for s in self.signers for n in self.numbers(number)))

    async def _measure(self, run: Running, number: int) -> int:
        rows = await measure(run, number, self.signers, self.numbers(number))
        write_rows(self.folder / ROWS.format(number), rows)
        print(tell_table(self._tabulate()), flush=True)
        return len(rows)

    async def _harm(self, run: Running) -> dict[str, Any]:
        """A harmful version for whoever is served best, of those who have a champion if anybody has."""
        registry = LoraRegistry(self.folder / "registry")
        served = [row for row in self._rows() if row.arm == Arm.SERVED and row.round == self.form.rounds]

        def rank(pair: tuple[Signer, Path]) -> tuple[bool, float]:
            own = [row.distance for row in served if row.radiologist == pair[0].id]
            return registry.champion(owner_of("rad", pair[0].id)) is None, fmean(own)

        others = [s for s in self.signers if s is not self.poisoner]
        signer, turn = min(((s, t) for s in others for t in self._turns() if _has_weights(t, s)), key=rank)
        saboteur = Saboteur(run=run, form=self.form, turn=turn, signer=signer, signers=self.signers)
        return asdict(await saboteur.do(self.form.history + self.form.rounds * self.form.cases))

    def numbers(self, number: int) -> range:
        """The places of a round's cases."""
        first = self.form.history + (number - 1) * self.form.cases
        return range(first, first + self.form.cases)

    def _turns(self) -> list[Path]:
        """Newest first."""
        return sorted((self.folder / "turns").glob("*T*"), reverse=True)

    @property
    def _without(self) -> frozenset[str]:
        """Who is in no mean: what they signed was wrong."""
        return frozenset({self.poisoner.id} if self.poisoner else ())

    def _tabulate(self) -> list[Figure]:
        return tabulate(self._rows(), self._without)

    def _rows(self) -> list[Row]:
        files = (self.folder / ROWS.format(n) for n in range(1, self.form.rounds + 1))
        return [row for file in files for row in read_rows(file)]

    def _result(self, run: Running) -> Result:
        figures = self._tabulate()
        turns = [self.state[f"turn {n}"]["told"] for n in range(1, self.form.rounds + 1)]
        aims = list(judge_arms(self._rows(), figures, self._without)) if self.form.judged else []
        unanswered = sum(len(self.state[f"round {n}"]["told"]) for n in range(1, self.form.rounds + 1))
        wrong = find_wrong_versions(run, self.signers)
        harm = Harm(**self.state["harm"]["told"])
        aims += [
            (f"acknowledged reports without a draft or a reason: {unanswered}", unanswered == 0),
            (f"drafts of a wrong version: {len(wrong)}", not wrong),
            (
                f"one that slips through is rolled back after {harm.cases} cases: {harm.reason}",
                harm.rolled_back and set(harm.after) == {harm.expected},
            ),
        ]
        if harm.gate_status is not None:
            aims.append((f"the gate stops a harmful version ({harm.gate_reason})", harm.gate_status == 1))
        if self.poisoner:
            aims.append(self._judge_poison(turns[-1]))
        seconds = {part: said["seconds"] for part, said in self.state.items()}
        return Result(form=self.form, figures=figures, aims=aims, seconds=seconds, turns=turns)

    def _judge_poison(self, turn: dict[str, str]) -> tuple[str, bool]:
        """Errors that were signed are in no row that is learned, or the gate stops what was made of them."""
        signer = self.poisoner or self.signers[0]
        owner = owner_of("rad", signer.id)
        rows = self._turns()[0] / owner / EXAMPLES / LEARN
        learned = load_rows(rows, EXAMPLE) if rows.exists() else []
        errors = sum(is_poisoned(e.chosen, e.statement) for e in learned if e.statement)
        what = turn.get(owner, turn.get(signer.id, "not looked at"))
        told = f"of the errors that {signer.id} signs, {errors} are in {len(learned)} rows learned; {what}"
        return told, not errors or not what.startswith("published")


def _has_weights(turn: Path, signer: Signer) -> bool:
    return (turn / owner_of("rad", signer.id) / SFT / WEIGHTS).is_file()


async def _write_history(run: Running, home: Path, signer: Signer, number: int, change: Change) -> None:
    """What was signed before the system was there, without a draft."""
    path = home / f"{signer.accession(number)}.hl7"
    if not path.exists():
        signed = await edit_by(run.hands, "", signer, number)
        path.write_bytes(Ris(signer, number, signer.cases[number]).signed(change(signed)))


def _read_outcomes(turn: Path) -> dict[str, str]:
    """Owner or radiologist -> how their part ended."""
    outcomes = [json.loads(path.read_bytes()) for path in sorted(turn.rglob("outcome.json"))]
    told = {o["owner"]: f"{o['state']} {o['version'] or o['reason']}".strip() for o in outcomes}
    skips = json.loads((turn / "turn.json").read_bytes())["skips"]
    return told | {s["radiologist"]: f"left out: {s['reason']}" for s in skips}
