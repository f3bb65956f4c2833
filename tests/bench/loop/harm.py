"""A harmful update: the gate has to stop it, and once it is put in place by hand the watcher has to take it back."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
import yaml
from safetensors.torch import load_file, save_file

from radbridge.config import load_site
from radbridge.edit import measure_distance
from radbridge.learning import EXAMPLE, PreferenceExample
from radbridge.registry import PEFT_CONFIG, WEIGHTS, LoraRegistry, LoraVersion, owner_of
from radbridge_training.rows import load_rows, write_rows
from radbridge_training.serving import read_serving
from radbridge_training.synth.persona import Persona
from radbridge_training.synth.wording import reword
from radbridge_training.turn.examples import EXAMPLES, LATER, LEARN
from radbridge_training.turn.training import SFT
from tests.bench.loop.forms import Form
from tests.bench.loop.people import Signer
from tests.bench.loop.site import Running

_NOISE = 0.5
_ROLLED_BACK = (
    "SELECT reason FROM lora_event WHERE owner = ? AND action = 'rolled_back' AND actor = 'gateway' AND seq > "
    "(SELECT max(seq) FROM lora_event WHERE version = ? AND action = 'promoted')"
)
_ASKED = "SELECT document FROM draft WHERE accession = ? ORDER BY seq DESC"
_GLANCE_S, _LOOK_S = 0.5, 60.0
"""After each case, and after the last: the watcher rests a moment between two looks, and a machine may stand still."""


@dataclass(frozen=True, kw_only=True)
class Harm:
    """What became of the harmful version."""

    radiologist: str
    gate_status: int | None
    """1: the gate stopped it; None: it wasn't asked."""
    gate_reason: str
    slipped: str
    """The version that was put in place by hand."""
    cases: int
    """Signed until it was rolled back; all there were where it wasn't."""
    rolled_back: bool
    reason: str = ""
    after: tuple[str, ...] = ()
    """Who was asked for the drafts after it."""
    expected: str = ""
    """Who should have been: the champion of before, or whoever drafted where there was none."""


