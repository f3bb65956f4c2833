"""`Statements`: the extractive text, each of its statements rewritten by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from radbridge.draft import Flag, FlagKind, Severity, Stage
from radbridge.guard import Guard
from radbridge.prompt import PromptInput, shows_style
from radbridge.style import Hand, read_hand
from radbridge_model_server.drafts.asking import Asker, Prompts, Written
from radbridge_model_server.drafts.context import Fitter
from radbridge_model_server.drafts.prepared import Prepared
from radbridge_model_server.drafts.refusal import assemble, find_objection
from radbridge_model_server.drafts.strategies.strategy import Strategy, Verdict, judge_coarse
from radbridge_model_server.engines.engine import OnText
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
        rewrite = assemble(plan.statements, written.generated, plan.hand)
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
        request, plan = prepared.request, _plan(prepared, version)
        case = PromptInput(findings="", modality=request.modality, sex=request.sex, age=request.age)
        fitted = [self.fitter.fit(_show(said, case, plan, version), version) for said in plan.statements]
        signed = tuple(e.id for e in request.examples) if plan.hand else ()
        return Prompts(texts=tuple(f.text if f else None for f in fitted), examples=signed)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What is rewritten for weights of one prompt version."""

    statements: tuple[str, ...]
    hand: Hand | None
    """How the signer writes, where such weights can be shown that: it is counted over every example."""


def _plan(prepared: Prepared, version: str) -> _Plan:
    hand = read_hand(prepared.request.examples) if shows_style(version) else None
    said = hand.arrange(prepared.coarse.statements) if hand else prepared.coarse.statements
    return _Plan(statements=tuple(s.text for s in said), hand=hand)


def _show(statement: str, case: PromptInput, plan: _Plan, version: str) -> PromptInput:
    """Weights of `p1` were trained to see a statement twice, as findings too; later ones see it once."""
    style = tuple(s.text for s in plan.hand.choose_style(statement)) if plan.hand else ()
    return replace(case, findings="" if shows_style(version) else statement, coarse=statement, style=style)
