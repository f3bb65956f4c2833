"""`Statements`: the extractive text, each of its statements rewritten by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from radbridge.draft import Flag, FlagKind, Severity, Stage
from radbridge.guard import Guard
from radbridge.rewrites import Attempt, Plan, assemble, plan_rewrites, show
from radbridge_model_server.drafts.asking import Asker, Prompts, Written
from radbridge_model_server.drafts.context import Fitter
from radbridge_model_server.drafts.prepared import Prepared
from radbridge_model_server.drafts.refusal import find_objection, find_refusal
from radbridge_model_server.drafts.strategies.strategy import Strategy, Verdict, judge_coarse
from radbridge_model_server.engines.engine import Generated, OnText
from radbridge_model_server.loras.chain import Link

_STATEMENT_KEPT = Flag(
    kind=FlagKind.CONTEXT_CUT,
    message="A statement is longer than the model's context: it stands in the words of the findings.",
    severity=Severity.INFO,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Statements(Strategy):
    """`strategy: coarse_to_fine` with `coarse_by: extractive`.

    A rewrite sees its own statement alone: beside a whole report a small model loses its place while it copies
    (`docs/decisions/0008-a-rewrite-keeps-what-it-rewrites.md`).
    """

    asker: Asker
    fitter: Fitter
    is_sites: bool
    """Whether the coarse text is the site model's: the site's LoRA and the base have nothing to add to that."""

    @property
    def name(self) -> str:
        return "coarse_to_fine"

    def has_nothing(self, prepared: Prepared) -> bool:
        return not prepared.coarse.text.strip()

    async def write(
        self, prepared: Prepared, links: Iterable[Link], fallback: list[str], on_text: OnText | None = None
    ) -> Written | None:
        build = partial(self._build, prepared)
        links = (link for link in links if link.is_signers or not self.is_sites)
        return await self.asker.ask(build, links, prepared.limits, fallback)

    def judge(self, prepared: Prepared, written: Written | None, guard: Guard) -> Verdict:
        """The rewritten statements; coarse ones where none of them holds, or the guard objects to the whole."""
        if written is None:
            return judge_coarse(prepared, guard)
        plan = _plan(prepared, written.author.prompt_version)
        rewrite = assemble(plan.statements, [_attempt(g) for g in written.generated], plan.hand)
        kept, count = len(rewrite.refused), len(plan.statements)
        reasons = ", ".join(dict.fromkeys(rewrite.refused))
        coarse, flags = judge_coarse(prepared, guard), guard.check(rewrite.text)
        if objection := find_objection(flags, coarse.flags):
            return replace(coarse, reasons=(f"fine text refused: {objection}",))
        if kept == count:  # not a word is the model's, and yet a hand lays out what the findings say
            laid_out = replace(coarse, text=rewrite.text, flags=flags, examples=written.examples)
            return replace(laid_out if plan.hand else coarse, reasons=(f"fine text refused: {reasons}",))
        return Verdict(
            text=rewrite.text,
            stage=Stage.FINE,
            author=written.author,
            flags=flags,
            notes=(_STATEMENT_KEPT,) if None in written.generated else (),
            reasons=(f"{kept} of {count} statements left as they were: {reasons}",) if kept else (),
            examples=written.examples,
        )

    def _build(self, prepared: Prepared, version: str) -> Prompts:
        plan, case = _plan(prepared, version), prepared.as_input()
        shown = [show(said, plan, case=case, version=version) for said in plan.statements]
        fitted = [self.fitter.fit(one, version) for one in shown]
        signed = tuple(e.id for e in prepared.request.examples) if plan.hand else ()
        return Prompts(texts=tuple(f.text if f else None for f in fitted), examples=signed)


def _plan(prepared: Prepared, version: str) -> Plan:
    return plan_rewrites(prepared.coarse.statements, prepared.request.examples, version)


def _attempt(generated: Generated | None) -> Attempt | None:
    return Attempt(text=generated.text, refusal=find_refusal(generated)) if generated else None
