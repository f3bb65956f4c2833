"""`Expand`: the other way round, from an impression or key phrases to detailed findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from radbridge.draft import Stage
from radbridge.errors import ModelUnavailable
from radbridge.guard import Guard
from radbridge_model_server.drafts.asking import Asker, Written
from radbridge_model_server.drafts.context import Fitter
from radbridge_model_server.drafts.prepared import Prepared
from radbridge_model_server.drafts.strategies.single import build_one, note_cut, read_one
from radbridge_model_server.drafts.strategies.strategy import Strategy, Verdict
from radbridge_model_server.engines.engine import OnText
from radbridge_model_server.loras.chain import Link, LoraChain

NEEDS_MODEL = "expand needs a model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Expand(Strategy):
    """The LoRA that the site names for it writes; there is no coarse text to fall back to.

    LoRAs of radiologists aren't asked: they learnt to conclude.
    """

    asker: Asker
    fitter: Fitter
    chain: LoraChain
    expand_lora: str
    """`base`: no LoRA."""

    @property
    def name(self) -> str:
        return "single"

    async def write(
        self, prepared: Prepared, links: Iterable[Link], fallback: list[str], on_text: OnText | None = None
    ) -> Written | None:
        """Raises ModelUnavailable too."""
        owner = "" if self.expand_lora == "base" else self.expand_lora
        link = self.chain.link("LoRA to expand", owner)
        build = partial(build_one, self.fitter, prepared.as_input())
        written = await self.asker.ask(build, [link], prepared.limits, fallback, on_text)
        if written is None:
            raise ModelUnavailable(f"{NEEDS_MODEL}: {', '.join(fallback)}")
        return written

    def judge(self, prepared: Prepared, written: Written | None, guard: Guard) -> Verdict:
        """The text with its flags, those for what the key phrases don't say among them; none where it is no text."""
        if written is None:
            raise ModelUnavailable(NEEDS_MODEL)
        text, refusal = read_one(written)
        if refusal:
            return Verdict(text="", stage=Stage.WHOLE, reasons=(f"text refused: {refusal}",))
        return Verdict(
            text=text, stage=Stage.WHOLE, author=written.author, flags=guard.check(text), notes=note_cut(written)
        )