@dataclass(frozen=True, kw_only=True)
class Saboteur:
    """Makes a harmful version for one radiologist, out of what a turn left in its folder."""

    run: Running
    form: Form
    turn: Path
    signer: Signer
    signers: Sequence[Signer]

    async def do(self, first: int) -> Harm:
        """Offer it to the gate, put it in place by hand, and sign cases from the one numbered `first` on."""
        run, owner, work = self.run, owner_of("rad", self.signer.id), self.run.folder / "harm"
        await run.sign(self.signer, range(first, first + self.form.before))
        first += self.form.before
        weights = await self._make(work)
        registry = LoraRegistry(run.folder / "registry")
        champion = registry.champion(owner)
        before = self._read_asked([first - 1])
        status = await self._ask_gate(weights, work, champion) if self.form.judged else None
        await run.command(
            *("train", "publish", "--folder", weights, "--owner", owner, "--config", run.gateway.config),
            *("--force", "--reason", "the bench lets it slip through"),
        )
        version = registry.versions(owner)[-1]
        await run.command("loras", "promote", version.name, "--reason", "by mistake", "--config", run.gateway.config)
        cases = await self._sign_until_rolled_back(version, first)
        told = run.ask(_ROLLED_BACK, owner, version.name)
        last = [first + cases, first + cases + 1]
        await run.sign(self.signer, last)
        return Harm(
            radiologist=self.signer.id,
            gate_status=status,
            gate_reason=_read_reason(work / "gate"),
            slipped=version.name,
            cases=cases,
            rolled_back=bool(told),
            reason=told[-1][0] if told else "",
            after=self._read_asked(last),
            expected=champion.name if champion else before[0],
        )

    async def _ask_gate(self, weights: Path, work: Path, champion: LoraVersion | None) -> int:
        """The exit status of `radbridge train gate`."""
        later = self.turn / owner_of("rad", self.signer.id) / EXAMPLES / LATER
        status, _ = await self.run.command(
            *("train", "gate", "--candidate", weights, "--later", later, "--recipe", work / "recipe.yaml"),
            *("--base", self._base, "--out", work / "gate"),
            *(("--champion", champion.path) if champion else ()),
            allowed=(0, 1),
        )
        return status

    @property
    def _base(self) -> Path:
        return read_serving(load_site(self.run.gateway.config)).base

    async def _sign_until_rolled_back(self, version: LoraVersion, first: int) -> int:
        """How many cases it took; all there are where it never was."""
        most = self.form.slipped - 2
        for count in range(1, most + 1):
            await self.run.sign(self.signer, [first + count - 1])
            if await _is_rolled_back(self.run, version, _LOOK_S if count == most else _GLANCE_S):
                return count
        return most

    def _read_asked(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """Who was asked for the drafts of these cases."""
        drafts = (json.loads(self.run.ask(_ASKED, self.signer.accession(n))[0][0]) for n in numbers)
        return tuple(draft["asked"] or draft["lora"] for draft in drafts)

    async def _make(self, work: Path) -> Path:
        """Weights that write every sentence as somebody else would; without a recipe for them, noise."""
        await asyncio.to_thread(work.mkdir, parents=True, exist_ok=True)
        home = self.turn / owner_of("rad", self.signer.id)
        (work / "recipe.yaml").write_text(yaml.safe_dump(dict(self.form.turns[-1] | self.form.harm)), encoding="utf-8")
        if not self.form.harm:
            return _make_noise(home / SFT, work / "noise")
        examples = [e for e in load_rows(home / EXAMPLES / LEARN, EXAMPLE) if e.statement]
        others = [s.persona for s in self.signers if s is not self.signer]
        other = _find_farthest([e.statement for e in examples], self.signer.persona, others)
        write_rows(work / LEARN, EXAMPLE, (_said_by(e, other) for e in examples))
        out = work / "lora"
        if not await asyncio.to_thread(out.is_dir):
            await self.run.command(
                *("train", "sft", "--recipe", work / "recipe.yaml", "--examples", work / LEARN),
                *("--base", self._base, "--out", out),
            )
        return out


async def _is_rolled_back(run: Running, version: LoraVersion, within_s: float) -> bool:
    """Whether the watcher takes it back."""
    for _ in range(int(within_s / 0.1)):
        if run.ask(_ROLLED_BACK, version.owner, version.name):
            return True
        await asyncio.sleep(0.1)
    return False


def _said_by(example: PreferenceExample, persona: Persona) -> PreferenceExample:
    """The example with another's wording for the answer, and the signer's own as what not to write."""
    return replace(example, chosen=f" {reword(example.statement, persona)}", rejected=example.chosen)


def _find_farthest(statements: Sequence[str], own: Persona, personas: Sequence[Persona]) -> Persona:
    """Whose wording is the least like a radiologist's own."""
    said = statements[:100]
    mine = [reword(s, own) for s in said]

    def far(persona: Persona) -> float:
        return fmean(measure_distance(a, reword(b, persona)) for a, b in zip(mine, said, strict=True))

    return max(personas, key=far)


def _make_noise(like: Path, out: Path) -> Path:
    """A LoRA of the same shape that says nothing."""
    out.mkdir(exist_ok=True)
    shutil.copyfile(like / PEFT_CONFIG, out / PEFT_CONFIG)
    torch.manual_seed(8)
    tensors = {n: torch.randn_like(tensor) * _NOISE for n, tensor in load_file(like / WEIGHTS).items()}
    save_file(tensors, out / WEIGHTS, metadata={"format": "pt"})
    return out


def _read_reason(folder: Path) -> str:
    """Which of the gate's rules failed."""
    found = next(iter(sorted(folder.rglob("verdict.json"))), None)
    said = json.loads(found.read_bytes()) if found else {}
    return ", ".join(dict.fromkeys(f["rule"] for f in said.get("findings", ()) if not f["passed"]))
