"""`Refine`: the site LoRA drafts from the findings, the radiologist's LoRA refines what it wrote."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from radbridge.draft import Stage
from radbridge.guard import Guard
from radbridge.prompt import shows_style
from radbridge_model_server.drafts.asking import Asker, Written
from radbridge_model_server.drafts.checking import POLICY, make_guard
from radbridge_model_server.drafts.coarse import CoarseText
from radbridge_model_server.drafts.context import Fitter
from radbridge_model_server.drafts.foreign import REFUSAL, clear
from radbridge_model_server.drafts.prepared import Limits, Prepared
from radbridge_model_server.drafts.refusal import find_addition
from radbridge_model_server.drafts.strategies.single import build_one, note_cut, read_one
from radbridge_model_server.drafts.strategies.strategy import Strategy, Verdict, judge_coarse
from radbridge_model_server.engines.engine import OnText
from radbridge_model_server.loras.chain import Link, LoraChain

_COARSE_SHARE = 0.45
"""Part of the engine's time that the site LoRA gets; what it leaves is the refining one's too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refine(Strategy):
    """`strategy: coarse_to_fine` with `coarse_by: site_lora`.

    Who has no LoRA of their own gets the site's refined beside their signed examples, or without those as it is.
    """

    asker: Asker
    fitter: Fitter
    chain: LoraChain
    site_lora: str
    """Empty: the base writes the coarse text."""
    lexicon: tuple[Path, ...]

    @property
    def name(self) -> str:
        return "coarse_to_fine"

    async def prepare(self, prepared: Prepared) -> Prepared:
        """The request with the site LoRA's text; with the extractive one where that isn't to be had, or is worse."""
        if self.has_nothing(prepared):
            return prepared
        began, fallback = time.monotonic(), list[str]()
        case = replace(prepared.as_input(), examples=())
        link = self.chain.link("site LoRA", self.site_lora)
        written = await self.asker.ask(
            partial(build_one, self.fitter, case), [link], _share(prepared.limits, began), fallback
        )
        text, refusal = ("", ", ".join(fallback)) if written is None else read_one(written)
        text, refusal = await asyncio.to_thread(self._check_site, prepared, text, refusal)
        prepared = replace(prepared, site_ms=(time.monotonic() - began) * 1000)
        if refusal or written is None:
            return replace(prepared, reasons=(f"site draft refused: {refusal}",))
        return replace(prepared, coarse=CoarseText(text=text, statements=()), coarse_by=written.author)

    async def write(
        self, prepared: Prepared, links: Iterable[Link], fallback: list[str], on_text: OnText | None = None
    ) -> Written | None:
        build = partial(build_one, self.fitter, replace(prepared.as_input(), coarse=prepared.coarse.text))
        return await self.asker.ask(build, self._refiners(prepared, links), prepared.limits, fallback, on_text)

    def judge(self, prepared: Prepared, written: Written | None, guard: Guard) -> Verdict:
        """The refined text; the coarse one where it is none, or the guard objects to it and not to the coarse one."""
        coarse = judge_coarse(prepared, guard)
        if written is None:
            return coarse
        text, refusal = read_one(written)
        cleared = clear(text, prepared)
        text, refusal = cleared.text, refusal or ("" if cleared.text else REFUSAL)
        flags = guard.check(text)
        if objection := refusal or find_addition(flags, coarse.flags):
            return replace(coarse, reasons=(f"refined text refused: {objection}",))
        return Verdict(
            text=text,
            stage=Stage.FINE,
            author=written.author,
            flags=flags,
            notes=(*note_cut(written), *cleared.notes),
            examples=written.examples,
        )

    def _refiners(self, prepared: Prepared, links: Iterable[Link]) -> Iterator[Link]:
        """The signer's own; and whoever wrote the coarse text, where there are examples that it can see."""
        author = prepared.coarse_by
        for link in links:
            again = author and author.lora == link.lora and not link.missing and shows_style(author.prompt_version)
            if link.is_signers or (again and prepared.request.examples):
                yield link

    def _check_site(self, prepared: Prepared, text: str, refusal: str) -> tuple[str, str]:
        """The site LoRA's text, and why it is no coarse text: it is none, or is kept back where the other one isn't."""
        if refusal:
            return text, refusal
        text = clear(text, prepared).text
        return text, self._find_worse(prepared, text) if text else REFUSAL

    def _find_worse(self, prepared: Prepared, text: str) -> str:
        guard = make_guard(prepared.request, self.lexicon)
        texts = (text, prepared.coarse.text)
        after, before = ({(f.kind, f.message) for f in POLICY.judge(guard.check(said)).blocking} for said in texts)
        worse = {kind for kind, _ in after - before}
        return f"the guard objects ({', '.join(sorted(worse))})" if worse else ""


def _share(limits: Limits, now: float) -> Limits:
    engine = now + _COARSE_SHARE * (limits.engine - now)
    return Limits(engine=engine, latest=engine + limits.latest - limits.engine)
