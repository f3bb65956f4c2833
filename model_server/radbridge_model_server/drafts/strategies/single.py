"""`Single`: one LoRA from findings to impression."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from radbridge.draft import Flag, FlagKind, Stage
from radbridge.guard import Guard
from radbridge.prompt import PromptInput
from radbridge_model_server.drafts.asking import Asker, Prompts, Written
from radbridge_model_server.drafts.context import Fitter
from radbridge_model_server.drafts.foreign import REFUSAL, clear
from radbridge_model_server.drafts.prepared import Prepared
from radbridge_model_server.drafts.refusal import find_refusal
from radbridge_model_server.drafts.strategies.strategy import Strategy, Verdict, judge_coarse
from radbridge_model_server.engines.engine import OnText
from radbridge_model_server.loras.chain import Link

MODEL_CUT = Flag(
    kind=FlagKind.CONTEXT_CUT,
    message="The findings are longer than the model's context: it did not see all sentences from their middle.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Single(Strategy):
    """The model sees findings, context and signed examples; its text stands with its flags, if it is one."""

    asker: Asker
    fitter: Fitter

    @property
    def name(self) -> str:
        return "single"

    async def write(
        self, prepared: Prepared, links: Iterable[Link], fallback: list[str], on_text: OnText | None = None
    ) -> Written | None:
        build = partial(build_one, self.fitter, prepared.as_input())
        return await self.asker.ask(build, links, prepared.limits, fallback, on_text)

    def judge(self, prepared: Prepared, written: Written | None, guard: Guard) -> Verdict:
        if written is None:
            return judge_coarse(prepared, guard)
        text, refusal = read_one(written)
        cleared = clear(text, prepared)
        if refusal := refusal or ("" if cleared.text else REFUSAL):
            return judge_coarse(prepared, guard, f"text refused: {refusal}")
        return Verdict(
            text=cleared.text,
            stage=Stage.WHOLE,
            author=written.author,
            flags=guard.check(cleared.text),
            notes=(*note_cut(written), *cleared.notes),
            examples=written.examples,
        )


def build_one(fitter: Fitter, case: PromptInput, version: str) -> Prompts:
    """One prompt that shows the whole case."""
    fitted = fitter.fit(case, version)
    if fitted is None:
        return Prompts(texts=(None,))
    return Prompts(texts=(fitted.text,), cut=fitted.cut, examples=fitted.examples)


def read_one(written: Written) -> tuple[str, str]:
    """The one text that was written, and why it is none; empty when it is one."""
    [generated] = written.generated
    return (generated.text, find_refusal(generated)) if generated else ("", "it is empty")


def note_cut(written: Written) -> tuple[Flag, ...]:
    """What a reader must know of a text whose model didn't see all findings."""
    return (MODEL_CUT,) if written.cut else ()
